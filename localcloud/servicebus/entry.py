"""A message inside a queue: its place, its counters, its lock, and how a receiver sees it."""

from dataclasses import dataclass
from enum import IntEnum
from uuid import UUID

from localcloud.servicebus import wire
from localcloud.servicebus.clock import Milliseconds
from localcloud.servicebus.message import Message

_ENQUEUED_TIME = wire.symbol("x-opt-enqueued-time")
_SEQUENCE_NUMBER = wire.symbol("x-opt-sequence-number")
_ENQUEUED_SEQUENCE_NUMBER = wire.symbol("x-opt-enqueue-sequence-number")
_LOCKED_UNTIL = wire.symbol("x-opt-locked-until")
_DEAD_LETTER_SOURCE = wire.symbol("x-opt-deadletter-source")
_LOCK_TOKEN = wire.symbol("x-opt-lock-token")
_MESSAGE_STATE = wire.symbol("x-opt-message-state")


class MessageState(IntEnum):
    """`x-opt-message-state`, as the service numbers it."""

    ACTIVE = 0
    DEFERRED = 1
    SCHEDULED = 2


@dataclass(frozen=True, slots=True)
class Lock:
    """One receiver's right to settle a message.

    Attributes:
        token: what the receiver shows to settle or renew; the delivery tag on its link.
        until: when the right ends.
    """

    token: UUID
    until: Milliseconds


@dataclass(slots=True)
class Entry:
    """A message in a queue; only its store changes it."""

    sequence_number: int
    message: Message
    enqueued_at: Milliseconds
    expires_at: Milliseconds | None
    delivery_count: int = 0
    deferred: bool = False
    lock: Lock | None = None
    enqueued_sequence_number: int | None = None
    dead_letter_source: str | None = None

    def is_ready(self) -> bool:
        """Whether the next receiver may have it."""
        return self.lock is None and not self.deferred

    def next_change(self) -> Milliseconds | None:
        """When time alone will change it: its lock ends, or it expires; None for never.

        A locked message doesn't expire before its lock does, a deferred one not before somebody
        asks for it.
        """
        if self.lock is not None:
            return self.lock.until
        return None if self.deferred else self.expires_at

    def snapshot(self, *, with_lock: bool = True) -> "Delivery":
        """What a receiver is given: the message as it is now, its lock only to its holder."""
        return Delivery(
            sequence_number=self.sequence_number,
            message=self.message,
            enqueued_at=self.enqueued_at,
            delivery_count=self.delivery_count,
            state=MessageState.DEFERRED if self.deferred else MessageState.ACTIVE,
            lock=self.lock if with_lock else None,
            enqueued_sequence_number=self.enqueued_sequence_number,
            dead_letter_source=self.dead_letter_source,
        )


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as a receiver gets it, or as a peek shows it.

    Attributes:
        sequence_number: its number in the entity.
        message: what the sender wrote.
        enqueued_at: when it arrived; for a scheduled one, when it will.
        delivery_count: how often it came back before; 0 the first time.
        state: active, deferred or scheduled.
        lock: the receiver's lock; None when it is peeked, or received and deleted.
        enqueued_sequence_number: its number in the topic that it came through.
        dead_letter_source: the entity that a dead letter comes from.
    """

    sequence_number: int
    message: Message
    enqueued_at: Milliseconds
    delivery_count: int
    state: MessageState
    lock: Lock | None
    enqueued_sequence_number: int | None = None
    dead_letter_source: str | None = None

    def encode(self) -> bytes:
        """The message with the service's annotations, as it goes over the wire."""
        annotations = [
            (_ENQUEUED_TIME, wire.timestamp(self.enqueued_at)),
            (_SEQUENCE_NUMBER, wire.long(self.sequence_number)),
            (_MESSAGE_STATE, wire.integer(self.state)),
        ]
        if self.enqueued_sequence_number is not None:
            number = wire.long(self.enqueued_sequence_number)
            annotations.append((_ENQUEUED_SEQUENCE_NUMBER, number))
        if self.dead_letter_source is not None:
            annotations.append((_DEAD_LETTER_SOURCE, wire.string(self.dead_letter_source)))
        if self.lock is None:
            return self.message.encode(annotations, self.delivery_count)
        annotations.append((_LOCKED_UNTIL, wire.timestamp(self.lock.until)))
        # A deferred message comes in a reply, without a delivery tag; Go's client looks here.
        token = [(_LOCK_TOKEN, wire.uuid(self.lock.token))]
        return self.message.encode(annotations, self.delivery_count, token)
