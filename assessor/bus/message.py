"""A message on its way out, as Service Bus takes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from assessor.telemetry.records import Record

Property = str | int | float | bool
"""What an application property may be."""


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message as it goes to Service Bus.

    Attributes:
        body: the bytes.
        message_id: what duplicate detection looks at.
        correlation_id: the request's ID.
        content_type: the body's media type.
        application_properties: what subscriptions filter on.
        subject: the VM's resource ID, where there is a VM.
        enqueue_at: when it is to appear; at once if None.
        record: what telemetry keeps of it once it is sent.
    """

    body: bytes
    message_id: str
    correlation_id: str
    content_type: str
    application_properties: Mapping[str, Property] = field(default_factory=dict)
    subject: str | None = None
    enqueue_at: datetime | None = None
    record: Record | None = None
