"""A message on its way out, as Service Bus takes it, and what goes wrong if it does not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from assessor.errors import UnavailableError
from assessor.telemetry.records import Record

Property = str | int | float | bool
"""What an application property may be."""


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message as it goes to Service Bus.

    `message_id` is what duplicate detection looks at, `correlation_id` the request's ID, `subject`
    the VM's resource ID where there is a VM. Subscriptions filter on `application_properties`. It
    appears at `enqueue_at`, at once if that is None; once it is sent, telemetry keeps its `record`.
    """

    body: bytes
    message_id: str
    correlation_id: str
    content_type: str
    application_properties: Mapping[str, Property] = field(default_factory=dict)
    subject: str | None = None
    enqueue_at: datetime | None = None
    record: Record | None = None


class PublishError(UnavailableError):
    """Service Bus did not take a message.

    Attributes:
        entity: the queue or topic.
        reason: what Service Bus, or the way to it, said.
    """

    def __init__(self, entity: str, reason: str) -> None:
        super().__init__(f"{entity} did not take a message: {reason}")
        self.entity = entity
        self.reason = reason
