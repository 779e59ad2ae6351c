"""When to poll an operation whose end is not announced.

A poll costs a call of ARM, and an invocation where the hold does not last until then; the time from
the end to the next poll is how late the outcome is. The best schedule for a known distribution puts
its polls closer where an end is likelier: the gap between two polls is the root of 2c / h, where h
is the chance that what still runs ends within the next second (the hazard) and c what a poll costs,
in seconds of delay (Keller, "Optimum checking schedules for systems subject to random failure",
1974; Barlow, Hunter and Proschan, "Optimum checking procedures", 1963). That one rule gives a few
wide gaps while hardly anything ends, narrow ones around the expected end, and ever wider ones after
it; docs/performance.md shows how far it is from the best schedule there is.

What ends when is a mixture of three: most assessments are lognormal around what is expected; some
fail within half a minute (facts of Azure: one was recorded after 18 s); and a few are nothing like
the others, so that an operation that runs on and on is not polled as if it were about to end.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Final, NamedTuple

from pydantic import Field

SHORTEST_SECONDS: Final = 1.0
"""The least time between two polls."""
WIDEST: Final = 1.0
"""The largest spread that says anything."""
EARLY_SECONDS: Final = (38.0, 40.0)
"""When the first poll comes at the earliest, for what fails does so within half a minute, and at
the latest, so that its owner is told within 45 s."""
_EARLY_SHARES: Final = (0.4, 0.5)
"""The same as shares of the expected duration, for one so short that these come first."""
_PRICE: Final = 3.2
"""What a poll costs, in seconds of delay, where little can be gained by another."""
_SHORT_SECONDS: Final = 60.0
"""An assessment that takes less is polled as much closer."""
_WIDE_SECONDS: Final = 82.0
_WIDE_POWER: Final = 1 / 3
"""Where the end is less certain than this, a poll is dearer, by the cube root of how much."""
_CLOSE_SECONDS: Final = 90.0
"""So it is by the root where the end is more certain than this: what is seconds late already gains
little."""
_OVERTIME: Final = (2.0, 0.04)
"""After twice the expected duration, the least gap is this share of the time that has passed."""
_NARROWEST: Final = 0.02
_STEPS_A_SPREAD: Final = 0.15
_STEP_SHARES: Final = (0.02, 0.08)
"""By how much of itself the time grows in one step of the integral: by so much of a spread, and
within these."""
_LONGEST_SECONDS: Final = 86_400.0
_ROOT_2_PI: Final = math.sqrt(2 * math.pi)
_ROOT_HALF_PI: Final = math.sqrt(math.pi / 2)
_ROOT_HALF: Final = math.sqrt(1 / 2)
_FAR: Final = 8.0
"""How many spreads after the median the tail's chance is too small for a float's difference."""


class _Part(NamedTuple):
    """One of the distributions that an end is drawn from, and how often it is."""

    weight: float
    median: float
    spread: float


@dataclass(frozen=True, slots=True)
class Expectation:
    """How long an assessment is expected to take.

    Attributes:
        seconds: as many take longer as take less.
        spread: how far apart they are: the standard deviation of the duration's logarithm.
    """

    seconds: Annotated[float, Field(gt=0, le=1e6)]
    spread: Annotated[float, Field(ge=0, le=10)]

    def next_poll(self, elapsed: float, dearness: float = 1.0) -> float:
        """Returns the seconds until the next poll.

        Args:
            elapsed: how many seconds ago the operation began.
            dearness: how many times more a poll costs than usual: 1, unless ARM's buckets are low.
        """
        earliest, latest = (
            min(seconds, share * self.seconds)
            for seconds, share in zip(EARLY_SECONDS, _EARLY_SHARES, strict=True)
        )
        if elapsed < earliest / 2:
            gap = self._gap(elapsed, dearness, latest)
            gap = min(max(gap, earliest - elapsed), latest - elapsed)
        else:
            gap = self._gap(elapsed, dearness, _LONGEST_SECONDS)
        after, share = _OVERTIME
        if elapsed > after * self.seconds:
            gap = max(gap, share * elapsed)
        return max(gap, SHORTEST_SECONDS)

    def _gap(self, elapsed: float, dearness: float, until: float) -> float:
        """Returns the seconds in which the root of h / 2c adds up to one poll.

        A day if it has not by `until`, counted from the operation's begin.
        """
        hazard = _hazard_of(self._parts())
        twice_price = 2 * self._price() * dearness
        at = max(elapsed, self.seconds / 500, 0.01)
        step_share = min(max(self.spread * _STEPS_A_SPREAD, _STEP_SHARES[0]), _STEP_SHARES[1])
        due = 0.0 if elapsed > 0 else 0.5  # the first poll stands in the middle of its share
        while at < until:
            step = at * step_share
            more = math.sqrt(hazard(at + step / 2) / twice_price) * step
            if due + more >= 1:
                return at + step * (1 - due) / more - elapsed
            due += more
            at += step
        return _LONGEST_SECONDS

    def _price(self) -> float:
        width = max(self.spread, _NARROWEST) * self.seconds
        if self.seconds < _SHORT_SECONDS:  # of a faster cloud: all is in proportion
            return _PRICE * self.seconds / _SHORT_SECONDS
        wide = math.pow(width / _WIDE_SECONDS, _WIDE_POWER)
        return _PRICE * max(1.0, wide, math.sqrt(_CLOSE_SECONDS / width))

    def _parts(self) -> tuple[_Part, ...]:
        early, odd = 0.1, 0.03
        return (
            _Part(1 - early - odd, self.seconds, max(self.spread, _NARROWEST)),
            _Part(early, min(18.0, self.seconds / 3), 0.5),
            _Part(odd, self.seconds, max(self.spread, WIDEST)),
        )


def _hazard_of(parts: Iterable[_Part]) -> Callable[[float], float]:
    """Returns what tells the chance that what still runs at a time ends within the next second.

    It is asked dozens of times for each poll, so what does not depend on the time is got ready.
    """
    ready = [
        (math.log(part.median), 1 / part.spread, part.weight / (part.spread * _ROOT_2_PI))
        for part in parts
    ]

    def hazard(t: float) -> float:
        log_t, density, tail = math.log(t), 0.0, 0.0
        for log_median, per_spread, height in ready:
            z = (log_t - log_median) * per_spread
            bell = height * math.exp(-z * z / 2)
            density += bell
            tail += (
                bell / (z * per_spread)
                if z > _FAR
                else height / per_spread * _ROOT_HALF_PI * math.erfc(z * _ROOT_HALF)
            )
        return density / (tail * t) if tail > 0 else 1 / t

    return hazard
