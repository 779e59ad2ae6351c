"""The bus's time, where this machine's clock is behind it.

A scheduled message appears by Service Bus's clock. A host whose clock is minutes behind would ask
for moments that have passed already: its messages would come back at once, again and again. How far
behind it is shows in each message that comes in: none was enqueued in the future.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from assessor.bus.message import OutgoingMessage
from assessor.bus.tracing import Send

_NONE: Final = timedelta()
_MOST: Final = timedelta(minutes=30)
"""No message is believed to tell of more."""


class BusTime:
    """A bus whose scheduled messages appear when they are meant to, by this machine's clock."""

    def __init__(self, send: Send, now: Callable[[], datetime]) -> None:
        """Wraps `send` of another bus; `now` tells this machine's time, in UTC."""
        self._send = send
        self._now = now
        self._behind = _NONE

    def received(self, enqueued_at: datetime) -> None:
        """Takes note of when a message that has just come in was enqueued, by the bus's clock."""
        behind = enqueued_at - self._now()
        if _NONE < behind <= _MOST:
            self._behind = max(self._behind, behind)

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        """Sends the messages; raises PublishError."""
        await self._send(entity, [self._by_bus(message) for message in messages])

    def _by_bus(self, message: OutgoingMessage) -> OutgoingMessage:
        if message.enqueue_at is None or not self._behind:
            return message
        return replace(message, enqueue_at=message.enqueue_at + self._behind)
