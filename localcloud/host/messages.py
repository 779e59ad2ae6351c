"""A received Service Bus message, free of any client library."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class BusMessage:
    """What the trigger hands on of a message.

    Attributes:
        body: The message's bytes.
        message_id: The sender's ID; the service makes one up if there was none.
        lock_token: The peek-lock's token.
        sequence_number: The entity's number for it.
        delivery_count: 1 at the first delivery, as .NET counts (AMQP's header counts from 0).
        enqueued_at: When the entity took it, with a time zone.
        expires_at: When its time to live ends; None is never.
        application_properties: The sender's own properties.
    """

    body: bytes
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
