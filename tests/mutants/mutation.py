"""Modules with their mutants in them, as mutmut makes them, and what each mutant changes.

A mutated module holds every mutant of every function; which of them runs, mutmut's trampoline
decides at each call. Modules are mutated while they are imported, so that no file is written.

What is left out, as in mutmut: module constants, annotations, and functions that are decorated
otherwise than as static or class methods (properties above all).
"""

import difflib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from mutmut.mutation.data import LineSpan
from mutmut.mutation.file_mutation import mutate_file_contents


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one function.

    Attributes:
        name: mutmut's name, which makes the trampoline run it.
        module: the module's dotted name.
        function: the function's name within the module, the class's before it.
        was: the lines that it changes, stripped, one space between them.
        now: what they are in the mutant; empty if they are gone.
    """

    name: str
    module: str
    function: str
    was: str
    now: str

    @property
    def trampoline(self) -> str:
        """What mutmut calls the function when it notes that a test called it."""
        return self.name.partition("__mutmut_")[0]


class Mutating(MetaPathFinder):
    """Imports the modules beneath the given names with their mutants in them."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self.mutants: list[Mutant] = []

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Returns the spec of a module that is to be mutated; None for any other."""
        if not any(f"{fullname}.".startswith(f"{name}.") for name in self._names):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin, self.mutants)
        return spec

    def install(self) -> None:
        """Takes part in every import from now on."""
        sys.meta_path.insert(0, self)


class _Loader(SourceFileLoader):
    """Compiles a module with its mutants; neither reads nor writes compiled code."""

    def __init__(self, fullname: str, path: str, mutants: list[Mutant]) -> None:
        super().__init__(fullname, path)
        self._mutants = mutants

    def get_code(self, fullname: str) -> CodeType:
        """Returns the code of the mutated module, and notes its mutants."""
        mutated = mutate_file_contents(self.path, Path(self.path).read_text(encoding="utf-8"))
        lines, spans = mutated.code.splitlines(), mutated.line_span_by_function_name
        self._mutants += [_mutant(fullname, name, lines, spans) for name in mutated.mutant_names]
        return compile(mutated.code, self.path, "exec", dont_inherit=True)


def _mutant(module: str, name: str, lines: Sequence[str], spans: Mapping[str, LineSpan]) -> Mutant:
    mangled = name.partition("__mutmut_")[0]
    names = f"{mangled}__mutmut_orig", name
    before, after = (
        [line.strip().replace(each, _plain(mangled)) for line in lines[span.start - 1 : span.end]]
        for each in names
        for span in [spans[each]]
    )
    changes = [each for each in difflib.ndiff(before, after) if each[0] in "-+"]
    return Mutant(
        name=f"{module}.{name}",
        module=module,
        function=mangled.removeprefix("x_").removeprefix("xǁ").replace("ǁ", "."),
        was=" ".join(each[2:] for each in changes if each[0] == "-"),
        now=" ".join(each[2:] for each in changes if each[0] == "+"),
    )


def _plain(mangled: str) -> str:
    """Returns a function's own name, without its class's."""
    return mangled.removeprefix("x_").rpartition("ǁ")[2]
