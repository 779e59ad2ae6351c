"""Telemetry: one assessment is one trace, whoever took part in it and whatever died on the way."""

import asyncio
import uuid
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Decision, Sampler, TraceIdRatioBased
from opentelemetry.trace import StatusCode

from assessor.telemetry.assessment_trace import AssessmentEnd
from assessor.telemetry.attributes import ACTIVITY_ID as ACTIVITY_ATTRIBUTE
from assessor.telemetry.context import (
    AssessmentIdGenerator,
    Delivery,
    current_traceparent,
    root_span_id,
    trace_id_of,
)
from assessor.telemetry.sampler import LowBitsRatio
from tests.support.app import uncounted_telemetry
from tests.support.builders import ACTIVITY_ID, NOW, TRACEPARENT

_ROOT_ID = root_span_id(ACTIVITY_ID, "request-1")
_BEGUN = NOW - timedelta(minutes=10)
_UUIDS = st.uuids(version=4).map(str)


class _Process:
    """One worker: a tracer provider of its own, whose spans end in memory."""

    def __init__(self, sampler: Sampler = DEFAULT_ON) -> None:
        self.ids = AssessmentIdGenerator()
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(
            sampler=sampler, id_generator=self.ids, shutdown_on_exit=False
        )
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("tests")
        self.telemetry = uncounted_telemetry(self.tracer, self.ids, sampler)

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        """What was emitted, by name."""
        return {span.name: span for span in self.exporter.get_finished_spans()}


def _ids(span: ReadableSpan) -> tuple[str, str]:
    context = span.get_span_context()
    assert context is not None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def _parent(span: ReadableSpan) -> str | None:
    return f"{span.parent.span_id:016x}" if span.parent else None


def _is_sampled(sampler: Sampler, activity_id: str) -> bool:
    decision = sampler.should_sample(None, trace_id_of(activity_id), "x").decision
    return decision is Decision.RECORD_AND_SAMPLE


def _links(span: ReadableSpan) -> set[str]:
    return {f"{link.context.trace_id:032x}" for link in span.links}


@given(st.uuids())
def test_the_traces_id_is_the_activity_ids_hex_digits(activity: uuid.UUID) -> None:
    """So whoever has the one finds the other; its case is no matter."""
    for text in (str(activity), str(activity).upper()):
        assert f"{trace_id_of(text):032x}" == activity.hex or activity.int == 0


@given(st.text())
def test_an_activity_id_that_is_no_uuid_has_a_valid_trace_too(activity_id: str) -> None:
    """Always the same one, and never the invalid ID of only zeros."""
    assert 0 < trace_id_of(activity_id) < 2**128
    assert trace_id_of(activity_id) == trace_id_of(activity_id)
    assert trace_id_of("00000000-0000-0000-0000-000000000000") != 0


@given(_UUIDS, st.text(), st.text())
def test_the_roots_id_follows_from_the_activity_and_the_request(
    activity_id: str, request_id: str, other: str
) -> None:
    """A worker that takes over after a crash names the same root; another request has its own."""
    root = root_span_id(activity_id, request_id)
    assert len(root) == 16
    assert int(root, 16) != 0
    assert root == root_span_id(activity_id.upper(), request_id)
    assert (root == root_span_id(activity_id, other)) == (request_id == other)


def test_the_root_is_emitted_with_the_ids_that_were_chosen_at_the_begin() -> None:
    """It has no parent, and lasts from the begin to the end, however long that was."""
    process = _Process()
    process.telemetry.assessment(ACTIVITY_ID, _ROOT_ID).finish(
        _BEGUN, AssessmentEnd(NOW, attributes={"patch_assessor.outcome": "Completed"})
    )
    (root,) = process.exporter.get_finished_spans()
    assert root.name == "assess_patches"
    assert _ids(root) == (uuid.UUID(ACTIVITY_ID).hex, _ROOT_ID)
    assert root.parent is None
    assert root.start_time == int(_BEGUN.timestamp()) * 10**9
    assert root.end_time == int(NOW.timestamp()) * 10**9
    assert root.status.status_code is StatusCode.UNSET
    assert dict(root.attributes or {}) == {
        "patch_assessor.outcome": "Completed",
        ACTIVITY_ATTRIBUTE: ACTIVITY_ID,
    }


def test_a_failed_assessment_is_a_failed_root() -> None:
    """With why it failed."""
    process = _Process()
    ending = AssessmentEnd(NOW, failure="DeadlineExceeded")
    process.telemetry.assessment(ACTIVITY_ID, _ROOT_ID).finish(_BEGUN, ending)
    root = process.spans["assess_patches"]
    assert root.status.status_code is StatusCode.ERROR
    assert (root.attributes or {})["error.type"] == "DeadlineExceeded"


def test_a_root_never_ends_before_it_began() -> None:
    """Two machines' clocks may differ."""
    process = _Process()
    process.telemetry.assessment(ACTIVITY_ID, _ROOT_ID).finish(NOW, AssessmentEnd(_BEGUN))
    root = process.spans["assess_patches"]
    assert root.start_time == root.end_time


def test_the_root_links_to_the_trace_of_the_request() -> None:
    """And passes over a trace context that is none."""
    process = _Process()
    assessment = process.telemetry.assessment(ACTIVITY_ID, _ROOT_ID)
    assessment.finish(_BEGUN, AssessmentEnd(NOW, request_traceparent=TRACEPARENT))
    assessment.finish(_BEGUN, AssessmentEnd(NOW, request_traceparent="garbage"))
    linked, unlinked = process.exporter.get_finished_spans()
    assert _links(linked) == {TRACEPARENT.split("-")[1]}
    assert _links(unlinked) == set()


def test_each_process_emits_its_part_under_one_root() -> None:
    """Two workers, one trace: what they did, and the wait between them, lie under the root."""
    first, second = _Process(), _Process()
    let_go = NOW - timedelta(minutes=5)
    with first.telemetry.processing(Delivery("assessment-requests"), _BEGUN):
        first.telemetry.begun(ACTIVITY_ID, _ROOT_ID, adopted=False)
    assessment = second.telemetry.assessment(ACTIVITY_ID, _ROOT_ID)
    delivery = Delivery(
        "assessments-in-progress", waited_since=let_go, assessment=(ACTIVITY_ID, _ROOT_ID)
    )
    with second.telemetry.processing(delivery, NOW):
        assert current_traceparent() is not None
    assessment.finish(_BEGUN, AssessmentEnd(NOW))

    spans = first.spans | second.spans
    trace_id = uuid.UUID(ACTIVITY_ID).hex
    for name in ("follow", "wait", "process assessments-in-progress"):
        assert _ids(spans[name])[0] == trace_id, name
        assert _parent(spans[name]) == _ROOT_ID, name
    assert _ids(spans["assess_patches"]) == (trace_id, _ROOT_ID)
    assert spans["wait"].start_time == int(let_go.timestamp()) * 10**9
    assert spans["wait"].end_time == int(NOW.timestamp()) * 10**9
    # What came before the 202 is the incoming message's, and leads to the assessment.
    incoming = spans["process assessment-requests"]
    assert _ids(incoming)[0] != trace_id
    assert _links(incoming) == {trace_id}
    assert _links(spans["follow"]) == {_ids(incoming)[0]}


def test_every_span_of_an_assessment_carries_its_activity_id() -> None:
    """Also the invocation's own, once it is known."""
    process = _Process()
    with process.telemetry.processing(Delivery("assessment-requests"), NOW):
        process.telemetry.begun(ACTIVITY_ID, _ROOT_ID, adopted=False)
    delivery = Delivery("q", waited_since=NOW, assessment=(ACTIVITY_ID, _ROOT_ID))
    with process.telemetry.processing(delivery, NOW):
        pass
    spans = [span for name, span in process.spans.items() if name != "follow"]
    assert len(spans) == 3
    for span in spans:
        assert (span.attributes or {})[ACTIVITY_ATTRIBUTE] == ACTIVITY_ID, span.name


def test_a_wait_that_ends_before_it_began_lasts_no_time() -> None:
    """Two machines' clocks may differ."""
    process = _Process()
    delivery = Delivery("q", waited_since=NOW + timedelta(minutes=1))
    with process.telemetry.processing(delivery, NOW):
        pass
    wait = process.spans["wait"]
    assert wait.start_time == wait.end_time


def test_of_an_exception_only_its_type_is_told() -> None:
    """Its text may repeat what was in a message."""
    process = _Process()
    with (
        pytest.raises(ValueError, match="secret"),
        process.telemetry.processing(Delivery("q"), NOW),
    ):
        raise ValueError("secret")
    (span,) = process.exporter.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "ValueError"
    assert "secret" not in span.to_json()


def test_the_traceparent_is_the_roots() -> None:
    """What goes with messages about the assessment leads to its trace."""
    assessment = _Process().telemetry.assessment(ACTIVITY_ID, _ROOT_ID)
    version, trace_id, span_id, flags = assessment.traceparent.split("-")
    assert (version, trace_id, span_id) == ("00", uuid.UUID(ACTIVITY_ID).hex, _ROOT_ID)
    assert int(flags, 16) & 1 == 1


def test_there_is_no_traceparent_outside_of_a_span() -> None:
    """None, rather than one of only zeros."""
    assert current_traceparent() is None
    process = _Process()
    with process.tracer.start_as_current_span("x") as span:
        context = span.get_span_context()
        expected = f"00-{context.trace_id:032x}-{context.span_id:016x}-"
        assert (current_traceparent() or "").startswith(expected)


async def test_chosen_ids_are_for_the_root_alone_whatever_runs_beside_it() -> None:
    """Invocations share one event loop: another one's span must not get this one's IDs."""
    process = _Process()
    root = process.telemetry.assessment(ACTIVITY_ID, _ROOT_ID).root
    chosen, other_done = asyncio.Event(), asyncio.Event()

    async def choose() -> None:
        with process.ids.choose(root):
            chosen.set()
            await other_done.wait()
            assert process.ids.generate_span_id() == root.span_id
            assert process.ids.generate_trace_id() == root.trace_id
        assert process.ids.generate_span_id() != root.span_id

    async def other() -> None:
        await chosen.wait()
        assert process.ids.generate_trace_id() != root.trace_id
        assert process.ids.generate_span_id() != root.span_id
        other_done.set()

    async with asyncio.timeout(10):
        await asyncio.gather(choose(), other())


def test_the_share_is_the_one_that_was_asked_for() -> None:
    """Unlike the SDK's own sampler, which looks at bits that are fixed in a UUID v4."""
    random = Random(7)
    activity_ids = [str(uuid.UUID(int=random.getrandbits(128), version=4)) for _ in range(4000)]
    for ratio in (0.1, 0.5, 0.9):
        sampler = LowBitsRatio(ratio)
        sampled = sum(_is_sampled(sampler, each) for each in activity_ids)
        assert abs(sampled / len(activity_ids) - ratio) < 0.03
    sdks = TraceIdRatioBased(0.5)
    assert not any(_is_sampled(sdks, each) for each in activity_ids)


@given(_UUIDS)
def test_what_is_not_sampled_is_sampled_nowhere(activity_id: str) -> None:
    """Root and children, in each process: whole traces or none."""
    sampler = LowBitsRatio(0.5)
    process = _Process(sampler)
    root_id = root_span_id(activity_id, "r")
    assessment = process.telemetry.assessment(activity_id, root_id)
    with process.telemetry.processing(Delivery("q", assessment=(activity_id, root_id)), NOW):
        pass
    assessment.finish(_BEGUN, AssessmentEnd(NOW))
    sampled = _is_sampled(sampler, activity_id)
    assert len(process.exporter.get_finished_spans()) == (2 if sampled else 0)
    assert int(assessment.traceparent[-2:], 16) & 1 == sampled
