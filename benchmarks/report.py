"""A run as people read it: tables of Markdown, and what became of the targets.

Which readings stand in a table, and under what heading, is data: LAYOUTS. `write_into` puts tables
between the comments that name them in a page, so that a page's numbers are always a run's.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from benchmarks.readings import Reading, Readings, Verdict


class Column(NamedTuple):
    """A column of a table: a reading's name, what stands above it, and digits behind the point."""

    name: str
    heading: str
    digits: int = 0


class Layout(NamedTuple):
    """A figure's table, a row for each way and size: its title, and what is shown."""

    title: str
    columns: tuple[Column, ...]


LAYOUTS: Final[Mapping[str, Layout]] = {
    "cpu": Layout(
        "CPU time for each assessment",
        (
            Column("cpu_ms", "worker, ms", 1),
            Column("host_cpu_ms", "host, ms", 1),
            Column("arm_calls", "ARM calls", 1),
            Column("sends", "messages sent", 1),
            Column("peak_rss_mib", "worker's peak, MiB"),
        ),
    ),
    "calls": Layout(
        "Calls of ARM and delay",
        (
            Column("late_p10_s", "10 %, s", 1),
            Column("late_p25_s", "25 %", 1),
            Column("late_p50_s", "half", 1),
            Column("late_p75_s", "75 %", 1),
            Column("late_p95_s", "95 %", 1),
            Column("late_p99_s", "99 %", 1),
            Column("late_p100_s", "all", 1),
            Column("arm_calls", "ARM calls", 1),
            Column("throttled", "refused"),
            Column("polls_busiest_minute", "polls in the busiest minute"),
            Column("invocations", "invocations", 1),
            Column("bus_operations", "bus operations", 1),
        ),
    ),
    "makespan": Layout(
        "A scan of one subscription and region",
        (
            Column("begun_s", "last begin after, s"),
            Column("makespan_s", "last outcome after, s"),
            Column("throttled", "429s"),
            Column("arm_calls", "ARM calls a VM", 1),
        ),
    ),
    "cost": Layout(
        "1,000 assessments in US dollars",
        (
            Column("invocations", "invocations"),
            Column("arm_calls", "ARM calls"),
            Column("bus_operations", "bus operations"),
            Column("gb_seconds_day", "GB-s over a day"),
            Column("gb_seconds_hour", "GB-s within an hour"),
            Column("dollars_day", "$ over a day", 3),
            Column("dollars_hour", "$ within an hour", 3),
        ),
    ),
}

_MARK: Final = r"<!-- benchmark: {} -->\n"
_END: Final = "<!-- end -->"


class PageError(Exception):
    """A page has no place for a table.

    Attributes:
        name: The table's.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"the page has no place for {name}")
        self.name = name


def table(figure: str, readings: Readings) -> str:
    """Returns a figure's table; a column without any reading is left out."""
    mine = [each for each in readings.all if each.figure == figure]
    values = {(each.way, each.size, each.name): each for each in mine}
    names = {each.name for each in mine}
    shown = [each for each in LAYOUTS[figure].columns if each.name in names]
    lines = [_row(["", "VMs", *(each.heading for each in shown)])]
    lines.append(_row(["---", "---:", *("---:" for _ in shown)]))
    for way, size in dict.fromkeys((each.way, each.size) for each in mine):
        cells = [_cell(values.get((way, size, each.name)), each.digits) for each in shown]
        if any(cells):
            lines.append(_row([way, f"{size:,}", *cells]))
    return "\n".join(lines)


def verdicts_table(verdicts: Sequence[Verdict]) -> str:
    """Returns what became of the targets."""
    lines = [_row(["target", "at", "measured", "met"]), _row(["---", "---:", "---", "---"])]
    lines += [
        _row([each.target, f"{each.size:,}", each.measured, "yes" if each.met else "**no**"])
        for each in verdicts
    ]
    return "\n".join(lines)


def write_into(page: str, tables: Mapping[str, str]) -> str:
    """Returns the page with the tables at the places that name them.

    Raises:
        PageError: a table has no place.
    """
    for name, text in tables.items():
        pattern = re.compile(f"({_MARK.format(re.escape(name))}).*?({_END})", re.DOTALL)
        place = pattern.search(page)
        if place is None:
            raise PageError(name)
        page = f"{page[: place.end(1)]}\n{text}\n\n{page[place.start(2) :]}"
    return page


def _cell(reading: Reading | None, digits: int) -> str:
    return "" if reading is None else f"{reading.value:,.{digits}f}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
