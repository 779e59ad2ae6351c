"""Where scans are accounted for, and the store's twin in memory.

Each VM that a scan asks for has a record of its own, so that whatever is repeated after a crash
writes the same again: counting records is right where adding to a counter would not be.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from assessor.errors import UnavailableError
from assessor.messages.outcome import Outcome, OutcomeType
from assessor.posture.finding import finding_of
from assessor.resource_id import VirtualMachineId
from assessor.scan_account import Concluded, Ending, ScanState, Tally


class ScanStoreError(UnavailableError):
    """The store did not do what it was asked."""

    def __init__(self, scan_id: str, reason: str) -> None:
        super().__init__(f"the accounts of scan {scan_id}: {reason}")
        self.scan_id = scan_id
        self.reason = reason


_ENDINGS = {
    OutcomeType.COMPLETED: Ending.ASSESSED,
    OutcomeType.FAILED: Ending.FAILED,
    OutcomeType.SKIPPED: Ending.SKIPPED,
    OutcomeType.REJECTED: Ending.FAILED,
}


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


class MemoryScans:
    """Accounts for scans in this process only.

    What an app without storage does: right with one worker that lives as long as the scan. Several
    workers, or one that starts again, need the table.
    """

    def __init__(self) -> None:
        self._states: dict[str, ScanState] = {}
        self._records: dict[str, dict[str, Concluded | None]] = {}
        self._running: dict[str, frozenset[bytes]] = {}

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

    async def running(self, scan_id: str) -> frozenset[bytes] | None:
        """Returns what is kept of the VMs that run."""
        return self._running.get(scan_id)

    async def keep_running(self, scan_id: str, digests: frozenset[bytes]) -> None:
        """Remembers which VMs run, until the scan's end."""
        self._running[scan_id] = digests

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
        """Remembers that the scan's end was published, and forgets its records."""
        state = self._states.get(scan_id)
        if state is not None:
            self._states[scan_id] = replace(state, expanded=True, summed_up=True)
        self._records.pop(scan_id, None)
        self._running.pop(scan_id, None)
