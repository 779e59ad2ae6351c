"""One trace for each assessment, found by its activity ID.

The trace's ID is the assessment's activity ID. Its root span covers the whole assessment, which no
process outlives: the root's ID is fixed at the begin and travels, every process emits what it did
as children of it, and whoever concludes emits the root itself.
"""

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
)
from opentelemetry.util.types import AttributeValue

ACTIVITY_ID: Final = "azure.vm.assessment_activity_id"

_NANOSECONDS: Final = 1_000_000_000


def trace_id_of(activity_id: str) -> int:
    """Returns the trace ID of an assessment: its activity ID's 128 bits.

    ARM's activity IDs are UUIDs. An ID that is none gets the UUID that always belongs to it.
    """
    try:
        return uuid.UUID(activity_id).int or 1
    except ValueError:
        return uuid.uuid5(uuid.NAMESPACE_URL, activity_id).int


def root_span_id(activity_id: str, request_id: str) -> str:
    """Returns the ID, 16 hex digits, of the root span of one request's assessment.

    It is made of both IDs: a worker that finds the operation running after a crash continues the
    same tree, and a second request that shares the operation has a root of its own in the trace.
    """
    digest = hashlib.sha256(f"{activity_id.lower()}\n{request_id}".encode()).digest()
    return f"{int.from_bytes(digest[:8]) or 1:016x}"


class AssessmentIdGenerator(IdGenerator):
    """Random IDs, but for the root span of an assessment, whose IDs are known beforehand."""

    def __init__(self) -> None:
        """Starts with random IDs."""
        self._random = RandomIdGenerator()
        self._chosen: ContextVar[SpanContext | None] = ContextVar("chosen", default=None)

    @contextmanager
    def choose(self, context: SpanContext) -> Iterator[None]:
        """Gives the next span, in this context, the IDs of `context`."""
        token = self._chosen.set(context)
        try:
            yield
        finally:
            self._chosen.reset(token)

    def generate_trace_id(self) -> int:
        """Returns the chosen trace ID, else a random one."""
        chosen = self._chosen.get()
        return chosen.trace_id if chosen else self._random.generate_trace_id()

    def generate_span_id(self) -> int:
        """Returns the chosen span ID, else a random one."""
        chosen = self._chosen.get()
        return chosen.span_id if chosen else self._random.generate_span_id()


class AssessmentTrace:
    """The trace of one assessment, as one process adds to it."""

    def __init__(
        self, tracer: Tracer, ids: AssessmentIdGenerator, activity_id: str, root_span_id: str
    ) -> None:
        """Joins the trace of that activity ID.

        Args:
            tracer: what makes spans.
            ids: the provider's ID generator.
            activity_id: the assessment's.
            root_span_id: the span that all others lie under, 16 hex digits.
        """
        self._tracer = tracer
        self._ids = ids
        self._activity_id = activity_id
        self._root = SpanContext(
            trace_id=trace_id_of(activity_id),
            span_id=int(root_span_id, 16),
            is_remote=True,
            trace_flags=TraceFlags(TraceFlags.SAMPLED),
        )
        self._context = trace.set_span_in_context(NonRecordingSpan(self._root), Context())

    @property
    def traceparent(self) -> str:
        """The W3C trace context of the root span: what goes with messages about the assessment."""
        return (
            f"00-{self._root.trace_id:032x}-{self._root.span_id:016x}"
            f"-{int(self._root.trace_flags):02x}"
        )

    @contextmanager
    def span(self, name: str, **attributes: AttributeValue) -> Iterator[Span]:
        """Emits what happens inside the `with` as a child of the root."""
        with self._tracer.start_as_current_span(
            name, self._context, attributes=self._attributes(attributes), links=_current_link()
        ) as span:
            yield span

    def waited(self, since: datetime, until: datetime) -> None:
        """Emits the time between two invocations, so that waiting is seen as waiting."""
        self._tracer.start_span(
            "wait", self._context, attributes=self._attributes({}), start_time=_nanoseconds(since)
        ).end(_nanoseconds(until))

    def finish(
        self,
        begun_at: datetime,
        ended_at: datetime,
        attributes: Mapping[str, AttributeValue],
        failure: str | None,
    ) -> None:
        """Emits the root span: the assessment from its begin to its end.

        Args:
            begun_at: when the operation began.
            ended_at: when its outcome was known.
            attributes: what to say of it.
            failure: why it failed; None if it did not.
        """
        with self._ids.choose(self._root):
            span = self._tracer.start_span(
                "assess_patches",
                Context(),
                attributes=self._attributes(attributes),
                links=_current_link(),
                start_time=_nanoseconds(begun_at),
            )
        if failure is not None:
            span.set_status(Status(StatusCode.ERROR, failure))
        span.end(max(_nanoseconds(ended_at), _nanoseconds(begun_at)))

    def _attributes(self, attributes: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
        return {**attributes, ACTIVITY_ID: self._activity_id}


class Telemetry:
    """Where traces of assessments come from."""

    def __init__(self, tracer: Tracer, ids: AssessmentIdGenerator) -> None:
        """Keeps the tracer, and the ID generator of the provider that made it."""
        self._tracer = tracer
        self._ids = ids

    def assessment(self, activity_id: str, root_span_id: str) -> AssessmentTrace:
        """Returns the trace of that assessment."""
        return AssessmentTrace(self._tracer, self._ids, activity_id, root_span_id)


def current_traceparent() -> str | None:
    """Returns the W3C trace context of the span that is current; None outside of any."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def _current_link() -> list[Link]:
    context = trace.get_current_span().get_span_context()
    return [Link(context)] if context.is_valid else []


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * _NANOSECONDS)
