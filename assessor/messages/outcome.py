"""What became of a request: the conclusions there are, and the outcome that each is published as.

The contract is the "Outcome" section of docs/integrate.md. Every field of
VirtualMachineAssessPatchesResult stands in the outcome under its REST name, with the value that
ARM sent: unknown enum values, odd timestamps and fields of later API versions pass through.
"""

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, TypedDict, assert_never

from assessor.arm.hints import Hint, hint_for
from assessor.arm.result import ApiError, AssessmentResult, Json
from assessor.arm.virtual_machine import SkipReason, VirtualMachine
from assessor.clock import to_text
from assessor.messages.model import render
from assessor.messages.outcome_data import (
    Asked,
    CompletedData,
    HintData,
    RejectedData,
    RejectedField,
    RejectedMessage,
    SkippedData,
    VmDescription,
)
from assessor.messages.request import AssessmentRequest, Rejection, name_based_id
from assessor.resource_id import VirtualMachineId


class OutcomeType(StrEnum):
    """The CloudEvents types of outcomes."""

    COMPLETED = "PatchAssessor.AssessmentCompleted"
    FAILED = "PatchAssessor.AssessmentFailed"
    SKIPPED = "PatchAssessor.AssessmentSkipped"
    REJECTED = "PatchAssessor.RequestRejected"


@dataclass(frozen=True, slots=True)
class Finished:
    """The operation ended and gave a result, whatever that result's own status is.

    Attributes:
        result: what the assessment found.
        ended_at: when the operation ended, by ARM's clock where it told.
        seconds: how long the operation took; None where nobody knows when it began.
        patches_missing: why there is no list of patches, where ARM could not be asked for it.
    """

    result: AssessmentResult
    ended_at: datetime
    seconds: float | None
    patches_missing: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """There is no result, and there will be none.

    Attributes:
        error: why.
        activity_id: the operation that came to nothing, if one began.
        ended_at: when that was known.
        seconds: how long after the begin, if there was one.
        reported_activity_id: what a result that is not believed calls itself.
    """

    error: ApiError
    ended_at: datetime
    activity_id: str | None = None
    seconds: float | None = None
    reported_activity_id: str | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """The VM can't be assessed now, and nothing is wrong with the request."""

    reason: SkipReason
    message: str
    ended_at: datetime
    hint: Hint | None = None


Conclusion = Finished | Refused | Skipped
"""How an assessment ended."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is published of one request.

    Attributes:
        type: the CloudEvents type.
        id: deterministic: a repeated conclusion of the same request has the same one.
        request_id: the requester's ID.
        time: when the outcome was known, in UTC.
        vm_id: the VM; None where a rejected message named none.
        data: the event's data.
        conclusion: how the assessment ended, or why there is none.
        vm: the VM as it was read; None where it was not.
    """

    type: OutcomeType
    id: str
    request_id: str
    time: datetime
    vm_id: VirtualMachineId | None
    data: dict[str, Any]
    conclusion: Conclusion | Rejection
    vm: VirtualMachine | None = None


def outcome_id(identity: str, vm_id: VirtualMachineId | None) -> str:
    """Returns the ID of the one outcome that a request has for a VM.

    It is made of what identifies the request, not of the request ID, which may come again. It does
    not depend on how the assessment ended, so that a repeat after a crash is a duplicate
    even if it ends otherwise.
    """
    return name_based_id("outcome", identity, vm_id.key if vm_id else "")


def conclude(
    request: AssessmentRequest, vm: VirtualMachine | None, conclusion: Conclusion
) -> Outcome:
    """Returns the outcome of a request whose assessment came to `conclusion`."""
    match conclusion:
        case Finished(result=result):
            kind = OutcomeType.FAILED if result.is_failed else OutcomeType.COMPLETED
            data = _result_data(conclusion, result.raw, _about(request, vm))
        case Refused(error=error, activity_id=activity_id):
            kind = OutcomeType.FAILED
            raw = {
                "status": "Failed",
                "assessmentActivityId": activity_id,
                "error": error.to_json(),
            }
            data = _result_data(conclusion, raw, _about(request, vm))
        case Skipped():
            kind = OutcomeType.SKIPPED
            data = render(
                SkippedData(
                    **_about(request, vm),
                    reason=conclusion.reason.value,
                    message=conclusion.message,
                    completed_date_time=to_text(conclusion.ended_at),
                    hint=_hint(conclusion.hint),
                )
            )
        case _:
            assert_never(conclusion)
    return Outcome(
        type=kind,
        id=outcome_id(request.identity, request.vm),
        request_id=request.request_id,
        time=conclusion.ended_at,
        vm_id=request.vm,
        data=data,
        conclusion=conclusion,
        vm=vm,
    )


def reject(rejection: Rejection, now: datetime) -> Outcome:
    """Returns the outcome of a message that asks for nothing that can be done.

    It carries the message's own body: as text where it is UTF-8, else in base64.
    """
    body = rejection.message.body
    try:
        text, encoding = body.decode(), "utf-8"
    except UnicodeDecodeError:
        text, encoding = base64.b64encode(body).decode(), "base64"
    return Outcome(
        type=OutcomeType.REJECTED,
        id=outcome_id(rejection.message.identity, None),
        request_id=rejection.request_id,
        time=now,
        vm_id=None,
        data=render(
            RejectedData(
                request=RejectedMessage(
                    request_id=rejection.request_id,
                    message_id=rejection.message.message_id,
                    enqueued_date_time=to_text(rejection.message.enqueued_at),
                    content_type=rejection.message.content_type,
                ),
                reason=rejection.reason,
                errors=tuple(
                    RejectedField(field=error.field, message=error.message, value=error.value)
                    for error in rejection.errors
                ),
                body=text,
                body_encoding=encoding,
                body_sha256=hashlib.sha256(body).hexdigest(),
                completed_date_time=to_text(now),
            )
        ),
        conclusion=rejection,
    )


_ENDING: Final = (
    "hint",
    "completedDateTime",
    "operationSeconds",
    "availablePatchesMissing",
    "availablePatchesTruncated",
)


class _About(TypedDict):
    request: Asked
    vm_id: str
    subscription_id: str
    resource_group_name: str
    vm_name: str
    vm: VmDescription


def _about(request: AssessmentRequest, vm: VirtualMachine | None) -> _About:
    vm_id = request.vm
    known = vm or VirtualMachine(vm_id)
    return {
        "request": Asked(
            request_id=request.request_id,
            requested_by=request.requested_by,
            reason=request.reason,
            enqueued_date_time=to_text(request.enqueued_at),
            scan_id=request.scan_id,
        ),
        "vm_id": str(vm_id),
        "subscription_id": vm_id.subscription_id,
        "resource_group_name": vm_id.resource_group,
        "vm_name": vm_id.name,
        "vm": VmDescription(
            location=known.location,
            os_type=known.os_type,
            os_name=known.os_name,
            power_state=known.power_state,
            tags=known.tags,
        ),
    }


def _hint(hint: Hint | None) -> HintData | None:
    if hint is None:
        return None
    return HintData(action=hint.action, documentation=hint.documentation)


def _result_data(ended: Finished | Refused, raw: Json, about: _About) -> dict[str, Any]:
    """Returns the data of a result: each of ARM's fields, and none in the place of one of ours."""
    seconds = ended.seconds
    missing, truncated = None, 0
    error = ended.result.error if isinstance(ended, Finished) else ended.error
    if isinstance(ended, Finished):
        missing, truncated = ended.patches_missing, ended.result.hidden
    own = render(
        CompletedData(
            **about,
            status=raw.get("status"),
            assessment_activity_id=raw.get("assessmentActivityId"),
            reboot_pending=raw.get("rebootPending"),
            critical_and_security_patch_count=raw.get("criticalAndSecurityPatchCount"),
            other_patch_count=raw.get("otherPatchCount"),
            start_date_time=raw.get("startDateTime"),
            available_patches=raw.get("availablePatches"),
            error=raw.get("error"),
            completed_date_time=to_text(ended.ended_at),
            operation_seconds=round(seconds, 3) if seconds is not None else None,
            available_patches_missing=missing,
            available_patches_truncated=truncated or None,
            hint=_hint(hint_for(error)),
        )
    )
    more = {name: value for name, value in raw.items() if name not in own}
    ending = {name: own.pop(name) for name in _ENDING if name in own}
    return own | more | ending
