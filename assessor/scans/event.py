"""The event that sums a scan up."""

from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import Final

from assessor.bus.message import OutgoingMessage, Property
from assessor.clock import to_text
from assessor.messages.model import render
from assessor.messages.outcome_data import Asked
from assessor.messages.outgoing import event_message
from assessor.messages.progress import ScanCompletion
from assessor.messages.request import name_based_id
from assessor.messages.scan_data import ScanData, ScanError, VmCounts
from assessor.scan_account import Tally
from assessor.telemetry import attributes as names
from assessor.telemetry.records import Record

_UNRECORDED: Final = frozenset({"with_critical_patches", "reboot_pending"})
"""The counts that the message alone tells."""
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

    A scan that has no outcome at all ends now.
    """
    scan = watch.scan
    request = scan.request
    scope = request.scope
    ended_at = tally.last_at if tally.last_at is not None and not tally.missing else now
    status = status_of(watch, tally)
    counts = VmCounts(
        found=watch.found,
        unreadable=sum(watch.unreadable.values()),
        requested=tally.requested,
        assessed=tally.assessed,
        failed=tally.failed,
        skipped=tally.skipped,
        missing=tally.missing,
        with_critical_patches=tally.with_critical_patches,
        reboot_pending=tally.reboot_pending,
    )
    properties: dict[str, Property] = {
        "status": status.value,
        "scanId": scan.id,
        "subscriptionId": scope.subscription_id,
    }
    if scope.resource_group is not None:
        properties["resourceGroupName"] = scope.resource_group
    return event_message(
        event_type=SCAN_COMPLETED,
        event_id=scan_event_id(scan.id),
        request_id=request.request_id,
        subject=str(scope),
        time=ended_at,
        data=render(
            ScanData(
                request=Asked(
                    request_id=request.request_id,
                    requested_by=request.requested_by,
                    reason=request.reason,
                    enqueued_date_time=to_text(request.enqueued_at),
                ),
                scan_id=scan.id,
                scope=str(scope),
                tags=request.tags,
                running_only=request.running_only,
                status=status.value,
                started_date_time=to_text(scan.started_at),
                completed_date_time=to_text(ended_at),
                duration_seconds=round((ended_at - scan.started_at).total_seconds(), 3),
                vms=counts,
                unreadable=watch.unreadable,
                error=None if watch.error is None else ScanError.of(watch.error),
            )
        ),
        properties=properties,
        traceparent=request.traceparent,
        record=_record(watch, counts, status, ended_at),
    )


def _record(
    watch: ScanCompletion, counts: VmCounts, status: ScanStatus, ended_at: datetime
) -> Record:
    """Returns what telemetry keeps of a scan."""
    scan = watch.scan
    return Record(
        name=SCAN_COMPLETED,
        id=scan_event_id(scan.id),
        text=(
            f"scan {scan.id} of {scan.request.scope}: {status.value}, {counts.assessed} of "
            f"{counts.requested} VMs assessed, {counts.failed} failed, {counts.skipped} skipped, "
            f"{counts.missing} without outcome"
        ),
        status=status.value,
        facts={
            names.TIME: to_text(ended_at),
            names.STARTED: to_text(scan.started_at),
            names.SCAN_ID: scan.id,
            names.SCOPE: str(scan.request.scope),
            names.REQUEST_ID: scan.request.request_id,
            names.REASON: watch.error.code if watch.error is not None else None,
            names.TOTAL_SECONDS: round((ended_at - scan.started_at).total_seconds(), 3),
            **{
                names.COUNT_PREFIX + name: count
                for name, count in asdict(counts).items()
                if name not in _UNRECORDED
            },
        },
    )


def scan_event_id(scan_id: str) -> str:
    """Returns the ID of the event that sums a scan up."""
    return name_based_id("scan-completed", scan_id)
