"""`python -m benchmarks`: measures, prints tables, and keeps the results with the page about them.

Results go to docs/performance.json, plots to docs/figures/, tables into docs/performance.md
where their places are. Figures that are not measured keep what they had.
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from benchmarks import plots, report
from benchmarks.crew import assessor_app
from benchmarks.figures import calls, cost, cpu, delays, makespan
from benchmarks.fleet import Fleet, vm_id
from benchmarks.readings import Reading, Readings, Verdict
from benchmarks.results import Run, load, readings_of, run_of, save
from benchmarks.rig import RigOptions, running
from benchmarks.ways import az

_ROOT: Final = Path(__file__).resolve().parents[1]
_DOCS: Final = _ROOT / "docs"
_AZ_PROCESSES: Final = 12
_AZ_SIDE_BY_SIDE: Final = 2
_AZ_TIME_SCALE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure.

    Attributes:
        sizes: How many VMs or assessments, where everything is real.
        simulated: How many, where bus and clock are simulated.
        az: Whether the Azure CLI is measured.
    """

    sizes: tuple[int, ...]
    simulated: tuple[int, ...]
    az: bool


Measure = Callable[[Plan], Awaitable[list[Reading]]]


async def _measure_cpu(plan: Plan) -> list[Reading]:
    return await cpu.measure(plan.sizes, choice=cpu.Choice(az=_measure_az if plan.az else None))


async def _measure_az() -> az.AzUsage:
    """Runs az against an ARM of its own, whose operations take as long as for the other ways."""
    conditions = cpu.Conditions()
    fleet = Fleet(_AZ_PROCESSES, conditions.seconds, conditions.spread)
    options = RigOptions(assessor_app(), fleet, _AZ_TIME_SCALE)
    async with running(options) as rig:
        address = az.ArmAddress.of(rig.cloud.arm.ready)
        vms = [vm_id(index) for index in range(_AZ_PROCESSES)]
        return await az.assess(address, vms, side_by_side=_AZ_SIDE_BY_SIDE)


async def _measure_calls(plan: Plan) -> list[Reading]:
    return await asyncio.to_thread(calls.measure, plan.simulated)


async def _measure_delays(plan: Plan) -> list[Reading]:
    return await asyncio.to_thread(delays.measure, plan.simulated)


async def _measure_makespan(plan: Plan) -> list[Reading]:
    return await asyncio.to_thread(makespan.measure, plan.simulated)


_FIGURES: Final[Mapping[str, Measure]] = {
    "cpu": _measure_cpu,
    "calls": _measure_calls,
    "delays": _measure_delays,
    "makespan": _measure_makespan,
}
"""Each figure that is measured by itself; `cost` follows from `calls`."""


def verdicts_of(readings: Readings) -> list[Verdict]:
    """Returns what became of every target that there are readings for."""
    figures = {each.figure for each in readings.all}
    judges = {
        "calls": calls.judge,
        "delays": delays.judge,
        "makespan": makespan.judge,
        "cost": cost.judge,
    }
    return [
        verdict
        for figure, judge in judges.items()
        if figure in figures
        for verdict in judge(readings)
    ]


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


async def _measure(chosen: Sequence[str], plan: Plan, console: Console) -> dict[str, Run]:
    runs = {}
    for figure in chosen:
        console.print(f"\n[bold]{report.LAYOUTS[figure].title}[/bold]")
        readings = await _FIGURES[figure](plan)
        runs[figure] = run_of(readings, datetime.now(UTC))
        console.print(report.table(figure, Readings.of(readings)), markup=False)
    return runs


def main(
    figures: Annotated[str, typer.Option(help="Which, with commas between them.")] = ",".join(
        _FIGURES
    ),
    sizes: Annotated[str, typer.Option(help="How many VMs, where all is real.")] = "100,1000",
    simulated: Annotated[
        str, typer.Option(help="How many, where bus and clock are simulated.")
    ] = "100,1000,10000",
    az_cli: Annotated[bool, typer.Option("--az/--no-az", help="Measure the Azure CLI.")] = True,  # noqa: FBT002 - an option
    keep: Annotated[bool, typer.Option(help="Write the results into docs/.")] = True,  # noqa: FBT002 - an option
) -> None:
    """Measures the app side by side with what a user would do instead."""
    console = Console(width=max(shutil.get_terminal_size().columns, 160))
    chosen = [each.strip() for each in figures.split(",") if each.strip()]
    unknown = [each for each in chosen if each not in _FIGURES]
    if unknown:
        raise typer.BadParameter(f"no figure {', '.join(unknown)}; there are {', '.join(_FIGURES)}")
    plan = Plan(_numbers(sizes), _numbers(simulated), az_cli)
    measured = asyncio.run(_measure(chosen, plan, console))
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
