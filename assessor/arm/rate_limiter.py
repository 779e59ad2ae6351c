"""The rate limiter: holds back what ARM would refuse anyway.

ARM's buckets for guest patch operations belong to one subscription and region, those for polls of
operations to a subscription, as ARM counts all reads. When one assessment is told to wait, the
others in this worker that draw on the same bucket wait too, one after another at the pace at which
ARM refills it, instead of finding out one by one.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

POLLS_PER_MINUTE: Final = 1350
"""Nine tenths of the 25 a second by which ARM refills a subscription's bucket of reads.

Compute's own for polls, 5,000 a minute in each region, is never reached before."""
_ENOUGH_READS: Final = 230
"""Of the 250 that ARM's bucket of reads holds."""
_WIDEST_GAP: Final = 5.0
"""By how many usual gaps the widest one is wider."""
_LOW_WATER: Final = 0
_REFILL: Final = timedelta(seconds=60)
"""An empty bucket is refilled by the minute ("Compute throttling limits")."""
_POLICY = re.compile(r"\s*(?P<policy>[^;,\s]+)\s*;\s*(?P<remaining>\d+)\s*")


def dearness(reads_left: int | None) -> float:
    """Returns how many times more than usual a poll costs, by what ARM has left of its reads.

    With a nearly full bucket, or where ARM does not say, a poll costs what it always does. The gap
    between polls grows with the root: up to six times the usual where nothing is left, and by the
    square of what is missing, for the hundred polls of as many VMs that began at once are missing
    for seconds only. Each worker gives way by what the others read too, and knows nothing of them.
    It begins early, for the polls that come in the next minutes are scheduled already.
    """
    if reads_left is None or reads_left >= _ENOUGH_READS:
        return 1.0
    return (1.0 + _WIDEST_GAP * (1 - reads_left / _ENOUGH_READS) ** 2) ** 2


def remaining_calls(headers: Iterable[str]) -> Mapping[str, int]:
    """Returns what is left of each policy, from `x-ms-ratelimit-remaining-resource`.

    ARM sends the header once with commas, or several times. A part that is not `policy;number` says
    nothing.
    """
    matches = (_POLICY.fullmatch(part) for value in headers for part in value.split(","))
    return {match["policy"]: int(match["remaining"]) for match in matches if match}


@dataclass(frozen=True, slots=True)
class Region:
    """What one of ARM's buckets for guest patch operations belongs to."""

    subscription_id: str
    location: str

    @classmethod
    def of(cls, subscription_id: str, location: str | None) -> "Region":
        """Returns the region by names in any case; an unknown location is one of its own."""
        return cls(subscription_id.lower(), region_name(location))


def region_name(location: str | None) -> str:
    """Returns a location as it stands in URLs: `westus` for `West US`, empty for an unknown one."""
    return (location or "").lower().replace(" ", "")


@dataclass(slots=True)
class _Closed:
    until: datetime
    next_turn: datetime


class RateLimiter:
    """Which regions are held back, in this worker, and until when."""

    def __init__(self, per_minute: int) -> None:
        """Starts with every region open."""
        self._step = timedelta(minutes=1) / per_minute
        self._closed: dict[Region, _Closed] = {}

    def close(self, region: Region, until: datetime) -> None:
        """Holds the region back until then; a later time that is already set stays."""
        closed = self._closed.get(region)
        if closed is None or closed.until < until:
            self._closed[region] = _Closed(until, until)

    def note(self, region: Region, remaining: Mapping[str, int], now: datetime) -> None:
        """Holds the region back for a minute if a policy has nothing left, before ARM says 429."""
        if remaining and min(remaining.values()) <= _LOW_WATER:
            self.close(region, now + _REFILL)

    def turn(self, region: Region, now: datetime) -> float:
        """Returns the seconds until the caller's turn: 0.0 where the region is open.

        Each call takes a turn: whoever is told to wait asks again when its turn has come.
        """
        closed = self._closed.get(region)
        if closed is None:
            return 0.0
        if closed.until <= now:
            del self._closed[region]
            return 0.0
        closed.next_turn += self._step
        return (closed.next_turn - now).total_seconds()
