"""What a message or a row of the table changes about a VM."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from patch_assessor_cli.arrivals import AlertSummary, Arrival, OutcomeSummary
from patch_assessor_console.model.flow import Scan, parse_time
from patch_assessor_console.model.patch import patches_of
from patch_assessor_console.model.vm import Vm
from plain_text import one_line


@dataclass(frozen=True, slots=True)
class Seen:
    """An outcome as the console keeps it.

    Attributes:
        at: When it was known.
        kind: The event's type in one word.
        summary: What it says.
        scan_id: The scan that it is part of; empty for none.
        data: The event's data.
    """

    at: datetime
    kind: str
    summary: OutcomeSummary
    scan_id: str
    data: Mapping[str, Any]

    @classmethod
    def of(cls, arrival: Arrival, now: datetime) -> "Seen":
        """Returns the outcome of a message; `now` stands for a time that it does not tell."""
        data = arrival.data
        request = data.get("request")
        scan_id = request.get("scanId") if isinstance(request, Mapping) else None
        summary = OutcomeSummary.of(arrival)
        return cls(
            at=parse_time(data.get("completedDateTime")) or arrival.enqueued_time or now,
            kind=summary.outcome,
            summary=summary,
            scan_id=scan_id if isinstance(scan_id, str) else "",
            data=data,
        )


def after_outcome(vm: Vm | None, seen: Seen) -> Vm | None:
    """Returns the VM after an outcome; None for one that names no VM."""
    summary = seen.summary
    if not summary.vm_id:
        return None
    told = _told(vm or Vm(summary.vm_id), seen)
    if seen.kind == "Completed":
        return _after_completion(told, seen)
    if _is_older(seen.at, told.attempted_at) or _is_older(seen.at, told.assessed_at):
        return told
    return replace(told, attempted_at=seen.at, attempt_reason=summary.status)


def after_alert(vm: Vm, alert: AlertSummary, at: datetime) -> Vm:
    """Returns the VM after an alert fired, spoke again, or was resolved at that time."""
    alerts = dict(vm.alerts)
    if alert.condition == "Resolved":
        alerts.pop(alert.rule, None)
    elif alert.condition == "Fired":
        alerts.setdefault(alert.rule, at)
    return replace(vm, alerts=alerts)


def merged(row: Vm, seen: Vm | None) -> Vm:
    """Returns the VM of a row of the table, with what only messages tell of it.

    Args:
        row: What the table says.
        seen: What was known before; where it is newer than the row, it stays.
    """
    if seen is None:
        return row
    if _is_older(row.assessed_at, seen.assessed_at) or (
        row.assessed_at is None and seen.assessed_at is not None
    ):
        return seen
    is_same = row.assessed_at == seen.assessed_at or row.activity_id == seen.activity_id
    # A message's list tells more of each patch than the table does.
    has_list = seen.patches is not None and (
        is_same or (row.patches is None and row.critical == seen.critical)
    )
    return replace(
        row,
        system=seen.system or row.system,
        tags=row.tags or seen.tags,
        patches=seen.patches if has_list else row.patches,
        patches_left_out=seen.patches_left_out if has_list else row.patches_left_out,
        seconds=row.seconds if row.seconds is not None else seen.seconds,
    )


def scan_of(data: Mapping[str, Any]) -> Scan | None:
    """Returns the scan that a `PatchAssessor.ScanCompleted` sums up; None if it names none."""
    scan_id, vms, request = data.get("scanId"), data.get("vms"), data.get("request")
    if not isinstance(scan_id, str) or not isinstance(vms, Mapping):
        return None
    counts = {name: value for name, value in vms.items() if isinstance(value, int)}
    request_id = request.get("requestId") if isinstance(request, Mapping) else ""
    return Scan(
        scan_id=scan_id,
        request_id=one_line(str(request_id)),
        scope=one_line(str(data.get("scope"))),
        found=counts.get("found", 0),
        requested=counts.get("requested", 0),
        assessed=counts.get("assessed", 0),
        failed=counts.get("failed", 0),
        skipped=counts.get("skipped", 0),
        status=one_line(str(data.get("status"))),
        started_at=parse_time(data.get("startedDateTime")),
    )


def _told(vm: Vm, seen: Seen) -> Vm:
    """Returns the VM with what any outcome tells of the VM itself."""
    about = seen.data.get("vm")
    fields: Mapping[str, Any] = about if isinstance(about, Mapping) else {}
    tags = fields.get("tags")
    return replace(
        vm,
        system=seen.summary.os or vm.system,
        os_type=one_line(str(fields.get("osType") or vm.os_type)),
        location=one_line(str(fields.get("location") or vm.location)),
        tags=(
            {one_line(str(name)): one_line(str(value)) for name, value in tags.items()}
            if isinstance(tags, Mapping)
            else vm.tags
        ),
    )


def _after_completion(vm: Vm, seen: Seen) -> Vm:
    if _is_older(seen.at, vm.assessed_at):
        return vm
    summary, data = seen.summary, seen.data
    patches, left_out = patches_of(data.get("availablePatches"))
    omitted = data.get("availablePatchesOmitted")
    return replace(
        vm,
        critical=summary.grave,
        other=summary.other,
        reboot_pending=summary.reboot,
        status=summary.status,
        assessed_at=seen.at,
        attempted_at=None,
        attempt_reason="",
        activity_id=one_line(str(data.get("assessmentActivityId") or "")),
        seconds=summary.seconds if summary.seconds is not None else vm.seconds,
        patches=patches,
        patches_left_out=left_out + (omitted if isinstance(omitted, int) else 0),
    )


def _is_older(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and one < other
