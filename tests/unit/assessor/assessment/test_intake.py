"""What the app does with a message of the requests queue, and what it tells of that."""

import json
import logging
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from assessor.assessment.assessor import RequestIntake
from assessor.messages.in_progress import request_message
from assessor.messages.outcome import reject
from assessor.messages.outgoing import outcome_message
from assessor.messages.request import (
    AssessmentRequest,
    FieldError,
    Rejection,
    ScanRequest,
    split,
)
from assessor.messages.request_body import parse_request
from assessor.resource_id import Scope
from assessor.telemetry.context import traceparent_of
from assessor.telemetry.metrics import UNFORESEEN
from tests.support.builders import NOW, OTHER_SUBSCRIPTION, VM_ID, incoming
from tests.support.fakes import FakeBus, FakeClock
from tests.support.telemetry_rig import Rig

OTHER_VM = replace(VM_ID, name="vm-2")
SCOPE = f"/subscriptions/{VM_ID.subscription_id}"


class World:
    """An intake whose requests and scans are only noted."""

    def __init__(self, *allowed_scopes: Scope) -> None:
        self.rig = Rig()
        self.clock = FakeClock(NOW)
        self.clock.advance(5)
        self.bus = FakeBus()
        self.enqueued: list[datetime] = []
        self.started: list[AssessmentRequest] = []
        self.scans: list[ScanRequest] = []
        self.intake = RequestIntake(
            assessor=self,  # type: ignore[arg-type] # what the intake uses of one
            received=self.enqueued.append,
            start_scan=self._scan,
            bus=self.bus,
            telemetry=self.rig.telemetry,
            clock=self.clock,
            requests_queue="requests",
            in_progress_queue="in-progress",
            results_topic="results",
            allowed_scopes=allowed_scopes,
        )

    async def start(self, request: AssessmentRequest) -> None:
        """Notes a request."""
        self.started.append(request)

    async def _scan(self, request: ScanRequest) -> None:
        self.scans.append(request)

    async def receive(self, body: object) -> None:
        """Receives a message for the second time."""
        await self.intake.receive(replace(incoming(body), delivery_count=2))

    def traceparent(self) -> str:
        """Returns that of the invocation's span."""
        context = self.rig.one("process requests").context
        assert context is not None
        return traceparent_of(context)


@pytest.fixture
def world() -> World:
    return World()


async def test_a_request_for_one_vm_is_started_in_the_messages_span(world: World) -> None:
    """Which names the message, where it came from and how often; the bus's clock is told."""
    message = incoming({"vmId": str(VM_ID)})

    await world.receive({"vmId": str(VM_ID)})

    assert tuple(world.started) == parse_request(message, ())
    assert world.enqueued == [NOW]
    assert world.rig.one("process requests").attributes == {
        "messaging.system": "servicebus",
        "messaging.destination.name": "requests",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.message.id": "message-1",
        "messaging.servicebus.message.delivery_count": 2,
        "patch_assessor.hop": 0,
    }


async def test_a_request_for_a_scope_begins_a_scan(world: World) -> None:
    """With all that narrows it down."""
    body = {"scope": SCOPE, "tags": {"env": "test"}, "runningOnly": True}
    await world.receive(body)
    assert world.scans == [parse_request(incoming(body), ())]
    assert world.started == []


async def test_a_request_for_several_vms_asks_for_each_on_the_internal_queue(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """By a message that is its own; the log says how many."""
    body = {"vmIds": [str(VM_ID), str(OTHER_VM)], "requestId": "r-1"}
    requests = parse_request(incoming(body), ())
    assert isinstance(requests, tuple)

    with caplog.at_level(logging.INFO, "assessor.assessment.assessor"):
        await world.receive(body)

    assert world.bus.sent == {"in-progress": [request_message(split(each)) for each in requests]}
    assert [each.getMessage() for each in caplog.records] == ["request r-1 names 2 VMs"]


async def test_what_is_not_understood_is_rejected_now_with_its_body(world: World) -> None:
    """In the trace of the invocation."""
    rejection = parse_request(incoming({"vmId": "x"}), ())
    assert isinstance(rejection, Rejection)

    await world.receive({"vmId": "x"})

    rejected = replace(rejection, message=replace(rejection.message, delivery_count=2))
    outcome = reject(rejected, world.clock.now())
    assert world.bus.sent == {"results": [outcome_message(outcome, world.traceparent())]}


async def test_only_the_allowed_scopes_are_started_on() -> None:
    """What else is named is rejected."""
    world = World(Scope.parse(f"/subscriptions/{OTHER_SUBSCRIPTION}"))
    await world.receive({"vmId": str(VM_ID)})
    assert world.started == []
    (message,) = world.bus.sent["results"]
    assert json.loads(message.body)["data"]["reason"] == "OutOfScope"


async def test_a_message_that_the_app_itself_fails_at_is_rejected_and_counted(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With its body, and a reason that its sender can pass on."""

    def fail(*_: Any) -> None:  # noqa: ANN401 - whatever it is called with
        raise ZeroDivisionError

    monkeypatch.setattr("assessor.assessment.assessor.parse_request", fail)

    await world.receive({"vmId": str(VM_ID)})

    problem = FieldError("body", "could not be read: the app failed at it")
    message = replace(incoming({"vmId": str(VM_ID)}), delivery_count=2)
    rejection = Rejection("message-1", "NotUnderstood", (problem,), message)
    outcome = reject(rejection, world.clock.now())
    assert world.bus.sent == {"results": [outcome_message(outcome, world.traceparent())]}
    (point,) = world.rig.points(UNFORESEEN)
    assert (point.labels, point.value) == ({"error.type": "ZeroDivisionError"}, 1)
    assert caplog.records[0].getMessage().startswith("message message-1 failed by what nobody")
