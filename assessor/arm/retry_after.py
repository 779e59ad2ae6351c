"""Retry-After, read tolerantly: whatever is in it, there is a wait, and it is a sensible one.

RFC 9110 has seconds or a date in one of three forms. Seen or to be foreseen beside it: the header
twice, joined by a comma; a date without a zone; an ISO 8601 duration; numbers without bounds.
"""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import SansIOHTTPPolicy

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
    for part in _DATE.sub("", text).split(","):
        seconds = _seconds(part.strip())
        if seconds is not None and math.isfinite(seconds):
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
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
