"""What any store of scans does: one suite, for the one in memory and for Azure Tables."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from assessor.ports import ScanStore
from assessor.resource_id import VirtualMachineId
from assessor.scan_account import RUNNING_DIGEST_BYTES, Concluded, Ending, ScanState, Tally
from tests.support.builders import NOW
from tests.support.scan_world import vms
from tests.support.scans import OTHER_SCAN_ID, SCAN_ID

VMS = [each.id for each in vms(250)]
ASSESSED = Concluded(Ending.ASSESSED, critical=True, reboot=False, at=NOW)


class ScanStoreContract:
    """The suite; whoever derives from it has a fixture `store`, with a store that is empty."""

    async def test_a_scan_keeps_its_first_start(self, store: ScanStore) -> None:
        """Whoever opens it again gets what is there."""
        assert await store.state(SCAN_ID) is None
        assert await store.open(SCAN_ID, NOW) == ScanState(NOW)
        assert await store.open(SCAN_ID, NOW + timedelta(minutes=5)) == ScanState(NOW)
        await store.mark_expanded(SCAN_ID)
        assert await store.open(SCAN_ID, NOW) == ScanState(NOW, expanded=True)
        assert await store.state(SCAN_ID) == ScanState(NOW, expanded=True)
        assert await store.state(OTHER_SCAN_ID) is None

    async def test_each_vm_counts_once_however_often_it_is_written(self, store: ScanStore) -> None:
        """More VMs than one transaction takes, in pages that overlap."""
        await store.open(SCAN_ID, NOW)
        await store.expect(SCAN_ID, VMS[:150])
        await store.record(SCAN_ID, VMS[0], ASSESSED)
        await store.expect(SCAN_ID, VMS[:250])
        await store.record(SCAN_ID, VMS[0], ASSESSED)

        assert await store.is_pending(SCAN_ID)
        assert await store.tally(SCAN_ID) == Tally(
            requested=250, assessed=1, with_critical_patches=1, last_at=NOW
        )

    async def test_a_vm_is_one_in_whatever_case_it_is_named(self, store: ScanStore) -> None:
        """And another of that name in another group or subscription is another."""
        one = VMS[0]
        others = [
            replace(one, name="other"),
            replace(one, resource_group="other"),
            VirtualMachineId(SCAN_ID, one.resource_group, one.name),
        ]
        await store.open(SCAN_ID, NOW)
        await store.expect(SCAN_ID, [one, *others])
        shouted = VirtualMachineId(
            one.subscription_id.upper(), one.resource_group.upper(), one.name.upper()
        )
        await store.expect(SCAN_ID, [shouted])
        await store.record(SCAN_ID, shouted, ASSESSED)
        tally = await store.tally(SCAN_ID)
        assert (tally.requested, tally.assessed) == (4, 1)

    async def test_outcomes_add_up(self, store: ScanStore) -> None:
        """By ending, by what they found, and the last one's time."""
        await store.open(SCAN_ID, NOW)
        await store.expect(SCAN_ID, VMS[:4])
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
            assert await store.is_pending(SCAN_ID)
            await store.record(SCAN_ID, vm, outcome)

        assert not await store.is_pending(SCAN_ID)
        assert await store.tally(SCAN_ID) == Tally(
            requested=4,
            assessed=2,
            failed=1,
            skipped=1,
            with_critical_patches=1,
            reboot_pending=1,
            last_at=last,
        )

    async def test_a_vm_that_was_not_asked_for_is_not_counted(self, store: ScanStore) -> None:
        """A request can name a scan that it is no part of."""
        await store.open(SCAN_ID, NOW)
        await store.expect(SCAN_ID, VMS[:1])
        await store.record(SCAN_ID, VMS[1], ASSESSED)
        await store.record(OTHER_SCAN_ID, VMS[0], ASSESSED)
        assert await store.tally(SCAN_ID) == Tally(requested=1)
        assert await store.tally(OTHER_SCAN_ID) == Tally()
        assert not await store.is_pending(OTHER_SCAN_ID)

    async def test_what_is_summed_up_is_forgotten_and_remembered_as_done(
        self, store: ScanStore
    ) -> None:
        """The records go; a late outcome brings none of them back; doing it again is no harm."""
        for scan_id in (SCAN_ID, OTHER_SCAN_ID):
            await store.open(scan_id, NOW)
            await store.expect(scan_id, VMS)
        await store.sum_up(SCAN_ID)
        await store.record(SCAN_ID, VMS[0], ASSESSED)
        await store.sum_up(SCAN_ID)
        assert await store.tally(SCAN_ID) == Tally()
        assert await store.state(SCAN_ID) == ScanState(NOW, expanded=True, summed_up=True)
        assert await store.tally(OTHER_SCAN_ID) == Tally(requested=len(VMS))
        assert await store.state(OTHER_SCAN_ID) == ScanState(NOW)

    async def test_who_runs_is_kept_until_the_scans_end(self, store: ScanStore) -> None:
        """More digests than one row takes, none of them, and again after a crash."""
        digests = frozenset(number.to_bytes(RUNNING_DIGEST_BYTES) for number in range(8_000))
        await store.open(SCAN_ID, NOW)
        assert await store.running(SCAN_ID) is None
        for kept in (frozenset[bytes](), digests, digests):
            await store.keep_running(SCAN_ID, kept)
            assert await store.running(SCAN_ID) == kept
        assert await store.running(OTHER_SCAN_ID) is None
        assert await store.tally(SCAN_ID) == Tally()
        await store.sum_up(SCAN_ID)
        assert not await store.running(SCAN_ID)

    async def test_writers_at_the_same_time_lose_nothing(self, store: ScanStore) -> None:
        """A page that is repeated while its outcomes come in."""
        await store.open(SCAN_ID, NOW)
        await store.expect(SCAN_ID, VMS[:20])
        await asyncio.gather(
            *(store.record(SCAN_ID, vm, ASSESSED) for vm in VMS[:20]),
            store.expect(SCAN_ID, VMS[:20]),
            store.expect(SCAN_ID, VMS[:20]),
        )
        tally = await store.tally(SCAN_ID)
        assert (tally.requested, tally.assessed) == (20, 20)
