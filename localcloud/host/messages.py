"""A received Service Bus message, free of any client library."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class ValueBody:
    """An AMQP value in place of data: what JMS makes of a TextMessage.

    Attributes:
        value: A text, number, map or whatever it is; never None, which is an empty data body.
    """

    value: object


@dataclass(frozen=True, slots=True)
class SequenceBody:
    """AMQP sequences in place of data; only a deferred binding takes them."""


@dataclass(frozen=True, slots=True)
class UnreadableBody:
    """What .NET's client can't decode.

    Attributes:
        reason: What is wrong, on one line; nothing of the content.
    """

    reason: str


Body: TypeAlias = bytes | ValueBody | SequenceBody | UnreadableBody


@dataclass(frozen=True, slots=True)
class BusMessage:
    """What the trigger hands on of a message.

    Attributes:
        body: The data's bytes, or what is there in their place.
        message_id: The sender's ID; the service makes one up if there was none.
        lock_token: The peek-lock's token.
        sequence_number: The entity's number for it.
        delivery_count: 1 at the first delivery, as .NET counts (AMQP's header counts from 0).
        enqueued_at: When the entity took it, with a time zone.
        expires_at: When its time to live ends; None is never.
        application_properties: The sender's own properties.
        encoded: All of the message, as .NET's client encodes what it received.
    """

    body: Body
    message_id: str | None
    lock_token: str
    sequence_number: int
    delivery_count: int
    enqueued_at: datetime
    expires_at: datetime | None = None
    content_type: str | None = None
    correlation_id: str | None = None
    subject: str | None = None
    reply_to: str | None = None
    to: str | None = None
    session_id: str | None = None
    reply_to_session_id: str | None = None
    partition_key: str | None = None
    dead_letter_source: str | None = None
    application_properties: Mapping[str, object] = field(default_factory=dict)
    encoded: bytes = b""
