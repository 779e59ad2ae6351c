"""Outlines: what the table's columns say of VMs, page by page, without the whole of each posture.

What time alone may change is decided from them for tens of thousands of VMs; the whole posture is
then read of those only that something may follow for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from assessor.posture.finding import Assessment
from assessor.posture.model import Attempt, OpenAlert, Posture
from assessor.resource_id import ResourceIdError, VirtualMachineId

OUTLINE_COLUMNS: Final = (
    "PartitionKey",
    "RowKey",
    "VmId",
    "AssessedAt",
    "Status",
    "AssessmentActivityId",
    "KnownSince",
    "AttemptedAt",
    "AttemptReason",
    "UntoldAlerts",
)


@dataclass(frozen=True, slots=True)
class Place:
    """A place between the rows of the table: everything up to a row of a partition is before it."""

    partition: str = ""
    row: str = ""


@dataclass(frozen=True, slots=True)
class Outline:
    """A VM as its row's columns have it.

    What is in no column is not known of its posture.
    """

    posture: Posture
    has_unpublished: bool = False


@dataclass(frozen=True, slots=True)
class OutlinePage:
    """Some rows of one partition.

    They are those of the VMs that are not gone; `next` is where the rows after them begin, None at
    the table's end.
    """

    outlines: tuple[Outline, ...]
    next: Place | None


def outline_of(row: Mapping[str, Any], alert_columns: Mapping[str, str]) -> Outline | None:
    """Returns a row's outline; None where the row names no VM.

    `alert_columns` tells what each rule's columns begin with, by the rule's name.
    """
    named = row.get("VmId")
    try:
        vm_id = VirtualMachineId.parse(named if isinstance(named, str) else "")
    except ResourceIdError:
        return None
    assessed_at, attempted_at = _time(row.get("AssessedAt")), _time(row.get("AttemptedAt"))
    posture = Posture(
        vm_id,
        assessment=(
            Assessment(
                activity_id=str(row.get("AssessmentActivityId")),
                status=str(row.get("Status")),
                started_at=assessed_at,
                completed_at=assessed_at,
            )
            if assessed_at
            else None
        ),
        open_alerts=tuple(
            OpenAlert(rule, str(row.get(f"{column}Id")), "", fired_at, fired_at)
            for rule, column in alert_columns.items()
            if (fired_at := _time(row.get(f"{column}FiredAt"))) is not None
        ),
        attempt=(
            Attempt("", attempted_at, str(row.get("AttemptReason")), found=True)
            if attempted_at
            else None
        ),
        known_since=_time(row.get("KnownSince")),
    )
    return Outline(posture, bool(row.get("UntoldAlerts")))


def _time(value: object) -> datetime | None:
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
