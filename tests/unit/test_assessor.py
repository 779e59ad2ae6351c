"""What becomes of a message: taken on, split, rejected, handed over, concluded, concluded again."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from assessor.arm.hold import Hold, HoldOver
from assessor.arm.port import OperationEnd
from assessor.arm.rate_limiter import RateLimiter
from assessor.arm.result import parse_result
from assessor.arm.virtual_machine import VirtualMachine
from assessor.assessment.assessor import Assessor, Entities
from assessor.assessment.state_machine import Steps
from assessor.bus.port import PublishError
from assessor.messages.progress import Progress, from_body
from assessor.messages.request import AssessmentRequest, IncomingMessage
from assessor.posture.durations import Durations
from assessor.posture.store import MemoryPosture, PostureError
from assessor.resource_id import Scope, VirtualMachineId
from assessor.telemetry.telemetry import AssessmentIdGenerator, Telemetry
from tests.support.fakes import FakeAlerts, FakeArm, FakeBus, FakeClock, FakeScans

VM = VirtualMachineId("00000000-0000-0000-0000-000000000001", "group", "vm-1")
OTHER_VM = VirtualMachineId("00000000-0000-0000-0000-000000000001", "group", "vm-2")
ACTIVITY = "14e074b4-2fd7-4d20-8b3b-5339add89570"
RUNNING = VirtualMachine(VM, location="eastus", power_state="running", agent_state="Ready")
RESULT = {"status": "Succeeded", "assessmentActivityId": ACTIVITY}
ENTITIES = Entities("requests", "in-progress", "results")


class App:
    """The app between fakes that note their effects in one list."""

    def __init__(self, allowed: tuple[Scope, ...] = ()) -> None:
        self.effects: list[str] = []
        self.clock = FakeClock()
        self.arm = FakeArm(effects=self.effects)
        self.bus = FakeBus(effects=self.effects)
        self.alerts = FakeAlerts(effects=self.effects)
        self.scans = FakeScans(effects=self.effects)
        ids = AssessmentIdGenerator()
        telemetry = Telemetry(TracerProvider(id_generator=ids).get_tracer("test"), ids)
        self.assessor = Assessor(
            steps=Steps(
                arm=self.arm,
                gate=RateLimiter(60),
                poll_limiter=RateLimiter(4500),
                durations=Durations(MemoryPosture(), 660),
                telemetry=telemetry,
                clock=self.clock,
                random=Random(1),
                new_hold=lambda: Hold(20, lambda: 0.0, asyncio.Event()),
                deadline=timedelta(minutes=120),
            ),
            bus=self.bus,
            alerts=self.alerts,
            durations=Durations(MemoryPosture(), 660),
            scans=self.scans,
            telemetry=telemetry,
            clock=self.clock,
            random=Random(1),
            entities=ENTITIES,
            allowed_scopes=allowed,
        )

    def message(self, body: object, message_id: str = "m-1") -> IncomingMessage:
        """Returns a message that has just been enqueued."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return IncomingMessage(data, message_id, None, {}, self.clock.now())

    def progress(self) -> Progress:
        """Returns a request that was just accepted."""
        request = AssessmentRequest(VM, "r-1", enqueued_at=self.clock.now())
        return Progress(request, self.clock.now())

    def events(self) -> list[Any]:
        """Returns the outcomes on the results topic."""
        return [json.loads(each.body) for each in self.bus.sent.get("results", [])]


@pytest.fixture
def app() -> App:
    return App()


async def test_a_request_is_handed_over_with_all_that_is_needed_to_go_on(app: App) -> None:
    """The in-progress message appears when the next look is due, and holds the token."""
    app.arm.reads, app.arm.begins, app.arm.looks = [RUNNING], [ACTIVITY], [HoldOver(30)]

    await app.assessor.take_request(app.message({"vmId": str(VM), "requestId": "r-1"}))

    (message,) = app.bus.sent["in-progress"]
    progress = from_body(message.body)
    assert message.enqueue_at == app.clock.now() + timedelta(seconds=30)
    assert message.application_properties["assessmentActivityId"] == ACTIVITY
    assert progress.operation is not None
    assert progress.operation.token == "token"
    assert progress.request.request_id == "r-1"


async def test_an_outcome_goes_out_before_its_alerts(app: App) -> None:
    """A crash in between repeats; it never loses."""
    app.arm.reads, app.arm.begins = [RUNNING], [ACTIVITY]
    app.arm.looks = [OperationEnd(parse_result(RESULT), None, None)]

    await app.assessor.take_on(app.progress())

    assert app.effects[-2:] == ["send results", "alerts"]
    (event,) = app.events()
    assert event["type"] == "PatchAssessor.AssessmentCompleted"
    assert event["data"]["assessmentActivityId"] == ACTIVITY
    (message,) = app.bus.sent["results"]
    assert message.correlation_id == "r-1"
    traceparent = str(message.application_properties["traceparent"])
    assert traceparent.startswith(f"00-{ACTIVITY.replace('-', '')}-")


async def test_a_request_for_several_vms_becomes_one_request_for_each(app: App) -> None:
    """Each has the same request ID and a message ID of its own; nothing is asked of ARM yet."""
    body = {"vmIds": [str(VM), str(OTHER_VM), str(VM).upper()], "requestId": "r-1", "reason": "x"}

    await app.assessor.take_request(app.message(body))

    sent = app.bus.sent["requests"]
    assert [json.loads(each.body)["vmId"] for each in sent] == [str(VM), str(OTHER_VM)]
    assert {json.loads(each.body)["requestId"] for each in sent} == {"r-1"}
    assert {json.loads(each.body)["reason"] for each in sent} == {"x"}
    assert len({each.message_id for each in sent}) == 2
    assert app.effects == ["send requests", "send requests"]


async def test_splitting_twice_sends_the_same_messages(app: App) -> None:
    """A redelivery after a crash is dropped by duplicate detection."""
    body = {"vmIds": [str(VM), str(OTHER_VM)]}

    await app.assessor.take_request(app.message(body))
    await app.assessor.take_request(app.message(body))

    assert len(app.bus.sent["requests"]) == 2


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
    app: App, body: object, reason: str
) -> None:
    """The rejection is published, and ARM is not asked."""
    await app.assessor.take_request(app.message(body))

    (event,) = app.events()
    assert event["type"] == "PatchAssessor.RequestRejected"
    assert event["data"]["reason"] == reason
    assert event["data"]["errors"]
    assert app.effects == ["send results"]


async def test_a_vm_outside_the_allowed_scopes_is_rejected() -> None:
    """ARM is not asked about it at all."""
    app = App(allowed=(Scope.parse("/subscriptions/00000000-0000-0000-0000-000000000009"),))

    await app.assessor.take_request(app.message({"vmId": str(VM)}))

    assert app.events()[0]["data"]["reason"] == "OutOfScope"
    assert app.effects == ["send results"]


def _refuse_results(app: App) -> None:
    app.bus.refuse = lambda entity: entity == "results"


def _refuse_posture(app: App) -> None:
    app.alerts.failure = PostureError(VM, "down")


def _refuse_alerts(app: App) -> None:
    app.alerts.failure = PublishError("patch-alerts", "down")


@pytest.mark.parametrize("break_it", [_refuse_results, _refuse_posture, _refuse_alerts])
async def test_what_cannot_be_told_now_is_told_later(
    app: App, break_it: Callable[[App], None]
) -> None:
    """A topic or table that is down delays an outcome; the operation is not begun again."""
    app.arm.reads, app.arm.begins = [RUNNING], [ACTIVITY]
    app.arm.looks = [
        OperationEnd(parse_result(RESULT), None, None),
        OperationEnd(parse_result(RESULT), None, None),
    ]
    break_it(app)
    await app.assessor.take_on(app.progress())
    (message,) = app.bus.sent["in-progress"]

    app.bus.refuse = lambda _: False
    app.alerts.failure = None
    app.clock.advance(60)
    await app.assessor.take_on(from_body(message.body))

    assert app.effects.count("begin vm-1") == 1
    assert len(app.events()) == 1
    assert len(app.alerts.outcomes) == 1


async def test_a_bus_that_takes_nothing_fails_the_invocation(app: App) -> None:
    """The message is abandoned and comes again; nothing is swallowed."""
    app.arm.reads, app.arm.begins, app.arm.looks = [RUNNING], [ACTIVITY], [HoldOver(30)]
    app.bus.refuse = lambda _: True

    with pytest.raises(PublishError):
        await app.assessor.take_on(app.progress())


async def test_outcomes_that_wait_for_their_topic_wait_past_the_deadline(app: App) -> None:
    """What ended in time is told as what it was, however long the topic was down."""
    app.arm.reads, app.arm.begins = [RUNNING], [ACTIVITY]
    app.bus.refuse = lambda entity: entity == "results"
    app.arm.looks = [OperationEnd(parse_result(RESULT), None, None)]
    await app.assessor.take_on(app.progress())

    for _ in range(60):
        app.clock.advance(301)
        app.arm.looks = [OperationEnd(parse_result(RESULT), None, None)]
        await app.assessor.take_on(from_body(app.bus.sent["in-progress"][-1].body))
    app.bus.refuse = lambda _: False
    app.clock.advance(301)
    app.arm.looks = [OperationEnd(parse_result(RESULT), None, None)]
    await app.assessor.take_on(from_body(app.bus.sent["in-progress"][-1].body))

    (event,) = app.events()
    assert event["type"] == "PatchAssessor.AssessmentCompleted"
