"""Charts, each with its numbers in a table beside it."""

from collections.abc import Iterable
from typing import Any

from nicegui import ui

from patch_assessor_console.model.charts import (
    ages_of,
    durations,
    outcome_mix,
    over_time,
    reboot_ages,
    spreads_of,
)
from patch_assessor_console.page.elements import Cell, DataTable, Head, Line, tag
from patch_assessor_console.page.shell import Context, keep_fresh, moment, shell

_LAST_SAMPLES = 50


def charts_page(context: Context) -> None:
    """Shows what people would rather look at than read."""
    with shell(context, "Charts"):
        tag("h1", "Charts")
        _ChartsView(context)


class _ChartsView:
    def __init__(self, context: Context) -> None:
        self._context = context
        with tag("div", classes="charts"):
            self._patches = _Figure(
                "Critical and security patches since the console started",
                ("Time", "Patches", "VMs that lack some"),
            )
            self._outcomes = _Figure("Outcomes since the console started", ("Outcome", "Count"))
            self._durations = _Figure(
                "How long assessments take, by system",
                ("System", "Assessments", "Shortest, s", "Median, s", "Longest, s"),
            )
            self._ages = _Figure("How long reboots have been pending", ("Age", "VMs"))
        keep_fresh(context, self._show)

    def _show(self) -> None:
        memory = self._context.memory
        vms = [row.vm for row in memory.rows()]
        samples = list(memory.samples)
        self._patches.show(
            over_time(samples),
            [(moment(each.at), each.critical, each.lacking) for each in samples[-_LAST_SAMPLES:]],
        )
        self._outcomes.show(outcome_mix(memory.outcomes), memory.outcomes.most_common())
        spreads = spreads_of(vms, memory.durations)
        self._durations.show(
            durations(spreads),
            [
                (each.system, each.count, *(f"{value:.1f}" for value in each.range))
                for each in spreads
            ],
        )
        ages = ages_of(vms, self._context.now())
        self._ages.show(reboot_ages(ages), ages)


class _Figure:
    """A chart and its table."""

    def __init__(self, caption: str, heads: tuple[str, ...]) -> None:
        with tag("figure"):
            tag("figcaption", caption)
            self._chart = ui.echart({}, renderer="svg")
            self._chart.props["aria-hidden"] = "true"  # the table beside it says the same
            with tag("details"):
                tag("summary", "As a table")
                self._table = DataTable(
                    caption,
                    [Head(each, each, number=number > 0) for number, each in enumerate(heads)],
                    nothing="Nothing yet.",
                )

    def show(self, options: dict[str, Any], lines: Iterable[Iterable[object]]) -> None:
        """Shows these numbers."""
        if self._chart.options != options:
            self._chart.options.clear()
            self._chart.options.update(options)
            self._chart.update()
        self._table.show(
            Line(str(number), str(number), tuple(Cell(str(each)) for each in line))
            for number, line in enumerate(lines)
        )
