"""Adoption: which assessment that the VM knows of answers a request, and what the VM tells of one.

ARM's instance view names the last assessment of a VM, with its counts and without its patches.
"""

from datetime import datetime, timedelta
from typing import Final

from assessor.arm.errors import ArmError
from assessor.arm.result import ApiError
from assessor.arm.virtual_machine import PatchSummary, VirtualMachine
from assessor.clock import from_text
from assessor.messages.outcome import Finished
from assessor.messages.progress import OperationRef
from assessor.messages.request import AssessmentRequest

_CLOCKS_APART: Final = timedelta(seconds=2)
"""How much older than its request an assessment may seem that was begun for it: some hosts write
whole seconds, and Compute and Service Bus have a clock each."""


def adoptable(
    vm: VirtualMachine, request: AssessmentRequest, now: datetime, deadline: timedelta
) -> PatchSummary | None:
    """Returns the assessment that already answers `request`, if the VM knows of one.

    That is one which runs now, or which began after the request was made: after a crash it is the
    request's own, else another request's of the same time. Either way it is as fresh as a new one
    would be.

    Args:
        vm: the VM as it was just read.
        request: what was asked.
        now: the time.
        deadline: nobody is at work any more on an assessment that has run for longer.
    """
    summary = vm.last_assessment
    if summary is None or summary.activity_id is None or vm.location is None:
        return None
    started_at = from_text(summary.start_time)
    if started_at is None:
        return None
    is_live = summary.is_in_progress and started_at > now - deadline
    since = min(request.fresh_since or request.enqueued_at, request.enqueued_at) - _CLOCKS_APART
    is_fresh = not summary.is_in_progress and started_at >= since
    return summary if is_live or is_fresh else None


def summary_of(vm: VirtualMachine, operation: OperationRef) -> PatchSummary | None:
    """Returns what the VM tells of that operation; None if it tells of another one, or of none."""
    summary = vm.last_assessment
    if summary is None or (summary.activity_id or "").lower() != operation.activity_id.lower():
        return None
    return summary


def finished_by_summary(
    request: AssessmentRequest,
    operation: OperationRef,
    summary: PatchSummary,
    error: ArmError,
    now: datetime,
) -> Finished:
    """Returns the end of an operation that can't be polled, from what the VM tells of it.

    Args:
        request: what was asked.
        operation: the operation.
        summary: what the VM tells of it; it has ended.
        error: why it can't be polled.
        now: the time, if the VM does not tell when it ended.
    """
    ended_at = from_text(summary.fields.get("lastModifiedTime")) or now
    return Finished(
        summary.as_result(),
        ended_at,
        max(0.0, (ended_at - operation.begun_at).total_seconds()),
        patches_missing=_why_listless(request, error),
    )


def operation_lost(operation: OperationRef, *errors: ApiError) -> ApiError:
    """Returns why an assessment failed that neither ARM nor the VM tells the end of."""
    return ApiError(
        "OperationLost",
        "The operation can't be followed, and the VM's instance view does not tell its end.",
        target=operation.activity_id,
        details=tuple(each.to_json() for each in errors),
    )


def _why_listless(request: AssessmentRequest, error: ArmError) -> str:
    """Returns, in one sentence or two, why there are counts and no patches."""
    said = f"{error.status} {error.error.code}"
    if error.status in {401, 403}:
        return (
            f"ARM refused to show the operation ({said}). Assign the right "
            "Microsoft.Compute/locations/operations/read at the scope "
            f"/subscriptions/{request.vm.subscription_id} to the app's identity; "
            "the counts come from the VM's instance view."
        )
    return f"ARM no longer knew the operation ({said}); the counts come from the instance view."
