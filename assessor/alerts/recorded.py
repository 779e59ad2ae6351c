"""What records tell of alerts and of what is remembered of a VM."""

from datetime import datetime
from typing import Final

from assessor.alerts.outbox import Published
from assessor.alerts.rules import PATCHES_RULE, REBOOT_RULE
from assessor.clock import to_text
from assessor.ids import name_based_id
from assessor.posture.model import Posture
from assessor.resource_id import VirtualMachineId
from assessor.telemetry.attributes import (
    PATCHES_SINCE,
    REBOOT_SINCE,
    RETIRED_AT,
    RULE_CHANGES,
    VM_ID,
)
from assessor.telemetry.records import Facts, Record

VM_GONE: Final = "PatchAssessor.VmGone"
"""The record of a VM that ARM no longer knows; there is no message of this type."""


def facts_of(published: Published) -> Facts:
    """Returns what an outcome's record tells of what the outcome changed."""
    posture = published.posture
    changes = [f"{each.alert.rule} {each.change.value}" for each in published.alerts]
    return {
        RULE_CHANGES: "; ".join(changes) or None,
        REBOOT_SINCE: _since(posture, REBOOT_RULE),
        PATCHES_SINCE: _since(posture, PATCHES_RULE),
        RETIRED_AT: to_text(posture.retired_at) if posture and posture.retired_at else None,
    }


def gone(vm_id: VirtualMachineId, at: datetime) -> Record:
    """Returns the record of a VM that is gone since `at`."""
    return Record(
        name=VM_GONE,
        id=name_based_id("vm-gone", vm_id.key, to_text(at)),
        text=f"{vm_id} is gone",
        status="Gone",
        facts={VM_ID: str(vm_id), RETIRED_AT: to_text(at)},
    )


def _since(posture: Posture | None, rule: str) -> str | None:
    alert = posture.open_alert(rule) if posture else None
    return to_text(alert.fired_at) if alert else None
