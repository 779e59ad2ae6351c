"""What the posture table says of the fleet: rows read, and summed up by subscription."""

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from azure.data.tables.aio import TableClient

from dotnet_text import ignoring_case
from patch_assessor_cli.alert_rules import ALERT_RULES
from patch_assessor_cli.table_rows import Decode, Row, as_is, read_pages, time

NO_TAG: Final = "(none)"
"""The value of a tag that a VM lacks."""
_ALERT_COLUMNS: Final = {f"{rule.column}FiredAt": rule.name for rule in ALERT_RULES}
_COLUMNS: Final[Mapping[str, Decode]] = {
    "PartitionKey": as_is,
    "VmId": as_is,
    "AssessedAt": time,
    "Status": as_is,
    "CriticalAndSecurityPatchCount": as_is,
    "OtherPatchCount": as_is,
    "RebootPending": as_is,
    "AttemptedAt": time,
    "AttemptReason": as_is,
    "Tags": as_is,
    **dict.fromkeys(_ALERT_COLUMNS, time),
}
_NO_MORE: Final[Mapping[str, Decode]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class VmPosture:
    """One VM as its row shows it. What is not known is None.

    Attributes:
        subscription_id: The subscription, in lower case.
        vm_id: The VM's resource ID.
        assessed_at: When it was last assessed; None if it never was.
        status: That assessment's status.
        critical_and_security_count: Its critical and security patches, by ARM's count.
        other_count: Its other patches.
        reboot_pending: Whether it has to be rebooted.
        open_alerts: Since when each alert is open, by rule.
        attempted_at: When it was last tried since, in vain.
        attempt_reason: Why that came to nothing.
        tags: The VM's tags, as it was last read; None if they are not known.
    """

    subscription_id: str
    vm_id: str
    assessed_at: datetime | None = None
    status: str | None = None
    critical_and_security_count: int | None = None
    other_count: int | None = None
    reboot_pending: bool | None = None
    open_alerts: Mapping[str, datetime] = field(default_factory=dict)
    attempted_at: datetime | None = None
    attempt_reason: str | None = None
    tags: Mapping[str, str] | None = None

    @property
    def state(self) -> str:
        """`assessed`, or `not assessed`: then there are no numbers, which is not zero."""
        return "not assessed" if self.assessed_at is None else "assessed"

    def tag(self, name: str) -> str | None:
        """Returns the value of a tag, whose name is compared without regard to case."""
        wanted = ignoring_case(name)
        found = (value for key, value in (self.tags or {}).items() if ignoring_case(key) == wanted)
        return next(found, None)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "VmPosture":
        """Returns the VM of a row of the table."""
        return cls(
            subscription_id=row["PartitionKey"],
            vm_id=row["VmId"],
            assessed_at=row.get("AssessedAt"),
            status=row.get("Status"),
            critical_and_security_count=row.get("CriticalAndSecurityPatchCount"),
            other_count=row.get("OtherPatchCount"),
            reboot_pending=row.get("RebootPending"),
            open_alerts={
                rule: row[column]
                for column, rule in _ALERT_COLUMNS.items()
                if row.get(column) is not None
            },
            attempted_at=row.get("AttemptedAt"),
            attempt_reason=row.get("AttemptReason"),
            tags=_tags(row.get("Tags")),
        )


@dataclass(frozen=True, slots=True)
class SubscriptionPosture:
    """A subscription, or the VMs of one value of a tag, summed up.

    Attributes:
        subscription_id: The subscription, or the tag's value.
        vms: Its VMs in the table, without those that are gone.
        never_assessed: Those of them that were tried and never assessed.
        open_alerts: How many alerts are open, by rule.
        oldest_alert: Since when the oldest one is.
        assessed_first: When the VM that has waited longest was assessed.
        assessed_last: When the last assessment was.
    """

    subscription_id: str
    vms: int
    never_assessed: int
    open_alerts: Mapping[str, int]
    oldest_alert: datetime | None
    assessed_first: datetime | None
    assessed_last: datetime | None


async def read_fleet(
    table: TableClient, subscription_id: str | None = None
) -> AsyncIterator[list[VmPosture]]:
    """Yields the VMs of the table that are not gone, in pages, by subscription, group and name.

    Args:
        table: The posture table.
        subscription_id: Only those of this subscription; of all if None.
    """
    async for page in read_rows(table, subscription_id):
        yield [VmPosture.of(row) for row in page]


def read_rows(
    table: TableClient,
    subscription_id: str | None = None,
    more: Mapping[str, Decode] = _NO_MORE,
) -> AsyncIterator[list[Row]]:
    """Yields the rows of the VMs that are not gone, in pages: what `VmPosture.of` takes.

    Args:
        table: The posture table.
        subscription_id: Only those of this subscription; of all if None.
        more: Further columns to read, and how they are decoded.
    """
    return read_pages(table, {**_COLUMNS, **more}, subscription_id)


def _tags(text: object) -> Mapping[str, str] | None:
    try:
        found = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def sum_by_tag(fleet: Iterable[VmPosture], name: str) -> list[SubscriptionPosture]:
    """Returns the VMs of each value of a tag summed up; those without it are `(none)`."""
    by_value: dict[str, list[VmPosture]] = {}
    for vm in fleet:
        by_value.setdefault(vm.tag(name) or NO_TAG, []).append(vm)
    return [_sum(value, vms) for value, vms in sorted(by_value.items())]


def sum_up(fleet: Iterable[VmPosture]) -> list[SubscriptionPosture]:
    """Returns each subscription summed up, in the order of their IDs."""
    by_subscription: dict[str, list[VmPosture]] = {}
    for vm in fleet:
        by_subscription.setdefault(vm.subscription_id, []).append(vm)
    return [_sum(name, vms) for name, vms in sorted(by_subscription.items())]


def _sum(subscription_id: str, vms: list[VmPosture]) -> SubscriptionPosture:
    assessed = [vm.assessed_at for vm in vms if vm.assessed_at is not None]
    return SubscriptionPosture(
        subscription_id=subscription_id,
        vms=len(vms),
        never_assessed=len(vms) - len(assessed),
        open_alerts={
            rule: sum(rule in vm.open_alerts for vm in vms) for rule in _ALERT_COLUMNS.values()
        },
        oldest_alert=min((at for vm in vms for at in vm.open_alerts.values()), default=None),
        assessed_first=min(assessed, default=None),
        assessed_last=max(assessed, default=None),
    )
