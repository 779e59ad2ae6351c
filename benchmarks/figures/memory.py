"""Memory of the worker while assessments wait: on the bus, and within the hold.

Handed over, an assessment waits in the in-progress queue and costs the worker nothing: so its peak
with very many waiting is held against that with few. Within the hold it costs what an invocation, a
poller and its client's state take: that is the slope between few and many, and it is held against
the slope of an app that awaits the SDK's poller. Operations last longer than any measurement.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.crew import APPS, ROOT, Program, assessor_app
from benchmarks.fleet import Fleet, paced
from benchmarks.phase import Page
from benchmarks.readings import Reading, Readings, Verdict
from benchmarks.rig import Rig, RigOptions, running
from benchmarks.snapshot import IN_PROGRESS, REQUESTS

FIGURE: Final = "memory"
APP: Final = "app"
SDK: Final = "SDK poller"
MOST_GROWTH: Final = 1.15
MOST_OF_SDK: Final = 0.5

_WARM_UP: Final = 20
_OPERATION_SECONDS: Final = 24 * 3600.0
_WAITING_TIME_SCALE: Final = 60.0
"""ARM's buckets are refilled so many times faster: nothing is to wait for its begin."""
_WAITING: Final = {"ASSESS_HOLD_SECONDS": "0", "ASSESS_EXPECTED_MINUTES": "240"}
"""The first look falls hours after the begin."""
_HELD: Final = {"ASSESS_HOLD_SECONDS": "300", "ASSESS_EXPECTED_MINUTES": "6.5"}
"""The first look falls four minutes and a half after the begin, which is within the hold: until
then nothing but memory is used."""
_HELD_LOCK: Final = "PT5M"
_HELD_PER_SECOND: Final = 20.0
"""So slow that few connections to ARM are needed: they are not what is measured."""
_HELD_WITHIN: Final = 240.0
_SLOWEST_PER_SECOND: Final = 4.0
_LATE_SECONDS: Final = 120.0
_STEADY_LOOKS: Final = 30
_STEADY_MIB: Final = 0.5
_KIB_PER_MIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Choice:
    """What is measured.

    Attributes:
        held: How many assessments are held, in ascending order; none leaves that part out.
        root: Where the app is.
    """

    held: Sequence[int] = (100, 1000)
    root: Path = ROOT


async def measure(sizes: Sequence[int], choice: Choice | None = None) -> list[Reading]:
    """Measures the app with so many assessments waiting, then what holding one takes.

    Args:
        sizes: How many assessments wait on the bus.
        choice: What is measured.

    Returns:
        The app's `waiting_peak_rss_mib` at each size; for it and the SDK's poller `held_rss_mib`
        at each number held, and `held_kib`, for each one from the number before to that.

    Raises:
        RigError: The work was not done.
        PartError: A part of the local cloud ended.
    """
    choice = choice or Choice()
    readings: list[Reading] = []
    for size in sizes:
        peak = await _waiting(choice.root, size)
        readings += Page(FIGURE, APP, size).read({"waiting_peak_rss_mib": peak})
    for way, directory in ((APP, choice.root), (SDK, APPS / "sdk_poller")):
        held = await _holding(directory, choice.held)
        readings += held_readings(way, choice.held, held)
    return readings


def held_readings(way: str, numbers: Sequence[int], rss_mib: Sequence[float]) -> list[Reading]:
    """Returns the memory at each number held, and what each one more took.

    Args:
        way: Who held them.
        numbers: How many, in ascending order.
        rss_mib: The worker's memory at each.
    """
    points = list(zip(numbers, rss_mib, strict=True))
    readings: list[Reading] = []
    for number, mib in points:
        readings += Page(FIGURE, way, number).read({"held_rss_mib": mib})
    for (few, before), (many, after) in pairwise(points):
        kib = (after - before) * _KIB_PER_MIB / (many - few)
        readings += Page(FIGURE, way, many).read({"held_kib": kib}, f"slope from {few} on")
    return readings


def judge(readings: Readings) -> list[Verdict]:
    """Returns whether waiting costs no memory, and holding at most half of the SDK's poller."""
    return [*_judge_waiting(readings), *_judge_held(readings)]


def _judge_waiting(readings: Readings) -> list[Verdict]:
    sizes = readings.sizes(FIGURE, APP, "waiting_peak_rss_mib")
    if len(sizes) < 2:  # noqa: PLR2004 - one size has nothing to be held against
        return []
    few, many = sizes[0], sizes[-1]
    least, most = (
        readings.value(FIGURE, APP, size, "waiting_peak_rss_mib") for size in (few, many)
    )
    return [
        Verdict(
            figure=FIGURE,
            target=f"peak with {many:,} waiting: at most {MOST_GROWTH} times that with {few:,}",
            measured=f"{most:.1f} MiB, which is {most / least:.3f} times {least:.1f} MiB",
            met=most <= MOST_GROWTH * least,
            size=many,
        )
    ]


def _judge_held(readings: Readings) -> list[Verdict]:
    both = [set(readings.sizes(FIGURE, way, "held_kib")) for way in (APP, SDK)]
    size = max(set.intersection(*both), default=None)
    if size is None:
        return []
    mine, theirs = (readings.value(FIGURE, way, size, "held_kib") for way in (APP, SDK))
    return [
        Verdict(
            figure=FIGURE,
            target=f"each held assessment: at most {MOST_OF_SDK:g} times the SDK poller's memory",
            measured=f"{mine:.0f} KiB, which is {mine / theirs:.2f} times {theirs:.0f} KiB",
            met=mine <= MOST_OF_SDK * theirs,
            size=size,
        )
    ]


async def _waiting(root: Path, size: int) -> float:
    """Returns the worker's peak from the first assessment to when so many wait on the bus."""
    fleet = Fleet(size, _OPERATION_SECONDS * _WAITING_TIME_SCALE)
    options = RigOptions(assessor_app(root), fleet, _WAITING_TIME_SCALE, settings=_WAITING)
    first = min(_WARM_UP, size)
    async with running(options) as rig:
        await rig.ask(range(first))
        await _until_waiting(rig, first)
        await rig.reset_peak()
        await rig.ask(range(first, size))
        await _until_waiting(rig, size)
        await rig.check()
        return (await rig.worker_usage()).memory.peak_rss_mib


async def _until_waiting(rig: Rig, assessments: int) -> None:
    async def waiting() -> bool:
        counts = await rig.counts()
        if counts[IN_PROGRESS].scheduled < assessments or counts[REQUESTS].left:
            return False
        return (await rig.calls()).get("assess", 0) >= assessments

    within = assessments / _SLOWEST_PER_SECOND + _LATE_SECONDS
    await rig.until(waiting, f"{assessments} assessments wait on the bus", within)


async def _holding(directory: Path, numbers: Sequence[int]) -> list[float]:
    """Returns the worker's memory with each of the numbers held, one after the other."""
    if not numbers:
        return []
    options = RigOptions(
        crew=Program("benchmarks.wide_host", (f"--app={directory}",)),
        fleet=Fleet(max(numbers), _OPERATION_SECONDS),
        settings=_HELD,
        lock_duration=_HELD_LOCK,
    )
    async with running(options) as rig:
        return [await _memory_with(rig, *each) for each in pairwise((0, *numbers))]


async def _memory_with(rig: Rig, held: int, number: int) -> float:
    """Returns the worker's memory when the assessments held have become so many."""
    begin = datetime.now(UTC) + timedelta(seconds=1)
    await rig.send(paced(range(held, number), begin, _HELD_PER_SECOND))
    await rig.until(_are_held(rig, number), f"{number} assessments are held", _HELD_WITHIN)
    memory = _Steady(rig)
    await rig.until(memory.is_steady, "the worker's memory is steady", _HELD_WITHIN)
    counts = await rig.counts()
    rig.spoiled_by(
        {
            "assessments that were let go": number - counts[REQUESTS].locked,
            "assessments that were handed over": counts[IN_PROGRESS].left,
        }
    )
    return memory.mib


def _are_held(rig: Rig, number: int) -> Callable[[], Awaitable[bool]]:
    async def held() -> bool:
        calls = await rig.calls()
        begun = calls.get("assess", 0)
        # The SDK's poller, which reads no VM before, looks once when it has begun.
        looked = calls.get("get_vm", 0) >= begun or calls.get("operation", 0) >= begun
        return begun >= number and looked

    return held


class _Steady:
    """Waits until the worker's memory has stopped changing."""

    def __init__(self, rig: Rig) -> None:
        """Begins to look."""
        self._rig = rig
        self._seen: deque[float] = deque(maxlen=_STEADY_LOOKS)

    @property
    def mib(self) -> float:
        """What it was lately."""
        return median(self._seen)

    async def is_steady(self) -> bool:
        """Looks once more; returns whether the last looks were the same."""
        self._seen.append((await self._rig.worker_usage()).memory.rss_mib)
        full = len(self._seen) == _STEADY_LOOKS
        return full and max(self._seen) - min(self._seen) <= _STEADY_MIB
