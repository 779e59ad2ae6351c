"""The trace of one assessment: where its spans hang, and its root span."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision, Sampler
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
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from assessor.telemetry.attributes import ACTIVITY_ID, ERROR_TYPE, REPORTED_ACTIVITY_ID
from assessor.telemetry.context import (
    AssessmentIdGenerator,
    is_random,
    root_span_id,
    trace_id_of,
    traceparent_of,
)

ROOT: Final = "assess_patches"

_NANOSECONDS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class AssessmentEnd:
    """How an assessment ended, for its root span.

    Attributes:
        at: when its outcome was published.
        failure: why it failed; None if it did not.
        reported_activity_id: what the result calls itself.
        request_traceparent: the trace context that the request came with.
        attributes: more to say of it; None where it is not known.
    """

    at: datetime
    failure: str | None = None
    reported_activity_id: str | None = None
    request_traceparent: str | None = None
    attributes: Mapping[str, AttributeValue | None] = field(default_factory=dict)


class AssessmentTrace:
    """The trace of one assessment, as one process adds to it."""

    def __init__(
        self,
        tracer: Tracer,
        ids: AssessmentIdGenerator,
        sampler: Sampler,
        activity_id: str,
        root_span_id: str,
    ) -> None:
        """Joins the trace of that activity ID.

        Whether the root is sampled has to be known before there is one: so the sampler is asked.
        """
        self._tracer = tracer
        self._ids = ids
        self.activity_id = activity_id
        trace_id = trace_id_of(activity_id)
        decision = sampler.should_sample(Context(), trace_id, ROOT).decision
        sampled = decision is Decision.RECORD_AND_SAMPLE
        flags = TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT
        if is_random(trace_id):
            flags |= TraceFlags.RANDOM_TRACE_ID
        self.root = SpanContext(
            trace_id, int(root_span_id, 16), is_remote=True, trace_flags=TraceFlags(flags)
        )
        self.context = trace.set_span_in_context(NonRecordingSpan(self.root), Context())

    @property
    def traceparent(self) -> str:
        """The W3C trace context of the root span: what goes with messages about the assessment."""
        return traceparent_of(self.root)

    def finish(self, begun_at: datetime, ending: AssessmentEnd, later: int = 0) -> None:
        """Emits the root span: the assessment from its begin to its end.

        All beneath it had ended so many nanoseconds `later`.
        """
        links = [*_remote_links(ending.request_traceparent)]
        attributes = {**_known(ending), ACTIVITY_ID: self.activity_id}
        reported = ending.reported_activity_id
        if reported is not None and trace_id_of(reported) != self.root.trace_id:
            attributes[REPORTED_ACTIVITY_ID] = reported
            links.append(Link(_context_of(reported), {ACTIVITY_ID: reported}))
        with self._ids.choose(self.root):
            span = self._tracer.start_span(
                ROOT,
                Context(),
                attributes=attributes,
                links=links,
                start_time=nanoseconds(begun_at),
            )
        _end(span, begun_at, ending, later)


def unbegun(tracer: Tracer, asked_at: datetime, ending: AssessmentEnd) -> None:
    """Emits the span of an assessment that never began, beneath what is current."""
    span = tracer.start_span(
        ROOT,
        attributes=_known(ending),
        links=_remote_links(ending.request_traceparent),
        start_time=nanoseconds(asked_at),
    )
    _end(span, asked_at, ending, 0)


def _known(ending: AssessmentEnd) -> dict[str, AttributeValue]:
    return {name: value for name, value in ending.attributes.items() if value is not None}


def _end(span: Span, begun_at: datetime, ending: AssessmentEnd, later: int) -> None:
    if ending.failure is not None:
        span.set_status(Status(StatusCode.ERROR, ending.failure))
        span.set_attribute(ERROR_TYPE, ending.failure)
    span.end(max(nanoseconds(ending.at), nanoseconds(begun_at)) + later)


def nanoseconds(moment: datetime) -> int:
    """Returns the nanoseconds from 1970 to `moment`."""
    return int(moment.timestamp() * _NANOSECONDS)


def _remote_links(traceparent: str | None) -> list[Link]:
    """Returns the link to a trace context that came from outside; none where it is not valid."""
    if traceparent is None:
        return []
    found = TraceContextTextMapPropagator().extract({"traceparent": traceparent}, Context())
    context = trace.get_current_span(found).get_span_context()
    return [Link(context)] if context.is_valid else []


def _context_of(activity_id: str) -> SpanContext:
    """Returns where another assessment's trace can be found; its root's own ID is not known."""
    trace_id = trace_id_of(activity_id)
    return SpanContext(trace_id, int(root_span_id(activity_id, ""), 16), is_remote=True)
