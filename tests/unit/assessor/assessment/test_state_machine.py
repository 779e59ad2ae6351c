"""What a step does with a request: begin or adopt, follow, wait, or come to an end."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

import pytest

from assessor import backoff
from assessor.app import build_state_machine
from assessor.arm.continuation import TokenRefusedError
from assessor.arm.errors import ArmError, Phase, judge
from assessor.arm.operation import Ended, Running
from assessor.arm.result import ApiError, parse_result
from assessor.arm.throttling import Region, dearness
from assessor.arm.virtual_machine import PatchSummary, SkipReason, VirtualMachine
from assessor.assessment.adoption import finished_by_summary, operation_lost
from assessor.assessment.state_machine import StateMachine
from assessor.assessment.steps import Done, Step
from assessor.messages.outcome import Finished, Refused
from assessor.messages.progress import AssessmentProgress, Later, OperationRef
from assessor.messages.request import AssessmentRequest
from assessor.posture.durations import Durations
from assessor.posture.store import MemoryPosture
from assessor.resource_id import VirtualMachineId
from assessor.telemetry.attributes import ADOPTED, RESCHEDULES
from assessor.telemetry.context import Delivery, root_span_id
from tests.support.app import ports, settings
from tests.support.fakes import FakeArm, FakeBus, FakeClock
from tests.support.telemetry_rig import Rig, parent_id, trace_id

VM = VirtualMachineId("00000000-0000-0000-0000-000000000001", "group", "vm-1")
OTHER_VM = VirtualMachineId("00000000-0000-0000-0000-000000000001", "group", "vm-2")
ACTIVITY = "14e074b4-2fd7-4d20-8b3b-5339add89570"
OTHER_ACTIVITY = "68f8b292-dfc2-4646-9781-33cc88631968"
RUNNING = VirtualMachine(VM, location="eastus", power_state="running", agent_state="Ready")
RESULT = {"status": "Succeeded", "assessmentActivityId": ACTIVITY, "availablePatches": []}
PROBLEM = ApiError("ServiceUnavailable", "x")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def arm() -> FakeArm:
    return FakeArm()


@pytest.fixture
def machine(arm: FakeArm, clock: FakeClock) -> StateMachine:
    return build_state_machine(
        settings(SCAN_PACE_PER_MINUTE="60"),
        ports(clock=clock, bus=FakeBus(), arm=arm),
        Durations(MemoryPosture().durations, 660),
    )


@pytest.fixture
def new(clock: FakeClock) -> AssessmentProgress:
    """A request that nothing has been done for yet."""
    return AssessmentProgress(AssessmentRequest(VM, "r-1", enqueued_at=clock.now()), clock.now())


@pytest.fixture
def begun(new: AssessmentProgress, clock: FakeClock) -> AssessmentProgress:
    """A request whose operation runs and was handed over."""
    ref = OperationRef(ACTIVITY, "token", clock.now(), root_span_id(ACTIVITY, "r-1"))
    return replace(new, reschedules=1, vm=RUNNING, operation=ref)


def refusal(
    phase: Phase, status: int | None, code: str, retry_after: float | None = None
) -> ArmError:
    return ArmError(phase, status, ApiError(code, f"{code}."), retry_after=retry_after)


def later(step: Step, now: datetime) -> tuple[AssessmentProgress, float]:
    """Returns what goes on later, and in how many seconds."""
    assert isinstance(step, Later)
    assert isinstance(step.progress, AssessmentProgress)
    return step.progress, (step.at - now).total_seconds()


def own_operation(progress: AssessmentProgress, begun_at: datetime) -> OperationRef:
    """Returns the operation that a request has begun."""
    root = root_span_id(ACTIVITY, progress.request.identity)
    return OperationRef(ACTIVITY, "token", begun_at, root)


def summary(**fields: object) -> PatchSummary:
    return PatchSummary({"assessmentActivityId": ACTIVITY, **fields})


async def test_a_running_vm_is_begun_and_handed_over(
    machine: StateMachine, arm: FakeArm, new: AssessmentProgress, clock: FakeClock
) -> None:
    """The VM is read, the operation begun once, and its token waits for the first poll."""
    arm.reads, arm.begins, arm.retry_after = [RUNNING], [ACTIVITY], 900

    progress, delay = later(await machine.advance(new), clock.now())

    assert arm.effects == ["read vm-1", "begin vm-1"]
    assert delay == 900
    assert progress.operation is not None
    assert progress.operation.activity_id == ACTIVITY
    assert (progress.reschedules, progress.attempt) == (1, 0)
    assert progress.vm == RUNNING


@pytest.mark.parametrize(
    ("result", "reported"),
    [
        ({"status": "Succeeded", "assessmentActivityId": OTHER_ACTIVITY}, OTHER_ACTIVITY),
        ({"status": "Failed", "assessmentActivityId": OTHER_ACTIVITY}, OTHER_ACTIVITY),
        ({"status": "Succeeded", "installationActivityId": ACTIVITY, "patches": []}, None),
        ({}, None),
    ],
)
async def test_the_result_of_another_operation_is_not_this_requests_outcome(
    machine: StateMachine,
    arm: FakeArm,
    begun: AssessmentProgress,
    result: dict[str, object],
    reported: str | None,
) -> None:
    """What was followed came from the bus, and may be forged: another VM's, or no assessment's."""
    arm.polls = [Ended(parse_result(result))]

    step = await machine.advance(begun)

    assert isinstance(step, Done)
    assert isinstance(step.conclusion, Refused)
    assert step.conclusion.error.code == "NotTheAssessment"
    assert step.conclusion.activity_id == ACTIVITY
    assert step.conclusion.reported_activity_id == reported


@pytest.mark.parametrize(
    "result",
    [
        RESULT | {"assessmentActivityId": ACTIVITY.upper()},
        RESULT | {"assessmentActivityId": 5},
        {"status": "Unknown", "criticalAndSecurityPatchCount": 0},
        {"status": "Failed", "error": {"code": "x", "message": "y"}},
    ],
)
async def test_an_assessment_that_cant_be_told_by_its_name_is_one_by_what_it_tells(
    machine: StateMachine, arm: FakeArm, begun: AssessmentProgress, result: dict[str, object]
) -> None:
    """An odd activity ID loses no result."""
    arm.polls = [Ended(parse_result(result))]

    step = await machine.advance(begun)

    assert isinstance(step, Done)
    assert isinstance(step.conclusion, Finished)


async def test_an_operation_that_has_ended_by_the_begins_answer_is_concluded_at_once(
    machine: StateMachine, arm: FakeArm, new: AssessmentProgress, clock: FakeClock
) -> None:
    """The result is ARM's own, the times are ARM's own."""
    end = clock.now() + timedelta(seconds=12)
    arm.reads, arm.begins = [RUNNING], [ACTIVITY]
    arm.ended = Ended(parse_result(RESULT), clock.now(), end)

    step = await machine.advance(new)

    progress = replace(
        new,
        vm=RUNNING,
        operation=own_operation(new, clock.now()),
        expected=await machine.starter.durations.expect(RUNNING),
    )
    assert step == Done(progress, Finished(parse_result(RESULT), ended_at=end, seconds=12))


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
    machine: StateMachine,
    arm: FakeArm,
    new: AssessmentProgress,
    vm: VirtualMachine,
    reason: SkipReason,
) -> None:
    """Nothing is posted for a VM that ARM would refuse."""
    arm.reads = [vm]

    step = await machine.advance(new)

    assert step == machine.steps.skipped(replace(new, vm=vm), reason)
    assert arm.effects == ["read vm-1"]


async def test_an_assessment_that_runs_already_is_followed_instead_of_a_second_one(
    machine: StateMachine, arm: FakeArm, new: AssessmentProgress, clock: FakeClock
) -> None:
    """After a crash, or beside another request, ARM's own state says that one is running."""
    started = clock.now() - timedelta(minutes=3)
    running = summary(status="InProgress", startTime=started.isoformat())
    arm.reads, arm.polls = [replace(RUNNING, last_assessment=running)], [Running()]

    progress, _ = later(await machine.advance(new), clock.now())

    assert arm.effects == ["read vm-1", f"adopt vm-1 {ACTIVITY}", "poll vm-1 adopted-token"]
    assert progress.operation is not None
    assert progress.operation.adopted
    assert progress.operation.begun_at == started


async def test_an_assessment_that_began_after_the_request_answers_it(
    machine: StateMachine, arm: FakeArm, new: AssessmentProgress, clock: FakeClock
) -> None:
    """A redelivered request whose operation has ended meanwhile does not begin another."""
    started = new.request.enqueued_at + timedelta(seconds=1)
    clock.advance(3600)
    told = summary(status="Succeeded", startTime=started.isoformat())
    vm = replace(RUNNING, last_assessment=told)
    arm.reads = [vm]
    arm.polls = [Ended(parse_result(RESULT), started, clock.now())]

    step = await machine.advance(replace(new, attempt=4, problem=PROBLEM))

    progress = replace(
        new,
        vm=vm,
        operation=replace(own_operation(new, started), token="adopted-token", adopted=True),
        expected=await machine.starter.durations.expect(vm),
    )
    assert step == Done(progress, Finished(parse_result(RESULT), clock.now(), 3_599.0))
    assert arm.effects == ["read vm-1", f"adopt vm-1 {ACTIVITY}", "poll vm-1 adopted-token"]


async def test_a_start_time_in_whole_seconds_does_not_hide_the_requests_own_assessment(
    machine: StateMachine, arm: FakeArm, new: AssessmentProgress, clock: FakeClock
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
    arm.polls = [Ended(parse_result(RESULT), started, clock.now())]

    await machine.advance(asked)

    assert "begin vm-1" not in arm.effects


@pytest.mark.parametrize(
    ("status", "minutes_ago"),
    [("Succeeded", 1), ("InProgress", 121), ("Failed", 600)],
)
async def test_an_older_or_forgotten_assessment_does_not_answer(
    machine: StateMachine,
    arm: FakeArm,
    new: AssessmentProgress,
    clock: FakeClock,
    status: str,
    minutes_ago: int,
) -> None:
    """What ended before the request, or runs longer than anything does, is not fresh."""
    started = clock.now() - timedelta(minutes=minutes_ago)
    old = summary(status=status, startTime=started.isoformat())
    arm.reads = [replace(RUNNING, last_assessment=old)]
    arm.begins = [ACTIVITY]

    await machine.advance(new)

    assert "begin vm-1" in arm.effects


async def test_a_throttled_begin_waits_on_the_bus_and_holds_its_region_back(
    machine: StateMachine, arm: FakeArm, new: AssessmentProgress, clock: FakeClock
) -> None:
    """Retry-After is a lower bound, and the next request of the region makes no POST."""
    arm.reads = [RUNNING, replace(RUNNING, id=OTHER_VM)]
    arm.begins = [refusal(Phase.BEGIN, 429, "OperationNotAllowed", retry_after=1200)]

    other = replace(new, request=replace(new.request, vm=OTHER_VM))
    progress, delay = later(await machine.advance(new), clock.now())
    _, other_delay = later(await machine.advance(other), clock.now())

    assert delay >= 1200
    assert progress.not_before == clock.now() + timedelta(seconds=1200)
    assert other_delay >= 1200
    assert arm.effects == ["read vm-1", "begin vm-1", "read vm-2"]


async def test_an_empty_bucket_holds_the_region_back_before_arm_refuses(
    machine: StateMachine, arm: FakeArm, new: AssessmentProgress, clock: FakeClock
) -> None:
    """What the answer says is left is used before the 429 comes."""
    arm.remaining = {"Microsoft.Compute/UpdateVM3Min": 0}
    arm.reads = [RUNNING, replace(RUNNING, id=OTHER_VM)]
    arm.begins = [ACTIVITY]

    await machine.advance(new)
    other = replace(new, request=replace(new.request, vm=OTHER_VM))
    _, delay = later(await machine.advance(other), clock.now())

    assert delay > 60
    assert "begin vm-2" not in arm.effects


async def test_waits_grow_and_end_at_the_deadline(
    machine: StateMachine, arm: FakeArm, new: AssessmentProgress, clock: FakeClock
) -> None:
    """A refusal that does not end is retried until the deadline, and fails then, once."""
    progress, posts = new, 0
    while True:
        arm.reads = [RUNNING]
        arm.begins = [refusal(Phase.BEGIN, 503, "ServiceUnavailable")]
        step = await machine.advance(progress)
        if isinstance(step, Done):
            break
        posts += 1
        progress, delay = later(step, clock.now())
        clock.advance(delay)

    assert isinstance(step.conclusion, Refused)
    assert step.conclusion.error.code == "DeadlineExceeded"
    assert clock.now() == new.accepted_at + timedelta(minutes=120)
    assert 24 <= posts <= 60  # every 5 minutes at the most, in 2 hours


async def test_a_running_operation_gets_a_last_poll_at_the_deadline(
    machine: StateMachine, arm: FakeArm, begun: AssessmentProgress, clock: FakeClock
) -> None:
    """What is still running then has failed; what has ended just then has not."""
    clock.advance(120 * 60)
    arm.polls = [Running()]
    running = await machine.advance(begun)
    arm.polls = [Ended(parse_result(RESULT), None, None)]
    ended = await machine.advance(begun)

    assert isinstance(ended, Done)
    assert isinstance(ended.conclusion, Finished)
    assert isinstance(running, Done)
    assert isinstance(running.conclusion, Refused)
    assert running.conclusion.error.code == "DeadlineExceeded"
    assert running.conclusion.activity_id == ACTIVITY


async def test_retry_after_is_obeyed_by_a_message_that_comes_early(
    machine: StateMachine, arm: FakeArm, begun: AssessmentProgress, clock: FakeClock
) -> None:
    """No call is made before the moment that ARM named."""
    early = replace(begun, not_before=clock.now() + timedelta(seconds=100))

    _, delay = later(await machine.advance(early), clock.now())

    assert delay == 100
    assert arm.effects == []


async def test_a_refused_token_is_a_failed_assessment(
    machine: StateMachine, arm: FakeArm, begun: AssessmentProgress
) -> None:
    """The assessment fails and says why."""
    arm.polls = [TokenRefusedError("a URL is not https")]

    step = await machine.advance(begun)

    assert isinstance(step, Done)
    assert isinstance(step.conclusion, Refused)
    assert step.conclusion.error.code == "ContinuationTokenRefused"
    assert "not https" in step.conclusion.error.message
    assert step.conclusion.activity_id is None


async def test_a_failed_operation_is_a_failed_assessment(
    machine: StateMachine, arm: FakeArm, begun: AssessmentProgress, clock: FakeClock
) -> None:
    """ARM's own error is kept whole."""
    error = refusal(Phase.POLL, 200, "VMExtensionHandlerNonTransientError")
    arm.polls = [error]

    step = await machine.advance(begun)

    assert step == Done(begun, Refused(error.error, clock.now(), ACTIVITY, 0.0))


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "AuthorizationFailed", "Microsoft.Compute/locations/operations/read"),
        (404, "NotFound", "no longer knew the operation"),
    ],
)
async def test_a_lost_operation_is_concluded_from_the_instance_view(
    machine: StateMachine,
    arm: FakeArm,
    begun: AssessmentProgress,
    status: int,
    code: str,
    words: str,
) -> None:
    """The counts are there; the list is missing, and the outcome says why and what to do."""
    arm.polls = [refusal(Phase.POLL, status, code)]
    known = summary(
        status="Succeeded",
        criticalAndSecurityPatchCount=3,
        startTime="2026-01-05T12:00:00.1234567+00:00",
        lastModifiedTime="2026-01-05T12:11:00+00:00",
    )
    arm.reads = [replace(RUNNING, last_assessment=known)]

    step = await machine.advance(begun)

    assert isinstance(step, Done)
    assert isinstance(step.conclusion, Finished)
    assert step.conclusion.result.critical_and_security_count == 3
    assert step.conclusion.result.start_text == "2026-01-05T12:00:00.1234567+00:00"
    assert step.conclusion.result.patches is None
    assert words in (step.conclusion.patches_missing or "")
    assert step.conclusion.seconds == 659.876544  # by ARM's two moments


async def test_a_lost_operation_that_still_runs_is_waited_for(
    machine: StateMachine, arm: FakeArm, begun: AssessmentProgress
) -> None:
    """The instance view says that it is in progress: it is read again later."""
    arm.polls = [refusal(Phase.POLL, 403, "AuthorizationFailed")]
    arm.reads = [replace(RUNNING, last_assessment=summary(status="InProgress"))]

    assert isinstance(await machine.advance(begun), Later)


async def test_a_lost_operation_that_nobody_knows_has_failed(
    machine: StateMachine, arm: FakeArm, begun: AssessmentProgress
) -> None:
    """Another assessment's numbers are never taken for this one's."""
    arm.polls = [refusal(Phase.POLL, 404, "NotFound")]
    other = PatchSummary({"assessmentActivityId": "another", "status": "Succeeded"})
    arm.reads = [replace(RUNNING, last_assessment=other)]

    step = await machine.advance(begun)

    assert isinstance(step, Done)
    assert isinstance(step.conclusion, Refused)
    assert step.conclusion.error.code == "OperationLost"
    assert [each["code"] for each in step.conclusion.error.details] == ["NotFound"]


async def test_a_vm_that_keeps_refusing_is_believed_after_some_looks(
    machine: StateMachine, arm: FakeArm, new: AssessmentProgress, clock: FakeClock
) -> None:
    """A 409 is looked into three times, for the VM may have stopped; then it is final."""
    progress = new
    for _ in range(3):
        arm.reads = [RUNNING]
        arm.begins = [refusal(Phase.BEGIN, 409, "OperationNotAllowed")]
        progress, delay = later(await machine.advance(progress), clock.now())
        clock.advance(delay)
    arm.reads, arm.begins = [RUNNING], [refusal(Phase.BEGIN, 409, "OperationNotAllowed")]

    step = await machine.advance(progress)

    assert isinstance(step, Done)
    assert isinstance(step.conclusion, Refused)
    assert step.conclusion.error.code == "OperationNotAllowed"


async def test_a_poll_without_an_answer_keeps_the_operation(
    machine: StateMachine, arm: FakeArm, begun: AssessmentProgress, clock: FakeClock
) -> None:
    """A fault of the network costs a wait, never the operation."""
    arm.polls = [refusal(Phase.POLL, None, "ServiceResponseError")]

    progress, _ = later(await machine.advance(begun), clock.now())

    assert progress.operation == begun.operation
    assert progress.attempt == 1


async def test_what_is_expected_at_the_begin_decides_each_poll(
    machine: StateMachine, arm: FakeArm, new: AssessmentProgress, clock: FakeClock
) -> None:
    """It travels with the request; the time since the begin counts, in whichever worker."""
    arm.reads, arm.begins, arm.polls = [RUNNING], [ACTIVITY], [Running()]
    progress, first = later(await machine.advance(new), clock.now())
    assert progress.expected is not None
    clock.advance(100)

    _, second = later(await machine.advance(progress), clock.now())

    assert first == pytest.approx(progress.expected.next_poll(0))
    assert second == pytest.approx(progress.expected.next_poll(100))


async def test_an_adopted_operation_is_expected_by_when_it_began(
    machine: StateMachine, arm: FakeArm, new: AssessmentProgress, clock: FakeClock
) -> None:
    """Not by when it was found."""
    began = clock.now() - timedelta(seconds=200)
    running = summary(status="InProgress", startTime=began.isoformat())
    arm.reads, arm.polls = [replace(RUNNING, last_assessment=running)], [Running()]

    progress, delay = later(await machine.advance(new), clock.now())

    assert progress.expected is not None
    assert delay == pytest.approx(progress.expected.next_poll(200))


async def test_a_handed_over_operation_without_an_expectation_is_followed_all_the_same(
    machine: StateMachine, arm: FakeArm, begun: AssessmentProgress, clock: FakeClock
) -> None:
    """A message of before there were any."""
    arm.polls = [Running()]

    _, delay = later(await machine.advance(begun), clock.now())

    assert delay == pytest.approx(machine.starter.durations.unknown.next_poll(0))


async def test_polls_give_way_where_arm_has_few_reads_left(
    machine: StateMachine, arm: FakeArm, begun: AssessmentProgress, clock: FakeClock
) -> None:
    """The schedule gets wider, whoever took the reads; nothing is refused for it."""
    arm.polls = [Running(reads_left=250), Running(reads_left=60)]

    clock.advance(300)
    as_ever, giving_way = await machine.advance(begun), await machine.advance(begun)
    _, usual = later(as_ever, clock.now())
    _, wider = later(giving_way, clock.now())

    assert isinstance(as_ever, Later)
    assert isinstance(giving_way, Later)
    assert "few reads left" not in as_ever.why
    assert "few reads left" in giving_way.why, "the trace says so"
    unknown = machine.starter.durations.unknown
    assert usual == pytest.approx(unknown.next_poll(300))
    assert wider == pytest.approx(unknown.next_poll(300, dearness(60)))
    assert wider > 1.5 * usual


async def test_a_refused_poll_holds_back_the_other_polls_of_its_subscription(
    machine: StateMachine, arm: FakeArm, begun: AssessmentProgress, clock: FakeClock
) -> None:
    """They wait without a call, in any region; another subscription's are made."""
    arm.polls = [refusal(Phase.POLL, 429, "OperationNotAllowed", 60), Running(), Running()]
    assert isinstance(await machine.advance(begun), Later)
    other = replace(begun, request=replace(begun.request, vm=OTHER_VM))
    arm.effects.clear()

    step = await machine.advance(other)

    held, delay = later(step, clock.now())
    assert isinstance(step, Later)
    assert step.why == "polls are held back"
    assert 60 < delay < 61
    assert arm.effects == []
    elsewhere = replace(VM, subscription_id="00000000-0000-0000-0000-000000000002")
    await machine.advance(replace(begun, request=replace(begun.request, vm=elsewhere)))
    clock.advance(60.1)
    await machine.advance(held)
    assert [each.split()[0] for each in arm.effects] == ["poll", "poll"]


async def test_an_operation_is_polled_at_its_deadline_whatever_is_held_back(
    machine: StateMachine, arm: FakeArm, begun: AssessmentProgress, clock: FakeClock
) -> None:
    """It may have ended long ago."""
    clock.advance(120 * 60)
    until = clock.now() + timedelta(minutes=5)
    machine.follower.limiter.close(Region.of(VM.subscription_id, None), until)
    arm.polls = [Ended(parse_result(RESULT), None, clock.now())]

    assert isinstance(await machine.advance(begun), Done)


async def test_what_was_waited_out_is_over_once_something_is_begun(
    machine: StateMachine, arm: FakeArm, new: AssessmentProgress, clock: FakeClock
) -> None:
    """The operation travels with its begin, its root span and what is expected of it."""
    arm.reads, arm.begins, arm.retry_after = [RUNNING], [ACTIVITY], 900
    waited = replace(new, attempt=4, problem=PROBLEM, not_before=clock.now(), came_early=True)

    step = await machine.advance(waited)

    now = clock.now()
    progress = replace(
        new,
        vm=RUNNING,
        operation=own_operation(new, now),
        expected=await machine.starter.durations.expect(RUNNING),
    ).rescheduled(now)
    assert step == Later(progress, now + timedelta(seconds=900), "the operation runs")


@pytest.mark.parametrize("known", [True, False])
async def test_what_is_adopted_is_known_by_this_worker_or_has_yet_to_prove_itself(
    machine: StateMachine,
    arm: FakeArm,
    new: AssessmentProgress,
    clock: FakeClock,
    *,
    known: bool,
) -> None:
    """That travels with its progress too."""
    now = clock.now()
    vm = replace(RUNNING, last_assessment=summary(status="InProgress", startTime=now.isoformat()))
    arm.reads, arm.polls = [vm], [Running(900.0)]
    if known:
        machine.known.note(VM, ACTIVITY)

    step = await machine.advance(new)

    root = root_span_id(ACTIVITY, new.request.identity)
    progress = replace(
        new,
        vm=vm,
        operation=OperationRef(ACTIVITY, "adopted-token", now, root, adopted=True, known=known),
        expected=await machine.starter.durations.expect(vm),
    ).rescheduled(now)
    assert step == Later(progress, now + timedelta(seconds=900), "the operation runs")


@pytest.mark.parametrize("adopted", [True, False])
async def test_the_invocation_that_begins_or_adopts_goes_on_in_the_operations_trace(
    arm: FakeArm, new: AssessmentProgress, clock: FakeClock, *, adopted: bool
) -> None:
    """Beneath the root span that was chosen for it, which says how it came to it."""
    rig = Rig()
    machine = build_state_machine(
        settings(),
        ports(clock=clock, bus=FakeBus(), arm=arm, telemetry=rig.telemetry),
        Durations(MemoryPosture().durations, 660),
    )
    found = summary(status="InProgress", startTime=clock.now().isoformat())
    arm.reads = [replace(RUNNING, last_assessment=found if adopted else None)]
    arm.begins, arm.polls = [ACTIVITY], [Running()]

    with rig.telemetry.processing(Delivery("requests"), clock.now()):
        await machine.advance(new)

    span = rig.one("follow")
    assert span.attributes == {
        RESCHEDULES: 0,
        ADOPTED: adopted,
        "azure.vm.assessment_activity_id": ACTIVITY,
    }
    assert trace_id(span) == int(ACTIVITY.replace("-", ""), 16)
    assert parent_id(span) == int(root_span_id(ACTIVITY, new.request.identity), 16)


@pytest.mark.parametrize("retry_after", [None, 400.0])
@pytest.mark.parametrize("place", ["read", "begin", "poll"])
async def test_a_refusal_is_waited_out_with_all_that_is_known_of_the_request(
    machine: StateMachine,
    arm: FakeArm,
    begun: AssessmentProgress,
    clock: FakeClock,
    place: str,
    retry_after: float | None,
) -> None:
    """The problem travels, the tries are counted, and ARM's own wish is the least."""
    error = refusal(Phase(place), 503, "ServiceUnavailable", retry_after)
    progress = replace(begun, attempt=2)
    if place == "poll":
        arm.polls = [error]
    else:
        progress = replace(progress, operation=None)
        arm.reads = [error if place == "read" else RUNNING]
        arm.begins = [error]

    step = await machine.advance(progress)

    now = clock.now()
    if place == "begin":
        progress = replace(progress, expected=None, vm=RUNNING)
    waits = replace(progress, problem=error.error).rescheduled(
        now,
        attempt=3,
        not_before=None if retry_after is None else now + timedelta(seconds=retry_after),
    )
    delay = timedelta(seconds=backoff.delay(2, retry_after, Random(1)))
    assert step == Later(waits, now + delay, judge(error).why)


@pytest.mark.parametrize(
    ("phase", "status"), [(Phase.POLL, 503), (Phase.READ, 429), (Phase.BEGIN, 429)]
)
async def test_only_a_throttled_poll_holds_polls_back(
    machine: StateMachine, arm: FakeArm, begun: AssessmentProgress, phase: Phase, status: int
) -> None:
    """What else ARM refuses is counted against other buckets, or none."""
    error = refusal(phase, status, "x", retry_after=60)
    arm.polls = [error, Running()]
    arm.reads, arm.begins = [error if phase is Phase.READ else RUNNING], [error]
    await machine.advance(begun if phase is Phase.POLL else replace(begun, operation=None))
    arm.effects.clear()
    arm.polls = [Running()]

    await machine.advance(replace(begun, request=replace(begun.request, vm=OTHER_VM)))

    assert arm.effects == ["poll vm-2 token"]


async def test_polls_that_are_held_back_are_no_problem_of_the_request(
    machine: StateMachine, begun: AssessmentProgress, clock: FakeClock
) -> None:
    """It waits as it is, for however short: what it counted and waited out before stays."""
    now = clock.now()
    until = now + timedelta(seconds=0.5)
    machine.follower.limiter.close(Region.of(VM.subscription_id, None), until)
    waited = replace(begun, attempt=2, problem=PROBLEM)

    step = await machine.advance(waited)

    assert isinstance(step, Later)
    assert step.progress == waited.rescheduled(now, attempt=2)
    assert step.why == "polls are held back"
    assert until < step.at < until + timedelta(seconds=0.1)


async def test_a_region_that_is_held_back_is_waited_for(
    machine: StateMachine, arm: FakeArm, new: AssessmentProgress, clock: FakeClock
) -> None:
    """One turn after another, a second apart at sixty a minute."""
    arm.reads = [RUNNING]
    now = clock.now()
    until = now + timedelta(seconds=30)
    machine.starter.begin_limiter.close(Region.of(VM.subscription_id, "eastus"), until)

    step = await machine.advance(new)

    expected = await machine.starter.durations.expect(RUNNING)
    progress = replace(new, vm=RUNNING, expected=expected).rescheduled(now)
    assert step == Later(progress, now + timedelta(seconds=31), "its region is held back")


@pytest.mark.parametrize("has_begun", [True, False])
async def test_what_comes_early_is_sent_back_once(
    machine: StateMachine,
    arm: FakeArm,
    begun: AssessmentProgress,
    clock: FakeClock,
    *,
    has_begun: bool,
) -> None:
    """As it was; when it comes early a second time the bus's clock is believed."""
    now = clock.now()
    not_before = now + timedelta(seconds=100)
    early = replace(begun, attempt=2, problem=PROBLEM, not_before=not_before)
    early = early if has_begun else replace(early, operation=None)

    step = await machine.advance(early)

    sent_back = replace(early, came_early=True).rescheduled(now, attempt=2, not_before=not_before)
    assert step == Later(sent_back, not_before, "asked to wait")
    assert arm.effects == []

    arm.reads, arm.begins, arm.polls = [RUNNING], [ACTIVITY], [Running()]
    again, _ = later(await machine.advance(sent_back), now)
    assert arm.effects == (["poll vm-1 token"] if has_begun else ["read vm-1", "begin vm-1"])
    assert (again.came_early, again.not_before) == (False, None)


@pytest.mark.parametrize(
    ("has_begun", "seconds_early", "calls"),
    [
        (False, -1, []),
        (False, 0, []),
        (False, 1, []),
        (True, -1, ["poll vm-1 token"]),
        (True, 0, ["poll vm-1 token"]),
        (True, 1, []),
    ],
)
async def test_at_the_deadline_nothing_is_begun_and_no_wish_of_arm_is_waited_for(
    machine: StateMachine,
    arm: FakeArm,
    begun: AssessmentProgress,
    clock: FakeClock,
    *,
    has_begun: bool,
    seconds_early: int,
    calls: list[str],
) -> None:
    """The request ends in that moment; only an operation that may be polled is polled once more."""
    clock.advance(120 * 60)
    progress = replace(begun, not_before=clock.now() + timedelta(seconds=seconds_early))
    progress = progress if has_begun else replace(progress, operation=None)
    arm.polls = [Running()]

    step = await machine.advance(progress)

    why = "the operation runs" if calls else "it could not be begun"
    assert step == machine.steps.overdue(progress, why)
    assert arm.effects == calls


async def test_a_moment_before_the_deadline_an_assessment_is_still_begun(
    machine: StateMachine, arm: FakeArm, new: AssessmentProgress, clock: FakeClock
) -> None:
    """Its first poll is the last one."""
    clock.advance(120 * 60 - 1)
    arm.reads, arm.begins = [RUNNING], [ACTIVITY]

    _, delay = later(await machine.advance(new), clock.now())

    assert arm.effects == ["read vm-1", "begin vm-1"]
    assert delay == 1.0


async def test_a_token_that_is_refused_says_why_and_that_nothing_was_called(
    machine: StateMachine, arm: FakeArm, begun: AssessmentProgress, clock: FakeClock
) -> None:
    """The operation it came with is not told: it may be anybody's."""
    refused = TokenRefusedError("a URL is not https")
    arm.polls = [refused]
    message = f"The operation is not followed: {refused}. Nothing was called."

    step = await machine.advance(begun)

    error = ApiError("ContinuationTokenRefused", message)
    assert step == Done(begun, Refused(error, clock.now()))


async def test_a_request_starts_anew_without_what_it_had_adopted(
    machine: StateMachine, arm: FakeArm, begun: AssessmentProgress, clock: FakeClock
) -> None:
    """With nothing counted or expected, and what it had refused in lower case."""
    ref = OperationRef(ACTIVITY.upper(), "token", clock.now(), "0" * 16, adopted=True)
    expected = await machine.starter.durations.expect(RUNNING)
    progress = replace(begun, operation=ref, expected=expected, attempt=5, not_adopted=("another",))
    gone = refusal(Phase.POLL, 404, "NotFound")
    unwell = refusal(Phase.READ, 503, "ServiceUnavailable")
    arm.polls, arm.reads = [gone], [unwell]

    step = await machine.advance(progress)

    now = clock.now()
    anew = replace(
        progress,
        operation=None,
        expected=None,
        not_adopted=("another", ACTIVITY),
        problem=unwell.error,
    ).rescheduled(now, attempt=1)
    delay = timedelta(seconds=backoff.delay(0, None, Random(1)))
    assert step == Later(anew, now + delay, judge(unwell).why)


@pytest.mark.parametrize(
    ("attempt", "not_adopted", "is_believed"),
    [(2, (), False), (3, (), True), (3, ("another",), False)],
)
async def test_a_conflict_is_believed_after_three_looks_unless_somebody_is_at_work(
    machine: StateMachine,
    arm: FakeArm,
    new: AssessmentProgress,
    clock: FakeClock,
    attempt: int,
    not_adopted: tuple[str, ...],
    is_believed: object,
) -> None:
    """What was adopted and is no assessment holds the VM until it ends."""
    error = refusal(Phase.BEGIN, 409, "OperationNotAllowed")
    arm.reads, arm.begins = [RUNNING], [error]
    progress = replace(new, vm=RUNNING, attempt=attempt, not_adopted=not_adopted)

    step = await machine.advance(progress)

    now = clock.now()
    if is_believed:
        assert step == Done(progress, Refused(error.error, now))
        return
    waits = replace(progress, problem=error.error).rescheduled(now, attempt=attempt + 1)
    delay = timedelta(seconds=backoff.delay(attempt, None, Random(1)))
    assert step == Later(waits, now + delay, judge(error).why)


LOST = refusal(Phase.POLL, 404, "NotFound")


async def test_a_lost_operation_waits_for_a_vm_that_cant_be_read_now(
    machine: StateMachine, arm: FakeArm, begun: AssessmentProgress, clock: FakeClock
) -> None:
    """As any refusal is waited out."""
    unread = refusal(Phase.READ, 503, "ServiceUnavailable", retry_after=400)
    arm.polls, arm.reads = [LOST], [unread]

    step = await machine.advance(replace(begun, attempt=1))

    now = clock.now()
    waits = replace(begun, problem=unread.error).rescheduled(
        now, attempt=2, not_before=now + timedelta(seconds=400)
    )
    delay = timedelta(seconds=backoff.delay(1, 400, Random(1)))
    assert step == Later(waits, now + delay, "the operation is lost")


async def test_a_lost_operation_of_a_vm_that_cant_be_read_at_all_tells_both_refusals(
    machine: StateMachine, arm: FakeArm, begun: AssessmentProgress, clock: FakeClock
) -> None:
    """That of the poll and that of the VM."""
    unread = refusal(Phase.READ, 403, "AuthorizationFailed")
    arm.polls, arm.reads = [LOST], [unread]
    assert begun.operation is not None

    step = await machine.advance(begun)

    error = operation_lost(begun.operation, LOST.error, unread.error)
    assert step == Done(begun, Refused(error, clock.now(), ACTIVITY, 0.0))


async def test_a_lost_operation_that_the_vm_does_not_name_tells_its_refusal(
    machine: StateMachine, arm: FakeArm, begun: AssessmentProgress, clock: FakeClock
) -> None:
    """With the seconds since it began."""
    arm.polls, arm.reads = [LOST], [RUNNING]
    clock.advance(90)
    assert begun.operation is not None

    step = await machine.advance(begun)

    error = operation_lost(begun.operation, LOST.error)
    assert step == Done(begun, Refused(error, clock.now(), ACTIVITY, 90.0))


async def test_a_lost_operation_that_the_vm_calls_running_is_read_again_in_a_minute(
    machine: StateMachine, arm: FakeArm, begun: AssessmentProgress, clock: FakeClock
) -> None:
    """What it had waited out is over."""
    arm.polls = [LOST]
    arm.reads = [replace(RUNNING, last_assessment=summary(status="InProgress"))]

    step = await machine.advance(replace(begun, attempt=2, problem=PROBLEM))

    now = clock.now()
    why = "the operation runs, and can't be read"
    assert step == Later(begun.rescheduled(now), now + timedelta(seconds=60), why)


async def test_a_lost_operation_ends_as_the_vm_tells_it(
    machine: StateMachine, arm: FakeArm, begun: AssessmentProgress, clock: FakeClock
) -> None:
    """Its own VM is read, and its progress goes on unchanged."""
    told = summary(status="Succeeded", criticalAndSecurityPatchCount=3)
    arm.polls, arm.reads = [LOST], [replace(RUNNING, last_assessment=told)]
    assert begun.operation is not None

    step = await machine.advance(begun)

    end = finished_by_summary(begun.request, begun.operation, told, LOST, clock.now())
    assert step == Done(begun, end)
    assert arm.effects == ["poll vm-1 token", "read vm-1"]


@pytest.mark.parametrize("phase", [Phase.BEGIN, Phase.POLL])
async def test_an_image_that_azure_does_not_assess_is_skipped(
    machine: StateMachine, arm: FakeArm, begun: AssessmentProgress, phase: Phase
) -> None:
    """In ARM's words, whichever call they answer."""
    words = "The selected VM image is not supported for VM Guest patch operations."
    error = ArmError(phase, 400, ApiError("OperationNotAllowed", words))
    arm.reads, arm.begins, arm.polls = [RUNNING], [error], [error]
    progress = begun if phase is Phase.POLL else replace(begun, operation=None)

    step = await machine.advance(progress)

    assert step == machine.steps.unsupported(progress, error.error)


class SlowReads(FakeArm):
    """Lets each read wait until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def read(self, vm_id: VirtualMachineId) -> VirtualMachine:
        """Waits at the gate, then gives the next scripted VM."""
        await self.gate.wait()
        return await super().read(vm_id)


async def test_what_another_request_begins_at_the_same_time_is_known_to_be_an_assessment(
    new: AssessmentProgress, clock: FakeClock
) -> None:
    """The operation has a root span for each request; it was begun for one of them."""
    arm = SlowReads()
    machine = build_state_machine(
        settings(),
        ports(clock=clock, bus=FakeBus(), arm=arm),
        Durations(MemoryPosture().durations, 660),
    )
    arm.reads, arm.begins = [RUNNING], [ACTIVITY]
    second = replace(new, request=AssessmentRequest(VM, "r-2", enqueued_at=clock.now()))
    asking = [asyncio.create_task(machine.advance(each)) for each in (new, second)]
    await asyncio.sleep(0)
    arm.gate.set()

    own, shared = [later(each, clock.now())[0] for each in await asyncio.gather(*asking)]

    assert own.operation == own_operation(new, clock.now())
    others = own_operation(second, clock.now())
    assert shared.operation == replace(others, adopted=True, known=True)
    assert arm.effects == ["read vm-1", "begin vm-1"]


async def test_what_answers_another_request_only_is_not_waited_for(
    new: AssessmentProgress, clock: FakeClock
) -> None:
    """Two take what is older, the third one shares their read and then begins by itself."""
    arm = SlowReads()
    machine = build_state_machine(
        settings(),
        ports(clock=clock, bus=FakeBus(), arm=arm),
        Durations(MemoryPosture().durations, 660),
    )
    started = clock.now() - timedelta(hours=1)
    old = summary(status="Succeeded", startTime=started.isoformat())
    arm.reads = [replace(RUNNING, last_assessment=old)] * 3
    arm.polls, arm.begins = [Ended(parse_result(RESULT))], [OTHER_ACTIVITY]
    content = replace(new, request=replace(new.request, fresh_since=started))
    asking = [asyncio.create_task(machine.advance(each)) for each in (content, content, new)]
    for _ in range(5):
        await asyncio.sleep(0)
    arm.gate.set()

    first, second, third = await asyncio.gather(*asking)

    assert isinstance(first, Done)
    assert isinstance(second, Done)
    progress, _ = later(third, clock.now())
    assert progress.operation is not None
    assert (progress.operation.activity_id, progress.operation.adopted) == (OTHER_ACTIVITY, False)
    assert [each.split()[0] for each in arm.effects].count("read") == 3
