"""What records tell of alerts and of what is remembered of a VM."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from assessor.alerts.outbox import AlertOutbox, Published
from assessor.alerts.rules import PATCHES_RULE, REBOOT_RULE
from assessor.assessment.conclusion import Consequence
from assessor.clock import to_text
from assessor.messages.outcome import Outcome
from assessor.messages.request import name_based_id
from assessor.posture.model import Posture
from assessor.resource_id import VirtualMachineId
from assessor.telemetry import attributes as names
from assessor.telemetry.records import Facts, Record, Records

VM_GONE: Final = "PatchAssessor.VmGone"
"""The record of a VM that ARM no longer knows; there is no message of this type."""


def alerting(alerts: AlertOutbox) -> Consequence:
    """Returns what publishes the alerts that an outcome changes, and tells its record of them."""

    async def alert(_: object, outcome: Outcome, traceparent: str | None) -> Facts:
        return _facts_of(await alerts.conclude(outcome, traceparent))

    return alert


def retiring(
    alerts: AlertOutbox, records: Records
) -> Callable[[VirtualMachineId, datetime, str, str | None], Awaitable[None]]:
    """Returns what resolves the alerts of a VM that is gone, and records that it is."""

    async def retire(
        vm_id: VirtualMachineId, at: datetime, request_id: str, traceparent: str | None
    ) -> None:
        await alerts.retire(vm_id, at, request_id, traceparent)
        await records.write(
            Record(
                name=VM_GONE,
                id=name_based_id("vm-gone", vm_id.key, to_text(at)),
                text=f"{vm_id} is gone",
                status="Gone",
                facts={names.VM_ID: str(vm_id), names.RETIRED_AT: to_text(at)},
            )
        )

    return retire


def _facts_of(published: Published) -> Facts:
    """Returns what an outcome's record tells of what the outcome changed."""
    posture = published.posture
    changes = [f"{each.alert.rule} {each.change.value}" for each in published.alerts]
    return {
        names.RULE_CHANGES: "; ".join(changes) or None,
        names.REBOOT_SINCE: _since(posture, REBOOT_RULE),
        names.PATCHES_SINCE: _since(posture, PATCHES_RULE),
        names.RETIRED_AT: to_text(posture.retired_at) if posture and posture.retired_at else None,
    }


def _since(posture: Posture | None, rule: str) -> str | None:
    alert = posture.open_alert(rule) if posture else None
    return to_text(alert.fired_at) if alert else None
