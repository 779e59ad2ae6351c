"""The pace of a scan: when each of its requests is released.

ARM's buckets for guest patch operations belong to a subscription and region: each holds as much as
is refilled in three minutes. A scan takes the same share of what a full bucket holds as it takes of
its refill: first so many requests at once, the others spread over time by their own scheduled
enqueue times. No worker has to know of another one, and other requests find room in the bucket, and
after the first minutes an empty queue.

Over all of its regions a subscription has one bucket of reads for the app: 250, refilled by 25 a
second. An assessment of a VM that is not known yet takes about 8 of them, so it lets 184 a minute
through, and far fewer at once than a region's own bucket would: each also polls, half a minute
later, together with all that began with it.

The rule is the generic cell rate algorithm (ITU-T I.371): one time for each bucket says when all
that was given out would be used up if it came evenly.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from assessor.arm.throttling import region_name

BUCKET_MINUTES: Final = 3
"""A bucket of 600 that is refilled by 200 a minute ("Compute throttling limits")."""
SUBSCRIPTION_PER_MINUTE: Final = 184
"""Most of the 25 reads a second, where an assessment takes 7 to 8 ("Azure Resource Manager
throttling"); the rest is for other requests."""
SUBSCRIPTION_BURST: Final = 100
"""How many requests of a subscription are released at once."""
_SUBSCRIPTION: Final = "*"
"""The subscription's own bucket, among its regions, none of which has such a name."""


@dataclass(frozen=True, slots=True)
class _Rate:
    """How fast turns of one bucket are given out.

    Attributes:
        step: the time between two.
        burst: how many at once.
    """

    step: timedelta
    burst: int

    def released(self, turn: datetime, now: datetime) -> datetime:
        """Returns when a request is released whose turn would come then, all coming evenly."""
        return max(now, turn - self.step * (self.burst - 1))


class Pace:
    """Gives out turns in one subscription, region by region."""

    def __init__(self, per_minute: int, next_turns: Mapping[str, datetime], now: datetime) -> None:
        """Goes on where another invocation ended.

        Args:
            per_minute: how many requests a minute are released in a region.
            next_turns: when the next turn of each bucket would be if all came evenly; one that is
                not there is full.
            now: no turn is earlier. A scan that was held up makes up for what one bucket holds.
        """
        self._region = _Rate(timedelta(minutes=1) / per_minute, BUCKET_MINUTES * per_minute)
        self._subscription = _Rate(
            timedelta(minutes=1) / SUBSCRIPTION_PER_MINUTE, SUBSCRIPTION_BURST
        )
        self._next = {bucket: max(turn, now) for bucket, turn in next_turns.items()}
        self._now = now

    @property
    def next_turns(self) -> Mapping[str, datetime]:
        """When the next turn of each bucket would be if all came evenly."""
        return dict(self._next)

    @property
    def last_turn(self) -> datetime:
        """The last turn that was given out in any region; now if there was none, or it is over."""
        last = (
            rate.released(turn - rate.step, self._now)
            for bucket, turn in self._next.items()
            for rate in [self._rate(bucket)]
        )
        return max(last, default=self._now)

    def turn(self, location: str | None) -> datetime:
        """Returns when the next request of that region is released.

        VMs whose location is not known share turns of their own.
        """
        return max(self._take(region_name(location)), self._take(_SUBSCRIPTION))

    def _take(self, bucket: str) -> datetime:
        rate, turn = self._rate(bucket), self._next.get(bucket, self._now)
        self._next[bucket] = turn + rate.step
        return rate.released(turn, self._now)

    def _rate(self, bucket: str) -> _Rate:
        return self._subscription if bucket == _SUBSCRIPTION else self._region
