"""`python -m benchmarks`: measures, prints tables, and keeps the results with the page about them.

Results go to docs/performance.json, plots to docs/figures/, tables into docs/performance.md
where their places are. Figures that are not measured keep what they had.
"""

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from benchmarks import plots, report
from benchmarks.figures import calls, cost, cpu, makespan
from benchmarks.readings import Readings, Verdict
from benchmarks.results import Run, load, readings_of, run_of, save

_DOCS: Final = Path(__file__).resolve().parents[1] / "docs"
_FIGURES: Final = ("cpu", "calls", "makespan")
"""Each figure that is measured by itself; `cost` follows from `calls`."""


def verdicts_of(readings: Readings) -> list[Verdict]:
    """Returns what became of every target that there are readings for."""
    return [verdict for figure in (calls, makespan, cost) for verdict in figure.judge(readings)]


def tables_of(readings: Readings, verdicts: Sequence[Verdict]) -> dict[str, str]:
    """Returns every table by the name of its place in the page."""
    figures = {each.figure for each in readings.all}
    tables = {name: report.table(name, readings) for name in report.LAYOUTS if name in figures}
    return {"targets": report.verdicts_table(verdicts), **tables}


def publish(runs: Mapping[str, Run], docs: Path) -> None:
    """Writes results, plots and the page's tables.

    Raises:
        PageError: The page lacks a place.
    """
    readings = readings_of(runs)
    save(docs / "performance.json", runs)
    plots.draw(readings, docs / "figures")
    page = docs / "performance.md"
    tables = tables_of(readings, verdicts_of(readings))
    page.write_text(report.write_into(page.read_text("utf-8"), tables), "utf-8")


def main(
    figures: Annotated[str, typer.Option(help="Which, with commas between them.")] = ",".join(
        _FIGURES
    ),
    sizes: Annotated[str, typer.Option(help="How many VMs, where all is real.")] = "100,300",
    simulated: Annotated[
        str, typer.Option(help="How many, where bus and clock are simulated.")
    ] = "100,1000,10000",
    az_cli: Annotated[bool, typer.Option("--az/--no-az", help="Measure the Azure CLI.")] = True,  # noqa: FBT002 - an option
    keep: Annotated[bool, typer.Option(help="Write the results into docs/.")] = True,  # noqa: FBT002 - an option
) -> None:
    """Measures the app side by side with what a user would do instead."""
    chosen = [each.strip() for each in figures.split(",") if each.strip()]
    unknown = [each for each in chosen if each not in _FIGURES]
    if unknown:
        raise typer.BadParameter(f"no figure {', '.join(unknown)}; there are {', '.join(_FIGURES)}")
    real, worlds = _numbers(sizes), _numbers(simulated)
    console = Console(width=max(shutil.get_terminal_size().columns, 160))
    measured = {}
    for figure in chosen:
        console.print(f"\n[bold]{report.LAYOUTS[figure].title}[/bold]")
        match figure:
            case "cpu":
                readings = asyncio.run(cpu.measure(real, az_cli=az_cli))
            case "calls":
                readings = calls.measure(worlds)
            case _:
                readings = makespan.measure(worlds)
        measured[figure] = run_of(readings, datetime.now(UTC))
        console.print(report.table(figure, Readings.of(readings)), markup=False)
    runs = (load(_DOCS / "performance.json") if keep else {}) | measured
    costs = cost.measure(readings_of(runs))
    if costs:
        runs["cost"] = run_of(costs, datetime.now(UTC))
    if keep:
        publish(runs, _DOCS)
    verdicts = verdicts_of(readings_of(measured))
    console.print(f"\n{report.verdicts_table(verdicts)}", markup=False)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(each) for each in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no list of numbers") from error
    if min(numbers) < 1:
        raise typer.BadParameter(f"{text!r} has a number below one")
    return numbers


if __name__ == "__main__":
    typer.run(main)
