"""Time, as the domain asks for it, and how long one invocation waits before it reschedules."""

import asyncio
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Final

_LEAP_SECOND: Final = re.compile(r"(?<=[T ])([0-9]{2}:59:)60")


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Returns the time now, in UTC."""
        return datetime.now(UTC)


def seconds_between(since: datetime, until: datetime) -> float:
    """Returns the seconds from one moment to another; 0.0 where they are the other way round."""
    return max(0.0, (until - since).total_seconds())


def to_text(moment: datetime) -> str:
    """Returns `moment` as RFC 3339 in UTC with a `Z`, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_text(text: object) -> datetime | None:
    """Returns the moment that an RFC 3339 `text` names, in UTC, or None where it names none.

    ARM writes up to 7 fraction digits and any offset; what goes beyond microseconds is cut. A time
    without an offset is taken as UTC, as ARM means it. `t` and `z` may be small, and a leap second
    is the second before it. A moment that UTC has no date for is none.
    """
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(_LEAP_SECOND.sub(r"\g<1>59", text.upper()))
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


class PollingWindow:
    """The time that one invocation has for waiting."""

    def __init__(
        self,
        seconds: float,
        monotonic: Callable[[], float],
        stopping: asyncio.Event,
        waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Opens the window.

        Args:
            seconds: how long it lasts.
            monotonic: tells the time in seconds, from any beginning.
            stopping: set when the worker is told to go: then nothing is waited for any more.
            waiting: encloses each wait.
        """
        self._monotonic = monotonic
        self._end = monotonic() + seconds
        self._stopping = stopping
        self._waiting = waiting

    @property
    def is_over(self) -> bool:
        """Whether the window has ended, or the worker is told to go."""
        return self._monotonic() >= self._end or self._stopping.is_set()

    async def wait(self, delay: float) -> float | None:
        """Waits `delay` seconds, if they end within the window.

        Returns:
            None once they are over. Else how many seconds of them are left: the window or the
            worker ends before they do.
        """
        due = self._monotonic() + delay
        if due > self._end or self._stopping.is_set():
            return delay
        with self._waiting():
            try:
                async with asyncio.timeout(delay):
                    await self._stopping.wait()
            except TimeoutError:
                return None
        return max(0.0, due - self._monotonic())
