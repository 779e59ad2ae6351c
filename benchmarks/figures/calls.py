"""Calls of ARM for each assessment, and how late its outcome is: what polling costs, and brings.

The same fleet is assessed in rounds, a day apart, in simulation and unscaled time. In the first one
nothing is known of it; in the others each VM's durations were learned. The app is held against what
the SDK's poller does by default on the same durations: a poll at the begin, one each 30 s, and a
last call for the result.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, median
from typing import Final

from benchmarks.readings import Reading, Readings, Verdict
from tests.simulation.clock import run_virtual
from tests.simulation.fleet import FleetSpec
from tests.simulation.rounds import PublishedOutcome, Round
from tests.simulation.world import open_world

FIGURE: Final = "calls"
SIZES: Final = (100, 1_000, 10_000)
ROUNDS: Final = 4
SDK_DEFAULT: Final = "SDK default"

_WITHIN: Final = 0.1
_OTHER_WITHINS: Final = (0.05, 0.2)
_SENSITIVITY_SIZE: Final = 1_000
_REGIONS: Final = 6
"""Regions of one subscription that are assessed at the same time, each at its own pace."""
_REGIONS_SIZE: Final = 10_000
_REGIONS_ROUNDS: Final = 2
_A_DAY: Final = 24 * 3600.0
_SDK_GAP: Final = 30.0
"""What the SDK waits between two polls where ARM sends no Retry-After."""
_MOST_CALLS: Final = 8.0
_MOST_DELAY: Final = 20.0
_BUCKET: Final = "a subscription's bucket is refilled by 5,000 a minute"


def way_of(number: int, within: float = _WITHIN, regions: int = 1) -> str:
    """Returns the way that the app's round of that number, from 1 on, is read off under."""
    differs = f", within {within:g}" if within != _WITHIN else ""
    return f"app, round {number}{differs}" + (f", {regions} regions" if regions > 1 else "")


def measure(sizes: Sequence[int] = SIZES, *, rounds: int = ROUNDS, seed: int = 1) -> list[Reading]:
    """Returns the readings; it runs loops of its own, so call it in a thread from async code.

    Args:
        sizes: how many VMs; at 1,000, if that is one of them, also with VMs that are steadier and
            less steady than is assumed; at 10,000 also in six regions of the subscription.
        rounds: how often each fleet is assessed.
        seed: what fleets and durations are made from.
    """
    readings: list[Reading] = []
    for size in sizes:
        withins = (_WITHIN, *(_OTHER_WITHINS if size == _SENSITIVITY_SIZE else ()))
        for within in withins:
            spec = FleetSpec(size, seed=seed, within=within)
            done = assess_in_rounds(spec, rounds)
            for number, each in enumerate(done, start=1):
                readings += _readings(way_of(number, within), size, _app_numbers(each))
            if within == _WITHIN:
                numbers = _sdk_numbers(done[-1].published)
                readings += _readings(SDK_DEFAULT, size, numbers, note="closed form")
        if size == _REGIONS_SIZE:
            spec = FleetSpec(size, seed=seed, within=_WITHIN, regions=_REGIONS)
            done = assess_in_rounds(spec, min(rounds, _REGIONS_ROUNDS))
            for number, each in enumerate(done, start=1):
                way = way_of(number, regions=_REGIONS)
                readings += _readings(way, size, _app_numbers(each))
    return readings


def assess_in_rounds(spec: FleetSpec, rounds: int) -> list[Round]:
    """Returns what became of a fleet that was assessed that often, a day apart."""

    async def run() -> list[Round]:
        done = []
        async with open_world(spec) as world:
            for number in range(1, rounds + 1):
                done.append(await world.assess(f"round-{number}"))
                await world.pause(_A_DAY)
        return done

    return run_virtual(run)


def judge(readings: Readings) -> list[Verdict]:
    """Returns whether few calls and a short delay were reached at once, where much was learned."""
    ways = [way_of(number) for number in _learned(readings)]
    if not ways:
        return []
    size = max(_sizes(readings, ways[0]))

    def worst(name: str) -> float:
        return max(readings.value(FIGURE, way, size, name) for way in ways)

    calls, delay = worst("arm_calls"), worst("delay_median_s")
    refused, busiest = worst("polls_throttled"), worst("polls_busiest_minute")
    return [
        Verdict(
            FIGURE,
            f"at most {_MOST_CALLS:g} calls for each assessment of a VM that is known, "
            f"at a median delay of at most {_MOST_DELAY:g} s",
            f"{calls:.1f} calls, {delay:.1f} s, in the worst of {len(ways)} rounds",
            calls <= _MOST_CALLS and delay <= _MOST_DELAY,
            size,
        ),
        Verdict(
            FIGURE,
            "GetOperation's bucket refuses no poll",
            f"{refused:g} refused; {busiest:g} polls in the busiest minute, of 5,000",
            refused == 0,
            size,
        ),
    ]


def _app_numbers(done: Round) -> Mapping[str, float]:
    delays = [each.delay for each in done.published if each.delay is not None]
    return {
        "arm_calls": done.calls.made.total() / len(delays),
        "polls": done.calls.polls / len(delays),
        **_delay_numbers(delays),
        "handovers": done.handed_over / len(delays),
        "invocations": done.traffic.receives / len(delays),
        "bus_operations": done.traffic.operations / len(delays),
        "polls_busiest_minute": done.calls.busiest_minute,
        "polls_throttled": done.calls.throttled_polls,
    }


def _sdk_numbers(published: Sequence[PublishedOutcome]) -> Mapping[str, float]:
    """Returns what the SDK's poller would have done of the same operations, latencies left out."""
    polls, delays, waited = [], [], []
    minutes: Counter[int] = Counter()
    for each in published:
        if each.begun_at is None or each.ended_at is None:
            continue
        seconds = each.ended_at - each.begun_at
        waits = math.ceil(seconds / _SDK_GAP)
        waited.append(waits * _SDK_GAP)
        delays.append(waited[-1] - seconds)
        at = [each.begun_at + number * _SDK_GAP for number in range(waits + 1)]
        at.append(at[-1])  # the result is asked for as soon as the end is seen
        polls.append(len(at))
        minutes.update(int(moment // 60) for moment in at)
    return {
        "arm_calls": 1 + fmean(polls),
        "polls": fmean(polls),
        **_delay_numbers(delays),
        "waited_mean_s": fmean(waited),
        "polls_busiest_minute": max(minutes.values()),
    }


def _delay_numbers(delays: Sequence[float]) -> Mapping[str, float]:
    in_order = sorted(delays)
    return {
        "delay_median_s": median(in_order),
        "delay_p95_s": in_order[math.ceil(0.95 * len(in_order)) - 1],
        "delay_mean_s": fmean(in_order),
    }


def _learned(readings: Readings) -> Iterator[int]:
    """Yields the numbers of the rounds that came after another one."""
    number = 2
    while _sizes(readings, way_of(number)):
        yield number
        number += 1


def _sizes(readings: Readings, way: str) -> Sequence[int]:
    return readings.sizes(FIGURE, way, "arm_calls")


def _readings(
    way: str, size: int, numbers: Mapping[str, float], note: str = ""
) -> Iterator[Reading]:
    for name, value in numbers.items():
        own_note = _BUCKET if name == "polls_busiest_minute" else note
        yield Reading(FIGURE, way, size, name, value, own_note)
