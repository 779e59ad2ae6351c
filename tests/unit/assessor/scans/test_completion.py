"""The end of a scan: when its records are checked, when it is over, and what is told then."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random

import pytest

from assessor.backoff import GIVES_UP_AFTER, delay
from assessor.bus.message import PublishError
from assessor.messages.progress import Later, ScanCompletion
from assessor.scan_account import Concluded, Ending, ScanState, Tally
from assessor.scans.completion import ScanCloser
from assessor.scans.event import scan_completed
from assessor.scans.store import MemoryScans, ScanStoreError
from tests.support.builders import NOW
from tests.support.fakes import FakeBus, FakeClock
from tests.support.scans import SCAN, SCAN_ID, vm

TOPIC = "results"
DEADLINE = timedelta(minutes=120)
MOST = DEADLINE + timedelta(minutes=30)
"""How long after the last request's release a scan waits for its outcome."""
A_MOMENT = timedelta(microseconds=1)
ASSESSED = Concluded(Ending.ASSESSED, critical=True, reboot=False, at=NOW)


@dataclass
class Scene:
    """A scan whose requests are sent, with its records in memory."""

    bus: FakeBus = field(default_factory=FakeBus)
    store: MemoryScans = field(default_factory=MemoryScans)

    async def has(self, *records: Concluded | None) -> None:
        """Opens the scan with so many records; None for a VM without outcome."""
        await self.store.open(SCAN_ID, NOW)
        vms = [vm(f"vm-{index}") for index in range(len(records))]
        await self.store.expect(SCAN_ID, vms)
        for each, record in zip(vms, records, strict=True):
            if record is not None:
                await self.store.record(SCAN_ID, each, record)

    async def close(self, completion: ScanCompletion, at: datetime = NOW) -> Later | None:
        """Checks the scan at that time."""
        closer = ScanCloser(
            store=self.store,
            bus=self.bus,
            clock=FakeClock(at),
            random=Random(1),
            results_topic=TOPIC,
            deadline=DEADLINE,
        )
        return await closer.close(completion)

    @property
    def told(self) -> Sequence[object]:
        """What was published."""
        return self.bus.sent.get(TOPIC, [])


def _completion(
    requested: int, *, reschedules: int = 0, attempt: int = 0, released_at: datetime = NOW
) -> ScanCompletion:
    return ScanCompletion(
        SCAN, requested, requested, released_at, reschedules=reschedules, attempt=attempt
    )


async def test_when_each_request_has_its_outcome_the_scan_is_summed_up() -> None:
    """Once: the sum is published, the records are forgotten, and a repeat changes nothing."""
    scene = Scene()
    await scene.has(ASSESSED, ASSESSED)
    completion = _completion(2, reschedules=3)
    await scene.store.mark_expanded(SCAN_ID)
    at = NOW + timedelta(minutes=11)

    assert await scene.close(completion, at) is None
    tally = Tally(requested=2, assessed=2, with_critical_patches=2, last_at=NOW)
    assert scene.told == [scan_completed(completion, tally, at)]
    assert await scene.store.state(SCAN_ID) == ScanState(NOW, expanded=True, summed_up=True)
    assert await scene.store.tally(SCAN_ID) == Tally()

    assert await scene.close(completion, at) is None
    assert scene.bus.effects == [f"send {TOPIC}"]


@pytest.mark.parametrize(
    ("reschedules", "requested", "seconds"),
    [(0, 2, 5.0), (4, 2, 12.207031), (4, 3_000, 30.0)],
)
async def test_while_an_outcome_is_awaited_the_scan_is_checked_again(
    reschedules: int, requested: int, seconds: float
) -> None:
    """Later and later, a large one later than a small one; failed tries are forgotten."""
    scene = Scene()
    await scene.has(ASSESSED, None)
    await scene.store.mark_expanded(SCAN_ID)
    completion = _completion(requested, reschedules=reschedules, attempt=2)

    assert await scene.close(completion) == Later(
        _completion(requested, reschedules=reschedules + 1),
        NOW + timedelta(seconds=seconds),
        "outcomes are awaited",
    )
    assert scene.told == []


async def test_the_first_check_remembers_that_all_requests_are_sent() -> None:
    """So that the message that began the scan, when it comes again, asks for nothing."""
    scene = Scene()
    await scene.has(None)
    await scene.close(_completion(1))
    assert await scene.store.state(SCAN_ID) == ScanState(NOW, expanded=True)


async def test_while_an_outcome_is_awaited_nothing_is_counted() -> None:
    """Counting reads all rows, and there may be 50,000."""

    class Uncountable(MemoryScans):
        """A store that must not be counted yet."""

        async def tally(self, scan_id: str) -> Tally:
            """Is not called."""
            raise AssertionError(scan_id)

    scene = Scene(store=Uncountable())
    await scene.has(None)
    assert await scene.close(_completion(1)) is not None


async def test_a_scan_with_fewer_records_than_requests_is_not_over() -> None:
    """The records that are not written yet are of VMs that have no outcome either."""
    scene = Scene()
    await scene.has(ASSESSED, ASSESSED)
    assert await scene.close(_completion(3)) is not None
    assert scene.told == []


async def test_a_scan_that_is_not_known_to_be_sent_is_not_over() -> None:
    """However complete its records look."""
    scene = Scene()
    await scene.has(ASSESSED)
    assert await scene.close(_completion(1, reschedules=1)) is not None
    assert scene.told == []


async def test_an_outcome_that_came_between_two_reads_is_still_awaited() -> None:
    """No record is pending, and one is at the count: a page was repeated in between."""

    class Repeating(MemoryScans):
        """A store into which a record comes behind the first look."""

        async def is_pending(self, scan_id: str) -> bool:
            """Sees the record come afterwards."""
            pending = await super().is_pending(scan_id)
            await self.expect(scan_id, [vm("late")])
            return pending

    scene = Scene(store=Repeating())
    await scene.has(ASSESSED)
    assert await scene.close(_completion(2)) is not None
    assert scene.told == []


@pytest.mark.parametrize("released_at", [NOW, NOW + timedelta(minutes=40)])
async def test_a_scan_ends_half_an_hour_after_its_last_requests_deadline(
    released_at: datetime,
) -> None:
    """With what it has until then; the rest is missing."""
    scene = Scene()
    await scene.has(ASSESSED, None)
    completion = _completion(2, released_at=released_at)

    end = released_at + MOST
    assert await scene.close(completion, end - A_MOMENT) is not None
    assert scene.told == []
    assert await scene.close(completion, end) is None
    tally = Tally(requested=2, assessed=1, with_critical_patches=1, last_at=NOW)
    assert scene.told == [scan_completed(completion, tally, end)]


async def test_no_release_counts_from_before_the_scan_began() -> None:
    """A message that says so does not end the scan early."""
    scene = Scene()
    await scene.has(None)
    completion = _completion(1, released_at=NOW - timedelta(days=1))

    assert await scene.close(completion, NOW + MOST - A_MOMENT) is not None
    assert await scene.close(completion, NOW + MOST) is None
    assert len(scene.told) == 1


async def test_a_scan_that_the_store_does_not_know_is_summed_up_all_the_same() -> None:
    """Whoever asked is told, where a table was emptied: at the end of the time it could take."""
    scene = Scene()
    completion = _completion(1, reschedules=1)
    assert await scene.close(completion, NOW + MOST - A_MOMENT) is not None
    assert await scene.close(completion, NOW + MOST) is None
    assert scene.told == [scan_completed(completion, Tally(), NOW + MOST)]


class Silent(MemoryScans):
    """A store that does not answer."""

    async def state(self, scan_id: str) -> ScanState | None:
        """Raises ScanStoreError."""
        raise ScanStoreError(scan_id, "no answer")


@pytest.mark.parametrize("attempt", [0, 3])
async def test_a_store_that_does_not_answer_is_asked_again(attempt: int) -> None:
    """Less and less often; the log gets its words."""
    scene = Scene(store=Silent())
    completion = _completion(1, reschedules=5, attempt=attempt)

    assert await scene.close(completion) == Later(
        replace(completion, reschedules=6, attempt=attempt + 1),
        NOW + timedelta(seconds=delay(attempt, None, Random(1))),
        f"the accounts of scan {SCAN_ID}: no answer",
    )


async def test_a_topic_that_takes_no_sum_is_asked_again() -> None:
    """The records stay until it has taken one."""
    scene = Scene()
    await scene.has(ASSESSED)
    scene.bus.refuse = lambda _: True

    later = await scene.close(_completion(1))
    assert later is not None
    assert later.why == f"{TOPIC} did not take a message: refused by the test"
    assert await scene.store.state(SCAN_ID) == ScanState(NOW, expanded=True)

    scene.bus.refuse = lambda _: False
    assert await scene.close(_completion(1)) is None
    assert len(scene.told) == 1


async def test_after_a_week_the_host_gets_the_error() -> None:
    """Which makes a dead letter of the message; not a moment before."""
    scene = Scene()
    await scene.has(ASSESSED)
    scene.bus.refuse = lambda _: True
    completion = _completion(1)

    assert await scene.close(completion, NOW + GIVES_UP_AFTER - A_MOMENT) is not None
    with pytest.raises(PublishError):
        await scene.close(completion, NOW + GIVES_UP_AFTER)
