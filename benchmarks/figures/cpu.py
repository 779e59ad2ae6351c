"""CPU time of the worker for each assessment, from request to outcome.

Operations take as long as real ones do, divided by the time scale, and so does whatever the app
waits for: so an assessment has as many polls and hand-overs as a real one. Requests come at a pace
that leaves the machine room; what is counted is CPU time, not time.

The floor polls as often as the app did just before, so that both make the same exchange. What the
Functions host takes is no part of the app's; it is there to be seen, and on the local host includes
the polling of receivers that get nothing.
"""

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, Protocol

from benchmarks.crew import Crew, FunctionApp, Program, assessor_app, sdk_poller, sync_handler
from benchmarks.fleet import Fleet, paced
from benchmarks.phase import Page, Phase
from benchmarks.readings import Reading
from benchmarks.rig import RigOptions, running

FIGURE: Final = "cpu"
APP: Final = "app"
APP_TABLES: Final = "app, tables"
FLOOR: Final = "floor"
FLOOR_TABLES: Final = "floor, tables"
SYNC: Final = "sync handler"
SDK: Final = "SDK poller"
AZ: Final = "az"

_WARM_UP: Final = 20
_THREADS: Final = 32
_SYNC_MOST: Final = 4 * _THREADS
"""The sync handler does so many at a time that its CPU time for each is told after four rounds."""
_GAP_SHARE: Final = 0.05
"""The time between two polls of the app's, as a share of how long the operation takes."""
_LATE_SECONDS: Final = 60.0
_LEAD_SECONDS: Final = 1.0
"""From the sending of requests to when the bus hands out the first."""


class AzCost(Protocol):
    """What `az vm assess-patches` took for some VMs."""

    @property
    def count(self) -> int:
        """How many VMs: one process for each."""
        ...

    @property
    def cpu_seconds(self) -> float:
        """The processes' CPU time together."""
        ...


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is the same for every way.

    Attributes:
        time_scale: How many times faster than real assessments run.
        seconds: How long an operation takes, in ARM's time: the recorded one's 665.5.
        spread: How far from that, either way.
        per_second: How many requests come in a second.
        hold_seconds: ASSESS_HOLD_SECONDS in a real deployment, which the time scale divides.
    """

    time_scale: float = 30.0
    seconds: float = 665.5
    spread: float = 60.0
    per_second: float = 5.0
    hold_seconds: float = 20.0

    @property
    def operation_seconds(self) -> float:
        """How long an operation takes here."""
        return self.seconds / self.time_scale

    @property
    def settings(self) -> dict[str, str]:
        """The app settings that the time scale changes."""
        return {
            "ASSESS_HOLD_SECONDS": f"{self.hold_seconds / self.time_scale:g}",
            "ASSESS_EXPECTED_MINUTES": f"{self.operation_seconds / 60:g}",
        }

    def floor(self, polls: float, *, tables: bool) -> Program:
        """Returns the floor that polls an operation so often on average.

        The polls are a gap apart, and the last one is on average half a gap after the end.
        """
        gap = self.operation_seconds * _GAP_SHARE
        first = max(gap, self.operation_seconds - (polls - 1.5) * gap)
        arguments = (f"--first={first:.3f}", f"--gap={gap:.3f}", "--alert")
        return Program("benchmarks.ways.floor", (*arguments, *(["--tables"] if tables else [])))

    def in_flight(self) -> int:
        """Returns how many assessments are under way at the same time where none has to wait."""
        return math.ceil(self.per_second * self.operation_seconds * 1.5) + _WARM_UP


@dataclass(frozen=True, slots=True)
class Way:
    """One way of doing it.

    Attributes:
        name: Its name in the readings.
        crew: Who does it.
        tables: Whether there are tables.
        most: How many assessments are enough to tell; more are not made.
        at_once: How many it does at the same time; None for as many as come.
    """

    name: str
    crew: Crew
    tables: bool = False
    most: int | None = None
    at_once: int | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """What is measured besides the app and the floor, which always are.

    Attributes:
        tables: The app and the floor once more, with tables.
        others: The sync handler and the SDK's poller.
        app: The app.
        az: Measures the Azure CLI; None leaves it out.
    """

    tables: bool = True
    others: bool = True
    app: FunctionApp = field(default_factory=assessor_app)
    az: Callable[[], Awaitable[AzCost]] | None = None


async def measure(
    sizes: Sequence[int], conditions: Conditions | None = None, choice: Choice | None = None
) -> list[Reading]:
    """Measures every way at each size.

    Args:
        sizes: How many assessments.
        conditions: What is the same for every way.
        choice: Which ways.

    Returns:
        `cpu_ms` of the worker, `host_cpu_ms`, `arm_calls`, `polls` and `sends` for each
        assessment, and the worker's `peak_rss_mib`.

    Raises:
        RigError: The work was not done.
        PartError: A part of the local cloud ended.
    """
    conditions, choice = conditions or Conditions(), choice or Choice()
    readings: list[Reading] = []
    for size in sizes:
        run = partial(_run, size=size, conditions=conditions)
        for tables in (False, True) if choice.tables else (False,):
            app, floor = (APP_TABLES, FLOOR_TABLES) if tables else (APP, FLOOR)
            phase = await run(Way(app, choice.app, tables))
            readings += _readings(app, size, phase)
            same = conditions.floor(phase.polls, tables=tables)
            readings += _readings(floor, size, await run(Way(floor, same, tables)))
        for way in _others(conditions) if choice.others else ():
            readings += _readings(way.name, size, await run(way))
    if choice.az is not None:
        readings += az_readings(sizes, await choice.az())
    return readings


def _others(conditions: Conditions) -> tuple[Way, ...]:
    return (
        Way(SYNC, sync_handler(), most=_SYNC_MOST, at_once=_THREADS),
        Way(SDK, sdk_poller(conditions.in_flight())),
    )


async def _run(way: Way, *, size: int, conditions: Conditions) -> Phase:
    assessments = min(size, way.most or size)
    options = RigOptions(
        crew=way.crew,
        fleet=Fleet(_WARM_UP + assessments, conditions.seconds, conditions.spread),
        time_scale=conditions.time_scale,
        tables=way.tables,
        settings=conditions.settings,
    )
    vms = range(_WARM_UP, _WARM_UP + assessments)
    async with running(options) as rig:
        await rig.ask(range(_WARM_UP))
        await rig.until_done(_WARM_UP, within=_bound(way, _WARM_UP, conditions))
        await rig.reset_peak()
        before = await rig.snapshot()
        begin = datetime.now(UTC) + timedelta(seconds=_LEAD_SECONDS)
        await rig.send(paced(vms, begin, conditions.per_second))
        await rig.until_done(_WARM_UP + assessments, within=_bound(way, assessments, conditions))
        return Phase(before, await rig.snapshot(), assessments)


def _bound(way: Way, assessments: int, conditions: Conditions) -> float:
    """Returns the seconds after which something must be wrong."""
    rounds = math.ceil(assessments / (way.at_once or assessments))
    usual = assessments / conditions.per_second + rounds * 2 * conditions.operation_seconds
    return 2 * usual + _LATE_SECONDS


def _readings(way: str, size: int, phase: Phase) -> list[Reading]:
    values = {
        "cpu_ms": phase.worker_ms,
        "host_cpu_ms": phase.host_ms,
        "arm_calls": phase.calls,
        "polls": phase.polls,
        "sends": phase.sends,
        "peak_rss_mib": phase.peak_rss_mib,
    }
    note = "" if phase.assessments == size else f"measured with {phase.assessments}"
    return Page(FIGURE, way, size).read(values, note)


def az_readings(sizes: Sequence[int], cost: AzCost) -> list[Reading]:
    """Returns what az took for one VM, at each size: a process for each costs the same for many."""
    values = {"cpu_ms": cost.cpu_seconds * 1000 / cost.count}
    note = f"extrapolated from {cost.count} processes"
    return [each for size in sizes for each in Page(FIGURE, AZ, size).read(values, note)]
