"""The data of outcomes: what each type of message on the results topic says.

The contract is the "Outcome" section of docs/integrate.md; the descriptions here are what
schemas/ says of the fields.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from assessor.messages.model import AbsentWhenNone, DateTime, DescribedBy, Model, Uuid, one_of
from assessor.messages.shapes import ApiErrorShape, PatchShape

_Count = Annotated[int, Field(ge=0)]
_Some = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True)
class Asked(Model):
    """What was asked."""

    request_id: str
    """The requester's own ID, else the message's."""
    requested_by: str | None
    """As in the request."""
    reason: str | None
    """As in the request."""
    enqueued_date_time: DateTime
    """When the requests queue took the request."""
    scan_id: Annotated[Uuid | None, AbsentWhenNone()] = None
    """The scan that asked; absent without one."""


@dataclass(frozen=True, kw_only=True)
class VmDescription(Model):
    """A VM as ARM described it."""

    location: str | None
    os_type: Annotated[str | None, Field(examples=["Windows", "Linux"])]
    os_name: str | None
    power_state: Annotated[str | None, Field(examples=["running", "deallocated"])]
    tags: Mapping[str, str] | None
    """Null where they were left out to keep the message within its limit."""


@dataclass(frozen=True, kw_only=True)
class About(Model):
    """Which request, and which VM."""

    request: Asked
    vm_id: str
    """In the case in which it was asked for; compare without case."""
    subscription_id: Uuid
    resource_group_name: str
    vm_name: str
    vm: VmDescription
    """As ARM described it when the assessment began; null for what it did not tell."""
    custom_properties: Annotated[Mapping[str, str] | None, AbsentWhenNone()] = None
    """The VM's tags that ALERT_TAGS names; absent where it has none of them."""


@dataclass(frozen=True, kw_only=True)
class HintData(Model):
    """What to do about a refusal."""

    action: str
    """A sentence or two for people."""
    documentation: str
    """The address where that is explained."""


@dataclass(frozen=True, kw_only=True)
class Result(Model):
    """VirtualMachineAssessPatchesResult of Microsoft.Compute, as ARM sent it.

    Values pass through unread, whatever they are, and fields of later API versions with them: the
    types that ARM's reference promises stand in the descriptions and bind nobody. A field that ARM
    left out is null.
    """

    status: Annotated[
        Any, Field(examples=["Succeeded", "CompletedWithWarnings", "Unknown", "Failed"])
    ]
    """String or null."""
    assessment_activity_id: Any
    """String or null. Without its hyphens it is the assessment's trace ID."""
    reboot_pending: Any
    """Boolean or null."""
    critical_and_security_patch_count: Any
    """Integer or null."""
    other_patch_count: Any
    """Integer or null."""
    start_date_time: Any
    """Time or null; ARM writes up to 7 fraction digits and any offset."""
    available_patches: Annotated[Any, DescribedBy(list[PatchShape])]
    """Array, or null where ARM gave no list: the counts may be above zero all the same."""
    error: Annotated[Any, DescribedBy(ApiErrorShape)]
    """ApiError, or null."""
    completed_date_time: DateTime
    """When the operation ended, by ARM's clock where it told."""
    operation_seconds: Annotated[float, Field(ge=0)] | None
    """How long the operation took; null where none began or nobody knows."""
    available_patches_missing: Annotated[str | None, AbsentWhenNone()] = None
    """Why there is no list although the assessment ended, in words; absent otherwise."""
    available_patches_truncated: Annotated[_Some | None, AbsentWhenNone()] = None
    """How many patches are not in the list because the extension in the VM cut it; records
    named Truncated_patch_list_id stand for them, and are no patches. Absent where none is."""
    hint: Annotated[HintData | None, AbsentWhenNone()] = None
    """What to do about the error, where that is known; absent elsewhere. It is for people and
    may change."""
    available_patches_omitted: Annotated[_Count | None, AbsentWhenNone()] = None
    """How many patches were left out to keep the message within its limit, the critical and
    security ones last; absent where none was."""


@dataclass(frozen=True, kw_only=True)
class CompletedData(Result, About):
    """The assessment came to a result, and its own status is not Failed.

    Values pass through unread, whatever they are, and fields of later API versions with them: the
    types that ARM's reference promises stand in the descriptions and bind nobody. A field that ARM
    left out is null.
    """


_Failed = Annotated[
    Any, WithJsonSchema({"type": "string", "pattern": "^[Ff][Aa][Ii][Ll][Ee][Dd]$"})
]


@dataclass(frozen=True, kw_only=True)
class FailedData(Result, About):
    """The result says Failed, ARM refused for good, or the deadline passed.

    error says why. Of an assessment that came to no result, the other fields of the result are
    null, but for its status and, once it was begun, its assessmentActivityId.

    Values pass through unread, whatever they are, and fields of later API versions with them: the
    types that ARM's reference promises stand in the descriptions and bind nobody. A field that ARM
    left out is null.
    """

    status: Annotated[
        _Failed, Field(examples=["Succeeded", "CompletedWithWarnings", "Unknown", "Failed"])
    ]
    """String or null."""


@dataclass(frozen=True, kw_only=True)
class SkippedData(About):
    """The VM can not be assessed now, and nothing is wrong with the request."""

    reason: Annotated[
        str,
        Field(examples=["VmNotRunning", "VmBeingDeleted", "VmAgentNotReady", "ImageNotSupported"]),
    ]
    message: str
    """The reason in a sentence."""
    completed_date_time: DateTime
    hint: Annotated[HintData | None, AbsentWhenNone()] = None
    """What to do about it, where that is known. It may change."""


@dataclass(frozen=True, kw_only=True)
class RejectedMessage(Model):
    """The message that is no request."""

    request_id: str
    """The requester's own ID where it could be read, else the message's."""
    message_id: str
    enqueued_date_time: DateTime
    content_type: str | None


@dataclass(frozen=True, kw_only=True)
class RejectedField(Model):
    """One thing that is wrong."""

    field: str
    """With an index in a list, as vmIds[3]; body for the whole."""
    message: str
    """What it must be."""
    value: str | None
    """What it is, cut to 256 characters; null where it is missing."""


@dataclass(frozen=True, kw_only=True)
class RejectedData(Model):
    """A message in the requests queue asks for nothing that can be done."""

    request: RejectedMessage
    reason: Annotated[str, Field(examples=["NotUnderstood", "Invalid", "OutOfScope"])]
    errors: tuple[RejectedField, ...]
    """All that is wrong, not the first alone."""
    body: str
    """The message's own body."""
    body_encoding: Annotated[str, one_of("utf-8", "base64")]
    body_sha256: Annotated[str, Field(alias="bodySha256", pattern="^[0-9a-f]{64}$")]
    """Of the body's bytes, all of them."""
    completed_date_time: DateTime
    errors_omitted: Annotated[_Some | None, AbsentWhenNone()] = None
    """Absent where none was left out."""
    body_omitted_characters: Annotated[_Count | None, AbsentWhenNone()] = None
    """How many characters of body, from its end, were left out to keep the message within its
    limit; absent where none was."""
