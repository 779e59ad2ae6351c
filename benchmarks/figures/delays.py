"""How late outcomes are, by operating system, where nothing is known of a fleet and where much is.

One subscription of VMs in one region, half of them Linux and half Windows, a tenth failing within
half a minute, is scanned twice, a day apart: in simulation and unscaled time, with ARM's and
Compute's limits enforced. Each delay is the time from an operation's end in ARM to its outcome on
the results topic. Beside it is what the SDK's poller would come to on the same operations.

A small fleet's median is a matter of a few VMs, so that several of that size are taken together.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Final

from benchmarks.readings import Reading, Readings, Verdict
from tests.simulation.clock import run_virtual
from tests.simulation.endpoint import ArmCalls
from tests.simulation.fleet import FAILING_EARLY, FleetSpec, make_vms
from tests.simulation.rounds import PublishedOutcome, Round
from tests.simulation.world import open_world

FIGURE: Final = "delays"
SIZES: Final = (100, 10_000)
_VMS_AT_LEAST: Final = 1_000
"""As many fleets of a size are scanned as have so many VMs together."""
FIRST: Final = "first time"
KNOWN: Final = "once known"
SDK_DEFAULT: Final = "SDK default"
ALL: Final = "all"
FAILED: Final = "failed within 30 s"

_PERCENTS: Final = (10, 25, 50, 75, 95, 99, 100)
_A_DAY: Final = 24 * 3600.0
_SDK_GAP: Final = 30.0
"""What the SDK waits between two polls where ARM sends no Retry-After."""


@dataclass(frozen=True, slots=True)
class Target:
    """The most that is wanted of one kind of VM.

    Attributes:
        late: the seconds that outcomes are late, by how many percent of them stay below.
    """

    late: Mapping[int, float]


TARGETS: Final[Mapping[tuple[str, str], Target]] = {
    ("Linux", FIRST): Target({50: 15, 95: 45}),
    ("Windows", FIRST): Target({50: 40, 95: 120}),
    (FAILED, FIRST): Target({100: 45}),
    ("Linux", KNOWN): Target({50: 8, 95: 25}),
    ("Windows", KNOWN): Target({50: 18, 95: 55}),
    (FAILED, KNOWN): Target({100: 45}),
}
MOST_CALLS: Final[Mapping[str, float]] = {FIRST: 9.0, KNOWN: 7.0}
"""How many calls of ARM an assessment takes at most, as a mean over the fleet."""


def spec_of(size: int, seed: int = 1) -> FleetSpec:
    """Returns the fleet of that size."""
    return FleetSpec(size, seed=seed, linux=0.5, failing_early=0.1)


def way_of(kind: str, when: str) -> str:
    """Returns the way that one kind of VM, at one time, is read off under."""
    return f"{kind}, {when}"


def measure(sizes: Sequence[int] = SIZES, *, seed: int = 1) -> list[Reading]:
    """Returns the readings; it runs loops of its own, so call it in a thread from async code.

    Args:
        sizes: how many VMs.
        seed: what fleets and durations are made from; the next ones where a size has several.
    """
    return [reading for size in sizes for reading in _measure(size, seed)]


def _measure(size: int, seed: int) -> Iterator[Reading]:
    fleets = max(1, _VMS_AT_LEAST // size)
    specs = [spec_of(size, seed + number) for number in range(fleets)]
    return readings_of([Scans(spec, *scan_twice(spec)) for spec in specs])


@dataclass(frozen=True, slots=True)
class Scans:
    """What became of two scans of a fleet, a day apart."""

    spec: FleetSpec
    first: Round
    known: Round

    def published(self, when: str) -> Sequence[PublishedOutcome]:
        """Returns the outcomes of one of the two."""
        return self._round(when).published

    def calls(self, when: str) -> ArmCalls:
        """Returns the calls of ARM of one of the two."""
        return self._round(when).calls

    def by_kind(self, when: str) -> Mapping[str, Sequence["_Operation"]]:
        """Returns the operations by the kind of VM whose they were."""
        kinds = {
            vm.key: FAILED if vm.behaviour == FAILING_EARLY else vm.image.os_type
            for vm in make_vms(self.spec)
        }
        found: dict[str, list[_Operation]] = {}
        for each in _begun(self._round(when)):
            found.setdefault(kinds[each.vm_key], []).append(each)
        return found

    def _round(self, when: str) -> Round:
        return self.first if when == FIRST else self.known


def scan_twice(spec: FleetSpec) -> tuple[Round, Round]:
    """Returns what became of two scans of the fleet's subscription, a day apart."""

    async def run() -> tuple[Round, Round]:
        async with open_world(spec) as world:
            first = await world.scan("first")
            await world.pause(_A_DAY)
            return first, await world.scan("second")

    return run_virtual(run)


def readings_of(fleets: Sequence[Scans]) -> Iterator[Reading]:
    """Yields what the scans of fleets of one size come to, all together."""
    size = fleets[0].spec.vms
    for when in (FIRST, KNOWN):
        found = _together([each.by_kind(when) for each in fleets])
        for kind in sorted(found):
            yield from _delays(way_of(kind, when), size, [each.delay for each in found[kind]])
            if when == FIRST:
                sdk = [_sdk(each).delay for each in found[kind]]
                yield from _delays(way_of(kind, SDK_DEFAULT), size, sdk)
        outcomes = sum(len(each.published(when)) for each in fleets)
        made = sum(each.calls(when).made.total() for each in fleets)
        refused = sum(each.calls(when).throttled.total() for each in fleets)
        yield Reading(FIGURE, way_of(ALL, when), size, "arm_calls", made / outcomes)
        yield Reading(FIGURE, way_of(ALL, when), size, "throttled", refused)
    calls = fmean(_sdk(each).calls for fleet in fleets for each in _begun(fleet.first))
    yield Reading(FIGURE, way_of(ALL, SDK_DEFAULT), size, "arm_calls", calls, "closed form")


def _together(
    found: Sequence[Mapping[str, Sequence["_Operation"]]],
) -> Mapping[str, Sequence["_Operation"]]:
    kinds = {kind for each in found for kind in each}
    return {kind: [one for each in found for one in each.get(kind, ())] for kind in kinds}


def judge(readings: Readings) -> list[Verdict]:
    """Returns whether outcomes came on time, for few calls and without a refusal, at each size."""
    return [
        verdict
        for size in readings.sizes(FIGURE, way_of(ALL, FIRST), "arm_calls")
        for verdict in (*_judge_delays(readings, size), *_judge_calls(readings, size))
    ]


def _judge_delays(readings: Readings, size: int) -> Iterator[Verdict]:
    for (kind, when), target in TARGETS.items():
        way = way_of(kind, when)
        if not readings.has(FIGURE, way, size, _late(100)):
            continue  # a small fleet may have none of them
        measured = {
            percent: readings.value(FIGURE, way, size, _late(percent)) for percent in target.late
        }
        yield Verdict(
            FIGURE,
            f"{way}: late by {_in_words(target.late)}",
            _in_words(measured),
            all(measured[percent] <= most for percent, most in target.late.items()),
            size,
        )


def _judge_calls(readings: Readings, size: int) -> Iterator[Verdict]:
    for when, most in MOST_CALLS.items():
        calls = readings.value(FIGURE, way_of(ALL, when), size, "arm_calls")
        refused = readings.value(FIGURE, way_of(ALL, when), size, "throttled")
        yield Verdict(
            FIGURE,
            f"{when}: at most {most:g} calls of ARM for each assessment, and none refused",
            f"{calls:.2f} calls, {refused:g} refused",
            calls <= most and refused == 0,
            size,
        )


def _in_words(late: Mapping[int, float]) -> str:
    names = {50: "in the middle", 100: "at most"}
    return ", ".join(
        f"{seconds:.3g} s {names.get(percent, f'for {percent} %')}"
        for percent, seconds in late.items()
    )


def _late(percent: int) -> str:
    return f"late_p{percent}_s"


@dataclass(frozen=True, slots=True)
class _Operation:
    """An operation of ARM's, and how late its outcome was.

    Attributes:
        vm_key: whose it was.
        seconds: how long it ran.
        delay: the seconds from its end to the outcome.
        calls: how many calls of ARM it took.
    """

    vm_key: str
    seconds: float
    delay: float
    calls: float = math.nan


def _begun(done: Round) -> Iterator[_Operation]:
    for each in done.published:
        if each.begun_at is not None and each.ended_at is not None:
            yield _Operation(each.vm_key, each.ended_at - each.begun_at, each.at - each.ended_at)


def _sdk(done: _Operation) -> _Operation:
    """Returns what the SDK's poller makes of it: it polls at once, then each 30 s.

    It calls ARM for the VM, the begin, each poll, and the result.
    """
    waits = math.ceil(done.seconds / _SDK_GAP)
    return replace(done, delay=waits * _SDK_GAP - done.seconds, calls=2 + waits + 1 + 1)


def _delays(way: str, size: int, delays: Sequence[float]) -> Iterator[Reading]:
    in_order = sorted(delays)
    for percent in _PERCENTS if in_order else ():
        index = max(0, math.ceil(percent / 100 * len(in_order)) - 1)
        yield Reading(FIGURE, way, size, _late(percent), in_order[index])
