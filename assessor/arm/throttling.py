"""ARM's throttling: what it says of its limits, when it asks to wait, what is held back for that.

ARM's buckets for guest patch operations belong to one subscription and region, those for polls of
operations to a subscription, as ARM counts all reads. When one assessment is told to wait, the
others in this worker that draw on the same bucket wait too, one after another at the pace at which
ARM refills it, instead of finding out one by one.

Retry-After is read tolerantly: whatever is in it, there is a wait, and it is a sensible one. RFC
9110 has seconds or a date in one of three forms. Seen or to be foreseen beside it: the header
twice, joined by a comma; a date without a zone; an ISO 8601 duration; numbers without bounds.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import SansIOHTTPPolicy

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
MOST_SECONDS: Final = 3600.0
"""No wish is followed for longer: an assessment's deadline is two hours, and the longest wish of
ARM's that was seen is 20 minutes."""
_HEADER: Final = "Retry-After"
_PLAIN: Final = re.compile(r"\d{1,9}", re.ASCII)
_LONGEST: Final = 256
"""Characters that are looked at."""
_NUMBER: Final = re.compile(r"\d{1,40}(?:\.\d{1,40})?", re.ASCII)
_DURATION: Final = re.compile(
    r"P(?:(?P<days>\d{1,9})D)?"
    r"(?:T(?:(?P<hours>\d{1,9})H)?(?:(?P<minutes>\d{1,9})M)?(?:(?P<seconds>\d{1,9}(?:\.\d+)?)S)?)?",
    re.IGNORECASE | re.ASCII,
)
_DATE: Final = re.compile(
    r"(?:[A-Z]{3,9}, )?\d{1,2}[ -][A-Z]{3}[ -]\d{2,4} \d\d:\d\d:\d\d(?: (?:[A-Z]{1,5}|[+-]\d{4}))?"
    r"|[A-Z]{3} [A-Z]{3} [ \d]\d \d\d:\d\d:\d\d \d{4}",
    re.IGNORECASE | re.ASCII,
)
_UNITS: Final = {"days": 86400.0, "hours": 3600.0, "minutes": 60.0, "seconds": 1.0}


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


class PlainWaitPolicy(SansIOHTTPPolicy[Any, Any]):
    """Makes whole seconds of each answer's Retry-After, or drops what can't be understood.

    The SDK's operations read it as an integer and raise where it is none: a begin that succeeded
    would seem to have had no answer. It stands before all others, so that they see what ARM said.
    """

    def on_response(
        self, request: PipelineRequest[Any], response: PipelineResponse[Any, Any]
    ) -> None:
        """Rewrites the header, unless it is plain already."""
        del request
        headers = response.http_response.headers
        said = headers.get(_HEADER)
        if said is None or _PLAIN.fullmatch(said):
            return
        seconds = asked_to_wait(headers)
        del headers[_HEADER]
        if seconds is not None:
            headers[_HEADER] = str(math.ceil(seconds))


def asked_to_wait(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds that an answer asks to wait, 0 to MOST_SECONDS; None if it does not.

    A date is reckoned from the answer's own Date, for this machine's clock may be off by minutes.
    """
    text = headers.get(_HEADER)
    if not text:
        return None
    return retry_after(text, _moment((headers.get("Date") or "")[:_LONGEST]) or datetime.now(UTC))


def retry_after(text: str | None, now: datetime) -> float | None:
    """Returns the seconds that a Retry-After header asks to wait, 0 to MOST_SECONDS.

    The longest one where there are several. None where it asks for nothing that can be understood.

    A date counts from `now`; one without a zone is in UTC.
    """
    wishes = list(_wishes((text or "")[:_LONGEST], now))
    return min(MOST_SECONDS, max(0.0, *wishes)) if wishes else None


def _wishes(text: str, now: datetime) -> Iterator[float]:
    for match in _DATE.finditer(text):
        moment = _moment(match[0])
        if moment is not None:
            yield (moment - now).total_seconds()
    for part in (part for rest in _DATE.split(text) for part in rest.split(",")):
        seconds = _seconds(part.strip())
        if seconds is not None:
            yield seconds


def _seconds(text: str) -> float | None:
    if _NUMBER.fullmatch(text):
        return float(text)
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        return None
    return sum(float(match[name] or 0) * unit for name, unit in _UNITS.items())


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
