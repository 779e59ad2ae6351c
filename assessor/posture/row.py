"""A posture as a row of the table: columns for people's queries, and the whole of it beside them.

Keys: the subscription is the partition, and the VM's group and name are the row. Azure Tables take
2,000 operations a second for a partition; ARM lets a subscription begin 200 assessments a minute
in a region, so even one in all regions stays far below. One VM is one point read, a resource group
one range of rows, a subscription one partition.

The whole is compressed JSON in binary columns. A VM may lack thousands of patches, and a column
holds 64 KiB, a row 1 MiB.
Source: learn.microsoft.com, "Understanding the Table service data model" and "Scalability and
performance targets for Table storage".
"""

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from assessor.posture.durations import Learned
from assessor.posture.lacking import OMITTED, from_columns, parts_of, to_columns
from assessor.posture.model import OpenAlert, Posture
from assessor.resource_id import VirtualMachineId
from dotnet_text import ignoring_case

FORMAT: Final = 1
DURATION_COLUMNS: Final = ("DurationCount", "DurationSeconds", "DurationSpread")
"""How many assessments told, how long they took, and the deviation of that's logarithm."""
_LEARNED: Final = TypeAdapter(Learned)
_POSTURE: Final = TypeAdapter(Posture)

Value = str | int | float | bool | datetime | bytes
Row = Mapping[str, Any]
AlertColumns = Mapping[str, str]
"""What each alert rule's columns begin with, by the rule's name."""


class RowError(ValueError):
    """A row that holds no posture that this version can read."""


def keys_of(vm_id: VirtualMachineId) -> tuple[str, str]:
    """Returns the partition key and the row key of a VM.

    No character that a key may not have (slashes, `#`, `?`, control characters) is legal in the
    names of subscriptions, resource groups and VMs, and neither is the `|` between them.
    """
    names = f"{vm_id.resource_group}|{vm_id.name}"
    return ignoring_case(vm_id.subscription_id), ignoring_case(names)


def to_row(posture: Posture, alert_columns: AlertColumns) -> dict[str, Value]:
    """Returns the row that keeps `posture`. A column without a value is absent."""
    partition, row = keys_of(posture.vm_id)
    assessment, attempt = posture.assessment, posture.attempt
    columns: dict[str, Value | None] = {
        "PartitionKey": partition,
        "RowKey": row,
        "VmId": str(posture.vm_id),
        "Location": posture.location,
        "OsType": posture.os_type,
        "Assessed": assessment is not None,
        "Retired": posture.retired_at is not None,
        "RetiredAt": posture.retired_at,
        "OpenAlerts": len(posture.open_alerts),
        "UntoldAlerts": len(posture.unpublished),
        "Format": FORMAT,
    }
    if assessment is not None:
        columns |= {
            "AssessedAt": assessment.completed_at,
            "Status": assessment.status,
            "AssessmentActivityId": assessment.activity_id,
            "CriticalAndSecurityPatchCount": assessment.critical_and_security_count,
            "OtherPatchCount": assessment.other_count,
            "RebootPending": assessment.reboot_pending,
        }
    if posture.durations is not None:
        columns |= _duration_columns(posture.durations)
    if attempt is not None:
        columns |= {"AttemptedAt": attempt.at, "AttemptReason": attempt.reason}
    if assessment is None:
        columns |= {"KnownSince": posture.known_since}
    for alert in posture.open_alerts:
        columns |= _alert_columns(alert, alert_columns[alert.rule])
    if posture.tags:
        columns |= {"Tags": json.dumps(dict(posture.tags))}
    present = {name: value for name, value in columns.items() if value is not None}
    return present | to_columns(posture.lacks, posture.lacks_omitted) | _whole(posture)


def from_row(row: Row, alert_columns: AlertColumns) -> Posture:
    """Returns the posture that `row` keeps.

    Raises:
        RowError: it keeps none, one of another format, or an alert of a rule that nobody knows.
    """
    if row.get("Format") != FORMAT:
        raise RowError(f"the row's format is {row.get('Format')!r}, not {FORMAT}")
    try:
        packed = b"".join(row[_part(number)] for number in range(row["Parts"]))
        posture = _POSTURE.validate_python(json.loads(zlib.decompress(packed)))
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
        ValidationError,
        zlib.error,
    ) as error:
        raise RowError(f"the row can't be read: {type(error).__name__}") from error
    alerts = (*posture.open_alerts, *(each.alert for each in posture.unpublished))
    if any(each.rule not in alert_columns for each in alerts):
        raise RowError("the row has an alert of a rule that this version does not have")
    omitted = row.get(OMITTED)
    return replace(
        posture,
        lacks=from_columns(row),
        lacks_omitted=omitted if isinstance(omitted, int) else 0,
    )


def durations_from_row(row: Row) -> Learned | None:
    """Returns how long the VM's assessments took, from DURATION_COLUMNS of its row alone.

    None where they hold nothing that can be used: they only say when to poll.
    """
    try:
        count, seconds, spread = (row[name] for name in DURATION_COLUMNS)
        return _LEARNED.validate_python(
            {"count": count, "log_mean": math.log(seconds), "log_variance": spread**2}
        )
    except (KeyError, TypeError, ValueError, OverflowError):  # ValidationError is a ValueError
        return None


def _duration_columns(learned: Learned) -> dict[str, Value]:
    spread = math.sqrt(learned.log_variance)
    return dict(
        zip(DURATION_COLUMNS, (learned.count, math.exp(learned.log_mean), spread), strict=True)
    )


def _alert_columns(alert: OpenAlert, name: str) -> dict[str, Value]:
    return {f"{name}Id": alert.alert_id, f"{name}FiredAt": alert.fired_at}


def _whole(posture: Posture) -> dict[str, Value]:
    # json and not pydantic writes the text: it also writes what is no valid Unicode in a patch.
    text = json.dumps(
        _POSTURE.dump_python(
            posture, mode="json", by_alias=True, exclude={"lacks", "lacks_omitted"}
        ),
        separators=(",", ":"),
    )
    packed = zlib.compress(text.encode())
    parts = parts_of(packed)
    return {"Parts": len(parts), **{_part(number): part for number, part in enumerate(parts)}}


def _part(number: int) -> str:
    return f"Part{number}"
