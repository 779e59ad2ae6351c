"""Time as Azure Compute writes it: ticks of 100 ns, seven fraction digits, an offset.

Compute writes times in the zone of the machine that answers, so the offset differs by region
(``-04:00`` in the recording). Left out: daylight saving, and trailing zeros, which the service
sometimes trims.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Final, TypeAlias

Ticks: TypeAlias = int
"""Units of 100 ns since the Unix epoch."""

Clock: TypeAlias = Callable[[], Ticks]
"""Returns the present time; never goes back."""

TICKS_PER_SECOND: Final = 10_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def system_clock() -> Clock:
    """Returns a clock that starts at the wall time and then only moves forward."""
    base = time.time_ns() - time.monotonic_ns()
    return lambda: (base + time.monotonic_ns()) // 100


def seconds(amount: float) -> Ticks:
    """Returns an amount of seconds in ticks."""
    return round(amount * TICKS_PER_SECOND)


def unix_seconds(at: Ticks) -> int:
    """Returns a point in time in whole Unix seconds."""
    return at // TICKS_PER_SECOND


def timestamp(at: Ticks, offset_minutes: int) -> str:
    """Returns a time as Compute writes it, such as ``2020-08-26T09:22:19.8590728-04:00``."""
    whole, fraction = divmod(at, TICKS_PER_SECOND)
    zone = timezone(timedelta(minutes=offset_minutes))
    local = (_EPOCH + timedelta(seconds=whole)).astimezone(zone)
    sign = "-" if offset_minutes < 0 else "+"
    hours, minutes = divmod(abs(offset_minutes), 60)
    return f"{local:%Y-%m-%dT%H:%M:%S}.{fraction:07d}{sign}{hours:02d}:{minutes:02d}"


def compact(at: Ticks) -> str:
    """Returns a time as request IDs carry it, such as ``20200826T132220Z``."""
    return f"{_EPOCH + timedelta(seconds=unix_seconds(at)):%Y%m%dT%H%M%SZ}"
