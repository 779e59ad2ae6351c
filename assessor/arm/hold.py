"""How long one invocation follows an operation before it hands over to the bus."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext


class HoldOver(Exception):  # noqa: N818 - a signal to hand over, not an error
    """The next look at the operation falls after the hold: hand over instead of waiting.

    Attributes:
        delay: seconds until that look is due.
    """

    def __init__(self, delay: float) -> None:
        super().__init__(f"the next poll is due in {delay:.1f} s, after the hold")
        self.delay = delay


class Hold:
    """The time that one invocation has for waiting."""

    def __init__(
        self,
        seconds: float,
        monotonic: Callable[[], float],
        stopping: asyncio.Event,
        waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Starts the hold.

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
        """Whether the hold has ended, or the worker is told to go."""
        return self._monotonic() >= self._end or self._stopping.is_set()

    async def wait(self, delay: float) -> None:
        """Waits `delay` seconds.

        Raises:
            HoldOver: they end after the hold, or the worker is told to go.
        """
        due = self._monotonic() + delay
        if due > self._end or self._stopping.is_set():
            raise HoldOver(delay)
        with self._waiting():
            try:
                async with asyncio.timeout(delay):
                    await self._stopping.wait()
            except TimeoutError:
                return
        raise HoldOver(max(0.0, due - self._monotonic()))
