"""What docs/observability.md promises of names, read from the page itself.

A name that the page writes in its tables or its text is a promise; the few that it says are for
OTLP alone are listed here with what the page says of them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PAGE: Final = Path(__file__).parents[2] / "docs/observability.md"
_CODE: Final = re.compile(r"`([^`\n]+)`")
_OWN: Final = re.compile(r"(?:patch_assessor|azure\.vm)\.[a-z0-9_.]+")
_ROW: Final = re.compile(r"^\| (.+?) \| ", re.MULTILINE)

OTLP_ALONE: Final = {
    "wait": "`wait` spans … are left out there: the gap shows them",
    "patch_assessor.wait.place": "an attribute of these",
    "http.client.request.duration": "OTLP only: Application Insights counts calls by their spans",
}
"""What Application Insights does not get, and what the page says of that."""


@dataclass(frozen=True, slots=True)
class Promises:
    """The page's names.

    Attributes:
        attributes: of spans and records, and dimensions.
        spans: as the page writes them, with `<…>` for what varies.
        records: their names.
        metrics: what each metric is told apart by, as far as that is an attribute's name.
    """

    attributes: frozenset[str]
    spans: tuple[str, ...]
    records: frozenset[str]
    metrics: Mapping[str, frozenset[str]]


def promised() -> Promises:
    """Returns what the page promises."""
    page = _PAGE.read_text()
    return Promises(
        attributes=frozenset(_attributes(page)),
        spans=tuple(_first_cells(page, "| span | kind | is |")),
        records=frozenset(_records(page)),
        metrics=dict(_metrics(page)),
    )


def pattern_of(span: str) -> re.Pattern[str]:
    """Returns what names of spans that the page writes so look like."""
    return re.compile(re.sub(r"<\w+>|…", "[^ ].*", span.replace("$", r"\$")))


def _attributes(page: str) -> Iterator[str]:
    for code in _CODE.findall(page):
        yield from (name.rstrip(".") for name in _OWN.findall(code))
    for line in page.splitlines():  # `patch_assessor.scan.found`, `….requested`, …
        names = _CODE.findall(line)
        if names and any(each.startswith("….") for each in names):
            prefix = names[0].rpartition(".")[0]
            yield from (prefix + each[1:] for each in names if each.startswith("…."))


def _first_cells(page: str, head: str) -> Iterator[str]:
    _, _, after = page.partition(f"{head}\n")
    table, _, _ = after.partition("\n\n")
    for cell in _ROW.findall(table):
        yield from _CODE.findall(cell)


def _records(page: str) -> Iterator[str]:
    for code in _first_cells(page, "| record | when |"):
        yield code.replace("…", "PatchAssessor.")


def _metrics(page: str) -> Iterator[tuple[str, frozenset[str]]]:
    _, _, after = page.partition("| metric | kind | told apart by |\n")
    table, _, _ = after.partition("\n\n")
    for line in table.splitlines():
        if not line.startswith("| `"):
            continue
        first, *_, last = line.strip("| ").split(" | ")
        dimensions = frozenset(_CODE.findall(last)) if "`" in last else frozenset()
        for metric in _CODE.findall(first):
            yield metric, dimensions
