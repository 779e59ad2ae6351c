"""The pace of a scan: when each of its requests is released.

ARM's buckets for guest patch operations belong to a subscription and a region. The requests of one
region are spread over time as the bucket is refilled, by their own scheduled enqueue times: no
worker has to know of another one, and other requests find the queue empty.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta


class Pace:
    """Gives out turns, region by region."""

    def __init__(self, per_minute: int, next_turns: Mapping[str, datetime], now: datetime) -> None:
        """Goes on where another invocation ended.

        Args:
            per_minute: how many requests a minute are released in a region.
            next_turns: when the next turn of each region is; a region that is not there is free.
            now: no turn is earlier, so that a scan that was held up does not make up for it.
        """
        self._step = timedelta(minutes=1) / per_minute
        self._next = {region: max(turn, now) for region, turn in next_turns.items()}
        self._now = now

    @property
    def next_turns(self) -> Mapping[str, datetime]:
        """When the next turn of each region is."""
        return dict(self._next)

    @property
    def last_turn(self) -> datetime:
        """The last turn that was given out in any region; now if there was none."""
        return max((turn - self._step for turn in self._next.values()), default=self._now)

    def turn(self, location: str | None) -> datetime:
        """Returns when the next request of that region is released.

        VMs whose location is not known share turns of their own.
        """
        region = (location or "").lower().replace(" ", "")
        turn = self._next.get(region, self._now)
        self._next[region] = turn + self._step
        return turn
