"""The polling window: how long one invocation waits before it reschedules."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext


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
