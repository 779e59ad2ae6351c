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


@dataclass(frozen=True, kw_only=True)
class Asked(Model):
    """What was asked."""

    request_id: Annotated[str, Field(description="The requester's own ID, else the message's.")]
    requested_by: Annotated[str | None, Field(description="As in the request.")]
    reason: Annotated[str | None, Field(description="As in the request.")]
    enqueued_date_time: Annotated[
        DateTime, Field(description="When the requests queue took the request.")
    ]
    scan_id: Annotated[
        Uuid | None,
        AbsentWhenNone(),
        Field(description="The scan that asked; absent without one."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class VmDescription(Model):
    """A VM as ARM described it."""

    location: str | None
    os_type: Annotated[str | None, Field(examples=["Windows", "Linux"])]
    os_name: str | None
    power_state: Annotated[str | None, Field(examples=["running", "deallocated"])]
    tags: Annotated[
        Mapping[str, str] | None,
        Field(description="Null where they were left out to keep the message within its limit."),
    ]


@dataclass(frozen=True, kw_only=True)
class About(Model):
    """Which request, and which VM."""

    request: Asked
    vm_id: Annotated[
        str, Field(description="In the case in which it was asked for; compare without case.")
    ]
    subscription_id: Uuid
    resource_group_name: str
    vm_name: str
    vm: Annotated[
        VmDescription,
        Field(
            description="As ARM described it when the assessment began; null for what it did not "
            "tell."
        ),
    ]
    custom_properties: Annotated[
        Mapping[str, str] | None,
        AbsentWhenNone(),
        Field(description="The VM's tags that ALERT_TAGS names; absent where it has none of them."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class HintData(Model):
    """What to do about a refusal."""

    action: Annotated[str, Field(description="A sentence or two for people.")]
    documentation: Annotated[str, Field(description="The address where that is explained.")]


@dataclass(frozen=True, kw_only=True)
class Result(Model):
    """VirtualMachineAssessPatchesResult of Microsoft.Compute, as ARM sent it.

    Values pass through unread, whatever they are, and fields of later API versions with them: the
    types that ARM's reference promises stand in the descriptions and bind nobody. A field that ARM
    left out is null.
    """

    status: Annotated[
        Any,
        Field(
            description="String or null.",
            examples=["Succeeded", "CompletedWithWarnings", "Unknown", "Failed"],
        ),
    ]
    assessment_activity_id: Annotated[
        Any,
        Field(description="String or null. Without its hyphens it is the assessment's trace ID."),
    ]
    reboot_pending: Annotated[Any, Field(description="Boolean or null.")]
    critical_and_security_patch_count: Annotated[Any, Field(description="Integer or null.")]
    other_patch_count: Annotated[Any, Field(description="Integer or null.")]
    start_date_time: Annotated[
        Any,
        Field(description="Time or null; ARM writes up to 7 fraction digits and any offset."),
    ]
    available_patches: Annotated[
        Any,
        DescribedBy(list[PatchShape]),
        Field(
            description="Array, or null where ARM gave no list: the counts may be above zero all "
            "the same."
        ),
    ]
    error: Annotated[Any, DescribedBy(ApiErrorShape), Field(description="ApiError, or null.")]
    completed_date_time: Annotated[
        DateTime, Field(description="When the operation ended, by ARM's clock where it told.")
    ]
    operation_seconds: Annotated[
        Annotated[float, Field(ge=0)] | None,
        Field(description="How long the operation took; null where none began or nobody knows."),
    ]
    available_patches_missing: Annotated[
        str | None,
        AbsentWhenNone(),
        Field(
            description="Why there is no list although the assessment ended, in words; absent "
            "otherwise."
        ),
    ] = None
    available_patches_truncated: Annotated[
        Annotated[int, Field(ge=1)] | None,
        AbsentWhenNone(),
        Field(
            description="How many patches are not in the list because the extension in the VM cut "
            "it; records named Truncated_patch_list_id stand for them, and are no patches. Absent "
            "where none is."
        ),
    ] = None
    hint: Annotated[
        HintData | None,
        AbsentWhenNone(),
        Field(
            description="What to do about the error, where that is known; absent elsewhere. It is "
            "for people and may change."
        ),
    ] = None
    available_patches_omitted: Annotated[
        Annotated[int, Field(ge=0)] | None,
        AbsentWhenNone(),
        Field(
            description="How many patches were left out to keep the message within its limit, the "
            "critical and security ones last; absent where none was."
        ),
    ] = None


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
        _Failed,
        Field(
            description="String or null.",
            examples=["Succeeded", "CompletedWithWarnings", "Unknown", "Failed"],
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class SkippedData(About):
    """The VM can not be assessed now, and nothing is wrong with the request."""

    reason: Annotated[
        str,
        Field(examples=["VmNotRunning", "VmBeingDeleted", "VmAgentNotReady", "ImageNotSupported"]),
    ]
    message: Annotated[str, Field(description="The reason in a sentence.")]
    completed_date_time: DateTime
    hint: Annotated[
        HintData | None,
        AbsentWhenNone(),
        Field(description="What to do about it, where that is known. It may change."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class RejectedMessage(Model):
    """The message that is no request."""

    request_id: Annotated[
        str,
        Field(description="The requester's own ID where it could be read, else the message's."),
    ]
    message_id: str
    enqueued_date_time: DateTime
    content_type: str | None


@dataclass(frozen=True, kw_only=True)
class RejectedField(Model):
    """One thing that is wrong."""

    field: Annotated[
        str, Field(description="With an index in a list, as vmIds[3]; body for the whole.")
    ]
    message: Annotated[str, Field(description="What it must be.")]
    value: Annotated[
        str | None,
        Field(description="What it is, cut to 256 characters; null where it is missing."),
    ]


@dataclass(frozen=True, kw_only=True)
class RejectedData(Model):
    """A message in the requests queue asks for nothing that can be done."""

    request: RejectedMessage
    reason: Annotated[str, Field(examples=["NotUnderstood", "Invalid", "OutOfScope"])]
    errors: Annotated[
        tuple[RejectedField, ...], Field(description="All that is wrong, not the first alone.")
    ]
    body: Annotated[str, Field(description="The message's own body.")]
    body_encoding: Annotated[str, one_of("utf-8", "base64")]
    body_sha256: Annotated[
        str,
        Field(
            alias="bodySha256",
            pattern="^[0-9a-f]{64}$",
            description="Of the body's bytes, all of them.",
        ),
    ]
    completed_date_time: DateTime
    errors_omitted: Annotated[
        Annotated[int, Field(ge=1)] | None,
        AbsentWhenNone(),
        Field(description="Absent where none was left out."),
    ] = None
    body_omitted_characters: Annotated[
        Annotated[int, Field(ge=0)] | None,
        AbsentWhenNone(),
        Field(
            description="How many characters of body, from its end, were left out to keep the "
            "message within its limit; absent where none was."
        ),
    ] = None
