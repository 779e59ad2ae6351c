"""Requests: what is asked, and what identifies it, so that whatever is repeated has the same IDs.

A message without an ID, and a scan, are known by when the queue took them. A copy of a dead letter
is taken anew, so it says when the original was, in an application property that anybody can write.
It is believed only of the past, and only together with the content: nobody takes the place of a
message to come, and whoever forges an earlier one repeats that very request at most.
"""

import dataclasses
import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, Field, StringConstraints

from assessor.clock import from_text, to_text
from assessor.resource_id import Scope, VirtualMachineId

_NAMESPACE: Final = uuid.UUID("7d0c7f0a-4f0e-5a35-9d0e-6b2f4f1b8f5e")
"""Makes this app's name-based UUIDs its own (RFC 9562, version 5)."""
FIRST_ENQUEUED: Final = "firstEnqueued"
"""The application property; `patch-assessor dead-letters resubmit` writes it."""
_FORM: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\d{1,19})", re.ASCII)

RequestId = Annotated[str, StringConstraints(min_length=1, max_length=128)]
"""At most what Service Bus allows for a correlation ID."""
RequestedBy = Annotated[str, StringConstraints(max_length=256)]
Reason = Annotated[str, StringConstraints(max_length=1024)]
Traceparent = Annotated[str, StringConstraints(max_length=55)]
"""The only length that W3C's version 00 has."""
ScanId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
_Identity = Annotated[str, StringConstraints(max_length=128), Field(alias="message_id")]
"""Under the name that it had in in-progress messages before."""


def name_based_id(*names: str) -> str:
    """Returns the UUID that always belongs to these names, in this order, and to no others.

    They are joined as a JSON array: whatever characters are in them, two lists never look alike.
    """
    return str(uuid.uuid5(_NAMESPACE, json.dumps(names)))


@dataclass(frozen=True, slots=True)
class FirstEnqueued:
    """The place that a message had in its queue when that took it first.

    Attributes:
        at: when, in UTC; milliseconds are all that counts.
        sequence_number: its number there; None where none is known.
    """

    at: datetime
    sequence_number: int | None

    def __str__(self) -> str:
        """Returns it as the application property has it."""
        return f"{to_text(self.at)} {self.sequence_number}"


def first_enqueued(own: FirstEnqueued, properties: Mapping[str, Any]) -> FirstEnqueued:
    """Returns the place of the message that this one is a copy of; its own if it is none."""
    said = properties.get(FIRST_ENQUEUED)
    form = _FORM.fullmatch(said) if isinstance(said, str) else None
    at = from_text(form[1]) if form else None
    if form is None or at is None or to_text(at) > to_text(own.at):
        return own
    return FirstEnqueued(at, int(form[2]))


def content_id(body: bytes, content_type: str | None, properties: Mapping[str, Any]) -> str:
    """Returns what is the same for messages that say the same, whenever they come."""
    said = {name: value for name, value in properties.items() if name != FIRST_ENQUEUED}
    return name_based_id(
        "content",
        hashlib.sha256(body).hexdigest(),
        content_type or "",
        json.dumps(said, sort_keys=True, default=str),
    )


def identity_without_id(first: FirstEnqueued, content: str) -> str:
    """Returns what identifies the request of a message whose sender set no ID.

    A queue that is made anew begins to count again, but not at the same time.
    """
    return name_based_id("numbered-message", str(first), content)


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """A message as it came from the requests queue.

    Attributes:
        body: the bytes, untouched.
        message_id: Service Bus's message ID; what is shown in its place where the sender set none.
        content_type: the AMQP content type, if the sender set one.
        application_properties: what the sender put beside the body.
        enqueued_at: when Service Bus took the message, in UTC.
        delivery_count: how many times it was delivered, this one included.
        first_enqueued_at: when Service Bus took the message that this one is a copy of, in UTC;
            by default this one.
        identity: what identifies the request; made by `identity_of` for whatever came from outside.
        body_problem: why no request can be read from the body, whatever it holds: what it must be,
            and what it is instead.
    """

    body: bytes
    message_id: str
    content_type: str | None
    application_properties: Mapping[str, Any]
    enqueued_at: datetime
    delivery_count: int | None = None
    first_enqueued_at: datetime | None = None
    identity: str = ""
    body_problem: str | None = None

    def __post_init__(self) -> None:
        """Makes the identity of the message ID where none was given."""
        if not self.identity:
            object.__setattr__(self, "identity", identity_of(self.message_id))

    @property
    def scan_identity(self) -> str:
        """What identifies a scan that the message asks for.

        A scan is remembered for good. So a message ID that comes every night is a scan every night;
        a message that is delivered again, or resubmitted, was first enqueued when it was.
        """
        return name_based_id(
            "scan-message",
            self.identity,
            to_text(self.first_enqueued_at or self.enqueued_at),
            content_id(self.body, self.content_type, self.application_properties),
        )


def identity_of(message_id: str) -> str:
    """Returns what identifies the request of a message with that ID, whenever it comes again.

    It is a UUID made of names, as are the identities of the app's own requests, and each kind has a
    first name of its own: no message ID that anybody chooses leads to another kind's.
    """
    return name_based_id("message", message_id)


def child_identity(identity: str, vm: VirtualMachineId) -> str:
    """Returns what identifies the request that one for many brings for one VM."""
    return name_based_id("child", identity, vm.key)


@dataclass(frozen=True, slots=True)
class AssessmentRequest:
    """One VM that somebody wants assessed.

    Attributes:
        vm: the VM.
        request_id: the requester's own label, else the message's ID; every answer carries it.
        enqueued_at: when the request was taken, in UTC. An assessment that began later answers it.
        requested_by: who asks, in the requester's words.
        reason: why, in the requester's words.
        traceparent: the W3C trace context that the request came with.
        scan_id: the scan that the request is part of; None for a request of its own.
        fresh_since: an assessment that began after then answers the request too; None: only one
            that began after the request was taken.
        identity: what identifies the request, beside its VM: all IDs of what it brings are made of
            it. A request ID may come again in another message, and is another request then.
    """

    vm: VirtualMachineId
    request_id: RequestId
    enqueued_at: AwareDatetime
    requested_by: RequestedBy | None = None
    reason: Reason | None = None
    traceparent: Traceparent | None = None
    scan_id: ScanId | None = None
    fresh_since: AwareDatetime | None = None
    identity: _Identity = ""

    def __post_init__(self) -> None:
        """Takes the request ID for what identifies a request of a version that knew no other."""
        if not self.identity:
            object.__setattr__(self, "identity", name_based_id("request", self.request_id))


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """A part of ARM's tree whose VMs somebody wants assessed.

    Attributes:
        scope: a subscription or a resource group.
        request_id: the requester's own label, else the message's ID; every answer carries it.
        identity: what identifies the request, whatever its request ID.
        enqueued_at: when the request was taken, in UTC.
        tags: only VMs that have all of these, None for any value; none of them: any VM.
        running_only: whether VMs that are not running are left out.
        requested_by: who asks, in the requester's words.
        reason: why, in the requester's words.
        traceparent: the W3C trace context that the request came with.
    """

    scope: Scope
    request_id: RequestId
    identity: _Identity
    enqueued_at: AwareDatetime
    tags: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    running_only: bool = False
    requested_by: RequestedBy | None = None
    reason: Reason | None = None
    traceparent: Traceparent | None = None


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong with a message.

    Attributes:
        field: the field's name, with an index in a list: `vmIds[3]`; `body` for the whole.
        message: what it must be.
        value: what it is, cut to 256 characters of JSON; None where it is missing.
    """

    field: str
    message: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """A message that asks for nothing that this app can do, with all that is wrong with it."""

    request_id: str
    reason: str
    errors: tuple[FieldError, ...]
    message: IncomingMessage


def split(request: AssessmentRequest) -> AssessmentRequest:
    """Returns the request for one VM that a request for several brings."""
    return dataclasses.replace(request, identity=child_identity(request.identity, request.vm))
