"""What may be asked: the forms of a request, and what is wrong with a message that has none.

The contract is the "Request" section of docs/integrate.md: one VM by `vmId` or by its three names,
many by `vmIds`, a whole scope by `scope`, each as plain JSON or as the data of a CloudEvents 1.0
message.
"""

import codecs
import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json

from assessor.clock import to_text
from assessor.ids import name_based_id
from assessor.messages import cloud_event
from assessor.messages.first_enqueued import content_id
from assessor.messages.request_body import (
    Reason,
    RequestBody,
    RequestedBy,
    RequestId,
    ScanId,
    Traceparent,
)
from assessor.resource_id import Scope, VirtualMachineId, is_allowed
from assessor.telemetry.ids import traceparent_in
from dotnet_datacontract import read_string

_FORMS: Final = {
    "vmId": ("vmId",),
    "names": ("subscriptionId", "resourceGroupName", "vmName"),
    "vmIds": ("vmIds",),
    "scope": ("scope",),
}
_SCOPE_FIELDS: Final = ("tags", "runningOnly")
"""What narrows a scope down, and means nothing without one."""
_MOST_STRINGS: Final = 3
"""How many JSON strings within one another are opened."""
_SHOWN_CHARACTERS: Final = 256
"""How much of a wrong value an error repeats: enough to find it in the sender's log."""


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


_Identity = Annotated[str, StringConstraints(max_length=128), Field(alias="message_id")]
"""Under the name that it had in in-progress messages before."""


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


def parse_request(
    message: IncomingMessage, allowed: Sequence[Scope]
) -> tuple[AssessmentRequest, ...] | ScanRequest | Rejection:
    """Returns the requests that `message` holds, one for each VM or one for a scope, or why none.

    `allowed` are the scopes that a request may name; none of them: everything may be named.
    """
    try:
        payload, traceparent = _payload(message)
    except _NotUnderstoodError as not_understood:
        return Rejection(message.message_id, "NotUnderstood", not_understood.errors, message)
    errors = [*_form_errors(payload)]
    try:
        body = RequestBody.model_validate({k: v for k, v in payload.items() if v is not None})
    except ValidationError as invalid:
        errors += [_field_error(detail) for detail in invalid.errors(include_url=False)]
        return Rejection(_request_id(payload, message), "Invalid", tuple(errors), message)
    if errors:
        return Rejection(_request_id(payload, message), "Invalid", tuple(errors), message)
    request_id = body.request_id or message.message_id
    forbidden = tuple(
        FieldError(name, "must lie in one of the scopes that this app may assess", str(part))
        for name, part in body.parts()
        if not is_allowed(part, allowed)
    )
    if forbidden:
        return Rejection(request_id, "OutOfScope", forbidden, message)
    if body.scope is not None:
        return ScanRequest(
            scope=body.scope,
            request_id=request_id,
            identity=message.scan_identity,
            enqueued_at=message.enqueued_at,
            tags=body.tags or {},
            running_only=bool(body.running_only),
            requested_by=body.requested_by,
            reason=body.reason,
            traceparent=traceparent,
        )
    return tuple(
        AssessmentRequest(
            vm=vm,
            request_id=request_id,
            enqueued_at=message.enqueued_at,
            requested_by=body.requested_by,
            reason=body.reason,
            traceparent=traceparent,
            identity=message.identity,
        )
        for vm in dict.fromkeys(vm for _, vm in body.vms())
    )


def split(request: AssessmentRequest) -> AssessmentRequest:
    """Returns the request for one VM that a request for several brings."""
    return dataclasses.replace(request, identity=child_identity(request.identity, request.vm))


class _NotUnderstoodError(Exception):
    """The message is not JSON, or not a CloudEvent although it says so."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__(errors)
        self.errors = errors


_REQUEST_ID: Final = TypeAdapter[str](RequestId)


def _request_id(payload: Mapping[str, Any], message: IncomingMessage) -> str:
    """Returns the requester's ID even where other fields are wrong, so that it finds its answer."""
    try:
        return _REQUEST_ID.validate_python(payload.get("requestId"), strict=True)
    except ValidationError:
        return message.message_id


def _payload(message: IncomingMessage) -> tuple[Mapping[str, Any], str | None]:
    """Returns the request's JSON object, out of its envelope, and the trace it came with."""
    if message.body_problem is not None:
        raise _NotUnderstoodError(FieldError("body", message.body_problem))
    body, properties = _unwrapped(message.body), message.application_properties
    traceparents = [properties.get("traceparent"), properties.get("Diagnostic-Id")]
    payload: object
    try:
        event = cloud_event.find(body, message.content_type, properties)
        if event is None:
            payload = _json(body)
        else:
            payload = _json(event.data) if isinstance(event.data, bytes | str) else event.data
            traceparents.append(event.traceparent)
    except cloud_event.CloudEventError as error:
        raise _NotUnderstoodError(
            *(FieldError(name, problem) for name, problem in error.problems)
        ) from error
    if isinstance(payload, str):
        payload = _within(payload)
    if not isinstance(payload, Mapping):
        raise _NotUnderstoodError(FieldError("body", "must be a JSON object", _shown(payload)))
    return payload, next(filter(None, map(traceparent_in, traceparents)), None)


def _unwrapped(body: bytes) -> bytes:
    """Returns the JSON that a body holds which is no JSON object or list, but a text of one.

    `new BrokeredMessage(text)` of .NET's retired Service Bus package serialises the text. A client
    that makes JSON of what it is given, and was given JSON, sends a JSON string, an envelope's too.
    """
    text = read_string(body)
    if text is not None:
        body = text.encode()
    for _ in range(_MOST_STRINGS):
        within = _json_string(body)
        if within is None:
            break
        body = within
    return body


def _json_string(body: bytes) -> bytes | None:
    """Returns what a JSON string holds that looks like JSON; None for any other body."""
    if body.removeprefix(codecs.BOM_UTF8).lstrip()[:1] != b'"':
        return None
    try:
        text = from_json(body.removeprefix(codecs.BOM_UTF8), allow_inf_nan=False)
    except ValueError:
        return None
    if not isinstance(text, str) or text.lstrip("\ufeff \t\r\n")[:1] not in {"{", "[", '"'}:
        return None
    return text.encode(errors="surrogatepass")


def _json(data: bytes | str) -> object:
    try:
        text = data.removeprefix(codecs.BOM_UTF8) if isinstance(data, bytes) else data
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise _NotUnderstoodError(FieldError("body", f"must be JSON in UTF-8: {error}")) from error


def _within(text: str) -> object:
    """Returns the JSON that a JSON string holds; the string if it holds none.

    A client that makes JSON of what it is given, and was given JSON, sends it so.
    """
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        return text


def _form_errors(payload: Mapping[str, Any]) -> Iterator[FieldError]:
    """Yields what is wrong with the choice of fields, whatever their values are."""
    for name in _SCOPE_FIELDS:
        if payload.get(name) is not None and payload.get("scope") is None:
            yield FieldError(name, "goes with scope, which is missing", _shown(payload[name]))
    begun = [
        fields
        for fields in _FORMS.values()
        if any(payload.get(field) is not None for field in fields)
    ]
    if not begun:
        yield FieldError(
            "vmId",
            "is missing: name the VM by vmId, by subscriptionId, resourceGroupName and vmName, "
            "several by vmIds, or all of a scope by scope",
        )
    for fields in begun[1:]:
        yield FieldError(
            fields[0],
            f"must not stand beside {begun[0][0]}: a request names its VMs in one way",
            _shown(payload.get(fields[0])),
        )
    for fields in begun:
        for field in fields:
            if payload.get(field) is None:
                yield FieldError(field, f"is missing: it goes with {_others(field, fields)}")


def _others(field: str, fields: Sequence[str]) -> str:
    return " and ".join(other for other in fields if other != field)


def _field_error(detail: ErrorDetails) -> FieldError:
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"])
    return FieldError(name.removeprefix("."), detail["msg"], _shown(detail["input"]))


def _shown(value: object) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
