"""The .NET TimeSpan notation, as host.json uses it.

Only the constant format `[-][d.]hh:mm:ss[.fffffff]`; .NET's shorter forms (`6`, `6:12`) are left
out, as a host.json that means "minutes" and says "days" with them is an accident.
"""

import re
from datetime import timedelta

_TIMESPAN = re.compile(
    r"(?:(?P<days>\d{1,8})\.)?(?P<hours>\d{1,2}):(?P<minutes>\d{2}):(?P<seconds>\d{2})"
    r"(?:\.(?P<fraction>\d{1,7}))?"
)


def parse_timespan(text: str) -> timedelta | None:
    """Read a time span.

    Args:
        text: For example `00:05:00` or `1.00:00:00.5`.

    Returns:
        The span, or None when the text is not one.
    """
    match = _TIMESPAN.fullmatch(text)
    if match is None:
        return None
    hours, minutes, seconds = (int(match[name]) for name in ("hours", "minutes", "seconds"))
    if hours > 23 or minutes > 59 or seconds > 59:  # noqa: PLR2004 - the clock's own limits
        return None
    return timedelta(
        days=int(match["days"] or 0),
        hours=hours,
        minutes=minutes,
        seconds=seconds,
        microseconds=int((match["fraction"] or "0").ljust(7, "0")) // 10,
    )
