"""The pace of a scan: when each of its requests is released.

ARM's buckets for guest patch operations belong to a subscription and region: each holds as much as
is refilled in three minutes. A scan takes the same share of what a full bucket holds as it takes of
its refill: first so many requests at once, the others spread over time by their own scheduled
enqueue times. No worker has to know of another one, and other requests find room in the bucket, and
after the first minutes an empty queue.

The rule is the generic cell rate algorithm (ITU-T I.371): one time for each region says when all
that was given out would be used up if it came evenly.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

BUCKET_MINUTES: Final = 3
"""A bucket of 600 that is refilled by 200 a minute ("Compute throttling limits")."""


class Pace:
    """Gives out turns, region by region."""

    def __init__(self, per_minute: int, next_turns: Mapping[str, datetime], now: datetime) -> None:
        """Goes on where another invocation ended.

        Args:
            per_minute: how many requests a minute are released in a region.
            next_turns: when the next turn of each region would be if all came evenly; a region
                that is not there has a full bucket.
            now: no turn is earlier. A scan that was held up makes up for what one bucket holds.
        """
        self._step = timedelta(minutes=1) / per_minute
        self._ahead = self._step * (BUCKET_MINUTES * per_minute - 1)
        self._next = {region: max(turn, now) for region, turn in next_turns.items()}
        self._now = now

    @property
    def next_turns(self) -> Mapping[str, datetime]:
        """When the next turn of each region would be if all came evenly."""
        return dict(self._next)

    @property
    def last_turn(self) -> datetime:
        """The last turn that was given out in any region; now if there was none, or it is over."""
        return max(
            (self._released(turn - self._step) for turn in self._next.values()), default=self._now
        )

    def turn(self, location: str | None) -> datetime:
        """Returns when the next request of that region is released.

        VMs whose location is not known share turns of their own.
        """
        region = (location or "").lower().replace(" ", "")
        turn = self._next.get(region, self._now)
        self._next[region] = turn + self._step
        return self._released(turn)

    def _released(self, turn: datetime) -> datetime:
        return max(self._now, turn - self._ahead)
