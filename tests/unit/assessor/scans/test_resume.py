"""What becomes of a scan that was rescheduled, also where its step fails as nobody foresaw."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random

import pytest

from assessor.arm.listing import Page
from assessor.arm.result import ApiError
from assessor.assessment.rescheduler import Rescheduler
from assessor.backoff import GIVES_UP_AFTER, delay
from assessor.clock import PollingWindow
from assessor.messages.in_progress import in_progress_message
from assessor.messages.outcome import conclude
from assessor.messages.progress import Later, ScanCompletion, ScanExpansion, ScanProgress
from assessor.resource_id import Scope
from assessor.scan_account import ScanState, Tally
from assessor.scans.completion import ScanCloser
from assessor.scans.expansion import Expander
from assessor.scans.scans import Scans
from assessor.scans.store import MemoryScans, ScanStoreError
from tests.support.builders import NOW, VM_ID, finished, machine, request
from tests.support.fakes import FakeBus, FakeClock
from tests.support.scans import OTHER_SCAN_ID, SCAN, SCAN_ID, vm
from tests.support.telemetry_rig import Rig

QUEUE, TOPIC = "in-progress", "results"
DEADLINE = timedelta(minutes=120)
A_MOMENT = timedelta(microseconds=1)


class Broken(MemoryScans):
    """A store that fails as nobody foresaw."""

    async def open(self, scan_id: str, started_at: datetime) -> ScanState:
        """Raises what the app does not know."""
        del started_at
        raise RuntimeError(scan_id)

    async def state(self, scan_id: str) -> ScanState | None:
        """Raises what the app does not know."""
        raise RuntimeError(scan_id)


@dataclass
class EmptyLists:
    """A scope without VMs."""

    async def page(self, scope: Scope, link: str | None) -> Page:
        """Shows none."""
        del scope, link
        return Page(())

    power_page = page


@dataclass
class Scene:
    """The scans' steps on a clock that stands still."""

    at: datetime = NOW
    store: MemoryScans = field(default_factory=MemoryScans)
    bus: FakeBus = field(default_factory=FakeBus)
    rig: Rig = field(default_factory=Rig)

    def scans(self) -> Scans:
        """Returns what is tested."""
        clock = FakeClock(self.at)
        metrics = self.rig.telemetry.metrics
        return Scans(
            expander=Expander(
                lister=EmptyLists(),
                bus=self.bus,
                store=self.store,
                clock=clock,
                random=Random(1),
                new_window=lambda: PollingWindow(0.0, lambda: 0.0, asyncio.Event()),
                in_progress_queue=QUEUE,
                allowed_scopes=(),
                pace_per_minute=6,
                deadline=DEADLINE,
            ),
            closer=ScanCloser(
                store=self.store,
                bus=self.bus,
                clock=clock,
                random=Random(1),
                results_topic=TOPIC,
                deadline=DEADLINE,
            ),
            store=self.store,
            rescheduler=Rescheduler(self.bus, QUEUE, metrics, clock),
            clock=clock,
            random=Random(1),
            metrics=metrics,
            deadline=DEADLINE,
        )

    async def resume(self, progress: ScanProgress) -> None:
        """Resumes the scan."""
        await self.scans().resume(progress)

    @property
    def rescheduled(self) -> Sequence[object]:
        """What was sent for later."""
        return self.bus.sent.get(QUEUE, [])


EXPANSION = ScanExpansion(SCAN, reschedules=4, attempt=2)
COMPLETION = ScanCompletion(SCAN, 5, 3, NOW, reschedules=4, attempt=2)


async def test_what_comes_after_a_step_is_sent_for_later() -> None:
    """After the list the watch over its outcomes; after a sum nothing."""
    scene = Scene()
    await scene.resume(ScanExpansion(SCAN))
    watch = ScanCompletion(SCAN, 0, 0, NOW)
    assert scene.rescheduled == [in_progress_message(Later(watch, NOW, ""))]

    await scene.resume(watch)
    assert len(scene.rescheduled) == 1
    assert [each.subject for each in scene.bus.sent[TOPIC]] == [str(SCAN.request.scope)]


@pytest.mark.parametrize("progress", [EXPANSION, COMPLETION])
async def test_a_step_that_fails_as_nobody_foresaw_is_tried_again(
    progress: ScanProgress, caplog: pytest.LogCaptureFixture
) -> None:
    """Less and less often; it is counted, and the log has its kind and not its words."""
    scene = Scene(store=Broken())
    with caplog.at_level(logging.ERROR):
        await scene.resume(progress)

    later = Later(
        replace(progress, reschedules=5, attempt=3),
        NOW + timedelta(seconds=delay(2, None, Random(1))),
        "",
    )
    assert scene.rescheduled == [in_progress_message(later)]
    (point,) = scene.rig.points("assessor.unforeseen")
    assert (point.value, point.labels) == (1, {"error.type": "RuntimeError"})
    (record,) = caplog.records
    assert record.getMessage().startswith(f"scan {SCAN_ID} failed")


async def test_a_list_that_fails_until_the_deadline_ends_with_what_was_sent() -> None:
    """Not a moment before; its sum names the app as the one that failed."""
    scene = Scene(NOW + DEADLINE - A_MOMENT, Broken())
    await scene.resume(EXPANSION)
    assert [each.application_properties["kind"] for each in scene.bus.sent[QUEUE]] == ["expansion"]

    scene.at = NOW + DEADLINE
    await scene.resume(EXPANSION)
    error = ApiError("InternalError", "The app failed; its log has the stack.")
    watch = ScanCompletion(SCAN, 0, 0, scene.at, error)
    assert scene.rescheduled[1:] == [in_progress_message(Later(watch, scene.at, ""))]


async def test_a_sum_that_fails_for_two_deadlines_is_the_hosts() -> None:
    """Which makes a dead letter of it: counted from the last release, and not a moment before."""
    released_at = NOW + timedelta(minutes=40)
    completion = replace(COMPLETION, released_at=released_at)
    scene = Scene(released_at + 2 * DEADLINE - A_MOMENT, Broken())
    await scene.resume(completion)
    assert len(scene.rescheduled) == 1

    scene.at = released_at + 2 * DEADLINE
    with pytest.raises(RuntimeError):
        await scene.resume(completion)
    assert len(scene.rescheduled) == 1


async def test_a_sum_of_a_scan_before_its_deadline_is_tried_again() -> None:
    """Whatever release its message tells of."""
    scene = Scene(NOW + DEADLINE - A_MOMENT, Broken())
    await scene.resume(replace(COMPLETION, released_at=NOW - timedelta(days=1)))
    assert len(scene.rescheduled) == 1


async def test_a_store_that_is_away_for_good_is_no_unforeseen_error() -> None:
    """The host gets it as it is, and nothing is sent for later."""

    class Away(MemoryScans):
        async def state(self, scan_id: str) -> ScanState | None:
            raise ScanStoreError(scan_id, "no answer")

    scene = Scene(NOW + GIVES_UP_AFTER, Away())
    with pytest.raises(ScanStoreError):
        await scene.resume(COMPLETION)
    assert scene.rescheduled == []
    assert scene.rig.points("assessor.unforeseen") == []


async def test_an_outcome_counts_in_the_scan_that_its_request_is_part_of() -> None:
    """And nowhere where it is part of none."""
    scene = Scene()
    for scan_id in (SCAN_ID, OTHER_SCAN_ID):
        await scene.store.expect(scan_id, [VM_ID, vm("vm-1")])
    asked = request()
    outcome = conclude(asked, machine(), finished(criticalAndSecurityPatchCount=1))

    await scene.scans().record(asked, outcome)
    assert await scene.store.tally(SCAN_ID) == Tally(requested=2)
    await scene.scans().record(replace(asked, scan_id=SCAN_ID), outcome)
    assert await scene.store.tally(SCAN_ID) == Tally(
        requested=2, assessed=1, with_critical_patches=1, reboot_pending=1, last_at=NOW
    )
    assert await scene.store.tally(OTHER_SCAN_ID) == Tally(requested=2)
