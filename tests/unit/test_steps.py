"""What a step does with a request: begin or adopt, follow, wait, or come to an end."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from opentelemetry.sdk.trace import TracerProvider

from assessor.arm.continuation import TokenRefusedError
from assessor.arm.errors import ArmError, Phase
from assessor.arm.hold import Hold, HoldOver
from assessor.arm.port import OperationEnd
from assessor.arm.rate_limiter import RateLimiter, Region
from assessor.arm.result import ApiError, parse_result
from assessor.arm.virtual_machine import PatchSummary, SkipReason, VirtualMachine
from assessor.assessment.state_machine import Done, Steps, Wait
from assessor.messages.outcome import Finished, Refused, Skipped
from assessor.messages.progress import OperationRef, Progress
from assessor.messages.request import AssessmentRequest
from assessor.posture.durations import Durations
from assessor.posture.store import MemoryPosture
from assessor.resource_id import VirtualMachineId
from assessor.telemetry.telemetry import AssessmentIdGenerator, Telemetry, root_span_id
from tests.support.fakes import FakeArm, FakeClock

VM = VirtualMachineId("00000000-0000-0000-0000-000000000001", "group", "vm-1")
OTHER_VM = VirtualMachineId("00000000-0000-0000-0000-000000000001", "group", "vm-2")
ACTIVITY = "14e074b4-2fd7-4d20-8b3b-5339add89570"
RUNNING = VirtualMachine(VM, location="eastus", power_state="running", agent_state="Ready")
RESULT = {"status": "Succeeded", "assessmentActivityId": ACTIVITY}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def arm() -> FakeArm:
    return FakeArm()


@pytest.fixture
def gate() -> RateLimiter:
    return RateLimiter(per_minute=60)


@pytest.fixture
def poll_limiter() -> RateLimiter:
    return RateLimiter(per_minute=4500)


@pytest.fixture
def steps(arm: FakeArm, clock: FakeClock, gate: RateLimiter, poll_limiter: RateLimiter) -> Steps:
    ids = AssessmentIdGenerator()
    return Steps(
        arm=arm,
        gate=gate,
        poll_limiter=poll_limiter,
        durations=Durations(MemoryPosture(), 660),
        telemetry=Telemetry(TracerProvider(id_generator=ids).get_tracer("test"), ids),
        clock=clock,
        random=Random(1),
        new_hold=lambda: Hold(20, lambda: 0.0, asyncio.Event()),
        deadline=timedelta(minutes=120),
    )


@pytest.fixture
def new(clock: FakeClock) -> Progress:
    """A request that nothing has been done for yet."""
    return Progress(AssessmentRequest(VM, "r-1", enqueued_at=clock.now()), clock.now())


@pytest.fixture
def begun(new: Progress, clock: FakeClock) -> Progress:
    """A request whose operation runs and was handed over."""
    ref = OperationRef(ACTIVITY, "token", clock.now(), root_span_id(ACTIVITY, "r-1"))
    return replace(new, hop=1, vm=RUNNING, operation=ref)


def refusal(
    phase: Phase, status: int | None, code: str, retry_after: float | None = None
) -> ArmError:
    return ArmError(phase, status, ApiError(code, f"{code}."), retry_after=retry_after)


def summary(**fields: object) -> PatchSummary:
    return PatchSummary({"assessmentActivityId": ACTIVITY, **fields})


async def test_a_running_vm_is_begun_and_handed_over(
    steps: Steps, arm: FakeArm, new: Progress
) -> None:
    """The VM is read, the operation begun once, and its token waits for the next poll."""
    arm.reads, arm.begins, arm.looks = [RUNNING], [ACTIVITY], [HoldOver(30)]

    step = await steps.next(new)

    assert isinstance(step, Wait)
    assert arm.effects == ["read vm-1", "begin vm-1", f"poll {ACTIVITY}"]
    assert step.delay == 30
    assert step.progress.operation is not None
    assert step.progress.operation.activity_id == ACTIVITY
    assert (step.progress.hop, step.progress.attempt) == (1, 0)
    assert step.progress.vm == RUNNING


async def test_an_operation_that_ends_within_the_hold_is_concluded_at_once(
    steps: Steps, arm: FakeArm, new: Progress, clock: FakeClock
) -> None:
    """The result is ARM's own, the times are ARM's own."""
    end = clock.now() + timedelta(seconds=12)
    arm.reads, arm.begins = [RUNNING], [ACTIVITY]
    arm.looks = [OperationEnd(parse_result(RESULT), clock.now(), end)]

    step = await steps.next(new)

    assert isinstance(step, Done)
    assert step.conclusion == Finished(parse_result(RESULT), ended_at=end, seconds=12)


@pytest.mark.parametrize(
    ("vm", "reason"),
    [
        (replace(RUNNING, power_state="deallocated"), SkipReason.NOT_RUNNING),
        (replace(RUNNING, provisioning_state="Deleting"), SkipReason.BEING_DELETED),
        (replace(RUNNING, agent_state="Not Ready"), SkipReason.AGENT_NOT_READY),
        (replace(RUNNING, agent_state="Missing"), SkipReason.AGENT_NOT_READY),
    ],
)
async def test_a_vm_that_cannot_be_assessed_is_skipped_without_a_begin(
    steps: Steps, arm: FakeArm, new: Progress, vm: VirtualMachine, reason: SkipReason
) -> None:
    """Nothing is posted for a VM that ARM would refuse."""
    arm.reads = [vm]

    step = await steps.next(new)

    assert isinstance(step, Done)
    assert isinstance(step.conclusion, Skipped)
    assert step.conclusion.reason is reason
    assert arm.effects == ["read vm-1"]


async def test_an_assessment_that_runs_already_is_followed_instead_of_a_second_one(
    steps: Steps, arm: FakeArm, new: Progress, clock: FakeClock
) -> None:
    """After a crash, or beside another request, ARM's own state says that one is running."""
    started = clock.now() - timedelta(minutes=3)
    running = summary(status="InProgress", startTime=started.isoformat())
    arm.reads, arm.looks = [replace(RUNNING, last_assessment=running)], [HoldOver(30)]

    step = await steps.next(new)

    assert arm.effects == ["read vm-1", f"adopt vm-1 {ACTIVITY}", f"poll {ACTIVITY}"]
    assert isinstance(step, Wait)
    assert step.progress.operation is not None
    assert step.progress.operation.adopted
    assert step.progress.operation.begun_at == started


async def test_an_assessment_that_began_after_the_request_answers_it(
    steps: Steps, arm: FakeArm, new: Progress, clock: FakeClock
) -> None:
    """A redelivered request whose operation has ended meanwhile does not begin another."""
    started = new.request.enqueued_at + timedelta(seconds=1)
    clock.advance(3600)
    arm.reads = [
        replace(
            RUNNING,
            last_assessment=summary(status="Succeeded", startTime=started.isoformat()),
        )
    ]
    arm.looks = [OperationEnd(parse_result(RESULT), started, clock.now())]

    step = await steps.next(new)

    assert isinstance(step, Done)
    assert arm.effects == ["read vm-1", f"adopt vm-1 {ACTIVITY}", f"poll {ACTIVITY}"]


async def test_a_start_time_in_whole_seconds_does_not_hide_the_requests_own_assessment(
    steps: Steps, arm: FakeArm, new: Progress, clock: FakeClock
) -> None:
    """Begun in the same second as it was asked for, it seems to be older than its request."""
    asked_at = new.request.enqueued_at.replace(microsecond=900_000)
    asked = replace(new, request=replace(new.request, enqueued_at=asked_at))
    started = asked_at.replace(microsecond=0)
    clock.advance(3600)
    arm.reads = [
        replace(
            RUNNING,
            last_assessment=summary(status="Succeeded", startTime=f"{started:%Y-%m-%dT%H:%M:%SZ}"),
        )
    ]
    arm.looks = [OperationEnd(parse_result(RESULT), started, clock.now())]

    await steps.next(asked)

    assert "begin vm-1" not in arm.effects


@pytest.mark.parametrize(
    ("status", "minutes_ago"),
    [("Succeeded", 1), ("InProgress", 121), ("Failed", 600)],
)
async def test_an_older_or_forgotten_assessment_does_not_answer(
    steps: Steps, arm: FakeArm, new: Progress, clock: FakeClock, status: str, minutes_ago: int
) -> None:
    """What ended before the request, or runs longer than anything does, is not fresh."""
    started = clock.now() - timedelta(minutes=minutes_ago)
    old = summary(status=status, startTime=started.isoformat())
    arm.reads = [replace(RUNNING, last_assessment=old)]
    arm.begins, arm.looks = [ACTIVITY], [HoldOver(30)]

    await steps.next(new)

    assert "begin vm-1" in arm.effects


async def test_a_throttled_begin_waits_on_the_bus_and_holds_its_region_back(
    steps: Steps, arm: FakeArm, new: Progress, clock: FakeClock
) -> None:
    """Retry-After is a lower bound, and the next request of the region makes no POST."""
    arm.reads = [RUNNING, replace(RUNNING, id=OTHER_VM)]
    arm.begins = [refusal(Phase.BEGIN, 429, "OperationNotAllowed", retry_after=1200)]

    first = await steps.next(new)
    second = await steps.next(replace(new, request=replace(new.request, vm=OTHER_VM)))

    assert isinstance(first, Wait)
    assert first.delay >= 1200
    assert first.progress.not_before == clock.now() + timedelta(seconds=1200)
    assert isinstance(second, Wait)
    assert second.delay >= 1200
    assert arm.effects == ["read vm-1", "begin vm-1", "read vm-2"]


async def test_an_empty_bucket_holds_the_region_back_before_arm_refuses(
    steps: Steps, arm: FakeArm, new: Progress
) -> None:
    """What the answer says is left is used before the 429 comes."""
    arm.remaining = {"Microsoft.Compute/UpdateVM3Min": 0}
    arm.reads = [RUNNING, replace(RUNNING, id=OTHER_VM)]
    arm.begins, arm.looks = [ACTIVITY], [HoldOver(30)]

    await steps.next(new)
    second = await steps.next(replace(new, request=replace(new.request, vm=OTHER_VM)))

    assert isinstance(second, Wait)
    assert second.delay > 60
    assert "begin vm-2" not in arm.effects


async def test_waits_grow_and_end_at_the_deadline(
    steps: Steps, arm: FakeArm, new: Progress, clock: FakeClock
) -> None:
    """A refusal that does not end is retried until the deadline, and fails then, once."""
    progress, posts = new, 0
    while True:
        arm.reads = [RUNNING]
        arm.begins = [refusal(Phase.BEGIN, 503, "ServiceUnavailable")]
        step = await steps.next(progress)
        if isinstance(step, Done):
            break
        posts += 1
        clock.advance(step.delay)
        progress = step.progress

    assert isinstance(step.conclusion, Refused)
    assert step.conclusion.error.code == "DeadlineExceeded"
    assert clock.now() == new.accepted_at + timedelta(minutes=120)
    assert 24 <= posts <= 60  # every 5 minutes at the most, in 2 hours


async def test_a_running_operation_gets_a_last_look_at_the_deadline(
    steps: Steps, arm: FakeArm, begun: Progress, clock: FakeClock
) -> None:
    """What is still running then has failed; what has ended just then has not."""
    clock.advance(120 * 60)
    arm.looks = [OperationEnd(parse_result(RESULT), None, None)]
    ended = await steps.next(begun)
    arm.looks = [HoldOver(30)]
    running = await steps.next(begun)

    assert isinstance(ended, Done)
    assert isinstance(ended.conclusion, Finished)
    assert isinstance(running, Done)
    assert isinstance(running.conclusion, Refused)
    assert running.conclusion.error.code == "DeadlineExceeded"
    assert running.conclusion.activity_id == ACTIVITY


async def test_retry_after_is_obeyed_by_a_message_that_comes_early(
    steps: Steps, arm: FakeArm, begun: Progress, clock: FakeClock
) -> None:
    """No call is made before the moment that ARM named."""
    early = replace(begun, not_before=clock.now() + timedelta(seconds=100))

    step = await steps.next(early)

    assert isinstance(step, Wait)
    assert step.delay == 100
    assert arm.effects == []


async def test_a_refused_token_makes_no_call(steps: Steps, arm: FakeArm, begun: Progress) -> None:
    """The assessment fails and says why."""
    arm.token_problem = TokenRefusedError("a URL is not https")

    step = await steps.next(begun)

    assert isinstance(step, Done)
    assert isinstance(step.conclusion, Refused)
    assert step.conclusion.error.code == "ContinuationTokenRefused"
    assert "not https" in step.conclusion.error.message
    assert arm.effects == []


async def test_a_failed_operation_is_a_failed_assessment(
    steps: Steps, arm: FakeArm, begun: Progress
) -> None:
    """ARM's own error is kept whole."""
    error = refusal(Phase.POLL, 200, "VMExtensionHandlerNonTransientError")
    arm.looks = [error]

    step = await steps.next(begun)

    assert isinstance(step, Done)
    assert isinstance(step.conclusion, Refused)
    assert step.conclusion.error == error.error
    assert step.conclusion.activity_id == ACTIVITY


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "AuthorizationFailed", "Microsoft.Compute/locations/operations/read"),
        (404, "NotFound", "no longer knew the operation"),
    ],
)
async def test_a_lost_operation_is_concluded_from_the_instance_view(
    steps: Steps, arm: FakeArm, begun: Progress, status: int, code: str, words: str
) -> None:
    """The counts are there; the list is missing, and the outcome says why and what to do."""
    arm.looks = [refusal(Phase.POLL, status, code)]
    known = summary(
        status="Succeeded",
        criticalAndSecurityPatchCount=3,
        startTime="2026-01-05T12:00:00.1234567+00:00",
        lastModifiedTime="2026-01-05T12:11:00+00:00",
    )
    arm.reads = [replace(RUNNING, last_assessment=known)]

    step = await steps.next(begun)

    assert isinstance(step, Done)
    assert isinstance(step.conclusion, Finished)
    assert step.conclusion.result.critical_and_security_count == 3
    assert step.conclusion.result.start_text == "2026-01-05T12:00:00.1234567+00:00"
    assert step.conclusion.result.patches is None
    assert words in (step.conclusion.patches_missing or "")
    assert step.conclusion.seconds == 660


async def test_a_lost_operation_that_still_runs_is_waited_for(
    steps: Steps, arm: FakeArm, begun: Progress
) -> None:
    """The instance view says that it is in progress: it is looked at again later."""
    arm.looks = [refusal(Phase.POLL, 403, "AuthorizationFailed")]
    arm.reads = [replace(RUNNING, last_assessment=summary(status="InProgress"))]

    assert isinstance(await steps.next(begun), Wait)


async def test_a_lost_operation_that_nobody_knows_has_failed(
    steps: Steps, arm: FakeArm, begun: Progress
) -> None:
    """Another assessment's numbers are never taken for this one's."""
    arm.looks = [refusal(Phase.POLL, 404, "NotFound")]
    other = PatchSummary({"assessmentActivityId": "another", "status": "Succeeded"})
    arm.reads = [replace(RUNNING, last_assessment=other)]

    step = await steps.next(begun)

    assert isinstance(step, Done)
    assert isinstance(step.conclusion, Refused)
    assert step.conclusion.error.code == "OperationLost"
    assert [each["code"] for each in step.conclusion.error.details] == ["NotFound"]


async def test_a_vm_that_keeps_refusing_is_believed_after_some_looks(
    steps: Steps, arm: FakeArm, new: Progress, clock: FakeClock
) -> None:
    """A 409 is looked into three times, for the VM may have stopped; then it is final."""
    progress = new
    for _ in range(3):
        arm.reads = [RUNNING]
        arm.begins = [refusal(Phase.BEGIN, 409, "OperationNotAllowed")]
        step = await steps.next(progress)
        assert isinstance(step, Wait)
        clock.advance(step.delay)
        progress = step.progress
    arm.reads, arm.begins = [RUNNING], [refusal(Phase.BEGIN, 409, "OperationNotAllowed")]

    step = await steps.next(progress)

    assert isinstance(step, Done)
    assert isinstance(step.conclusion, Refused)
    assert step.conclusion.error.code == "OperationNotAllowed"


async def test_a_poll_without_an_answer_keeps_the_operation(
    steps: Steps, arm: FakeArm, begun: Progress
) -> None:
    """A fault of the network costs a wait, never the operation."""
    arm.looks = [refusal(Phase.POLL, None, "ServiceResponseError")]

    step = await steps.next(begun)

    assert isinstance(step, Wait)
    assert step.progress.operation == begun.operation
    assert step.progress.attempt == 1


async def test_what_is_expected_at_the_begin_decides_each_look(
    steps: Steps, arm: FakeArm, new: Progress, clock: FakeClock
) -> None:
    """It travels with the request; the time since the begin counts, in whichever worker."""
    arm.reads, arm.begins, arm.looks = [RUNNING], [ACTIVITY], [HoldOver(30), HoldOver(30)]
    step = await steps.next(new)
    assert isinstance(step, Wait)
    assert step.progress.expected is not None
    clock.advance(100)

    await steps.next(step.progress)

    first = step.progress.expected.next_poll(0)
    assert arm.due == pytest.approx([first, first - 100])


async def test_an_adopted_operation_is_expected_by_when_it_began(
    steps: Steps, arm: FakeArm, new: Progress, clock: FakeClock
) -> None:
    """Not by when it was found."""
    began = clock.now() - timedelta(seconds=200)
    running = summary(status="InProgress", startTime=began.isoformat())
    arm.reads, arm.looks = [replace(RUNNING, last_assessment=running)], [HoldOver(30)]

    step = await steps.next(new)

    assert isinstance(step, Wait)
    assert step.progress.expected is not None
    assert arm.due == pytest.approx([step.progress.expected.next_poll(200)])


async def test_a_handed_over_operation_without_an_expectation_is_followed_all_the_same(
    steps: Steps, arm: FakeArm, begun: Progress
) -> None:
    """A message of before there were any."""
    arm.looks = [HoldOver(30)]

    assert isinstance(await steps.next(begun), Wait)
    assert arm.due == pytest.approx([Durations(MemoryPosture(), 660).unknown.next_poll(0)])


async def test_a_refused_look_holds_back_the_other_looks_of_its_subscription(
    steps: Steps, arm: FakeArm, begun: Progress, clock: FakeClock
) -> None:
    """They wait without a call, in any region; another subscription's are made."""
    arm.looks = [refusal(Phase.POLL, 429, "OperationNotAllowed", 60), HoldOver(30), HoldOver(30)]
    assert isinstance(await steps.next(begun), Wait)
    other = replace(begun, request=replace(begun.request, vm=OTHER_VM))
    arm.effects.clear()

    held = await steps.next(other)

    assert isinstance(held, Wait)
    assert held.why == "looks are held back"
    assert 60 < held.delay < 61
    assert arm.effects == []
    elsewhere = replace(VM, subscription_id="00000000-0000-0000-0000-000000000002")
    await steps.next(replace(begun, request=replace(begun.request, vm=elsewhere)))
    clock.advance(60.1)
    await steps.next(held.progress)
    assert arm.effects.count(f"poll {ACTIVITY}") == 2


async def test_an_operation_is_looked_at_at_its_deadline_whatever_is_held_back(
    steps: Steps, arm: FakeArm, begun: Progress, clock: FakeClock, poll_limiter: RateLimiter
) -> None:
    """It may have ended long ago."""
    clock.advance(120 * 60)
    poll_limiter.close(Region.of(VM.subscription_id, None), clock.now() + timedelta(minutes=5))
    arm.looks = [OperationEnd(parse_result(RESULT), None, clock.now())]

    assert isinstance(await steps.next(begun), Done)
