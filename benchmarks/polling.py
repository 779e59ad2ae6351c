"""How late an outcome is, and for how many calls, where durations are drawn as they are known.

`python -m benchmarks.polling` prints the table of docs/performance.md. Nothing is simulated but the
time: each duration is held against the moments at which `Expectation` polls, beside the SDK's and
beside the best schedule for as many polls (see `bound`).
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from statistics import mean, median
from typing import Final

from assessor.expectation import Expectation
from benchmarks.bound import cheapest, with_polls

_DRAWS: Final = 100_000
_SEED: Final = 1
_KNOWN: Final = 0.14
"""How far apart the app takes one VM's durations to be, of which it has seen one."""
_FAILING: Final = 0.1
"""The share of a fleet that fails within half a minute."""
_BEFORE: Final = 2
"""The calls before the first poll: the VM is read, the assessment begun."""
_HORIZON: Final = 6 * 3600.0
_SDK_SECONDS: Final = 30.0
_BOUND_DRAWS: Final = 10_000
_BOUND_STEPS: Final = 240
"""How many steps of the best schedule's grid the middle of the distribution is long."""
_FIRST_BY: Final = 42.0
"""The best schedule, too, tells within 45 s of what fails after 3."""


@dataclass(frozen=True, slots=True)
class Lateness:
    """What a schedule comes to: polls as a mean, seconds late as mean, median, 95 % and most."""

    polls: float
    average: float
    middle: float
    most_95: float
    most: float


def moments(expected: Expectation) -> list[float]:
    """Returns when an operation is polled, in seconds after its begin."""
    at: list[float] = []
    while not at or at[-1] < _HORIZON:
        now = at[-1] if at else 0.0
        at.append(now + expected.next_poll(now))
    return at


def lateness(at: Sequence[float], ends: Sequence[float]) -> Lateness:
    """Returns how late each of `ends` is seen by polls at the moments `at`."""
    found = [bisect_left(at, end) for end in ends]
    late = sorted(at[index] - end for index, end in zip(found, ends, strict=True))
    return Lateness(
        mean(found) + 1, mean(late), median(late), late[int(0.95 * len(late))], late[-1]
    )


def best(ends: Sequence[float], at: Sequence[float], seconds: float) -> Lateness:
    """Returns how late `ends` are seen by the best schedule with no more polls than `at` has.

    Args:
        ends: when operations end.
        at: the moments that it is held against.
        seconds: the middle of the distribution: no gap is wider.
    """
    most = lateness(at, ends).polls
    step = max(1.0, seconds / _BOUND_STEPS)
    found = with_polls(lambda price: cheapest(ends, step, price, _FIRST_BY, seconds), most)
    return lateness(found.moments, ends)


def main() -> None:
    """Prints the table."""
    random = Random(_SEED)
    sdk = [index * _SDK_SECONDS for index in range(int(_HORIZON / _SDK_SECONDS))]
    failing = [random.uniform(3, 30) for _ in range(_DRAWS)]
    for name, systems in {
        "first time": {"Linux": (120, 0.7, 0.7), "Windows": (720, 0.45, 0.45)},
        "once known": {"Linux": (100, _KNOWN, 0.12), "Windows": (720, _KNOWN, 0.12)},
    }.items():
        calls = []
        for system, (seconds, expected_spread, true_spread) in systems.items():
            at = moments(Expectation(seconds, expected_spread))
            ends = [seconds * math.exp(random.gauss(0, true_spread)) for _ in range(_DRAWS)]
            well, ill = lateness(at, ends), lateness(at, failing)
            calls.append(_BEFORE + (1 - _FAILING) * well.polls + _FAILING * ill.polls)
            _show(f"{name}, {system}", well)
            _show(f"{name}, {system}, failing", ill)
            _show(f"{name}, {system}, the SDK's polls", lateness(sdk, ends))
            some = ends[: int(_BOUND_DRAWS * (1 - _FAILING))]
            some += failing[: int(_BOUND_DRAWS * _FAILING)]
            _show(f"{name}, {system}, with those failing", lateness(at, some))
            _show(f"{name}, {system}, the best schedule", best(some, at, seconds))
        print(f"{name}: {mean(calls):.1f} calls of ARM")


def _show(what: str, told: Lateness) -> None:
    print(
        f"{what}: {told.polls:.1f} polls; late by {told.average:.1f} s on average, "
        f"{told.middle:.0f} s in the middle, {told.most_95:.0f} s for 95 %, "
        f"{told.most:.0f} s at most"
    )


if __name__ == "__main__":
    main()
