"""MemoryBus: the twin of Service Bus in memory, which one contract suite holds to the adapter.

It takes what the entities take: each message ID once, messages of at most 256 KiB, entities that
there are; and shows a scheduled message when its time has come. Left out: subscriptions and their
filters, locks and deliveries, the end of duplicate detection's window, and of a message's life.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Final

from assessor.bus.message import OutgoingMessage, PublishError

MAX_MESSAGE_BYTES: Final = 256 * 1024
"""What a Standard namespace takes; the frame around the body counts too."""
_FRAME_BYTES: Final = 512
"""About what the properties that each message has take beside those that vary."""


def _now() -> datetime:
    return datetime.now(UTC)


class MemoryBus:
    """Keeps what is sent.

    Attributes:
        sent: what each entity has taken, in its order, scheduled messages included.
    """

    def __init__(
        self, entities: Collection[str] | None = None, now: Callable[[], datetime] = _now
    ) -> None:
        """Starts empty.

        Args:
            entities: the queues and topics that there are; any name if None.
            now: tells the time, which scheduled messages wait for.
        """
        self.sent: dict[str, list[OutgoingMessage]] = {}
        self._entities = entities
        self._now = now
        self._known: set[tuple[str, str]] = set()

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        """Takes the messages, each ID once; raises PublishError, as Service Bus does.

        Those before one that is too large are taken or not; the twin has taken them.
        """
        if self._entities is not None and entity not in self._entities:
            raise PublishError(entity, "there is no such entity")
        for message in messages:
            if _size(message) > MAX_MESSAGE_BYTES:
                raise PublishError(entity, "a message is larger than the namespace takes")
            if (entity, message.message_id) not in self._known:
                self._known.add((entity, message.message_id))
                self.sent.setdefault(entity, []).append(message)

    def visible(self, entity: str) -> list[OutgoingMessage]:
        """Returns the messages whose time has come: what a receiver could get, in its order."""
        now = self._now()
        return sorted(
            (
                each
                for each in self.sent.get(entity, [])
                if each.enqueue_at is None or each.enqueue_at <= now
            ),
            key=lambda each: each.enqueue_at or datetime.min.replace(tzinfo=UTC),
        )


def _size(message: OutgoingMessage) -> int:
    properties = message.application_properties
    texts = (message.message_id, message.correlation_id, message.content_type, message.subject)
    return (
        len(message.body)
        + _FRAME_BYTES
        + sum(len(each.encode()) for each in texts if each)
        + sum(len(name.encode()) + len(str(each).encode()) for name, each in properties.items())
    )
