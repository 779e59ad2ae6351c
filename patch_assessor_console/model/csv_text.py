"""Tables as CSV by RFC 4180, which a spreadsheet opens without obeying what others wrote."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from patch_assessor_console.model.fleet import Row

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes a cell for a formula by, which may run programs."""
_COLUMNS: Final = (
    "name",
    "subscription",
    "resourceGroup",
    "operatingSystem",
    "criticalAndSecurityPatchCount",
    "otherPatchCount",
    "rebootPending",
    "rebootPendingSince",
    "lastAssessed",
    "state",
    "openAlerts",
    "tags",
    "attempted",
    "attemptReason",
    "vmId",
)


def fleet_csv(rows: Iterable[Row]) -> str:
    """Returns the rows with a heading; times are RFC 3339 in UTC, what is not known is empty."""
    return to_csv(_COLUMNS, map(_cells, rows))


def to_csv(heading: Sequence[str], lines: Iterable[Iterable[object]]) -> str:
    """Returns a table as CSV.

    A text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(heading)
    writer.writerows([_plain(cell) for cell in line] for line in lines)
    return file.getvalue()


def _cells(row: Row) -> tuple[object, ...]:
    vm = row.vm
    return (
        vm.name,
        vm.subscription,
        vm.group,
        vm.system,
        vm.critical,
        vm.other,
        vm.reboot_pending,
        vm.reboot_since,
        vm.assessed_at,
        str(row.state),
        "; ".join(vm.alerts),
        "; ".join(f"{name}={value}" for name, value in vm.tags.items()),
        vm.attempted_at,
        vm.attempt_reason,
        vm.vm_id,
    )


def _plain(cell: object) -> str:
    match cell:
        case None:
            return ""
        case bool():
            return str(cell).lower()
        case datetime():
            return cell.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        case str() if cell.startswith(_FORMULA):
            return f"'{cell}"
        case _:
            return str(cell)
