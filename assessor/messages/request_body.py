"""The fields of a request, each by a strict grammar; which of them go together is not said here."""

import json
from collections.abc import Iterator
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from assessor.messages import request_schema
from assessor.resource_id import ResourceIdError, Scope, VirtualMachineId, check_name

MAX_VMS: Final = 1000
"""How many VMs one message may name; more are a scan's work, whose requests are paced."""
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
RequestId = Annotated[str, StringConstraints(min_length=1, max_length=128)]
"""At most what Service Bus allows for a correlation ID."""
_ScopeId = Annotated[Scope, BeforeValidator(_scope), request_schema.SCOPE]
RequestedBy = Annotated[str, StringConstraints(max_length=256)]
Reason = Annotated[str, StringConstraints(max_length=1024)]
Traceparent = Annotated[str, StringConstraints(max_length=55)]
"""The only length that W3C's version 00 has."""
ScanId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
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
