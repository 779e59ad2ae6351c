"""Requests a second through one worker, where ARM takes no time.

All requests are in the queue before the first is handed out; the time runs from then to the last
outcome. It is held against what the bus itself allows: a bare loop that receives, sends one message
and completes. Two cores have to do for the worker, its host, the bus and ARM, so what each of them
takes is read too: the bottleneck is the one that takes a whole CPU, or the machine.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from benchmarks.crew import Crew, FunctionApp, Program, assessor_app
from benchmarks.fleet import Fleet, paced
from benchmarks.phase import Page, Phase
from benchmarks.readings import Reading, Readings, Verdict
from benchmarks.rig import RigOptions, running

FIGURE: Final = "throughput"
APP: Final = "app"
LOOP: Final = "receive, send, complete"
LEAST_SHARE: Final = 0.5

_TIME_SCALE: Final = 60.0
"""Operations take no time at any scale; ARM's buckets are refilled so many times faster."""
_WARM_UP: Final = 20
_LOOPS: Final = 8
_LEAD_SECONDS: Final = 2.0
_SENT_PER_SECOND: Final = 1000.0
"""Fewer than are sent in a second on any machine: by then all are in the queue."""
_SLOWEST_PER_SECOND: Final = 2.0
_LATE_SECONDS: Final = 60.0
_SETTINGS: Final = {
    "ASSESS_HOLD_SECONDS": "20",
    # The least there is: the app then looks a second after the begin, within the hold.
    "ASSESS_EXPECTED_MINUTES": "0.001",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """Who is measured.

    Attributes:
        app: The app.
        loops: How many loops share the process that the app is held against.
    """

    app: FunctionApp = field(default_factory=assessor_app)
    loops: int = _LOOPS


async def measure(sizes: Sequence[int], choice: Choice | None = None) -> list[Reading]:
    """Measures the app and the bare loop at each size.

    Args:
        sizes: How many requests.
        choice: Who is measured.

    Returns:
        `per_second`, the worker's `cpu_ms` for each request, and `worker_cpu_share`,
        `host_cpu_share`, `bus_cpu_share` and `arm_cpu_share` of one CPU. The loop is one process,
        its worker and its host.

    Raises:
        RigError: The work was not done.
        PartError: A part of the local cloud ended.
    """
    choice = choice or Choice()
    loop = Program("benchmarks.ways.receive_complete_send", (f"--loops={choice.loops}",))
    readings: list[Reading] = []
    for size in sizes:
        for way, crew in ((APP, choice.app), (LOOP, loop)):
            phase = await _run(crew, size)
            values = {
                "per_second": size / phase.seconds,
                "cpu_ms": phase.worker_ms,
                **phase.shares(),
            }
            readings += Page(FIGURE, way, size).read(values)
    return readings


def judge(readings: Readings) -> list[Verdict]:
    """Returns whether the app does at least half of what the bus allows, at the largest size."""
    both = [set(readings.sizes(FIGURE, way, "per_second")) for way in (APP, LOOP)]
    size = max(set.intersection(*both), default=None)
    if size is None:
        return []
    mine, bare = (readings.value(FIGURE, way, size, "per_second") for way in (APP, LOOP))
    return [
        Verdict(
            figure=FIGURE,
            target=f"at least {LEAST_SHARE:.0%} of the bare loop's requests a second",
            measured=f"{mine:.1f} a second, which is {mine / bare:.0%} of {bare:.1f}",
            met=mine >= LEAST_SHARE * bare,
            size=size,
        )
    ]


async def _run(crew: Crew, size: int) -> Phase:
    fleet = Fleet(_WARM_UP + size, seconds=0.0)
    async with running(RigOptions(crew, fleet, _TIME_SCALE, settings=_SETTINGS)) as rig:
        await rig.ask(range(_WARM_UP))
        await rig.until_done(_WARM_UP)
        begin = datetime.now(UTC) + timedelta(seconds=_LEAD_SECONDS + size / _SENT_PER_SECOND)
        await rig.send(paced(range(_WARM_UP, _WARM_UP + size), begin, math.inf))
        before = await rig.snapshot()
        within = size / _SLOWEST_PER_SECOND + _LATE_SECONDS
        await rig.until_outcomes(_WARM_UP + size, within)
        ended_at = time.monotonic()
        after = await rig.snapshot()
        await rig.until_done(_WARM_UP + size)  # and nothing of it failed
        return Phase(replace(before, at=_monotonic(begin)), replace(after, at=ended_at), size)


def _monotonic(moment: datetime) -> float:
    """Returns a moment of the wall clock by the clock that only moves forward."""
    return time.monotonic() - (datetime.now(UTC) - moment).total_seconds()
