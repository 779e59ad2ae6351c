"""Scans in Azure Tables: the rows that they are, which the next version reads too."""

from datetime import UTC, timedelta, timezone

import pytest
from azure.core.exceptions import ServiceRequestError
from azure.data.tables import UpdateMode

from assessor.ports import ScanStore
from assessor.scan_account import RUNNING_DIGEST_BYTES, Concluded, Ending, ScanState
from assessor.scans.store import ScanStoreError
from assessor.scans.tables import TableScans
from tests.support.builders import NOW, SUBSCRIPTION
from tests.support.memory_table import MemoryTable
from tests.support.scan_store import ScanStoreContract
from tests.support.scans import SCAN_ID, vm

ASSESSED = Concluded(Ending.ASSESSED, critical=True, reboot=False, at=NOW)
IN_ONE_ROW = 7_500
"""Digests: 60,000 bytes of the 65,536 that a property may have."""


def _store(table: MemoryTable) -> TableScans:
    return TableScans(table)  # type: ignore[arg-type] # the few methods of it that are called


class TestTableInMemory(ScanStoreContract):
    """The store in tables, as any store."""

    @pytest.fixture
    def store(self) -> ScanStore:
        """A store whose table is not there yet."""
        return _store(MemoryTable())


async def test_a_scan_is_a_row_beside_one_for_each_vm() -> None:
    """With the names that a version before has written."""
    table = MemoryTable()
    store = _store(table)
    await store.open(SCAN_ID, NOW)
    await store.expect(SCAN_ID, [vm("VM-1"), vm("VM-2")])
    await store.record(SCAN_ID, vm("vm-1"), ASSESSED)
    await store.mark_expanded(SCAN_ID)

    assert list(table.rows.values()) == [
        {"PartitionKey": SCAN_ID, "RowKey": "scan", "StartedAt": NOW, "Expanded": True},
        {
            "PartitionKey": SCAN_ID,
            "RowKey": f"vm|{SUBSCRIPTION}|group|vm-1",
            "VmId": str(vm("VM-1")),
            "Ending": "assessed",
            "Critical": True,
            "Reboot": False,
            "At": NOW,
        },
        {
            "PartitionKey": SCAN_ID,
            "RowKey": f"vm|{SUBSCRIPTION}|group|vm-2",
            "VmId": str(vm("VM-2")),
        },
    ]


async def test_a_scan_that_is_summed_up_is_one_row() -> None:
    """Which says so, so that it is not made again."""
    table = MemoryTable()
    store = _store(table)
    await store.open(SCAN_ID, NOW)
    await store.expect(SCAN_ID, [vm("vm-1")])
    await store.keep_running(SCAN_ID, frozenset({bytes(RUNNING_DIGEST_BYTES)}))
    await store.sum_up(SCAN_ID)
    assert list(table.rows.values()) == [
        {
            "PartitionKey": SCAN_ID,
            "RowKey": "scan",
            "StartedAt": NOW,
            "RunningRows": 1,
            "Expanded": True,
            "SummedUp": True,
        }
    ]


async def test_who_runs_is_kept_in_rows_of_sixty_thousand_bytes() -> None:
    """In the order of the digests; the scan's row tells how many rows there are."""
    table = MemoryTable()
    store = _store(table)
    digests = [number.to_bytes(RUNNING_DIGEST_BYTES) for number in range(IN_ONE_ROW + 1)]
    await store.open(SCAN_ID, NOW)
    await store.keep_running(SCAN_ID, frozenset(digests))

    rows = {row["RowKey"]: row for row in table.rows.values()}
    assert rows["scan"]["RunningRows"] == 2
    assert rows["running|00000"]["Digests"] == b"".join(digests[:IN_ONE_ROW])
    assert rows["running|00001"]["Digests"] == digests[IN_ONE_ROW]
    assert len(rows) == 3


async def test_what_a_crash_left_of_who_runs_counts_as_nothing() -> None:
    """A row of digests is missing, or empty, or the scan's row does not tell of any."""
    scan = {"PartitionKey": SCAN_ID, "RowKey": "scan", "StartedAt": NOW}
    first = {"PartitionKey": SCAN_ID, "RowKey": "running|00000"}
    digest = bytes(range(RUNNING_DIGEST_BYTES))

    assert await _store(MemoryTable([scan, first | {"Digests": digest}])).running(SCAN_ID) is None
    two = scan | {"RunningRows": 2}
    assert await _store(MemoryTable([two, first | {"Digests": digest}])).running(SCAN_ID) is None
    one = scan | {"RunningRows": 1}
    assert await _store(MemoryTable([one, first])).running(SCAN_ID) == frozenset()


async def test_counting_reads_only_what_it_counts() -> None:
    """Of 50,000 rows: neither the VMs' IDs nor the keys."""
    table = MemoryTable()
    store = _store(table)
    await store.expect(SCAN_ID, [vm("vm-1")])
    await store.record(SCAN_ID, vm("vm-1"), ASSESSED)

    assert not await store.is_pending(SCAN_ID)
    assert table.shown == {"Ending"}
    await store.tally(SCAN_ID)
    assert table.shown == {"Ending", "Critical", "Reboot", "At"}


async def test_forgetting_reads_only_the_keys() -> None:
    """Of as many rows."""
    table = MemoryTable()
    store = _store(table)
    await store.expect(SCAN_ID, [vm("vm-1")])
    await store.sum_up(SCAN_ID)
    assert table.shown == {"RowKey"}


async def test_rows_that_stay_are_an_error_of_the_store() -> None:
    """It names the scan, which is summed up by then: a repeat deletes the rest."""

    class Keeping(MemoryTable):
        """A table that deletes nothing."""

        async def submit_transaction(self, operations: object) -> None:
            """Raises what the SDK does."""
            del operations
            raise ServiceRequestError("no answer")

    row = {"PartitionKey": SCAN_ID, "RowKey": "vm|1|group|vm-1"}
    store = _store(Keeping([row]))
    with pytest.raises(ScanStoreError) as error:
        await store.sum_up(SCAN_ID)
    assert error.value.scan_id == SCAN_ID


async def test_times_are_in_utc() -> None:
    """Whatever offset a row's time comes with."""
    elsewhere = NOW.astimezone(timezone(timedelta(hours=2)))
    table = MemoryTable(
        [{"PartitionKey": SCAN_ID, "RowKey": "scan", "StartedAt": elsewhere, "SummedUp": True}]
    )
    store = _store(table)
    failed = Concluded(Ending.FAILED, critical=False, reboot=False, at=elsewhere)
    await store.expect(SCAN_ID, [vm("vm-1")])
    await store.record(SCAN_ID, vm("vm-1"), failed)

    state, tally = await store.state(SCAN_ID), await store.tally(SCAN_ID)
    assert state == ScanState(NOW, summed_up=True)
    assert state is not None
    assert state.started_at.tzinfo is UTC  # wherever the worker runs
    assert tally.last_at is not None
    assert tally.last_at.tzinfo is UTC


@pytest.mark.parametrize(
    "odd", [{"Ending": "deferred", "At": NOW}, {"Ending": "assessed"}, {"Ending": 1, "At": "now"}]
)
async def test_an_outcome_that_only_a_later_version_can_read_is_missing_in_the_sum(
    odd: dict[str, object],
) -> None:
    """The scan does not wait for it, and its sum is told."""
    table = MemoryTable()
    store = _store(table)
    await store.expect(SCAN_ID, [vm("vm-1"), vm("vm-2")])
    await store.record(SCAN_ID, vm("vm-1"), ASSESSED)
    await table.upsert_entity(
        {"PartitionKey": SCAN_ID, "RowKey": f"vm|{SUBSCRIPTION}|group|vm-2"} | odd,
        mode=UpdateMode.MERGE,
    )

    assert not await store.is_pending(SCAN_ID)
    tally = await store.tally(SCAN_ID)
    assert (tally.requested, tally.assessed, tally.missing) == (2, 1, 1)


async def test_a_row_that_goes_between_two_reads_is_as_if_it_were_made_now() -> None:
    """The scan begins."""

    class Going(MemoryTable):
        """A table whose row is deleted behind the first look."""

        async def create_entity(self, row: object) -> None:
            """Refuses for a row that is gone then."""
            try:
                await super().create_entity(row)  # type: ignore[arg-type] # as it came
            finally:
                self.rows.clear()

    scan = {"PartitionKey": SCAN_ID, "RowKey": "scan", "StartedAt": NOW}
    later = NOW + timedelta(minutes=1)
    assert await _store(Going([scan])).open(SCAN_ID, later) == ScanState(later)


async def test_a_table_that_does_not_answer_is_an_error_of_the_store() -> None:
    """Whatever is asked of it: with the scan's ID and what the SDK says."""

    class Silent:
        """A table that nobody serves."""

        def __getattr__(self, name: str) -> object:
            async def fail(*_: object, **__: object) -> None:
                raise ServiceRequestError("no answer")

            return fail

    store = TableScans(Silent())  # type: ignore[arg-type] # only its silence matters
    for call in (
        store.open(SCAN_ID, NOW),
        store.state(SCAN_ID),
        store.expect(SCAN_ID, [vm("vm-1")]),
        store.running(SCAN_ID),
        store.keep_running(SCAN_ID, frozenset()),
        store.mark_expanded(SCAN_ID),
        store.record(SCAN_ID, vm("vm-1"), ASSESSED),
        store.is_pending(SCAN_ID),
        store.tally(SCAN_ID),
        store.sum_up(SCAN_ID),
    ):
        with pytest.raises(ScanStoreError) as error:
            await call
        assert error.value.scan_id == SCAN_ID
        assert error.value.reason == "ServiceRequestError: no answer"
