"""Virtual time: an event loop that jumps to its next timer, and the clocks that read it.

What waits takes no time here, and what computes takes none of the virtual kind: between two timers
everything happens at once. Left out: I/O and threads. Nothing from outside can wake this loop.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from localcloud.arm.clock import TICKS_PER_SECOND, Ticks, seconds

T = TypeVar("T")

START: Final = datetime(2026, 1, 5, tzinfo=UTC)
"""When every simulation begins."""
_START_TICKS: Final[Ticks] = int(START.timestamp()) * TICKS_PER_SECOND


class StuckError(RuntimeError):
    """Everything waits, and nothing is due any more: something is awaited that never comes."""


class _JumpingSelector(selectors.DefaultSelector):
    """Lets time pass where a selector would wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Moves the time on by `timeout`; returns nothing, for nobody is asked."""
        if timeout is None:
            raise StuckError("everything waits, and nothing is due any more")
        self.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is virtual and begins at 0."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        # asyncio takes what is due within this as due. The system clock's nanosecond is lost in a
        # float of half a year, and then nothing would ever be due.
        self._clock_resolution = 1e-8

    def time(self) -> float:
        """Returns the virtual time in seconds."""
        return self._jumping.now


def run_virtual(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Returns what `main` returns, run in a virtual time of its own.

    It may be called in any thread, but not from code that an event loop runs.

    Raises:
        StuckError: `main` awaits what never comes.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


class SimulatedClock:
    """The virtual time, as the app's ports and the local cloud's ARM each read it."""

    def __init__(self, seconds_now: Callable[[], float]) -> None:
        """Keeps where the time comes from.

        Args:
            seconds_now: returns the seconds since START: the loop's own time.
        """
        self.seconds = seconds_now
        self._told = (0.0, START)

    def now(self) -> datetime:
        """Returns the time now, in UTC; between two timers it is asked for again and again."""
        at, moment = self._told
        if (seconds := self.seconds()) != at:
            moment = START + timedelta(seconds=seconds)
            self._told = (seconds, moment)
        return moment

    def ticks(self) -> Ticks:
        """Returns the time now, as the local cloud counts it."""
        return _START_TICKS + seconds(self.seconds())


def moment_of(at: Ticks) -> datetime:
    """Returns the moment that the local cloud's ticks count up to, to the microsecond."""
    return START + timedelta(seconds=seconds_of(at))


def seconds_of(at: Ticks) -> float:
    """Returns the seconds from START to what the local cloud's ticks count up to."""
    return (at - _START_TICKS) / TICKS_PER_SECOND
