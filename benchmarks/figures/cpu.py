"""CPU time of the worker for each assessment, from request to outcome.

Operations take as long as real ones do, divided by the time scale, and so does whatever the app
waits for: so an assessment has as many polls and hand-overs as a real one. Requests come at a pace
that leaves the machine room; what is counted is CPU time, not time.

Every way but `az` is a function app. The floor polls as often as the app did just before, so that
both make the same exchange. What the Functions host takes is no part of the app's; it is there to
be seen, and on the local host includes the polling of receivers that get nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from benchmarks import az
from benchmarks.fleet import Fleet, paced, vm_id
from benchmarks.readings import Reading, read_off
from benchmarks.rig import ROOT, RigOptions, Snapshot, running

FIGURE: Final = "cpu"
APP: Final = "app"
APP_TABLES: Final = "app, tables"
FLOOR: Final = "floor"
SYNC: Final = "sync handler"
SDK: Final = "SDK poller"
AZ: Final = "az"

_APPS: Final = Path(__file__).parents[1] / "apps"
_WARM_UP: Final = 20
_THREADS: Final = 32
_SYNC_MOST: Final = 4 * _THREADS
"""The sync handler does so many at a time that its CPU time for each is told after four rounds."""
_GAP_SHARE: Final = 0.05
"""The time between two polls of the app's, as a share of how long the operation takes."""
_LATE_SECONDS: Final = 60.0
_LEAD_SECONDS: Final = 1.0
"""From the sending of requests to when the bus hands out the first."""
_AZ_PROCESSES: Final = 12
_AZ_SIDE_BY_SIDE: Final = 2
_AZ_TIME_SCALE: Final = 60.0


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

    def floor(self, polls: float) -> "Way":
        """Returns the floor that polls an operation so often on average.

        The polls are a gap apart, and the last one is on average half a gap after the end.
        """
        gap = self.operation_seconds * _GAP_SHARE
        first = max(gap, self.operation_seconds - (polls - 1.5) * gap)
        settings = {"FLOOR_FIRST_SECONDS": f"{first:.3f}", "FLOOR_GAP_SECONDS": f"{gap:.3f}"}
        return Way(FLOOR, _APPS / "floor", settings=settings)


@dataclass(frozen=True, slots=True)
class Way:
    """One way of doing it.

    Attributes:
        name: Its name in the readings.
        app: The function app that does it.
        settings: App settings of its own.
        tables: Whether there are tables.
        most: How many assessments are enough to tell; more are not made.
        at_once: How many it does at the same time; None for as many as come.
    """

    name: str
    app: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    tables: bool = False
    most: int | None = None
    at_once: int | None = None


_OTHERS: Final = (
    Way(APP_TABLES, ROOT, tables=True),
    Way(
        SYNC,
        _APPS / "sync_handler",
        {"PYTHON_THREADPOOL_THREAD_COUNT": str(_THREADS)},
        most=_SYNC_MOST,
        at_once=_THREADS,
    ),
    Way(SDK, _APPS / "sdk_poller"),
)


async def measure(
    sizes: Sequence[int],
    conditions: Conditions | None = None,
    *,
    others: bool = True,
    az_cli: bool = False,
) -> list[Reading]:
    """Measures every way at each size.

    Args:
        sizes: How many assessments.
        conditions: What is the same for every way.
        others: Whether ways besides the app and the floor are measured.
        az_cli: Whether the Azure CLI is.

    Returns:
        `cpu_ms` of the worker, `host_cpu_ms`, `arm_calls`, `polls` and `sends` for each
        assessment, and the worker's `peak_rss_mib`.

    Raises:
        RigError: The work was not done.
        PartError: A part of the local cloud ended.
        AzError: The Azure CLI is not there, or failed.
    """
    conditions = conditions or Conditions()
    readings: list[Reading] = []
    for size in sizes:
        app = await _run(Way(APP, ROOT), size, conditions)
        readings += app
        (polls,) = (each.value for each in app if each.name == "polls")
        for way in (conditions.floor(polls), *(_OTHERS if others else ())):
            readings += await _run(way, size, conditions)
    if az_cli:
        values = {"cpu_ms": await _az_seconds(conditions) * 1000}
        note = f"extrapolated from {_AZ_PROCESSES} processes"
        readings += (each for size in sizes for each in read_off(FIGURE, AZ, size, values, note))
    return readings


async def _run(way: Way, size: int, conditions: Conditions) -> list[Reading]:
    assessments = min(size, way.most or size)
    options = RigOptions(
        app=way.app,
        fleet=Fleet(_WARM_UP + assessments, conditions.seconds, conditions.spread),
        time_scale=conditions.time_scale,
        tables=way.tables,
        settings={**conditions.settings, **way.settings},
    )
    async with running(options) as rig:
        await rig.send(paced(range(_WARM_UP), datetime.now(UTC), math.inf))
        await rig.until_done(_WARM_UP, within=_bound(way, _WARM_UP, conditions))
        await rig.reset_peak()
        before = await rig.snapshot()
        begin = datetime.now(UTC) + timedelta(seconds=_LEAD_SECONDS)
        vms = range(_WARM_UP, _WARM_UP + assessments)
        await rig.send(paced(vms, begin, conditions.per_second))
        await rig.until_done(_WARM_UP + assessments, within=_bound(way, assessments, conditions))
        numbers = between(before, await rig.snapshot(), assessments)
    note = "" if assessments == size else f"measured with {assessments}"
    return read_off(FIGURE, way.name, size, numbers, note)


def between(before: Snapshot, after: Snapshot, assessments: int) -> dict[str, float]:
    """Returns what was used and done between two snapshots, for each of so many assessments."""
    calls = {name: often - before.calls.get(name, 0) for name, often in after.calls.items()}
    numbers = {
        "cpu_ms": (after.worker.cpu_seconds - before.worker.cpu_seconds) * 1000,
        "host_cpu_ms": (after.host.cpu_seconds - before.host.cpu_seconds) * 1000,
        "arm_calls": sum(calls.values()),
        "polls": calls.get("operation", 0),
        "sends": after.sends - before.sends,
    }
    return {
        **{name: value / assessments for name, value in numbers.items()},
        "peak_rss_mib": after.worker.peak_rss_mib,
    }


def _bound(way: Way, assessments: int, conditions: Conditions) -> float:
    """Returns the seconds after which something must be wrong."""
    rounds = math.ceil(assessments / (way.at_once or assessments))
    usual = assessments / conditions.per_second + rounds * 2 * conditions.operation_seconds
    return 2 * usual + _LATE_SECONDS


async def _az_seconds(conditions: Conditions) -> float:
    """Returns the CPU time of one az, against an ARM whose operations take as long."""
    fleet = Fleet(_AZ_PROCESSES, conditions.seconds, conditions.spread)
    async with running(RigOptions(ROOT, fleet, _AZ_TIME_SCALE)) as rig:
        vms = [vm_id(index) for index in range(_AZ_PROCESSES)]
        return await az.assess(rig.cloud.arm.ready, vms, side_by_side=_AZ_SIDE_BY_SIDE)
