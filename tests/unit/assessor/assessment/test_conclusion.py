"""What is told of an assessment's end: its outcome, its record, its span, and what is learned."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from assessor import backoff
from assessor.arm.result import ApiError
from assessor.arm.virtual_machine import SkipReason
from assessor.assessment.conclusion import Concluder, Consequence, failure_of, status_of
from assessor.assessment.steps import Done
from assessor.bus.message import PublishError
from assessor.expectation import Expectation
from assessor.messages.outcome import Conclusion, Outcome, Refused, Skipped, conclude
from assessor.messages.owner_tags import OwnerTags
from assessor.messages.progress import AssessmentProgress, Later, OperationRef
from assessor.messages.request import AssessmentRequest, Rejection
from assessor.posture.durations import Durations
from assessor.posture.store import MemoryPosture, PostureError
from assessor.telemetry.attributes import OUTCOME, STATUS
from assessor.telemetry.metrics import ASSESSMENTS, DURATION
from assessor.telemetry.records import Facts
from tests.support.builders import (
    ACTIVITY_ID,
    NOW,
    TRACEPARENT,
    VM_ID,
    finished,
    incoming,
    machine,
    request,
)
from tests.support.fakes import FakeBus, FakeClock
from tests.support.telemetry_rig import Rig

OPERATION = OperationRef(ACTIVITY_ID, "token", NOW, "1234567890abcdef")
PROGRESS = AssessmentProgress(
    replace(request(), scan_id="5f0d9df0-0000-4000-8000-000000000001"),
    NOW + timedelta(seconds=1),
    reschedules=2,
    attempt=3,
    vm=machine(),
    operation=OPERATION,
    expected=Expectation(123.456, 0.25),
)
FAILED = Refused(ApiError("OperationLost", "x"), NOW, ACTIVITY_ID, 12.5, "reported")
SKIPPED = Skipped(SkipReason.NOT_RUNNING, "x", NOW)


class World:
    """A concluder between a bus in memory and telemetry that is read back."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog
        self.rig = Rig()
        self.clock = FakeClock(NOW + timedelta(seconds=700.1234))
        self.bus = FakeBus()
        self.durations = Durations(MemoryPosture().durations, None)
        self.consequences: list[Consequence] = []

    async def conclude(self, done: Done, *, is_last: bool = False) -> Later | None:
        """Concludes, with the consequences that are set."""
        concluder = Concluder(
            bus=self.bus,
            results_topic="results",
            tags=OwnerTags(("env",)),
            consequences=self.consequences,
            durations=self.durations,
            telemetry=self.rig.telemetry,
            clock=self.clock,
            random=Random(1),
        )
        if is_last:
            return await concluder.conclude(done, is_last=True)
        return await concluder.conclude(done)

    def told(self) -> dict[str, object]:
        """Returns what the root span tells, by the app's own names."""
        return _own(dict(self.rig.one("assess_patches").attributes or {}))

    def records(self) -> list[dict[str, object]]:
        """Returns what the records tell, by the app's own names, and their text."""
        return [
            {"text": each.getMessage(), **_own(vars(each))}
            for each in self._caplog.records
            if "microsoft.custom_event.name" in vars(each)
        ]


def _own(attributes: Mapping[str, object]) -> dict[str, object]:
    return {
        name.rpartition("patch_assessor.")[2]: value
        for name, value in attributes.items()
        if name.startswith(("patch_assessor.", "azure."))
    }


@pytest.fixture
def world(caplog: pytest.LogCaptureFixture) -> World:
    caplog.set_level(logging.INFO, "assessor")
    return World(caplog)


_REQUESTED = {"vm.id": str(VM_ID), "request_id": "request-1"}


@pytest.mark.parametrize(
    ("conclusion", "told"),
    [
        (
            finished(),
            {
                "outcome": "PatchAssessor.AssessmentCompleted",
                "status": "Succeeded",
                "critical_and_security_patch_count": 0,
                "other_patch_count": 3,
                "reboot_pending": True,
            },
        ),
        (
            FAILED,
            {
                "outcome": "PatchAssessor.AssessmentFailed",
                "status": "Failed",
                "error_code": "OperationLost",
                "reported_activity_id": "reported",
            },
        ),
        (SKIPPED, {"outcome": "PatchAssessor.AssessmentSkipped", "status": "VmNotRunning"}),
    ],
)
async def test_the_root_span_tells_how_the_assessment_ended(
    world: World, conclusion: Conclusion, told: dict[str, object]
) -> None:
    """With what was expected, whether it was adopted, and what another's result calls itself."""
    assert await world.conclude(Done(PROGRESS, conclusion)) is None
    assert world.told() == {
        "azure.vm.assessment_activity_id": ACTIVITY_ID,
        "adopted": False,
        "expected.seconds": 123.5,
        "expected.spread": 0.25,
        **_REQUESTED,
        **told,
    }


@pytest.mark.parametrize(
    ("conclusion", "status", "seconds"),
    [(finished(), "Succeeded", 665.4984124), (FAILED, "Failed", 12.5), (SKIPPED, None, None)],
)
async def test_numbers_count_an_outcome_and_measure_its_operation(
    world: World, conclusion: Conclusion, status: str | None, seconds: float | None
) -> None:
    """By its type and status; a skipped one has no operation to measure."""
    await world.conclude(Done(PROGRESS, conclusion))
    labels = {
        OUTCOME: conclude(PROGRESS.request, None, conclusion).type.value,
        STATUS: status or "VmNotRunning",
    }
    assert [(each.labels, each.value) for each in world.rig.points(ASSESSMENTS)] == [(labels, 1)]
    measured = [(each.labels, each.value) for each in world.rig.points(DURATION)]
    assert measured == ([(labels, seconds)] if seconds else [])


async def test_the_root_span_begins_with_the_operation_and_links_to_its_request(
    world: World,
) -> None:
    """It is an error where the assessment failed, by its code."""
    asked = replace(PROGRESS.request, traceparent=TRACEPARENT)
    await world.conclude(Done(replace(PROGRESS, request=asked), FAILED))
    root = world.rig.one("assess_patches")
    assert root.start_time == int(NOW.timestamp() * 1_000_000_000)
    assert root.status.description == "OperationLost"
    assert int(TRACEPARENT.split("-")[1], 16) in {each.context.trace_id for each in root.links}


async def test_a_result_that_calls_itself_otherwise_is_told_by_that_name_too(world: World) -> None:
    """As attribute of the root span."""
    other = "68f8b292-dfc2-4646-9781-33cc88631968"
    await world.conclude(Done(PROGRESS, finished(assessmentActivityId=other)))
    assert world.told()["reported_activity_id"] == other


async def test_an_outcome_has_one_record_of_the_request_and_its_way(world: World) -> None:
    """How often it waited, and how long all of it took since it was enqueued."""

    async def follow(*_: object) -> Facts:
        return {"patch_assessor.alert.changes": "x"}

    async def follow_silently(*_: object) -> None:
        return None

    world.consequences = [follow, follow_silently]
    await world.conclude(Done(PROGRESS, SKIPPED))

    (record,) = world.records()
    (outcome,) = world.bus.sent["results"]
    assert record == {
        "text": f"request request-1 for {VM_ID}: PatchAssessor.AssessmentSkipped",
        "id": outcome.message_id,
        "status": "VmNotRunning",
        "time": "2026-01-05T12:00:00.000Z",
        **_REQUESTED,
        "vm.location": "eastus",
        "vm.os_type": "Windows",
        "reason": "VmNotRunning",
        "azure.vm.assessment_activity_id": ACTIVITY_ID,
        "adopted": False,
        "scan.id": PROGRESS.request.scan_id,
        "hop": 2,
        "attempts": 3,
        "total_seconds": 700.123,
        "alert.changes": "x",
    }


async def test_a_clock_behind_the_buss_makes_no_time_less_than_nothing(world: World) -> None:
    """Service Bus says when a request was enqueued."""
    world.clock.advance(-800)
    await world.conclude(Done(PROGRESS, SKIPPED))
    assert world.records()[0]["total_seconds"] == 0.0


async def test_an_assessment_that_never_began_is_told_without_an_operation(world: World) -> None:
    """Nor with what was expected of one."""
    await world.conclude(Done(AssessmentProgress(request(), NOW), SKIPPED))
    assert world.told() == {
        **_REQUESTED,
        "outcome": "PatchAssessor.AssessmentSkipped",
        "status": "VmNotRunning",
    }


async def test_an_outcome_goes_out_with_the_owners_tags_in_the_assessments_trace(
    world: World,
) -> None:
    """What follows from it is told the same trace."""
    traces = list[str | None]()

    async def follow(asked: AssessmentRequest, outcome: Outcome, traceparent: str | None) -> None:
        assert asked == PROGRESS.request
        assert outcome == conclude(PROGRESS.request, PROGRESS.vm, SKIPPED)
        traces.append(traceparent)

    world.consequences = [follow]
    await world.conclude(Done(PROGRESS, SKIPPED))

    (message,) = world.bus.sent["results"]
    assert message.application_properties["tag_env"] == "test"
    assert traces == [message.application_properties["traceparent"]]
    assert f"{ACTIVITY_ID.replace('-', '')}-{OPERATION.root_span_id}" in str(traces[0])


async def test_what_an_assessment_took_is_learned_for_its_operating_system(world: World) -> None:
    """A skipped one teaches nothing."""
    unknown = await world.durations.expect(machine())
    await world.conclude(Done(PROGRESS, SKIPPED))
    assert await world.durations.expect(machine()) == unknown
    await world.conclude(Done(PROGRESS, finished()))
    assert await world.durations.expect(machine()) != unknown
    await world.conclude(Done(replace(PROGRESS, vm=None), finished()))  # of whatever system


@pytest.mark.parametrize("error", [PostureError(VM_ID, "down"), PublishError("alerts", "down")])
async def test_what_cannot_follow_now_follows_later_and_is_recorded_at_once(
    world: World, error: Exception
) -> None:
    """The retry goes on where this left off, a while later, and says why."""

    async def fail(*_: object) -> None:
        raise error

    world.consequences = [fail]
    now = world.clock.now()
    delay = timedelta(seconds=backoff.delay(3, None, Random(1)))
    later = await world.conclude(Done(PROGRESS, SKIPPED))
    assert later == Later(PROGRESS.rescheduled(now, attempt=4), now + delay, str(error))
    assert len(world.records()) == 1
    assert not world.rig.named("assess_patches")


@pytest.mark.parametrize("is_last", [True, False])
async def test_a_fault_in_what_follows_is_left_at_the_deadline_only(
    world: World,
    is_last: bool,  # noqa: FBT001 - one of two cases
) -> None:
    """Before, it is raised, for the request is to be tried again; the record is written anyhow."""

    async def fail(*_: object) -> None:
        raise ZeroDivisionError

    async def follow(*_: object) -> Facts:
        return {"patch_assessor.alert.changes": "x"}

    world.consequences = [fail, follow]
    if is_last:
        assert await world.conclude(Done(PROGRESS, SKIPPED), is_last=True) is None
        assert world.records()[0]["alert.changes"] == "x"
    else:
        with pytest.raises(ZeroDivisionError):
            await world.conclude(Done(PROGRESS, SKIPPED))
        assert len(world.records()) == 1


@pytest.mark.parametrize(("seconds", "gives_up"), [(-1, False), (0, True)])
async def test_an_outcome_waits_for_its_topic_for_so_long(
    world: World, *, seconds: int, gives_up: object
) -> None:
    """Then the message itself has to come again; nothing follows from what is not published."""
    world.bus.refuse = lambda _: True
    world.clock = FakeClock(PROGRESS.accepted_at + backoff.GIVES_UP_AFTER)
    world.clock.advance(seconds)
    if gives_up:
        with pytest.raises(PublishError):
            await world.conclude(Done(PROGRESS, SKIPPED))
    else:
        later = await world.conclude(Done(PROGRESS, SKIPPED))
        assert isinstance(later, Later)
        assert "refused by the test" in later.why
    assert world.records() == []


_REJECTED = Rejection("message-1", "Invalid", (), incoming({}))


@pytest.mark.parametrize(
    ("conclusion", "status", "failure"),
    [
        (finished(), "Succeeded", None),
        (finished(status=None), "", None),
        (finished(status="Failed", error={"code": "x"}), "Failed", "x"),
        (finished(status="failed", error={}), "failed", "failed"),
        (finished(status="Failed", error=None), "Failed", "Failed"),
        (FAILED, "Failed", "OperationLost"),
        (SKIPPED, "VmNotRunning", None),
        (_REJECTED, "Invalid", None),
    ],
)
def test_each_end_has_one_word_and_a_failed_one_its_code(
    conclusion: Conclusion | Rejection, status: str, failure: str | None
) -> None:
    """The assessment's own, or why there was none."""
    outcome = replace(conclude(request(), machine(), SKIPPED), conclusion=conclusion)
    assert status_of(outcome) == status
    assert failure_of(outcome) == failure
