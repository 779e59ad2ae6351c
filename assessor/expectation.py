"""When to poll an operation whose end is not announced.

    begin ─────────────────────────────── first ── gap ── gap ─── gap ──── gap ────►
                                            └─ expected · e^-spread

A poll costs a call of ARM, and an invocation where the polling window ends before it; the time
from the end to the next poll is how late the outcome is. So nothing is polled before it is
likely to be over, and from then on a gap apart, which is a share of the duration: a long assessment
is known as much later, in proportion, as a short one, for as many polls. Where little is known the
gap is wider, or the polls of a whole fleet that nobody knows would empty ARM's bucket.

The best schedule for a known distribution puts its polls closer where an end is likelier, by the
root of the chance of an end (Barlow, Hunter and Proschan, "Optimum checking procedures", 1963;
Keller, "Optimum checking schedules for systems subject to random failure", 1974). Even gaps come
within a second or two of its median delay with the same number of polls, for spreads from 0.03 to
0.35 (docs/performance.md), and take no distribution but two numbers.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

GAP: Final = 0.05
"""The time between two polls of what is known well, as a share of how long the assessment takes."""
KNOWN: Final = 0.175
"""The largest spread that is known well; beyond it the gap grows with the spread's root."""
SHORTEST_SECONDS: Final = 1.0
"""The least time between two polls."""
WIDEST: Final = 1.0
"""The largest spread that says anything: beyond it the first poll is at a third of the duration."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """How long an assessment is expected to take.

    Attributes:
        seconds: as many take longer as take less.
        spread: how far apart they are: the standard deviation of the duration's logarithm.
    """

    seconds: Annotated[float, Field(gt=0, le=1e6)]
    spread: Annotated[float, Field(ge=0, le=10)]

    def next_poll(self, elapsed: float) -> float:
        """Returns the seconds until the next poll.

        Args:
            elapsed: how many seconds ago the operation began. An end before the first poll is known
                late: with a spread that is right, that is one in six.
        """
        until_first = self.seconds * math.exp(-self.spread) - elapsed
        share = GAP * max(1.0, math.sqrt(self.spread / KNOWN))
        gap = share * max(self.seconds, elapsed)
        return max(until_first if until_first > 0 else gap, SHORTEST_SECONDS)
