"""The tree that the app's invocations make together, and what they count."""

import asyncio
import json
import uuid
from collections.abc import Mapping
from dataclasses import replace
from random import Random

import pytest
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from assessor.app import build_app
from assessor.arm.errors import ArmError, Phase
from assessor.arm.operation import Begun, Ended, Running
from assessor.arm.result import ApiError, parse_result
from assessor.arm.virtual_machine import PatchSummary, VirtualMachine
from assessor.bus.message import PublishError
from assessor.bus.tracing import TracingBus
from assessor.clock import PollingWindow
from assessor.messages.in_progress import parse_in_progress
from assessor.messages.request import IncomingMessage, identity_of
from assessor.resource_id import VirtualMachineId
from assessor.telemetry.attributes import (
    ACTIVITY_ID,
    ERROR_CODE,
    ERROR_TYPE,
    LATER_SECONDS,
    MESSAGING_DELIVERY_COUNT,
    MESSAGING_MESSAGE_ID,
    REPORTED_ACTIVITY_ID,
    RESCHEDULES,
    SERVER_ADDRESS,
    WAIT_PLACE,
    WHY_LATER,
)
from assessor.telemetry.context import Call, Delivery, root_span_id, trace_id_of
from assessor.telemetry.metrics import ALERTS, ASSESSMENTS, DURATION, HELD, RESCHEDULED, RESUMED
from assessor.telemetry.telemetry import Telemetry
from tests.support.app import ports, settings
from tests.support.fakes import FakeArm, FakeBus, FakeClock
from tests.support.telemetry_rig import Rig, parent_id, span_id, trace_id

VM = VirtualMachineId("00000000-0000-0000-0000-000000000001", "group", "vm-1")
ACTIVITY = "14e074b4-2fd7-4d20-8b3b-5339add89570"
OTHER_ACTIVITY = "68f8b292-dfc2-4646-9781-33cc88631968"
TRACE = trace_id_of(ACTIVITY)
ROOT = int(root_span_id(ACTIVITY, identity_of("m-1")), 16)
RUNNING = VirtualMachine(VM, location="eastus", power_state="running", agent_state="Ready")
RESULT = {"status": "Succeeded", "assessmentActivityId": ACTIVITY, "availablePatches": []}
INCOMING = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
INCOMING_TRACE = 0x0AF7651916CD43DD8448EB211C80319C
DELIVERY = Delivery("requests", "m-1")
SECOND = 1_000_000_000


class CallingArm(FakeArm):
    """The scripted ARM, telling of each call as the SDK's pipeline does."""

    def __init__(self, telemetry: Telemetry, clock: FakeClock) -> None:
        super().__init__()
        self._telemetry = telemetry
        self._clock = clock

    async def read(self, vm_id: VirtualMachineId) -> VirtualMachine:
        """Tells of a GET that takes no time."""
        self._telemetry.called(Call("GET virtualMachines", self._now(), self._now(), {}))
        return await super().read(vm_id)

    async def begin(self, vm_id: VirtualMachineId, client_request_id: str) -> Begun:
        """Tells of a POST that takes two seconds."""
        started = self._now()
        self._clock.advance(2)
        begins = not isinstance(self.begins[0], Exception)
        self._telemetry.called(Call("POST assessPatches", started, self._now(), {}, begins=begins))
        return await super().begin(vm_id, client_request_id)

    def _now(self) -> int:
        return int(self._clock.now().timestamp() * SECOND)


class App:
    """The app of one worker process, with telemetry that is read back."""

    def __init__(self, clock: FakeClock, environment: dict[str, str] | None = None) -> None:
        self.rig = Rig(environment)
        self.clock = clock
        self.bus = FakeBus()
        telemetry = self.rig.telemetry
        self.arm = CallingArm(telemetry, clock)
        self.app = build_app(
            settings(), ports(clock=clock, bus=self.bus, arm=self.arm, telemetry=telemetry)
        )

    async def request(
        self, body: object = None, traceparent: str | None = None, message_id: str = "m-1"
    ) -> None:
        """Takes a request in, as the host hands it over: with its trace context attached."""
        fields = body or {"vmId": str(VM), "requestId": "r-1"}
        properties = {"traceparent": traceparent} if traceparent else {}
        message = IncomingMessage(
            json.dumps(fields).encode(), message_id, None, properties, self.clock.now(), 2
        )
        token = attach(TraceContextTextMapPropagator().extract(properties, Context()))
        try:
            await self.app.requests.receive(message)
        finally:
            detach(token)

    async def resume(self, source: "App") -> None:
        """Resumes what `source` rescheduled last."""
        await self.app.resume(parse_in_progress(source.bus.sent["in-progress"][-1].body))

    async def assess(self, result: Mapping[str, object]) -> ReadableSpan:
        """Takes an assessment to its end within one invocation; returns its root span."""
        self.arm.reads, self.arm.begins = [RUNNING], [ACTIVITY]
        self.arm.ended = Ended(parse_result(result))
        await self.request(traceparent=INCOMING)
        return self.rig.one("assess_patches")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def app(clock: FakeClock) -> App:
    return App(clock)


def link_ids(span: ReadableSpan) -> set[tuple[int, int]]:
    return {(each.context.trace_id, each.context.span_id) for each in span.links}


def ids(span: ReadableSpan) -> tuple[int, int]:
    return trace_id(span), span_id(span)


def attribute(span: ReadableSpan, name: str) -> object:
    return (span.attributes or {}).get(name)


async def reschedule_twice(clock: FakeClock) -> list[App]:
    """Returns the workers of an assessment that three invocations worked on."""
    first, second, third = workers = [App(clock) for _ in range(3)]
    first.arm.reads, first.arm.begins = [RUNNING], [ACTIVITY]
    await first.request(traceparent=INCOMING)
    clock.advance(31)
    second.arm.polls = [Running()]
    await second.resume(first)
    clock.advance(33)
    third.arm.polls = [Ended(parse_result(RESULT))]
    await third.resume(second)
    return workers


async def test_three_invocations_make_one_tree(clock: FakeClock) -> None:
    """Each hangs what it did beneath the root, which the last one emits."""
    workers = await reschedule_twice(clock)

    spans = [span for worker in workers for span in worker.rig.spans if trace_id(span) == TRACE]
    known = {span_id(span) for span in spans}
    assert [ids(span) for span in spans if span.parent is None] == [(TRACE, ROOT)]
    assert all(parent_id(span) in known for span in spans if span.parent is not None)
    assert sorted(span.name for span in spans if parent_id(span) == ROOT) == [
        "follow",
        "process in-progress",
        "process in-progress",
        "wait",
        "wait",
    ]
    assert {attribute(span, ACTIVITY_ID) for span in spans} == {ACTIVITY}


async def test_the_root_begins_with_the_begins_call(clock: FakeClock) -> None:
    """Although the ID is known only from its answer; it ends with the publication."""
    workers = await reschedule_twice(clock)

    (root,) = (span for worker in workers for span in worker.rig.named("assess_patches"))
    begin = workers[0].rig.one("POST assessPatches")
    assert trace_id(begin) == TRACE
    assert parent_id(begin) == span_id(workers[0].rig.one("follow"))
    assert root.start_time == begin.start_time
    took = (root.end_time or 0) - (root.start_time or 0)
    assert took // SECOND == 2 + 31 + 33


async def test_waiting_between_invocations_is_seen_as_waiting(clock: FakeClock) -> None:
    """The whole time from one invocation's end to the next one's start."""
    _, second, third = await reschedule_twice(clock)

    waits = [second.rig.one("wait"), third.rig.one("wait")]
    assert [(w.end_time or 0) - (w.start_time or 0) for w in waits] == [31 * SECOND, 33 * SECOND]
    assert [attribute(wait, RESCHEDULES) for wait in waits] == [1, 2]
    assert {attribute(wait, WAIT_PLACE) for wait in waits} == {"queue"}


async def test_waiting_within_a_worker_is_seen_as_waiting(app: App) -> None:
    """And counted as held for so long."""
    window = PollingWindow(20, lambda: 0.0, asyncio.Event(), app.rig.telemetry.waiting)
    await window.wait(0.001)

    assert attribute(app.rig.one("wait"), WAIT_PLACE) == "worker"
    assert [point.value for point in app.rig.points(HELD)] == [0]


async def test_what_happens_before_the_202_belongs_to_the_messages_trace(app: App) -> None:
    """The read of the VM does; the two traces link to each other."""
    await app.assess(RESULT)

    process, follow = app.rig.one("process requests"), app.rig.one("follow")
    read = app.rig.one("GET virtualMachines")
    assert (trace_id(process), process.kind) == (INCOMING_TRACE, SpanKind.CONSUMER)
    assert parent_id(read) == span_id(process)
    assert (TRACE, ROOT) in link_ids(process)
    assert link_ids(follow) == {ids(process)}
    assert attribute(process, ACTIVITY_ID) == ACTIVITY


async def test_no_span_ends_after_its_parent(app: App) -> None:
    """Whoever concludes emits the root once its own invocation has ended."""
    clock = app.clock
    app.arm.reads, app.arm.begins = [RUNNING], [ACTIVITY]
    await app.request()
    clock.advance(31)
    app.arm.polls = [Ended(parse_result(RESULT))]
    await app.resume(app)

    emitted = [span.name for span in app.rig.spans]
    assert emitted[-2:] == ["process in-progress", "assess_patches"]


@pytest.mark.parametrize(
    ("reads", "failure"),
    [
        ([replace(RUNNING, power_state="deallocated")], None),
        (
            [ArmError(Phase.READ, 403, ApiError("Forbidden", "No."))],
            "Forbidden",
        ),
    ],
)
async def test_an_assessment_that_never_began_has_its_span(
    app: App, reads: list[VirtualMachine | Exception], failure: str | None
) -> None:
    """In the trace of the message that asked, beneath the invocation."""
    app.arm.reads = reads

    await app.request(traceparent=INCOMING)

    span = app.rig.one("assess_patches")
    assert trace_id(span) == INCOMING_TRACE
    assert parent_id(span) == span_id(app.rig.one("process requests"))
    assert attribute(span, ERROR_CODE) == failure
    assert (span.status.status_code is StatusCode.ERROR) is (failure is not None)


async def test_why_a_request_goes_on_later_is_told_by_its_invocation(app: App) -> None:
    """And in how many seconds."""
    app.arm.reads, app.arm.begins = [RUNNING], [ACTIVITY]
    await app.request()

    follow = app.rig.one("follow")
    assert attribute(follow, WHY_LATER) == "the operation runs"
    assert attribute(follow, LATER_SECONDS) is not None


async def test_messaging_spans_name_the_namespace_and_the_message(app: App) -> None:
    """What is received says how often it was delivered."""
    app.arm.reads = [replace(RUNNING, power_state="deallocated")]
    await app.request()

    process, send = app.rig.one("process requests"), app.rig.named("send results")[0]
    assert attribute(process, SERVER_ADDRESS) == attribute(send, SERVER_ADDRESS) == "test"
    assert attribute(process, MESSAGING_MESSAGE_ID) == "m-1"
    assert attribute(process, MESSAGING_DELIVERY_COUNT) == 2


async def test_the_root_links_to_what_the_request_came_with(clock: FakeClock) -> None:
    """Even when another worker concludes."""
    *_, last = await reschedule_twice(clock)

    assert link_ids(last.rig.one("assess_patches")) == {(INCOMING_TRACE, 0xB7AD6B7169203331)}


async def test_messages_carry_the_assessments_trace(clock: FakeClock) -> None:
    """The outcome the root's context; a message to the app itself none, if the trace is kept."""
    first, _, last = await reschedule_twice(clock)

    (outcome,) = last.bus.sent["results"]
    (handed_over,) = first.bus.sent["in-progress"]
    sent = first.rig.one("send in-progress")
    # 03: sampled, and with 56 random low bits, as an activity ID has (trace context level 2).
    assert outcome.application_properties["traceparent"] == f"00-{TRACE:032x}-{ROOT:016x}-03"
    assert "traceparent" not in handed_over.application_properties
    assert sent.kind is SpanKind.PRODUCER


async def test_a_throttled_begin_stays_in_the_messages_trace(app: App) -> None:
    """There is no activity ID yet; the next invocation goes on in the same trace."""
    error = ArmError(Phase.BEGIN, 429, ApiError("OperationNotAllowed", "No."), retry_after=60)
    app.arm.reads, app.arm.begins = [RUNNING], [error]

    await app.request(traceparent=INCOMING)

    assert {trace_id(span) for span in app.rig.spans} == {INCOMING_TRACE}
    (message,) = app.bus.sent["in-progress"]
    assert str(message.application_properties["traceparent"]).startswith(
        f"00-{INCOMING_TRACE:032x}-"
    )


async def test_a_rejected_request_is_told_in_the_trace_that_it_came_with(app: App) -> None:
    """Its outcome carries that trace; there is no assessment's."""
    await app.request({"vmId": "nonsense"}, traceparent=INCOMING)

    assert {trace_id(span) for span in app.rig.spans} == {INCOMING_TRACE}
    assert parent_id(app.rig.one("send results")) == span_id(app.rig.one("process requests"))
    (outcome,) = app.bus.sent["results"]
    assert f"{INCOMING_TRACE:032x}" in str(outcome.application_properties["traceparent"])
    assert [point.labels["patch_assessor.outcome"] for point in app.rig.points(ASSESSMENTS)] == [
        "PatchAssessor.RequestRejected"
    ]


async def test_a_failed_assessment_is_an_error(app: App) -> None:
    """With ARM's code as the error's type, and nothing of its message."""
    error = {"code": "AgentGone", "message": "secret"}

    root = await app.assess({**RESULT, "status": "Failed", "error": error})

    assert root.status.status_code is StatusCode.ERROR
    assert attribute(root, ERROR_TYPE) == attribute(root, ERROR_CODE) == "AgentGone"
    assert "secret" not in root.to_json()


async def test_the_root_tells_what_was_found(app: App) -> None:
    """Counts and the pending reboot as the result has them; what it lacks is absent."""
    root = await app.assess({**RESULT, "criticalAndSecurityPatchCount": 3, "rebootPending": True})

    attributes = root.attributes or {}
    assert attributes["patch_assessor.critical_and_security_patch_count"] == 3
    assert attributes["patch_assessor.reboot_pending"] is True
    assert attributes["patch_assessor.vm.id"] == str(VM)
    assert "patch_assessor.other_patch_count" not in attributes
    assert "patch_assessor.error_code" not in attributes


async def test_a_result_of_another_name_is_told_and_linked(app: App) -> None:
    """And not believed. The trace keeps its key."""
    root = await app.assess({**RESULT, "assessmentActivityId": OTHER_ACTIVITY})

    assert ids(root) == (TRACE, ROOT)
    assert attribute(root, ACTIVITY_ID) == ACTIVITY
    assert attribute(root, REPORTED_ACTIVITY_ID) == OTHER_ACTIVITY
    assert trace_id_of(OTHER_ACTIVITY) in {each for each, _ in link_ids(root)}


async def test_the_same_name_in_other_letters_is_the_same_name(app: App) -> None:
    root = await app.assess({**RESULT, "assessmentActivityId": ACTIVITY.upper()})

    assert attribute(root, REPORTED_ACTIVITY_ID) is None


async def test_a_worker_that_adopts_goes_on_with_the_tree(clock: FakeClock) -> None:
    """The root's ID follows from the activity ID and the request: it is found again."""
    dead, heir = App(clock), App(clock)
    dead.arm.reads, dead.arm.begins = [RUNNING], [ACTIVITY]
    dead.bus.refuse = lambda entity: entity == "in-progress"
    with pytest.raises(PublishError):
        await dead.request()
    view = {
        "status": "InProgress",
        "assessmentActivityId": ACTIVITY,
        "startTime": clock.now().isoformat(),
    }
    heir.arm.reads = [replace(RUNNING, last_assessment=PatchSummary(view))]
    heir.arm.polls = [Ended(parse_result(RESULT))]

    await heir.request()

    assert parent_id(dead.rig.one("follow")) == parent_id(heir.rig.one("follow")) == ROOT
    assert dead.rig.one("send in-progress").status.status_code is StatusCode.ERROR
    assert ids(heir.rig.one("assess_patches")) == (TRACE, ROOT)


def test_an_exception_leaves_its_type_alone(app: App) -> None:
    """What it says may repeat what was in a message."""
    with (
        pytest.raises(ValueError, match="secret"),
        app.rig.telemetry.processing(DELIVERY, app.clock.now()),
    ):
        raise ValueError("secret")

    span = app.rig.one("process requests")
    assert span.status.status_code is StatusCode.ERROR
    assert attribute(span, ERROR_TYPE) == "ValueError"
    assert "secret" not in span.to_json()


def test_a_begin_whose_trace_is_never_known_stays_where_it_was_made(app: App) -> None:
    """A worker that breaks between ARM's answer and its own note loses no span."""
    with app.rig.telemetry.processing(DELIVERY, app.clock.now()):
        app.rig.telemetry.called(Call("POST assessPatches", 1, 2, {}, begins=True))

    begin = app.rig.one("POST assessPatches")
    assert parent_id(begin) == span_id(app.rig.one("process requests"))


async def test_invocations_at_the_same_time_do_not_mix(app: App) -> None:
    """Each is a task with a context of its own."""
    activities = [str(uuid.UUID(int=number, version=4)) for number in range(1, 9)]
    together = asyncio.Barrier(len(activities))

    async def invocation(activity: str) -> None:
        with app.rig.telemetry.processing(DELIVERY, app.clock.now()):
            await together.wait()
            app.rig.telemetry.begun(activity, root_span_id(activity, "r"), adopted=False)
            await together.wait()
            app.rig.telemetry.called(Call("GET operations", 1, 2, {}))

    await asyncio.gather(*(invocation(each) for each in activities))

    polls = app.rig.named("GET operations")
    assert {trace_id(span) for span in polls} == {trace_id_of(each) for each in activities}
    assert all(trace_id_of(str(attribute(span, ACTIVITY_ID))) == trace_id(span) for span in polls)


async def test_what_is_not_sampled_is_counted_all_the_same(clock: FakeClock) -> None:
    """No span, no sampled flag downstream; the failure is in the metrics."""
    app = App(clock, {"OTEL_TRACES_SAMPLER": "always_off"})
    app.arm.reads, app.arm.begins = [RUNNING], [ACTIVITY]
    app.arm.ended = Ended(parse_result({**RESULT, "status": "Failed"}))

    await app.request()

    assert app.rig.spans == []
    (outcome,) = app.bus.sent["results"]
    assert str(outcome.application_properties["traceparent"]).endswith("-02")
    (point,) = app.rig.points(ASSESSMENTS)
    assert point.labels == {
        "patch_assessor.outcome": "PatchAssessor.AssessmentFailed",
        "patch_assessor.status": "Failed",
    }
    assert point.exemplar_trace_ids == []


@pytest.mark.parametrize("ratio", ["0.3", "0.7"])
async def test_every_worker_decides_alike(clock: FakeClock, ratio: str) -> None:
    """The whole tree is sampled, or nothing of it, by the activity ID alone."""
    sampling = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": ratio}
    decisions = set()
    source = Random(7)
    for _ in range(20):
        activity = str(uuid.UUID(int=source.getrandbits(128), version=4))
        first, last = App(clock, sampling), App(clock, sampling)
        first.arm.reads, first.arm.begins = [RUNNING], [activity]
        last.arm.polls = [Ended(parse_result({"status": "Succeeded"}))]
        await first.request()
        await last.resume(first)
        spans = (*first.rig.spans, *last.rig.spans)
        mine = {span.name for span in spans if trace_id(span) == trace_id_of(activity)}
        assert not mine or {"follow", "process in-progress", "assess_patches"} <= mine
        decisions.add(bool(mine))

    assert decisions == {True, False}


async def test_numbers_name_traces_and_no_vm(clock: FakeClock) -> None:
    """Exemplars lead from a metric to a trace; labels stay few."""
    first, second, last = await reschedule_twice(clock)

    (duration,) = last.rig.points(DURATION)
    assert duration.exemplar_trace_ids == [TRACE]
    assert VM.name not in str(duration.labels)
    assert [point.value for point in first.rig.points(RESCHEDULED)] == [1]
    assert [point.value for point in second.rig.points(RESUMED)] == [1]
    assert last.rig.points(RESCHEDULED) == []


async def test_alerts_are_counted_as_they_go_out(app: App) -> None:
    """By rule, condition and change; one that Service Bus refuses is not counted."""
    bus = TracingBus(app.bus.send, app.rig.telemetry)
    alert = {"alertRule": "RebootPending", "monitorCondition": "Fired", "change": "Appeared"}
    await app.assess(RESULT)
    (outcome,) = app.bus.sent["results"]
    message = replace(
        outcome, message_id="a-1", content_type="text/plain", application_properties=alert
    )

    await bus.send("alerts", [message])
    app.bus.refuse = lambda _: True
    with pytest.raises(PublishError):
        await bus.send("alerts", [message])

    assert [(dict(point.labels), point.value) for point in app.rig.points(ALERTS)] == [
        (
            {
                "patch_assessor.alert.rule": "RebootPending",
                "patch_assessor.alert.condition": "Fired",
                "patch_assessor.alert.change": "Appeared",
            },
            1,
        )
    ]


async def test_the_root_tells_how_long_the_assessment_was_expected_to_take(app: App) -> None:
    """Which is why it was looked at when it was."""
    root = await app.assess(RESULT)
    assert attribute(root, "patch_assessor.expected.seconds") == pytest.approx(290)
    assert attribute(root, "patch_assessor.expected.spread") == pytest.approx(1)
