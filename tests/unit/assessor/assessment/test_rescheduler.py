"""What is let go of goes on by a message, and telemetry says when and why."""

import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from assessor.assessment.rescheduler import Rescheduler
from assessor.messages.in_progress import in_progress_message, scan_message
from assessor.messages.progress import AssessmentProgress, Later, OperationRef, OverdueSweep
from assessor.messages.request import ScanRequest
from assessor.resource_id import Scope
from assessor.telemetry.context import Delivery
from assessor.telemetry.metrics import RESCHEDULED
from tests.support.builders import ACTIVITY_ID, NOW, VM_ID, request
from tests.support.fakes import FakeBus, FakeClock
from tests.support.telemetry_rig import Rig

OPERATION = OperationRef(ACTIVITY_ID, "token", NOW, "0" * 16)
PROGRESS = AssessmentProgress(request(), NOW, reschedules=1, operation=OPERATION)
AT = NOW + timedelta(seconds=90.04)


class World:
    """A rescheduler between a bus in memory and telemetry that is read back."""

    def __init__(self) -> None:
        self.rig = Rig()
        self.bus = FakeBus()
        self.rescheduler = Rescheduler(
            self.bus, "in-progress", self.rig.telemetry.metrics, FakeClock(NOW)
        )

    async def reschedule(self, later: Later) -> None:
        """Reschedules within an invocation."""
        with self.rig.telemetry.processing(Delivery("queue"), NOW):
            await self.rescheduler.reschedule(later)

    def rescheduled(self) -> float:
        """Returns how many assessments were counted."""
        return sum(each.value for each in self.rig.points(RESCHEDULED))


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("has_begun", [True, False])
async def test_an_assessment_goes_on_by_its_message_and_says_when_and_why(
    world: World, caplog: pytest.LogCaptureFixture, *, has_begun: bool
) -> None:
    """On the invocation's span, in the log, by the assessment's activity ID, and in a count."""
    later = Later(PROGRESS if has_begun else replace(PROGRESS, operation=None), AT, "it runs")

    with caplog.at_level(logging.DEBUG, "assessor.assessment.rescheduler"):
        await world.reschedule(later)

    assert world.bus.sent == {"in-progress": [in_progress_message(later)]}
    assert world.rescheduled() == 1
    told = world.rig.one("process queue").attributes or {}
    assert told["patch_assessor.why_later"] == "it runs"
    assert told["patch_assessor.later.seconds"] == 90.0
    (record,) = caplog.records
    assert record.getMessage() == f"request request-1 for {VM_ID} goes on in 90 s: it runs"
    activity_id = vars(record).get("azure.vm.assessment_activity_id")
    assert activity_id == (ACTIVITY_ID if has_begun else None)


async def test_what_is_no_assessment_goes_on_uncounted(world: World) -> None:
    """By its message alone."""
    later = Later(OverdueSweep("00000000-0000-4000-8000-000000000001"), AT, "x")
    await world.reschedule(later)
    assert world.bus.sent == {"in-progress": [in_progress_message(later)]}
    assert world.rescheduled() == 0


async def test_a_scan_begins_by_a_message(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """At once; the log says of what."""
    scope = Scope.parse(f"/subscriptions/{VM_ID.subscription_id}")
    scan = ScanRequest(scope, "r-1", "00000000-0000-4000-8000-000000000001", NOW)

    with caplog.at_level(logging.INFO, "assessor.assessment.rescheduler"):
        await world.rescheduler.begin_scan(scan)

    assert world.bus.sent == {"in-progress": [scan_message(scan, NOW)]}
    assert [each.getMessage() for each in caplog.records] == [
        f"request r-1 begins a scan of {scope}"
    ]
