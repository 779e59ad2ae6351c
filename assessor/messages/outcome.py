"""What became of a request: the conclusions there are, and the outcome that each is told as.

The contract is the "Outcome" section of docs/integrate.md. Every field of
VirtualMachineAssessPatchesResult stands in the outcome under its REST name, with the value that
ARM sent: unknown enum values, odd timestamps and fields of later API versions pass through.
"""

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, assert_never

from assessor.arm.result import ApiError, AssessmentResult, Json
from assessor.arm.virtual_machine import SkipReason, VirtualMachine
from assessor.clock import to_text
from assessor.ids import name_based_id
from assessor.messages.patches import hidden_by
from assessor.messages.request import AssessmentRequest, Rejection
from assessor.resource_id import VirtualMachineId

_RESULT_FIELDS: Final = (
    "status",
    "assessmentActivityId",
    "rebootPending",
    "criticalAndSecurityPatchCount",
    "otherPatchCount",
    "startDateTime",
    "availablePatches",
    "error",
)


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
    """

    error: ApiError
    ended_at: datetime
    activity_id: str | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """The VM can't be assessed now, and nothing is wrong with the request."""

    reason: SkipReason
    message: str
    ended_at: datetime


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


def outcome_id(request_id: str, vm_id: VirtualMachineId | None) -> str:
    """Returns the ID of the one outcome that a request has for a VM.

    It does not depend on how the assessment ended, so that a repeat after a crash is a duplicate
    even if it ends otherwise.
    """
    return name_based_id("outcome", request_id, vm_id.key if vm_id else "")


def conclude(
    request: AssessmentRequest, vm: VirtualMachine | None, conclusion: Conclusion
) -> Outcome:
    """Returns the outcome of a request whose assessment came to `conclusion`.

    Args:
        request: what was asked.
        vm: the VM as it was read, or None where it could not be.
        conclusion: how it ended.
    """
    about = _request_fields(request) | _vm_fields(request.vm, vm)
    match conclusion:
        case Finished(result=result):
            # `about` once more: a field that ARM adds must not take the place of one of ours
            data = about | _result_fields(result.raw) | about | _ending(conclusion)
            if conclusion.patches_missing is not None:
                data["availablePatchesMissing"] = conclusion.patches_missing
            truncated = sum(map(hidden_by, result.patches or ()))
            if truncated:
                data["availablePatchesTruncated"] = truncated
            kind = OutcomeType.FAILED if result.is_failed else OutcomeType.COMPLETED
        case Refused(error=error, activity_id=activity_id):
            failed = {"status": "Failed", "assessmentActivityId": activity_id}
            data = about | _result_fields(failed) | {"error": error.to_json()} | _ending(conclusion)
            kind = OutcomeType.FAILED
        case Skipped():
            data = about | {
                "reason": conclusion.reason.value,
                "message": conclusion.message,
                "completedDateTime": to_text(conclusion.ended_at),
            }
            kind = OutcomeType.SKIPPED
        case _:
            assert_never(conclusion)
    return Outcome(
        type=kind,
        id=outcome_id(request.request_id, request.vm),
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
        id=outcome_id(rejection.request_id, None),
        request_id=rejection.request_id,
        time=now,
        vm_id=None,
        data={
            "request": {
                "requestId": rejection.request_id,
                "messageId": rejection.message.message_id,
                "enqueuedDateTime": to_text(rejection.message.enqueued_at),
                "contentType": rejection.message.content_type,
            },
            "reason": rejection.reason,
            "errors": [
                {"field": error.field, "message": error.message, "value": error.value}
                for error in rejection.errors
            ],
            "body": text,
            "bodyEncoding": encoding,
            "bodySha256": hashlib.sha256(body).hexdigest(),
            "completedDateTime": to_text(now),
        },
        conclusion=rejection,
    )


def _request_fields(request: AssessmentRequest) -> dict[str, Any]:
    fields = {
        "requestId": request.request_id,
        "requestedBy": request.requested_by,
        "reason": request.reason,
        "enqueuedDateTime": to_text(request.enqueued_at),
    }
    if request.scan_id is not None:
        fields["scanId"] = request.scan_id
    return {"request": fields}


def _vm_fields(vm_id: VirtualMachineId, vm: VirtualMachine | None) -> dict[str, Any]:
    known = vm or VirtualMachine(vm_id)
    return {
        "vmId": str(vm_id),
        "subscriptionId": vm_id.subscription_id,
        "resourceGroupName": vm_id.resource_group,
        "vmName": vm_id.name,
        "vm": {
            "location": known.location,
            "osType": known.os_type,
            "osName": known.os_name,
            "powerState": known.power_state,
            "tags": dict(known.tags),
        },
    }


def _result_fields(result: Json) -> dict[str, Any]:
    return {name: result.get(name) for name in _RESULT_FIELDS} | dict(result)


def _ending(conclusion: Finished | Refused) -> dict[str, Any]:
    return {
        "completedDateTime": to_text(conclusion.ended_at),
        "operationSeconds": (
            round(conclusion.seconds, 3) if conclusion.seconds is not None else None
        ),
    }
