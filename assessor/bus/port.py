"""Service Bus as the domain needs it: send a message, now or for later."""

from collections.abc import Sequence
from typing import Protocol

from assessor.bus.message import OutgoingMessage


class PublishError(Exception):
    """Service Bus did not take a message.

    Attributes:
        entity: the queue or topic.
        reason: what Service Bus, or the way to it, said.
    """

    def __init__(self, entity: str, reason: str) -> None:
        super().__init__(f"{entity} did not take a message: {reason}")
        self.entity = entity
        self.reason = reason


class Bus(Protocol):
    """Sends messages. When a call returns, Service Bus has them."""

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        """Sends the messages to a queue or topic, in as few transfers as they fit in.

        Raises:
            PublishError: Service Bus did not take all of them. Some may have been taken.
        """
        ...
