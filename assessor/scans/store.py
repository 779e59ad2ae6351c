"""Where scans are accounted for, and the store's twin in memory.

Each VM that a scan asks for has a record of its own, so that whatever is repeated after a crash
writes the same again: counting records is right where adding to a counter would not be.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from assessor.errors import UnavailableError
from assessor.messages.outcome import Outcome, OutcomeType
from assessor.posture.finding import finding_of
from assessor.resource_id import VirtualMachineId


class ScanStoreError(UnavailableError):
    """The store did not do what it was asked.

    Attributes:
        scan_id: the scan.
        reason: what the store, or the way to it, said.
    """

    def __init__(self, scan_id: str, reason: str) -> None:
        super().__init__(f"the accounts of scan {scan_id}: {reason}")
        self.scan_id = scan_id
        self.reason = reason


class Ending(StrEnum):
    """How a request of a scan ended."""

    ASSESSED = "assessed"
    FAILED = "failed"
    SKIPPED = "skipped"


_ENDINGS = {
    OutcomeType.COMPLETED: Ending.ASSESSED,
    OutcomeType.FAILED: Ending.FAILED,
    OutcomeType.SKIPPED: Ending.SKIPPED,
    OutcomeType.REJECTED: Ending.FAILED,
}


@dataclass(frozen=True, slots=True)
class Concluded:
    """What a scan keeps of an outcome.

    Attributes:
        ending: how it ended.
        critical: whether the VM lacks critical or security patches.
        reboot: whether the VM waits for a reboot.
        at: when that was known.
    """

    ending: Ending
    critical: bool
    reboot: bool
    at: datetime


def concluded(outcome: Outcome) -> Concluded:
    """Returns what a scan keeps of `outcome`."""
    finding = finding_of(outcome)
    counted = finding is not None and bool(finding.assessment.critical_and_security_count)
    return Concluded(
        ending=_ENDINGS[outcome.type],
        critical=counted or (finding is not None and bool(finding.listed or finding.hidden)),
        reboot=finding is not None and finding.assessment.reboot_pending is True,
        at=outcome.time,
    )


@dataclass(frozen=True, slots=True)
class ScanState:
    """How far a scan is.

    Attributes:
        started_at: when it was accepted for the first time.
        expanded: whether all of its requests are sent.
        summed_up: whether its end was told, and its records are gone.
    """

    started_at: datetime
    expanded: bool = False
    summed_up: bool = False


@dataclass(frozen=True, slots=True)
class Tally:
    """A scan's records, counted.

    Attributes:
        requested: the VMs that requests were sent for.
        assessed: of these, those whose assessment completed.
        failed: those whose assessment failed.
        skipped: those that could not be assessed then.
        with_critical_patches: those that lack critical or security patches.
        reboot_pending: those that wait for a reboot.
        last_at: when the last outcome was known; None if there is none.
    """

    requested: int = 0
    assessed: int = 0
    failed: int = 0
    skipped: int = 0
    with_critical_patches: int = 0
    reboot_pending: int = 0
    last_at: datetime | None = None

    @property
    def missing(self) -> int:
        """The VMs that have no outcome."""
        return self.requested - self.assessed - self.failed - self.skipped


def count(records: Iterable[Concluded | None]) -> Tally:
    """Returns the sum of a scan's records; None stands for a VM that has no outcome yet."""
    numbers = dict.fromkeys(Ending, 0)
    requested = critical = reboot = 0
    last_at: datetime | None = None
    for record in records:
        requested += 1
        if record is None:
            continue
        numbers[record.ending] += 1
        critical += record.critical
        reboot += record.reboot
        last_at = record.at if last_at is None else max(last_at, record.at)
    return Tally(
        requested=requested,
        assessed=numbers[Ending.ASSESSED],
        failed=numbers[Ending.FAILED],
        skipped=numbers[Ending.SKIPPED],
        with_critical_patches=critical,
        reboot_pending=reboot,
        last_at=last_at,
    )


class ScanStore(Protocol):
    """Remembers scans. Each method may be repeated; all raise ScanStoreError."""

    async def open(self, scan_id: str, started_at: datetime) -> ScanState:
        """Remembers a scan if nothing is remembered of it, and returns what is."""
        ...

    async def state(self, scan_id: str) -> ScanState | None:
        """Returns what is remembered of a scan."""
        ...

    async def expect(self, scan_id: str, vms: Sequence[VirtualMachineId]) -> None:
        """Makes a record for each VM that has none; one that has an outcome keeps it."""
        ...

    async def mark_expanded(self, scan_id: str) -> None:
        """Remembers that all requests of the scan are sent."""
        ...

    async def record(self, scan_id: str, vm_id: VirtualMachineId, outcome: Concluded) -> None:
        """Remembers an outcome; nothing where the VM has no record in the scan."""
        ...

    async def is_pending(self, scan_id: str) -> bool:
        """Returns whether a record without an outcome is there. Cheaper than a tally."""
        ...

    async def tally(self, scan_id: str) -> Tally:
        """Returns the sum of the scan's records."""
        ...

    async def sum_up(self, scan_id: str) -> None:
        """Remembers that the scan's end was told, and forgets its records."""
        ...


class MemoryScans:
    """Accounts for scans in this process only.

    What an app without storage does: right with one worker that lives as long as the scan. Several
    workers, or one that starts again, need the table.
    """

    def __init__(self) -> None:
        self._states: dict[str, ScanState] = {}
        self._records: dict[str, dict[str, Concluded | None]] = {}

    async def open(self, scan_id: str, started_at: datetime) -> ScanState:
        """Remembers a scan if nothing is remembered of it, and returns what is."""
        return self._states.setdefault(scan_id, ScanState(started_at))

    async def state(self, scan_id: str) -> ScanState | None:
        """Returns what is remembered of a scan."""
        return self._states.get(scan_id)

    async def expect(self, scan_id: str, vms: Sequence[VirtualMachineId]) -> None:
        """Makes a record for each VM that has none."""
        records = self._records.setdefault(scan_id, {})
        for vm in vms:
            records.setdefault(vm.key, None)

    async def mark_expanded(self, scan_id: str) -> None:
        """Remembers that all requests of the scan are sent."""
        state = self._states.get(scan_id)
        if state is not None:
            self._states[scan_id] = replace(state, expanded=True)

    async def record(self, scan_id: str, vm_id: VirtualMachineId, outcome: Concluded) -> None:
        """Remembers an outcome; nothing where the VM has no record in the scan."""
        records = self._records.get(scan_id, {})
        if vm_id.key in records:
            records[vm_id.key] = outcome

    async def is_pending(self, scan_id: str) -> bool:
        """Returns whether a record without an outcome is there."""
        return None in self._records.get(scan_id, {}).values()

    async def tally(self, scan_id: str) -> Tally:
        """Returns the sum of the scan's records."""
        return count(self._records.get(scan_id, {}).values())

    async def sum_up(self, scan_id: str) -> None:
        """Remembers that the scan's end was told, and forgets its records."""
        state = self._states.get(scan_id)
        if state is not None:
            self._states[scan_id] = replace(state, expanded=True, summed_up=True)
        self._records.pop(scan_id, None)
