"""What becomes of a message: taken on, split, rejected, handed over, concluded, concluded again."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from assessor import backoff
from assessor.app import build_app
from assessor.arm.operation import Ended
from assessor.arm.result import ApiError, parse_result
from assessor.arm.virtual_machine import VirtualMachine
from assessor.bus.message import PublishError
from assessor.messages.in_progress import parse_in_progress
from assessor.messages.progress import AssessmentProgress, OperationRef
from assessor.messages.request import AssessmentRequest, IncomingMessage
from assessor.posture.model import Posture
from assessor.posture.store import MemoryPosture, PostureError
from assessor.resource_id import VirtualMachineId
from assessor.telemetry.context import Delivery, root_span_id
from assessor.telemetry.metrics import UNFORESEEN
from tests.support.app import ports, settings
from tests.support.fakes import FakeArm, FakeBus, FakeClock
from tests.support.telemetry_rig import Rig, parent_id, trace_id

VM = VirtualMachineId("00000000-0000-0000-0000-000000000001", "group", "vm-1")
OTHER_VM = VirtualMachineId("00000000-0000-0000-0000-000000000001", "group", "vm-2")
ACTIVITY = "14e074b4-2fd7-4d20-8b3b-5339add89570"
RUNNING = VirtualMachine(VM, location="eastus", power_state="running", agent_state="Ready")
RESULT = {"status": "Succeeded", "assessmentActivityId": ACTIVITY}


class FailingPosture(MemoryPosture):
    """Postures in memory, whose table may be down."""

    is_down = False

    async def save(self, posture: Posture, etag: str | None) -> str:
        """Saves, or fails."""
        if self.is_down:
            raise PostureError(posture.vm_id, "down")
        return await super().save(posture, etag)


class World:
    """The app between stand-ins that note their effects in one list."""

    def __init__(self, **named: str) -> None:
        self.effects: list[str] = []
        self.clock = FakeClock()
        self.arm = FakeArm(effects=self.effects)
        self.bus = FakeBus(effects=self.effects)
        self.postures = FailingPosture()
        self.app = build_app(
            settings(**named),
            ports(clock=self.clock, bus=self.bus, arm=self.arm, postures=self.postures),
        )

    def message(self, body: object, message_id: str = "m-1") -> IncomingMessage:
        """Returns a message that has just been enqueued."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return IncomingMessage(data, message_id, None, {}, self.clock.now())

    def request(self) -> AssessmentRequest:
        """Returns a request that was just accepted."""
        return AssessmentRequest(VM, "r-1", enqueued_at=self.clock.now())

    def events(self) -> list[Any]:
        """Returns the outcomes on the results topic."""
        return [json.loads(each.body) for each in self.bus.sent.get("results", [])]


class TracedWorld(World):
    """The same with telemetry that is read back."""

    def __init__(self, **named: str) -> None:
        super().__init__(**named)
        self.rig = Rig()
        self.app = build_app(
            settings(**named),
            ports(
                clock=self.clock,
                bus=self.bus,
                arm=self.arm,
                postures=self.postures,
                telemetry=self.rig.telemetry,
            ),
        )

    def begun(self) -> AssessmentProgress:
        """Returns a request whose operation runs and was handed over a minute ago."""
        operation = OperationRef(
            ACTIVITY, "token", self.clock.now(), root_span_id(ACTIVITY, "identity")
        )
        request = replace(self.request(), identity="00000000-0000-4000-8000-000000000001")
        accepted = AssessmentProgress(request, self.clock.now(), operation=operation)
        progress = accepted.rescheduled(self.clock.now())
        self.clock.advance(60)
        return progress

    def went_on(self) -> tuple[Any, timedelta | None]:
        """Returns what goes on later, and in how long."""
        (message,) = self.bus.sent["in-progress"]
        at = message.enqueue_at
        return parse_in_progress(message.body), at - self.clock.now() if at else None


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def traced() -> TracedWorld:
    return TracedWorld()


async def test_a_request_is_handed_over_with_all_that_is_needed_to_go_on(world: World) -> None:
    """The in-progress message appears when the first poll is due, and holds the token."""
    world.arm.reads, world.arm.begins, world.arm.retry_after = [RUNNING], [ACTIVITY], 900

    await world.app.requests.receive(world.message({"vmId": str(VM), "requestId": "r-1"}))

    (message,) = world.bus.sent["in-progress"]
    progress = parse_in_progress(message.body)
    assert isinstance(progress, AssessmentProgress)
    assert message.enqueue_at == world.clock.now() + timedelta(seconds=900)
    assert message.application_properties["assessmentActivityId"] == ACTIVITY
    assert progress.operation is not None
    assert progress.operation.token == "token"
    assert progress.request.request_id == "r-1"


async def test_an_outcome_goes_out_before_its_alerts(world: World) -> None:
    """A crash in between repeats; it never loses."""
    world.arm.reads, world.arm.begins = [RUNNING], [ACTIVITY]
    world.arm.ended = Ended(parse_result(RESULT | {"rebootPending": True}))

    await world.app.assessor.start(world.request())

    assert world.effects[-2:] == ["send results", "send alerts"]
    (event,) = world.events()
    assert event["type"] == "PatchAssessor.AssessmentCompleted"
    assert event["data"]["assessmentActivityId"] == ACTIVITY
    (message,) = world.bus.sent["results"]
    assert message.correlation_id == "r-1"
    traceparent = str(message.application_properties["traceparent"])
    assert traceparent.startswith(f"00-{ACTIVITY.replace('-', '')}-")


async def test_a_request_for_several_vms_becomes_one_request_for_each(world: World) -> None:
    """Each has the same request ID and a message ID of its own; nothing is asked of ARM yet."""
    body = {"vmIds": [str(VM), str(OTHER_VM), str(VM).upper()], "requestId": "r-1", "reason": "x"}

    await world.app.requests.receive(world.message(body))

    sent = world.bus.sent["in-progress"]
    asked = [parse_in_progress(each.body) for each in sent]
    assert all(isinstance(each, AssessmentRequest) for each in asked)
    assert [each.subject for each in sent] == [str(VM), str(OTHER_VM)]
    assert {each.request_id for each in asked if isinstance(each, AssessmentRequest)} == {"r-1"}
    assert {each.reason for each in asked if isinstance(each, AssessmentRequest)} == {"x"}
    assert len({each.message_id for each in sent}) == 2
    assert world.effects == ["send in-progress", "send in-progress"]


async def test_splitting_twice_sends_the_same_messages(world: World) -> None:
    """A redelivery after a crash is dropped by duplicate detection."""
    body = {"vmIds": [str(VM), str(OTHER_VM)]}

    await world.app.requests.receive(world.message(body))
    await world.app.requests.receive(world.message(body))

    assert len(world.bus.sent["in-progress"]) == 2


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xff\xfe", "NotUnderstood"),
        (b"", "NotUnderstood"),
        ({}, "Invalid"),
        ({"vmId": "/subscriptions/x"}, "Invalid"),
    ],
)
async def test_what_is_not_understood_is_rejected_and_the_queue_moves_on(
    world: World, body: object, reason: str
) -> None:
    """The rejection is published, and ARM is not asked."""
    await world.app.requests.receive(world.message(body))

    (event,) = world.events()
    assert event["type"] == "PatchAssessor.RequestRejected"
    assert event["data"]["reason"] == reason
    assert event["data"]["errors"]
    assert world.effects == ["send results"]


async def test_a_vm_outside_the_allowed_scopes_is_rejected() -> None:
    """ARM is not asked about it at all."""
    world = World(ALLOWED_SCOPES="/subscriptions/00000000-0000-0000-0000-000000000009")

    await world.app.requests.receive(world.message({"vmId": str(VM)}))

    assert world.events()[0]["data"]["reason"] == "OutOfScope"
    assert world.effects == ["send results"]


def _refuse_results(world: World) -> None:
    world.bus.refuse = lambda entity: entity == "results"


def _refuse_posture(world: World) -> None:
    world.postures.is_down = True


def _refuse_alerts(world: World) -> None:
    world.bus.refuse = lambda entity: entity == "alerts"


@pytest.mark.parametrize("break_it", [_refuse_results, _refuse_posture, _refuse_alerts])
async def test_what_cannot_be_published_now_is_published_later(
    world: World, break_it: Callable[[World], None]
) -> None:
    """A topic or table that is down delays an outcome; the operation is not begun again."""
    found = Ended(parse_result(RESULT | {"rebootPending": True}))
    world.arm.reads, world.arm.begins = [RUNNING], [ACTIVITY]
    world.arm.ended, world.arm.polls = found, [found]
    break_it(world)
    await world.app.assessor.start(world.request())
    (message,) = world.bus.sent["in-progress"]

    world.bus.refuse = lambda _: False
    world.postures.is_down = False
    world.clock.advance(60)
    await world.app.resume(parse_in_progress(message.body))

    assert world.effects.count("begin vm-1") == 1
    assert len(world.events()) == 1
    assert len(world.bus.sent["alerts"]) == 1


async def test_a_bus_that_takes_nothing_fails_the_invocation(world: World) -> None:
    """The message is abandoned and comes again; nothing is swallowed."""
    world.arm.reads, world.arm.begins = [RUNNING], [ACTIVITY]
    world.bus.refuse = lambda _: True

    with pytest.raises(PublishError):
        await world.app.assessor.start(world.request())


async def test_outcomes_that_wait_for_their_topic_wait_past_the_deadline(world: World) -> None:
    """What ended in time is told as what it was, however long the topic was down."""
    world.arm.reads, world.arm.begins = [RUNNING], [ACTIVITY]
    world.bus.refuse = lambda entity: entity == "results"
    world.arm.ended = Ended(parse_result(RESULT))
    await world.app.assessor.start(world.request())

    for _ in range(60):
        world.clock.advance(301)
        world.arm.polls = [Ended(parse_result(RESULT))]
        await world.app.resume(parse_in_progress(world.bus.sent["in-progress"][-1].body))
    world.bus.refuse = lambda _: False
    world.clock.advance(301)
    world.arm.polls = [Ended(parse_result(RESULT))]
    await world.app.resume(parse_in_progress(world.bus.sent["in-progress"][-1].body))

    (event,) = world.events()
    assert event["type"] == "PatchAssessor.AssessmentCompleted"


_PROCESS = {
    "messaging.system": "servicebus",
    "messaging.operation.name": "process",
    "messaging.operation.type": "process",
    "messaging.message.conversation_id": "r-1",
    "patch_assessor.request_id": "r-1",
    "server.address": "test",
}


@pytest.mark.parametrize(
    ("received", "came"),
    [
        (None, {"messaging.destination.name": "in-progress"}),
        (
            Delivery("queue-1", "m-1", delivery_count=2),
            {
                "messaging.destination.name": "queue-1",
                "messaging.message.id": "m-1",
                "messaging.servicebus.message.delivery_count": 2,
            },
        ),
    ],
    ids=["unknown", "known"],
)
@pytest.mark.parametrize("is_new", [True, False])
async def test_an_invocations_span_tells_what_it_works_on(
    traced: TracedWorld, received: Delivery | None, came: dict[str, object], *, is_new: bool
) -> None:
    """The message, the request, and once it has begun its assessment, beneath that one's root."""
    queue = came["messaging.destination.name"]
    if is_new:
        traced.arm.reads = [replace(RUNNING, power_state="deallocated")]
        await traced.app.assessor.take_up(traced.request(), received)
        span = traced.rig.one(f"process {queue}")
        assert span.attributes == _PROCESS | came | {"patch_assessor.hop": 0}
        assert traced.rig.named("wait") == []
        return
    traced.arm.polls = [Ended(parse_result(RESULT))]
    progress = traced.begun()
    await traced.app.assessor.resume(progress, received)
    span = traced.rig.one(f"process {queue}")
    own = {"patch_assessor.hop": 1, "azure.vm.assessment_activity_id": ACTIVITY}
    assert span.attributes == _PROCESS | came | own
    assert progress.operation is not None
    assert parent_id(span) == int(progress.operation.root_span_id, 16)
    assert trace_id(span) == int(ACTIVITY.replace("-", ""), 16)
    waited = traced.rig.one("wait")
    assert waited.start_time is not None
    assert waited.end_time == waited.start_time + 60 * 1_000_000_000


class Unforeseen(Exception):  # noqa: N818 - not of any kind that the app knows
    """What nobody foresaw."""


_PROBLEM = ApiError("InternalError", "The app failed (Unforeseen); its log has the stack.")


@pytest.mark.parametrize(("seconds_left", "delay"), [(7_140.0, None), (5.0, 5.0)])
async def test_a_request_goes_on_after_what_nobody_foresaw_with_all_that_is_known(
    traced: TracedWorld,
    caplog: pytest.LogCaptureFixture,
    seconds_left: float,
    delay: float | None,
) -> None:
    """After a while, or at its deadline if that comes first; the error is counted and logged."""
    traced.arm.polls = [Unforeseen("secret")]
    progress = replace(traced.begun(), attempt=2)
    accepted_at = traced.clock.now() - timedelta(minutes=120) + timedelta(seconds=seconds_left)
    progress = replace(progress, accepted_at=accepted_at)

    await traced.app.assessor.resume(progress)

    now = traced.clock.now()
    expected = replace(progress, problem=_PROBLEM).rescheduled(now, attempt=3)
    seconds = delay or backoff.delay(2, None, Random(1))
    assert traced.went_on() == (expected, timedelta(seconds=seconds))
    (point,) = traced.rig.points(UNFORESEEN)
    assert (point.labels, point.value) == ({"error.type": "Unforeseen"}, 1)
    (text,) = (each.getMessage() for each in caplog.records if each.levelname == "ERROR")
    assert text.startswith(f"request for {VM} failed by what nobody foresaw, Unforeseen")
    assert traced.rig.one("process in-progress").attributes["patch_assessor.why_later"] == (  # type: ignore[index] # there are some
        "the app failed"
    )


@pytest.mark.parametrize("seconds_over", [-1, 0])
async def test_what_nobody_foresaw_is_the_outcome_from_the_deadline_on(
    traced: TracedWorld, seconds_over: int
) -> None:
    """With its operation; a moment before it is tried once more."""
    progress = traced.begun()
    traced.clock.advance(119 * 60 + seconds_over)
    traced.arm.polls = [Unforeseen()]

    await traced.app.assessor.resume(progress)

    if seconds_over:
        assert traced.went_on()[1] == timedelta(seconds=1)
        assert traced.events() == []
        return
    (event,) = traced.events()
    assert event["type"] == "PatchAssessor.AssessmentFailed"
    assert event["data"]["assessmentActivityId"] == ACTIVITY
    assert event["data"]["error"]["code"] == _PROBLEM.code
    assert event["data"]["error"]["message"] == _PROBLEM.message
    assert event["time"] == "2026-01-05T14:00:00Z"


async def _fail(_: VirtualMachineId) -> None:
    raise Unforeseen


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (Ended(parse_result(RESULT)), "PatchAssessor.AssessmentCompleted"),
        (Unforeseen(), "PatchAssessor.AssessmentFailed"),
    ],
    ids=["ended", "fault"],
)
async def test_at_the_deadline_a_fault_in_what_follows_is_left(
    traced: TracedWorld, end: Ended | Exception, outcome: str
) -> None:
    """The outcome is told once, whatever it is, and nothing is tried again."""
    progress = traced.begun()
    traced.clock.advance(119 * 60)
    traced.arm.polls = [end]
    traced.postures.load = _fail  # type: ignore[method-assign,assignment] # it never returns

    await traced.app.assessor.resume(progress)

    assert [each["type"] for each in traced.events()] == [outcome]
    assert traced.effects.count("send results") == 1
    assert "in-progress" not in traced.bus.sent


async def test_a_fault_in_telling_an_end_without_an_operation_is_told_at_the_deadline(
    traced: TracedWorld,
) -> None:
    """By an outcome that names none."""
    faults = [Unforeseen()]

    def fail_once(_: str) -> bool:
        if faults:
            raise faults.pop()
        return False

    traced.bus.refuse = fail_once
    progress = replace(traced.begun(), operation=None)
    traced.clock.advance(119 * 60)

    await traced.app.assessor.resume(progress)

    (event,) = traced.events()
    assert event["data"]["error"]["message"] == _PROBLEM.message
    assert event["data"].get("assessmentActivityId") is None


async def test_a_request_that_lies_outside_the_scopes_by_now_fails_without_a_call() -> None:
    """The scopes may have been narrowed since it was accepted."""
    world = World(ALLOWED_SCOPES="/subscriptions/00000000-0000-0000-0000-000000000009")

    await world.app.assessor.start(world.request())

    (event,) = world.events()
    assert event["data"]["error"]["code"] == "OutOfScope"
    assert event["data"]["error"]["message"] == (
        "The VM lies in none of ALLOWED_SCOPES. Nothing was called."
    )
    assert event["time"] == "2026-01-05T12:00:00Z"
    assert "read vm-1" not in world.effects
