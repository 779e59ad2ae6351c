"""`make mutants`: how much of a change to the domain its own unit tests notice.

    python -m tests.mutants                    assessment, alerts, scans and arm
    python -m tests.mutants arm                one of them
    python -m tests.mutants arm.hints          one module, by its package's tests

mutmut changes each function in every way that it knows, one at a time; what no test notices is
printed as it is found. Changes that no test can notice stand in explained.toml, with the reason.
The score is what was noticed, of all that is not explained. It fails below 85 %, and where
explained.toml names a change that does not exist (any more), or that is noticed after all.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_PACKAGES: Final = ("assessment", "alerts", "scans", "arm")
_LEAST: Final = 85.0
_HERE: Final = Path(__file__).parent
_ROOT: Final = _HERE.parent.parent
_ALIVE: Final = frozenset({"survived", "not called"})
Result = Mapping[str, str]
"""A mutant's fields, with its `fate`."""


@dataclass(frozen=True, slots=True)
class Explained:
    """Changes of one function that no test can notice.

    Attributes:
        module: the module's dotted name.
        function: the function's name within it.
        was: the line that is changed.
        now: what it is changed to.
    """

    module: str
    function: str
    was: str
    now: str


def main() -> int:
    """Runs what was asked for; returns 0 if the score is reached and all explanations hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(_PACKAGES)}, or their modules")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="mutants at a time")
    parser.add_argument("--seconds", type=float, default=2.0, help="tests for each mutant, CPU")
    options = parser.parse_args()
    explained = read_explained(_HERE / "explained.toml")
    rows, holds = [], True
    for name in options.names or _PACKAGES:
        results = _run(name, options.jobs, options.seconds)
        rows.append(score_row(name, results, explained))
        holds &= rows[-1].score >= _LEAST
        for each in stale(name, results, explained):
            holds = False
            print(f"explained, but not needed: {each}")
    print("\n| | mutants | noticed | alive | of them explained | raw | score |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        print(row.text)
    return 0 if holds else 1


def read_explained(path: Path) -> dict[Explained, str]:
    """Returns each explained change with its reason."""
    tables: Iterable[Mapping[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))["change"]
    return {
        Explained(each["module"], each["function"], each["was"], now): each["why"]
        for each in tables
        for now in each["now"]
    }


@dataclass(frozen=True, slots=True)
class Row:
    """A package's line of the table.

    Attributes:
        text: the line.
        score: what was noticed of all that is not explained, in percent.
    """

    text: str
    score: float


def score_row(name: str, results: Sequence[Result], explained: Mapping[Explained, str]) -> Row:
    """Returns what the table says of a package or module."""
    alive = [each for each in results if each["fate"] in _ALIVE]
    excused = sum(_change(each) in explained for each in alive)
    noticed, total = len(results) - len(alive), len(results)
    raw = 100 * noticed / total
    score = 100 * noticed / (total - excused)
    return Row(
        f"| {name} | {total:,} | {noticed:,} | {len(alive)} | {excused} | {raw:.1f} % "
        f"| {score:.1f} % |",
        score,
    )


def stale(
    name: str, results: Sequence[Result], explained: Mapping[Explained, str]
) -> list[Explained]:
    """Returns the explained changes of a package or module that are noticed or don't exist."""
    fates: dict[Explained, Counter[str]] = {}
    for each in results:
        fates.setdefault(_change(each), Counter())[each["fate"]] += 1
    return [
        change
        for change in explained
        if f"{change.module}.".startswith(f"assessor.{name}.")
        and not any(fates.get(change, Counter())[fate] for fate in _ALIVE)
    ]


def _change(result: Result) -> Explained:
    return Explained(result["module"], result["function"], result["was"], result["now"])


def _run(name: str, jobs: int, seconds: float) -> list[Result]:
    """Runs the tests of a package for each of its mutants, or of a module's."""
    tests = Path("tests", "unit", "assessor", name.partition(".")[0])
    with tempfile.TemporaryDirectory() as folder:
        into = Path(folder, "results")
        command = [
            *[sys.executable, "-m", "pytest", "-q", "-s", "-x", str(tests)],
            *["-p", "tests.mutants.plugin", "-p", "no:randomly", "-p", "no:cacheprovider"],
            *["-p", "no:xdist", f"--basetemp={Path(folder, 'tests')}"],
            *["--mutate", f"assessor.{name}", "--mutant-jobs", str(jobs)],
            *["--mutant-seconds", str(seconds), "--mutant-results", str(into)],
        ]
        subprocess.run(command, check=True, cwd=_ROOT)  # noqa: S603 - pytest, with these arguments
        return [json.loads(line) for line in into.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    sys.exit(main())
