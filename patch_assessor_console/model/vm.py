"""A VM as the console knows it, and the state that it is in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from dotnet_text import ignoring_case
from patch_assessor_console.model.patch import Patch

REBOOT_RULE: Final = "RebootPending"
PATCHES_RULE: Final = "CriticalOrSecurityPatchesAvailable"
_ID_PARTS: Final = 9
"""Of "/subscriptions/S/resourceGroups/G/providers/Microsoft.Compute/virtualMachines/V"."""


class VmState(StrEnum):
    """The one word for a VM; the first that fits, in this order."""

    NOT_ASSESSED = "not assessed"
    STALE = "stale"
    FAILING = "failing"
    LACKS_PATCHES = "lacks patches"
    REBOOT_PENDING = "reboot pending"
    NOT_COUNTED = "not counted"
    UP_TO_DATE = "up to date"


@dataclass(frozen=True, slots=True)
class Vm:
    """A VM. What is not known is None, or an empty text.

    Attributes:
        vm_id: Its resource ID.
        system: Its operating system, as exactly as it is known.
        os_type: `Windows` or `Linux`.
        location: Its region.
        tags: Its tags.
        critical: Its critical and security patches, by ARM's count.
        other: Its other patches.
        reboot_pending: Whether it has to be rebooted.
        status: The last completed assessment's status.
        assessed_at: When that was.
        attempted_at: When it was tried since, in vain.
        attempt_reason: Why that came to nothing.
        alerts: Since when each alert is open, by rule.
        activity_id: The last completed assessment's activity ID.
        seconds: How long its assessments take.
        patches: What it lacks, if a list of that was seen.
        patches_left_out: How many more the list leaves out.
    """

    vm_id: str
    system: str = ""
    os_type: str = ""
    location: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    critical: int | None = None
    other: int | None = None
    reboot_pending: bool | None = None
    status: str = ""
    assessed_at: datetime | None = None
    attempted_at: datetime | None = None
    attempt_reason: str = ""
    alerts: Mapping[str, datetime] = field(default_factory=dict)
    activity_id: str = ""
    seconds: float | None = None
    patches: tuple[Patch, ...] | None = None
    patches_left_out: int = 0

    @property
    def key(self) -> str:
        """What VMs are told apart by: ARM does not look at case."""
        return ignoring_case(self.vm_id)

    @property
    def name(self) -> str:
        """Its name."""
        return self.vm_id.rpartition("/")[2]

    @property
    def subscription(self) -> str:
        """Its subscription, in lower case."""
        return self._part(2).lower()

    @property
    def group(self) -> str:
        """Its resource group."""
        return self._part(4)

    @property
    def reboot_since(self) -> datetime | None:
        """Since when a reboot is known to be pending."""
        return self.alerts.get(REBOOT_RULE)

    @property
    def trace_id(self) -> str:
        """The last assessment's trace: the activity ID's hex digits."""
        return self.activity_id.replace("-", "").lower()

    def _part(self, number: int) -> str:
        parts = self.vm_id.split("/")
        return parts[number] if len(parts) == _ID_PARTS else ""


def state_of(vm: Vm, now: datetime, stale_after: timedelta) -> VmState:  # noqa: PLR0911 - one for each state
    """Returns the VM's state.

    Args:
        vm: The VM.
        now: The time.
        stale_after: The age from which an assessment says nothing of today.
    """
    if vm.assessed_at is None:
        return VmState.NOT_ASSESSED
    if now - vm.assessed_at > stale_after:
        return VmState.STALE
    if vm.attempted_at is not None:
        return VmState.FAILING
    if vm.critical:
        return VmState.LACKS_PATCHES
    if vm.reboot_pending:
        return VmState.REBOOT_PENDING
    if vm.critical is None:
        return VmState.NOT_COUNTED
    return VmState.UP_TO_DATE
