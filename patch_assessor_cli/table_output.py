"""Rows written to stdout for machines: one JSON object a line, or a table with commas."""

import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from patch_assessor_cli.json_lines import json_line
from plain_text import one_line


def write_json(rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes each row as an object on a line of its own."""
    sys.stdout.writelines(f"{json_line(row)}\n" for row in rows)


def write_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Writes rows to stdout with a line of the columns' names before them.

    Each value is one line of plain text. One that a spreadsheet would take for a formula has an
    apostrophe before it, for names were written by others.
    """
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([cell(row[name]) for name in columns] for row in rows)


def cell(value: object) -> str:
    """Returns a value as it stands in a table: nothing for None, `true` and `false`, plain text."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
    text = one_line(str(value))
    return f"'{text}" if text[:1] in {"=", "+", "-", "@"} and not isinstance(value, int) else text
