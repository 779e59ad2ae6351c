"""The best schedule of polls that there is for a distribution, by dynamic programming.

It minimises the mean delay plus a price for each poll, over all schedules whose polls lie on a grid
of time, where the distribution of ends is known exactly. No rule can be on time more often, on the
mean, for as many polls. What it is for is to be held against: it knows what no app knows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf
from typing import Final

_BISECTIONS: Final = 12


@dataclass(frozen=True, slots=True)
class Schedule:
    """When an operation is polled, and what that comes to.

    Attributes:
        moments: the seconds after its begin.
        polls: how many it takes until its end is seen, as a mean.
        delay: the seconds that this is late, as a mean.
    """

    moments: tuple[float, ...]
    polls: float
    delay: float


def cheapest(
    ends: Sequence[float], step: float, price: float, first_by: float, widest: float
) -> Schedule:
    """Returns the schedule with the least delay plus price.

    Args:
        ends: a sample of the distribution, in seconds.
        step: what all moments are multiples of, in seconds.
        price: the seconds of delay that a poll is worth.
        first_by: when the first poll comes at the latest.
        widest: no gap between two polls is wider.
    """
    horizon = int(max(ends) / step) + 2
    # How many end in each step, and the sum of their ends: of all up to there, so that what a gap
    # costs is a difference.
    number, seconds = [0.0] * (horizon + 1), [0.0] * (horizon + 1)
    for end in ends:
        at = int(end / step) + 1
        number[at] += 1 / len(ends)
        seconds[at] += end / len(ends)
    until, late = list(accumulate(number)), list(accumulate(seconds))

    least, after = [0.0] * (horizon + 1), [horizon] * (horizon + 1)
    for now in range(horizon - 1, -1, -1):
        reach = int((first_by if now == 0 else widest) / step)
        best = inf
        for then in range(now + 1, min(now + reach, horizon) + 1):
            delay = then * step * (until[then] - until[now]) - (late[then] - late[now])
            cost = delay + least[then]
            if cost < best:
                best, after[now] = cost, then
        least[now] = best + price * (1 - until[now])
    moments, polls, delay, now = [], 0.0, 0.0, 0
    while now < horizon:
        then = after[now]
        moments.append(then * step)
        polls += 1 - until[now]
        delay += then * step * (until[then] - until[now]) - (late[then] - late[now])
        now = then
    return Schedule(tuple(moments), polls, delay)


def with_polls(schedule_at: Callable[[float], Schedule], polls: float) -> Schedule:
    """Returns the schedule that takes that many polls, or the next one with fewer.

    Args:
        schedule_at: returns the best schedule where a poll has that price.
        polls: the mean number.
    """
    low, high = 0.0, 1_000.0
    found = schedule_at(high)
    for _ in range(_BISECTIONS):
        price = (low + high) / 2 if low else high / 8
        tried = schedule_at(price)
        if tried.polls <= polls:
            found, high = tried, price
        else:
            low = price
    return found
