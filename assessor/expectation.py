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
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

SHORTEST_SECONDS: Final = 1.0
"""The least time between two polls."""
WIDEST: Final = 1.0
"""The largest spread that says anything."""
EARLY_SECONDS: Final = (32.0, 40.0)
"""When the first poll comes at the earliest, for what fails does so within half a minute, and at
the latest, so that its owner is told within 45 s."""
_EARLY_SHARES: Final = (0.4, 0.5)
"""The same as shares of the expected duration, for one so short that these come first."""
_PRICE: Final = 3.7
"""What a poll costs, in seconds of delay, where little can be gained by another."""
_SHORT_SECONDS: Final = 60.0
"""An assessment that takes less is polled as much closer."""
_WIDE_SECONDS: Final = 100.0
"""Where the end is less certain than this, a poll is dearer, by the root of how much."""
_OVERTIME: Final = (2.0, 0.04)
"""After twice the expected duration, the least gap is this share of the time that has passed."""
_NARROWEST: Final = 0.02
_STEP: Final = 1.02
"""By how much the time grows from one step of the integral to the next."""
_LONGEST_SECONDS: Final = 86_400.0
_ROOT_2_PI: Final = math.sqrt(2 * math.pi)
_FAR: Final = 8.0
"""How many spreads after the median the tail's chance is too small for a float's difference."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One of the distributions that an end is drawn from, and how often it is."""

    weight: float
    median: float
    spread: float

    def density_and_tail(self, t: float) -> tuple[float, float]:
        """Returns the chance of an end in the second after t, and that of one later than t."""
        z = math.log(t / self.median) / self.spread
        density = math.exp(-z * z / 2) / (self.spread * t * _ROOT_2_PI)
        tail = density * self.spread * t / z if z > _FAR else 0.5 * math.erfc(z / math.sqrt(2))
        return self.weight * density, self.weight * tail


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
        gap = self._gap(elapsed, dearness)
        if elapsed < earliest / 2:
            gap = min(max(gap, earliest - elapsed), latest - elapsed)
        after, share = _OVERTIME
        if elapsed > after * self.seconds:
            gap = max(gap, share * elapsed)
        return max(gap, SHORTEST_SECONDS)

    def _gap(self, elapsed: float, dearness: float) -> float:
        """Returns the seconds in which the root of h / 2c adds up to one poll."""
        parts = self._parts()
        twice_price = 2 * self._price() * dearness
        at = max(elapsed, self.seconds / 500, 0.01)
        due = 0.0 if elapsed > 0 else 0.5  # the first poll stands in the middle of its share
        while at < _LONGEST_SECONDS:
            step = at * (_STEP - 1)
            more = math.sqrt(_hazard(parts, at + step / 2) / twice_price) * step
            if due + more >= 1:
                return at + step * (1 - due) / more - elapsed
            due += more
            at += step
        return _LONGEST_SECONDS

    def _price(self) -> float:
        return (
            _PRICE
            * min(1.0, self.seconds / _SHORT_SECONDS)
            * math.sqrt(max(1.0, self.spread * self.seconds / _WIDE_SECONDS))
        )

    def _parts(self) -> tuple[_Part, ...]:
        early, odd = 0.1, 0.03
        return (
            _Part(1 - early - odd, self.seconds, max(self.spread, _NARROWEST)),
            _Part(early, min(18.0, self.seconds / 3), 0.5),
            _Part(odd, self.seconds, max(self.spread, WIDEST)),
        )


def _hazard(parts: tuple[_Part, ...], t: float) -> float:
    """Returns the chance that what still runs at t ends within the next second."""
    density, tail = map(sum, zip(*(part.density_and_tail(t) for part in parts), strict=True))
    return density / tail if tail > 0 else 1 / t
