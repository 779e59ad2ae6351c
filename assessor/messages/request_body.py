"""What a message asks for: a request's fields, each by a strict grammar, and which go together."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails, PydanticCustomError

from assessor.messages import request_schema
from assessor.messages.envelope import NotUnderstoodError, payload_of, shown
from assessor.messages.request import (
    AssessmentRequest,
    FieldError,
    IncomingMessage,
    Reason,
    Rejection,
    RequestedBy,
    RequestId,
    ScanRequest,
)
from assessor.resource_id import ResourceIdError, Scope, VirtualMachineId, check_name, is_allowed

MAX_VMS: Final = 1000
"""How many VMs one message may name; more are a scan's work, whose requests are paced."""
_FORMS: Final = {
    "vmId": ("vmId",),
    "names": ("subscriptionId", "resourceGroupName", "vmName"),
    "vmIds": ("vmIds",),
    "scope": ("scope",),
}
_SCOPE_FIELDS: Final = ("tags", "runningOnly")
"""What narrows a scope down, and means nothing without one."""
_A_SCOPE: Final = "must be /subscriptions/{guid} or one of its resource groups"


def _vm_id(value: object) -> VirtualMachineId:
    if not isinstance(value, str):
        raise PydanticCustomError("string_type", "must be a string")
    try:
        return VirtualMachineId.parse(value)
    except ResourceIdError as error:
        raise _custom_error(error) from error


def _scope(value: object) -> object:
    if not isinstance(value, str):
        raise PydanticCustomError("string_type", "must be a string")
    try:
        scope = Scope.parse(value)
    except ResourceIdError as error:
        raise PydanticCustomError("scope", _A_SCOPE) from error
    if scope.vm_name is not None:
        raise PydanticCustomError("scope", _A_SCOPE)
    return scope


def _legal_name(name: str) -> AfterValidator:
    def check(text: str) -> str:
        try:
            return check_name(name, text)
        except ResourceIdError as error:
            raise _custom_error(error) from error

    return AfterValidator(check)


def _custom_error(error: ResourceIdError) -> PydanticCustomError:
    return PydanticCustomError("resource_id", "must be {expected}", {"expected": error.expected})


_VmId = Annotated[VirtualMachineId, BeforeValidator(_vm_id), request_schema.VM_ID]
_ScopeId = Annotated[Scope, BeforeValidator(_scope), request_schema.SCOPE]
MAX_TAGS_BYTES: Final = 128 * 1024
"""Of a scan's tags as JSON in ASCII, which is the longest form in which the app sends them on."""


def _bounded(tags: dict[str, str | None]) -> dict[str, str | None]:
    if len(json.dumps(tags)) > MAX_TAGS_BYTES:
        raise PydanticCustomError("too_long", "must be at most 128 KB as JSON in ASCII")
    return tags


_Tags = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=512)],
        Annotated[str, StringConstraints(max_length=256)] | None,
    ],
    Field(max_length=50),
    AfterValidator(_bounded),
]
"""ARM allows 50 tags, with names of at most 512 characters and values of 256. A scan's messages,
which carry them, stay below what the namespace takes."""
_REQUEST_ID: Final = TypeAdapter[str](RequestId)


class RequestBody(BaseModel):
    """A message on the queue assessment-requests, or the data of a CloudEvent there.

    It names its VMs in one of four ways. A field that is null counts as absent; unknown fields are
    left out.
    """

    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        strict=True,
        alias_generator=to_camel,
        validate_by_alias=True,
        title="Request",
        use_attribute_docstrings=True,
    )

    vm_id: _VmId | None = None
    """One VM."""
    subscription_id: (
        Annotated[str, _legal_name("subscriptionId"), request_schema.SUBSCRIPTION_ID] | None
    ) = None
    """One VM, with resourceGroupName and vmName."""
    resource_group_name: (
        Annotated[str, _legal_name("resourceGroupName"), request_schema.GROUP_NAME] | None
    ) = None
    vm_name: Annotated[str, _legal_name("vmName"), request_schema.VM_NAME] | None = None
    vm_ids: Annotated[list[_VmId], Field(min_length=1, max_length=MAX_VMS)] | None = None
    """Several VMs; each gets an outcome of its own, with the same request ID."""
    scope: _ScopeId | None = None
    """All VMs of a part of ARM's tree: /subscriptions/{guid}, or that with
    /resourceGroups/{name}; case does not matter."""
    tags: _Tags | None = None
    """With scope: only VMs that have all of these; null stands for any value."""
    running_only: bool | None = None
    """With scope: whether VMs that do not run are left out; else they are told as skipped."""
    request_id: RequestId | None = None
    """The requester's own label: each outcome carries it, as correlation ID too; the message ID
    by default. It may come again in another message, and is answered again then."""
    requested_by: RequestedBy | None = None
    """Who asks, for people."""
    reason: Reason | None = None
    """Why, for people."""

    def parts(self) -> Iterator[tuple[str, VirtualMachineId | Scope]]:
        """Yields each part of ARM's tree that is named, with the name of the field."""
        if self.scope is not None:
            yield "scope", self.scope
        yield from self.vms()

    def vms(self) -> Iterator[tuple[str, VirtualMachineId]]:
        """Yields each VM that is named, with the name of the field that names it."""
        if self.vm_id is not None:
            yield "vmId", self.vm_id
        elif self.vm_ids is not None:
            for index, vm_id in enumerate(self.vm_ids):
                yield f"vmIds[{index}]", vm_id
        elif self.subscription_id and self.resource_group_name and self.vm_name:
            yield (
                "vmName",
                VirtualMachineId(self.subscription_id, self.resource_group_name, self.vm_name),
            )


def parse_request(
    message: IncomingMessage, allowed: Sequence[Scope]
) -> tuple[AssessmentRequest, ...] | ScanRequest | Rejection:
    """Returns the requests that `message` holds, one for each VM or one for a scope, or why none.

    `allowed` are the scopes that a request may name; none of them: everything may be named.
    """
    try:
        payload, traceparent = payload_of(message)
    except NotUnderstoodError as not_understood:
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


def _request_id(payload: Mapping[str, Any], message: IncomingMessage) -> str:
    """Returns the requester's ID even where other fields are wrong, so that it finds its answer."""
    try:
        return _REQUEST_ID.validate_python(payload.get("requestId"), strict=True)
    except ValidationError:
        return message.message_id


def _form_errors(payload: Mapping[str, Any]) -> Iterator[FieldError]:
    """Yields what is wrong with the choice of fields, whatever their values are."""
    for name in _SCOPE_FIELDS:
        if payload.get(name) is not None and payload.get("scope") is None:
            yield FieldError(name, "goes with scope, which is missing", shown(payload[name]))
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
            shown(payload.get(fields[0])),
        )
    for fields in begun:
        for field in fields:
            if payload.get(field) is None:
                yield FieldError(field, f"is missing: it goes with {_others(field, fields)}")


def _others(field: str, fields: Sequence[str]) -> str:
    return " and ".join(other for other in fields if other != field)


def _field_error(detail: ErrorDetails) -> FieldError:
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"])
    return FieldError(name.removeprefix("."), detail["msg"], shown(detail["input"]))
