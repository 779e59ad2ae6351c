"""What any store of scans does, asked of the one in memory and of Azure Tables on Azurite."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio
from azure.core.exceptions import ServiceRequestError
from azure.data.tables.aio import TableClient

from assessor.ports import ScanStore
from assessor.scan_account import RUNNING_DIGEST_BYTES, Concluded, Ending, ScanState, Tally
from assessor.scans.store import MemoryScans, ScanStoreError
from assessor.scans.tables import TableScans
from localcloud.azurite import Azurite
from tests.support.builders import NOW
from tests.support.scan_world import vms

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("azurite"),  # which half of them asks for as it runs
]

SCAN = "0b1c2d3e-0000-5000-8000-000000000000"
OTHER = "0b1c2d3e-0000-5000-8000-000000000001"
VMS = [vm.id for vm in vms(250)]
ASSESSED = Concluded(Ending.ASSESSED, critical=True, reboot=False, at=NOW)


@pytest_asyncio.fixture(loop_scope="module")
async def table(azurite: Azurite) -> AsyncIterator[TableClient]:
    """The client of a table that is not there yet."""
    name = f"vmscans{uuid.uuid4().hex}"
    async with TableClient.from_connection_string(azurite.connection_string, name) as client:
        yield client


@pytest.fixture(params=["memory", "tables"])
def store(request: pytest.FixtureRequest) -> ScanStore:
    """Each store in turn; the table's client is made only where it is asked for."""
    if request.param == "memory":
        return MemoryScans()
    return TableScans(request.getfixturevalue("table"))


async def test_a_scan_keeps_its_first_start(store: ScanStore) -> None:
    """Whoever opens it again gets what is there."""
    assert await store.state(SCAN) is None
    assert await store.open(SCAN, NOW) == ScanState(NOW)
    assert await store.open(SCAN, NOW + timedelta(minutes=5)) == ScanState(NOW)
    await store.mark_expanded(SCAN)
    assert await store.open(SCAN, NOW) == ScanState(NOW, expanded=True)
    assert await store.state(OTHER) is None


async def test_each_vm_counts_once_however_often_it_is_written(store: ScanStore) -> None:
    """More VMs than one transaction takes, in pages that overlap."""
    await store.open(SCAN, NOW)
    await store.expect(SCAN, VMS[:150])
    await store.record(SCAN, VMS[0], ASSESSED)
    await store.expect(SCAN, VMS[:250])
    await store.record(SCAN, VMS[0], ASSESSED)

    assert await store.is_pending(SCAN)
    tally = await store.tally(SCAN)
    assert (tally.requested, tally.assessed, tally.missing) == (250, 1, 249)


async def test_outcomes_add_up(store: ScanStore) -> None:
    """By ending, by what they found, and the last one's time."""
    await store.open(SCAN, NOW)
    await store.expect(SCAN, VMS[:4])
    last = NOW + timedelta(minutes=11)
    for vm, outcome in zip(
        VMS,
        (
            ASSESSED,
            Concluded(Ending.ASSESSED, critical=False, reboot=True, at=last),
            Concluded(Ending.FAILED, critical=False, reboot=False, at=NOW),
            Concluded(Ending.SKIPPED, critical=False, reboot=False, at=NOW),
        ),
        strict=False,
    ):
        await store.record(SCAN, vm, outcome)

    assert not await store.is_pending(SCAN)
    assert await store.tally(SCAN) == Tally(
        requested=4,
        assessed=2,
        failed=1,
        skipped=1,
        with_critical_patches=1,
        reboot_pending=1,
        last_at=last,
    )


async def test_a_vm_that_was_not_asked_for_is_not_counted(store: ScanStore) -> None:
    """A request can name a scan that it is no part of."""
    await store.open(SCAN, NOW)
    await store.expect(SCAN, VMS[:1])
    await store.record(SCAN, VMS[1], ASSESSED)
    await store.record(OTHER, VMS[0], ASSESSED)
    assert await store.tally(SCAN) == Tally(requested=1)
    assert await store.tally(OTHER) == Tally()


async def test_what_is_summed_up_is_forgotten_and_remembered_as_done(store: ScanStore) -> None:
    """The records go; a late outcome brings none of them back; doing it again is no harm."""
    await store.open(SCAN, NOW)
    await store.expect(SCAN, VMS)
    await store.sum_up(SCAN)
    await store.record(SCAN, VMS[0], ASSESSED)
    await store.sum_up(SCAN)
    assert await store.tally(SCAN) == Tally()
    assert await store.state(SCAN) == ScanState(NOW, expanded=True, summed_up=True)


async def test_who_runs_is_kept_until_the_scans_end(store: ScanStore) -> None:
    """More digests than one row takes, none of them, and again after a crash."""
    digests = frozenset(number.to_bytes(RUNNING_DIGEST_BYTES) for number in range(20_000))
    await store.open(SCAN, NOW)
    assert await store.running(SCAN) is None
    for kept in (frozenset[bytes](), digests, digests):
        await store.keep_running(SCAN, kept)
        assert await store.running(SCAN) == kept
    assert await store.running(OTHER) is None
    assert await store.tally(SCAN) == Tally()
    await store.sum_up(SCAN)
    assert not await store.running(SCAN)


async def test_writers_at_the_same_time_lose_nothing(store: ScanStore) -> None:
    """A page that is repeated while its outcomes come in."""
    await store.open(SCAN, NOW)
    await store.expect(SCAN, VMS[:20])
    await asyncio.gather(
        *(store.record(SCAN, vm, ASSESSED) for vm in VMS[:20]),
        store.expect(SCAN, VMS[:20]),
        store.expect(SCAN, VMS[:20]),
    )
    tally = await store.tally(SCAN)
    assert (tally.requested, tally.assessed) == (20, 20)


async def test_a_table_that_does_not_answer_is_an_error_of_the_store() -> None:
    """Whatever is asked of it."""

    class Silent:
        """A table that nobody serves."""

        def __getattr__(self, name: str) -> object:
            async def fail(*_: object, **__: object) -> None:
                raise ServiceRequestError(f"{name}: no answer")

            return fail

    store = TableScans(Silent())  # type: ignore[arg-type] # only its silence matters
    for call in (store.open(SCAN, NOW), store.state(SCAN), store.expect(SCAN, VMS[:1])):
        with pytest.raises(ScanStoreError) as error:
            await call
        assert error.value.scan_id == SCAN
