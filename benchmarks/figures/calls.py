"""Calls of ARM for each assessment, and how late its outcome is: what polling costs, and brings.

One subscription of VMs in one region, half of them Linux and half Windows, a tenth failing within
half a minute, is scanned twice, a day apart: in simulation and unscaled time, with ARM's and
Compute's limits enforced. Each delay is the time from an operation's end in ARM to its outcome on
the results topic. Beside it is what the SDK's poller would come to on the same operations: it polls
at once, then each 30 s, and asks for the result.

A small fleet's median is a matter of a few VMs, so that several of that size are taken together.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from benchmarks.readings import Reading, Readings, Verdict, read_off
from tests.simulation.clock import run_virtual
from tests.simulation.fleet import FAILING_EARLY, FleetSpec, make_vms
from tests.simulation.rounds import PublishedOutcome, Round
from tests.simulation.world import open_world

FIGURE: Final = "calls"
FIRST: Final = "first time"
KNOWN: Final = "once known"
SDK_DEFAULT: Final = "SDK default"
ALL: Final = "all"
FAILED: Final = "failed within 30 s"

_VMS_AT_LEAST: Final = 1_000
"""As many fleets of a size are scanned as have so many VMs together."""
_SEVERAL: Final = range(100, _VMS_AT_LEAST)
"""A fleet of fewer tells whether this works, and one will do."""
_PERCENTS: Final = (10, 25, 50, 75, 95, 99, 100)
_A_DAY: Final = 24 * 3600.0
_SDK_GAP: Final = 30.0
"""What the SDK waits between two polls where ARM sends no Retry-After."""
_SDK_CALLS: Final = 3
"""Its calls beside the polls that follow a wait: the begin, a poll at once, and the result."""

MOST_LATE: Final[Mapping[tuple[str, str], Mapping[int, float]]] = {
    ("Linux", FIRST): {50: 15, 95: 45},
    ("Windows", FIRST): {50: 40, 95: 120},
    (FAILED, FIRST): {100: 45},
    ("Linux", KNOWN): {50: 8, 95: 25},
    ("Windows", KNOWN): {50: 18, 95: 55},
    (FAILED, KNOWN): {100: 45},
}
"""The most seconds that outcomes should be late, by how many percent of them stay below."""
MOST_CALLS: Final[Mapping[str, float]] = {FIRST: 9.0, KNOWN: 7.0}
"""How many calls of ARM an assessment takes at most, as a mean over the fleet."""


@dataclass(frozen=True, slots=True)
class Scans:
    """What became of two scans of a fleet, a day apart, by when they were."""

    spec: FleetSpec
    rounds: Mapping[str, Round]

    def by_kind(self, when: str) -> Iterator[tuple[str, PublishedOutcome]]:
        """Yields the outcomes of operations, each with the kind of VM whose it was."""
        kinds = {
            vm.key: FAILED if vm.behaviour == FAILING_EARLY else vm.image.os_type
            for vm in make_vms(self.spec)
        }
        for each in self.rounds[when].published:
            if each.ended_at is not None:
                yield kinds[each.vm_key], each


def spec_of(size: int, seed: int = 1) -> FleetSpec:
    """Returns the fleet of that size."""
    return FleetSpec(size, seed=seed, linux=0.5, failing_early=0.1)


def way_of(kind: str, when: str) -> str:
    """Returns the way that one kind of VM, at one time, is read off under."""
    return f"{kind}, {when}"


def measure(sizes: Sequence[int], *, seed: int = 1) -> list[Reading]:
    """Returns the readings; it runs event loops of its own, so async code can't call it.

    Args:
        sizes: how many VMs.
        seed: what fleets and durations are made from; the next ones where a size has several.
    """
    return [
        reading
        for size in sizes
        for reading in readings_of(
            [
                scan_twice(spec_of(size, seed + number))
                for number in range(_VMS_AT_LEAST // size if size in _SEVERAL else 1)
            ]
        )
    ]


def scan_twice(spec: FleetSpec) -> Scans:
    """Returns what became of two scans of the fleet's subscription, a day apart."""

    async def run() -> Scans:
        async with open_world(spec) as world:
            first = await world.scan("first")
            await world.pause(_A_DAY)
            return Scans(spec, {FIRST: first, KNOWN: await world.scan("second")})

    return run_virtual(run)


def readings_of(fleets: Sequence[Scans]) -> Iterator[Reading]:
    """Yields what the scans of fleets of one size come to, all together."""
    size = fleets[0].spec.vms
    for when in (FIRST, KNOWN):
        late: defaultdict[str, list[float]] = defaultdict(list)
        for fleet in fleets:
            for kind, each in fleet.by_kind(when):
                late[way_of(kind, when)].append(each.delay or 0.0)
                if when == FIRST:
                    late[way_of(kind, SDK_DEFAULT)].append(_sdk_waits(each) - _seconds(each))
        for way in sorted(late, key=str.lower):
            yield from read_off(FIGURE, way, size, _delays(late[way]))
        rounds = [fleet.rounds[when] for fleet in fleets]
        yield from read_off(FIGURE, way_of(ALL, when), size, _counts(rounds))
    waited = [_sdk_waits(each) for fleet in fleets for _, each in fleet.by_kind(FIRST)]
    calls = fmean(_SDK_CALLS + each / _SDK_GAP for each in waited)
    sdk = {"arm_calls": calls, "waited_mean_s": fmean(waited)}
    yield from read_off(FIGURE, way_of(ALL, SDK_DEFAULT), size, sdk, "closed form")


def judge(readings: Readings) -> list[Verdict]:
    """Returns whether outcomes came on time, for few calls and without a refusal, at each size."""
    return [
        verdict
        for size in readings.sizes(FIGURE, way_of(ALL, FIRST), "arm_calls")
        for verdict in (*_judge_delays(readings, size), *_judge_calls(readings, size))
    ]


def _judge_delays(readings: Readings, size: int) -> Iterator[Verdict]:
    for (kind, when), most in MOST_LATE.items():
        way = way_of(kind, when)
        if size not in readings.sizes(FIGURE, way, _late(100)):
            continue  # a small fleet may have none of them
        measured = {percent: readings.value(FIGURE, way, size, _late(percent)) for percent in most}
        met = all(measured[percent] <= seconds for percent, seconds in most.items())
        yield Verdict(f"{way}: late by {_in_words(most)}", _in_words(measured), met, size)


def _judge_calls(readings: Readings, size: int) -> Iterator[Verdict]:
    for when, most in MOST_CALLS.items():
        calls = readings.value(FIGURE, way_of(ALL, when), size, "arm_calls")
        refused = readings.value(FIGURE, way_of(ALL, when), size, "throttled")
        yield Verdict(
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


def _delays(late: Sequence[float]) -> Mapping[str, float]:
    in_order = sorted(late)
    return {
        _late(percent): in_order[max(0, math.ceil(percent / 100 * len(in_order)) - 1)]
        for percent in _PERCENTS
    }


def _counts(rounds: Sequence[Round]) -> Mapping[str, float]:
    outcomes = sum(len(each.published) for each in rounds)
    return {
        "arm_calls": sum(each.calls.made.total() for each in rounds) / outcomes,
        "handovers": sum(each.handed_over for each in rounds) / outcomes,
        "invocations": sum(each.traffic.receives for each in rounds) / outcomes,
        "bus_operations": sum(each.traffic.operations for each in rounds) / outcomes,
        "polls_busiest_minute": max(each.calls.busiest_minute for each in rounds),
        "throttled": sum(each.calls.throttled.total() for each in rounds),
    }


def _seconds(done: PublishedOutcome) -> float:
    if done.begun_at is None or done.ended_at is None:
        return 0.0
    return done.ended_at - done.begun_at


def _sdk_waits(done: PublishedOutcome) -> float:
    """Returns how many seconds the SDK's poller waits for the same operation."""
    return math.ceil(_seconds(done) / _SDK_GAP) * _SDK_GAP
