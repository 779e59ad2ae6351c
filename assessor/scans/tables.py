"""Scans in Azure Tables, through azure-data-tables.

A scan is a partition: one row for the scan itself, one for each of its VMs, and some with the
digests of those that run, if only they are asked for. All writes merge, so that a repeat, or an
outcome that overtakes the record of its request, leaves the same row behind.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.data.tables import TransactionOperation, UpdateMode
from azure.data.tables.aio import TableClient

from assessor.resource_id import VirtualMachineId
from assessor.scan_account import RUNNING_DIGEST_BYTES, Concluded, Ending, ScanState, Tally
from assessor.scans.store import ScanStoreError, count
from assessor.storage import TableMaker, reason_of
from dotnet_text import ignoring_case

_SCAN_ROW: Final = "scan"
_VM_ROWS: Final = "vm|"
_BEHIND_VM_ROWS: Final = "vm}"
"""What follows `vm|` in the order of keys."""
_RUNNING_ROWS: Final = "running|"
_BEHIND_RUNNING_ROWS: Final = "running}"
_RUNNING_BYTES: Final = 7_500 * RUNNING_DIGEST_BYTES
"""Of digests in one row: a property has room for 64 KiB."""
_BATCH: Final = 100
"""The most rows that one transaction of Azure Tables takes."""
_ENDINGS: Final = frozenset(each.value for each in Ending)

Row = Mapping[str, Any]


class TableScans:
    """Accounts for scans in one table, which it creates if it is not there."""

    def __init__(self, table: TableClient) -> None:
        self._table = table
        self._maker = TableMaker(table)

    async def open(self, scan_id: str, started_at: datetime) -> ScanState:
        """Remembers a scan if nothing is remembered of it; raises ScanStoreError."""
        row = {**_key(scan_id, _SCAN_ROW), "StartedAt": started_at}
        async with self._ready(scan_id):
            with suppress(ResourceExistsError):
                await self._table.create_entity(row)
                return ScanState(started_at)
        return await self.state(scan_id) or ScanState(started_at)

    async def state(self, scan_id: str) -> ScanState | None:
        """Returns what is remembered of a scan; raises ScanStoreError."""
        async with self._ready(scan_id):
            try:
                row = await self._table.get_entity(scan_id, _SCAN_ROW)
            except ResourceNotFoundError:
                return None
        started_at = _moment(row, "StartedAt")
        if started_at is None:
            return None
        return ScanState(started_at, bool(row.get("Expanded")), bool(row.get("SummedUp")))

    async def expect(self, scan_id: str, vms: Sequence[VirtualMachineId]) -> None:
        """Makes a record for each VM, a hundred at a time; raises ScanStoreError."""
        rows = [{**_key(scan_id, _row_key(vm)), "VmId": str(vm)} for vm in vms]
        options = {"mode": UpdateMode.MERGE}
        await self._transact(scan_id, TransactionOperation.UPSERT, rows, options)

    async def running(self, scan_id: str) -> frozenset[bytes] | None:
        """Returns what is kept of the VMs that run; raises ScanStoreError."""
        async with self._ready(scan_id):
            try:
                row = await self._table.get_entity(scan_id, _SCAN_ROW)
                number = row.get("RunningRows")
                if not isinstance(number, int):
                    return None
                rows = [
                    await self._table.get_entity(scan_id, f"{_RUNNING_ROWS}{index:05}")
                    for index in range(number)
                ]
            except ResourceNotFoundError:
                return None
        octets = b"".join(part for row in rows if isinstance(part := row.get("Digests"), bytes))
        return frozenset(
            octets[at : at + RUNNING_DIGEST_BYTES]
            for at in range(0, len(octets), RUNNING_DIGEST_BYTES)
        )

    async def keep_running(self, scan_id: str, digests: frozenset[bytes]) -> None:
        """Remembers which VMs run, until the scan's end; raises ScanStoreError.

        The scan's row is written last: a crash before it leaves what counts as nothing.
        """
        octets = b"".join(sorted(digests))
        parts = [octets[at : at + _RUNNING_BYTES] for at in range(0, len(octets), _RUNNING_BYTES)]
        async with self._ready(scan_id):
            for index, part in enumerate(parts):
                row = {**_key(scan_id, f"{_RUNNING_ROWS}{index:05}"), "Digests": part}
                await self._table.upsert_entity(row, mode=UpdateMode.MERGE)
        await self._mark(scan_id, {"RunningRows": len(parts)})

    async def mark_expanded(self, scan_id: str) -> None:
        """Remembers that all requests of the scan are sent; raises ScanStoreError."""
        await self._mark(scan_id, {"Expanded": True})

    async def record(self, scan_id: str, vm_id: VirtualMachineId, outcome: Concluded) -> None:
        """Remembers an outcome, where the VM has a record in the scan; raises ScanStoreError."""
        row = {
            **_key(scan_id, _row_key(vm_id)),
            "Ending": outcome.ending.value,
            "Critical": outcome.critical,
            "Reboot": outcome.reboot,
            "At": outcome.at,
        }
        async with self._ready(scan_id):
            with suppress(ResourceNotFoundError):  # the scan is summed up, or never asked for it
                await self._table.update_entity(row, mode=UpdateMode.MERGE)

    async def is_pending(self, scan_id: str) -> bool:
        """Returns whether a record without an outcome is there; raises ScanStoreError."""
        async for row in self._rows(scan_id, ["Ending"]):
            if row.get("Ending") is None:
                return True
        return False

    async def tally(self, scan_id: str) -> Tally:
        """Returns the sum of the scan's records; raises ScanStoreError."""
        columns = ["Ending", "Critical", "Reboot", "At"]
        return count([_concluded(row) async for row in self._rows(scan_id, columns)])

    async def sum_up(self, scan_id: str) -> None:
        """Remembers that the scan's end was published, then forgets its records."""
        await self._mark(scan_id, {"Expanded": True, "SummedUp": True})
        for first, end in (
            (_VM_ROWS, _BEHIND_VM_ROWS),
            (_RUNNING_ROWS, _BEHIND_RUNNING_ROWS),
        ):
            rows = [
                {"PartitionKey": scan_id, "RowKey": row["RowKey"]}
                async for row in self._rows(scan_id, ["RowKey"], first, end)
            ]
            await self._transact(scan_id, TransactionOperation.DELETE, rows, {})

    @asynccontextmanager
    async def _ready(self, scan_id: str) -> AsyncIterator[None]:
        """Makes the table first; turns what the SDK raises in the `with` into ScanStoreError."""
        try:
            await self._maker.ensure()
            yield
        except AzureError as error:
            raise ScanStoreError(scan_id, reason_of(error)) from error

    async def _mark(self, scan_id: str, marks: Row) -> None:
        async with self._ready(scan_id):
            await self._table.upsert_entity(
                {**_key(scan_id, _SCAN_ROW), **marks}, mode=UpdateMode.MERGE
            )

    async def _rows(
        self,
        scan_id: str,
        columns: list[str],
        first: str = _VM_ROWS,
        end: str = _BEHIND_VM_ROWS,
    ) -> AsyncIterator[Row]:
        async with self._ready(scan_id):
            async for row in self._table.query_entities(
                "PartitionKey eq @scan and RowKey ge @first and RowKey lt @end",
                parameters={"scan": scan_id, "first": first, "end": end},
                select=columns,
            ):
                yield row

    async def _transact(
        self,
        scan_id: str,
        operation: TransactionOperation,
        rows: Sequence[Row],
        options: Mapping[str, Any],
    ) -> None:
        async with self._ready(scan_id):
            for start in range(0, len(rows), _BATCH):
                batch = rows[start : start + _BATCH]
                await self._table.submit_transaction(
                    [(operation, dict(row), dict(options)) for row in batch]
                )


def _key(scan_id: str, row: str) -> dict[str, str]:
    return {"PartitionKey": scan_id, "RowKey": row}


def _row_key(vm: VirtualMachineId) -> str:
    """Returns the row of a VM: no character that a key may not have is legal in its names."""
    names = f"{vm.subscription_id}|{vm.resource_group}|{vm.name}"
    return f"{_VM_ROWS}{ignoring_case(names)}"


def _concluded(row: Row) -> Concluded | None:
    """Returns what a row has of an outcome; None too for one that only a later version can read."""
    ending, at = row.get("Ending"), _moment(row, "At")
    if ending not in _ENDINGS or at is None:
        return None
    return Concluded(Ending(ending), bool(row.get("Critical")), bool(row.get("Reboot")), at)


def _moment(row: Row, column: str) -> datetime | None:
    """Returns a column's time in UTC; None if it has none."""
    moment = row.get(column)
    return moment.astimezone(UTC) if isinstance(moment, datetime) else None
