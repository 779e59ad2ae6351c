"""Duplicate detection: which message IDs an entity has accepted lately.

As in the service, the window counts from the first message with an ID; a repeat doesn't extend it.
"""

from collections.abc import Iterable

from localcloud.servicebus.clock import Clock, Milliseconds


class DuplicateWindow:
    """The message IDs of the last while.

    Args:
        length: how long an ID is remembered.
        clock: tells the time.
    """

    def __init__(self, length: Milliseconds, clock: Clock) -> None:
        self._length = length
        self._clock = clock
        self._accepted: dict[str, Milliseconds] = {}  # in order of acceptance

    def admits(self, message_id: str | None) -> bool:
        """Whether a message with this ID is new; from now on it isn't.

        A message without an ID is always new.
        """
        if message_id is None:
            return True
        self._forget()
        if message_id in self._accepted:
            return False
        self._accepted[message_id] = self._clock()
        return True

    def _forget(self) -> None:
        horizon = self._clock() - self._length
        while self._accepted:
            oldest = next(iter(self._accepted))
            if self._accepted[oldest] > horizon:
                return
            del self._accepted[oldest]

    def history(self) -> list[tuple[str, Milliseconds]]:
        """The remembered IDs and when each was accepted, oldest first."""
        self._forget()
        return list(self._accepted.items())

    def restore(self, history: Iterable[tuple[str, Milliseconds]]) -> None:
        """Remember these IDs as well."""
        self._accepted.update(history)
