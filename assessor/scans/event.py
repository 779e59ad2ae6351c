"""The event that sums a scan up."""

from datetime import datetime
from enum import StrEnum
from typing import Final

from assessor.bus.message import OutgoingMessage, Property
from assessor.clock import to_text
from assessor.ids import name_based_id
from assessor.messages.outgoing import event_message
from assessor.messages.progress import ScanCompletion
from assessor.scan_account import Tally

SCAN_COMPLETED: Final = "PatchAssessor.ScanCompleted"


class ScanStatus(StrEnum):
    """How a scan ended."""

    SUCCEEDED = "Succeeded"
    """All VMs were listed, and each request has its outcome, whatever that is."""
    INCOMPLETE = "Incomplete"
    """All VMs were listed, and some could not be asked for, or their requests had no outcome when
    the scan's time was over."""
    FAILED = "Failed"
    """The list of VMs is not complete; `error` says why."""


def status_of(watch: ScanCompletion, tally: Tally) -> ScanStatus:
    """Returns how a scan ended whose records are `tally`."""
    if watch.error is not None:
        return ScanStatus.FAILED
    whole = not tally.missing and not watch.unreadable
    return ScanStatus.SUCCEEDED if whole else ScanStatus.INCOMPLETE


def scan_completed(watch: ScanCompletion, tally: Tally, now: datetime) -> OutgoingMessage:
    """Returns the message that sums a scan up; the same scan has the same ID each time.

    Args:
        watch: the scan.
        tally: its records.
        now: the end of a scan that has no outcome at all.
    """
    scan = watch.scan
    request = scan.request
    scope = request.scope
    ended_at = tally.last_at if tally.last_at is not None and not tally.missing else now
    status = status_of(watch, tally)
    properties: dict[str, Property] = {
        "status": status.value,
        "scanId": scan.id,
        "subscriptionId": scope.subscription_id,
    }
    if scope.resource_group is not None:
        properties["resourceGroupName"] = scope.resource_group
    return event_message(
        event_type=SCAN_COMPLETED,
        event_id=name_based_id("scan-completed", scan.id),
        request_id=request.request_id,
        subject=str(scope),
        time=ended_at,
        data={
            "request": {
                "requestId": request.request_id,
                "requestedBy": request.requested_by,
                "reason": request.reason,
                "enqueuedDateTime": to_text(request.enqueued_at),
            },
            "scanId": scan.id,
            "scope": str(scope),
            "tags": dict(request.tags),
            "runningOnly": request.running_only,
            "status": status.value,
            "startedDateTime": to_text(scan.started_at),
            "completedDateTime": to_text(ended_at),
            "durationSeconds": round((ended_at - scan.started_at).total_seconds(), 3),
            "vms": {
                "found": watch.found,
                "unreadable": sum(watch.unreadable.values()),
                "requested": tally.requested,
                "assessed": tally.assessed,
                "failed": tally.failed,
                "skipped": tally.skipped,
                "missing": tally.missing,
                "withCriticalPatches": tally.with_critical_patches,
                "rebootPending": tally.reboot_pending,
            },
            "unreadable": dict(watch.unreadable),
            "error": watch.error.to_json() if watch.error is not None else None,
        },
        properties=properties,
        traceparent=request.traceparent,
    )
