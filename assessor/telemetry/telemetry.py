"""One trace for each assessment, found by its activity ID.

    assess_patches                        from the begin's call to the outcome's publication
    ├─ follow                             what the invocation that began it did from there on
    │  ├─ POST virtualMachines/assessPatches
    │  ├─ wait                            within the worker, or …
    │  └─ send assessments-in-progress
    ├─ wait                               … in the queue
    └─ process assessments-in-progress    each further invocation
       ├─ GET locations/operations
       └─ send assessment-results

The trace's ID is the assessment's activity ID. Its root span covers the whole assessment, which no
process outlives: the root's ID is fixed at the begin and travels, every process emits what it did
beneath it, and whoever concludes emits the root itself. What happens before ARM has told the
activity ID belongs to the trace of the incoming message; the two traces link to each other.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import (
    Link,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
)
from opentelemetry.util.types import AttributeValue

from assessor.telemetry import attributes as names
from assessor.telemetry.assessment_trace import (
    AssessmentEnd,
    AssessmentTrace,
    nanoseconds,
    unbegun,
)
from assessor.telemetry.context import (
    AssessmentIdGenerator,
    Call,
    Delivery,
    InvocationContext,
    current_invocation,
    entered,
)
from assessor.telemetry.metrics import Metrics
from assessor.telemetry.records import Records

_SAYING_SO: Final = 1_000_000
"""More nanoseconds than pass between an assessment's end and its note: the root ends no earlier
than what lies beneath it."""
_NANOSECONDS: Final = 1_000_000_000
_REFUSALS: Final = HTTPStatus.BAD_REQUEST
WAIT: Final = "wait"
FOLLOW: Final = "follow"


@dataclass
class Telemetry:
    """What the app tells of itself: the traces of assessments, metrics, and records."""

    tracer: Tracer
    ids: AssessmentIdGenerator
    sampler: Sampler
    metrics: Metrics
    records: Records
    bus_address: str | None = None

    def assessment(self, activity_id: str, root_span_id: str) -> AssessmentTrace:
        """Returns the trace of that assessment."""
        return AssessmentTrace(self.tracer, self.ids, self.sampler, activity_id, root_span_id)

    @contextmanager
    def processing(self, delivery: Delivery, now: datetime) -> Iterator[None]:
        """Is the span of one invocation: what is called and sent inside the `with` lies under it.

        Args:
            delivery: what the invocation works on. Once its assessment has begun, the span lies
                under that one's root, else it continues the trace that the message came with.
            now: when the work begins.
        """
        assessment = self.assessment(*delivery.assessment) if delivery.assessment else None
        parent = assessment.context if assessment else None
        if delivery.waited_since is not None:
            self._wait(assessment, delivery, now)
        with ExitStack() as frames:
            span = self.tracer.start_span(
                f"process {delivery.queue}",
                parent,
                SpanKind.CONSUMER,
                delivery.attributes() | self._bus_server(),
                links=_current_links() if assessment else (),
            )
            frames.enter_context(_ended_honestly(span))
            work = InvocationContext(delivery.request_id, delivery.reschedules, span, frames)
            work.activity_id = assessment.activity_id if assessment else None
            frames.enter_context(entered(work))
            if assessment is not None:
                span.set_attribute(names.ACTIVITY_ID, assessment.activity_id)
            try:
                yield
            finally:
                self._emit_begin(work)
        if work.ended is not None:
            work.ended()

    def ended(self, trace_: AssessmentTrace | None, begun_at: datetime, end: AssessmentEnd) -> None:
        """Emits the assessment's root span, as soon as all that lies beneath it has ended.

        Args:
            trace_: the assessment's; None for one that never began: its span lies in the trace of
                the message that asked, beneath the invocation.
            begun_at: when it began.
            end: how it ended.
        """
        if trace_ is None:
            unbegun(self.tracer, begun_at, end)
            return
        known_at = time.monotonic_ns()

        def emit() -> None:
            trace_.finish(begun_at, end, later=time.monotonic_ns() - known_at + _SAYING_SO)

        work = current_invocation()
        if work is None:
            emit()
        else:
            work.ended = emit

    def begun(self, activity_id: str, root_span_id: str, *, adopted: bool) -> None:
        """Moves the current invocation into the trace of the assessment that it began or found."""
        work = current_invocation()
        if work is None:
            return
        assessment = self.assessment(activity_id, root_span_id)
        work.activity_id = activity_id
        work.span.set_attribute(names.ACTIVITY_ID, activity_id)
        work.span.add_link(assessment.root, {names.ACTIVITY_ID: activity_id})
        span = self.tracer.start_span(
            FOLLOW,
            assessment.context,
            attributes={names.RESCHEDULES: work.reschedules, names.ADOPTED: adopted},
            links=[Link(work.span.get_span_context())],
            start_time=work.begin.started if work.begin else None,
        )
        work.frames.enter_context(_ended_honestly(span))
        self._emit_begin(work)

    def called(self, call: Call) -> None:
        """Measures a call, and emits its span under what is current.

        A call that began an assessment is kept back until it is known which trace it belongs to.
        """
        status = call.attributes.get(names.HTTP_STATUS)
        self.metrics.called(
            call.attributes,
            error=str(status) if isinstance(status, int) and status >= _REFUSALS else call.error,
            seconds=(call.ended - call.started) / _NANOSECONDS,
        )
        work = current_invocation()
        if call.begins and work is not None:
            work.begin = call
        else:
            self._emit(call)

    @contextmanager
    def sending(self, entity: str, attributes: Mapping[str, AttributeValue]) -> Iterator[Span]:
        """Is the span of a transfer to Service Bus."""
        span = self.tracer.start_span(
            f"send {entity}",
            kind=SpanKind.PRODUCER,
            attributes={
                names.MESSAGING_SYSTEM: names.SERVICE_BUS,
                names.MESSAGING_DESTINATION: entity,
                names.MESSAGING_OPERATION: "send",
                names.MESSAGING_OPERATION_TYPE: "send",
                **self._bus_server(),
                **attributes,
            },
        )
        with _ended_honestly(span):
            yield span

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Is the span of a wait within this worker."""
        started = time.time_ns()  # a span that is made at its end takes no memory meanwhile
        self.metrics.held(1)
        try:
            yield
        finally:
            self.metrics.held(-1)
            span = self.tracer.start_span(
                WAIT, attributes={names.WAIT_PLACE: "worker"}, start_time=started
            )
            span.end()

    def _bus_server(self) -> dict[str, AttributeValue]:
        return {names.SERVER_ADDRESS: self.bus_address} if self.bus_address is not None else {}

    def _wait(self, assessment: AssessmentTrace | None, delivery: Delivery, now: datetime) -> None:
        """Emits the time between two invocations, so that waiting is seen as waiting."""
        since = delivery.waited_since or now
        attributes: dict[str, AttributeValue] = {
            names.WAIT_PLACE: "queue",
            names.RESCHEDULES: delivery.reschedules,
            names.MESSAGING_DESTINATION: delivery.queue,
        }
        if assessment is not None:
            attributes[names.ACTIVITY_ID] = assessment.activity_id
        parent = assessment.context if assessment else None
        span = self.tracer.start_span(
            WAIT, parent, attributes=attributes, start_time=nanoseconds(since)
        )
        span.end(max(nanoseconds(now), nanoseconds(since)))
        self.metrics.resumed()

    def _emit_begin(self, work: InvocationContext) -> None:
        if work.begin is not None:
            self._emit(work.begin)
            work.begin = None

    def _emit(self, call: Call) -> None:
        span = self.tracer.start_span(
            call.name,
            kind=SpanKind.CLIENT,
            attributes=call.attributes,
            start_time=call.started,
        )
        if call.error is not None:
            span.set_status(Status(StatusCode.ERROR))
            span.set_attribute(names.ERROR_TYPE, call.error)
        span.end(call.ended)


def tell_later(why: str, seconds: float) -> None:
    """Says on the current span why, and in how many seconds, the request goes on elsewhere."""
    trace.get_current_span().set_attributes(
        {names.WHY_LATER: why, names.LATER_SECONDS: round(seconds, 1)}
    )


@contextmanager
def _ended_honestly(span: Span) -> Iterator[None]:
    """Makes the span current, and ends it; of an exception it keeps the type alone.

    What an exception says may repeat what was in a message.
    """
    with trace.use_span(
        span, end_on_exit=True, record_exception=False, set_status_on_exception=False
    ):
        try:
            yield
        except BaseException as error:
            span.set_status(Status(StatusCode.ERROR))
            span.set_attribute(names.ERROR_TYPE, type(error).__name__)
            raise


def _current_links() -> list[Link]:
    context = trace.get_current_span().get_span_context()
    return [Link(context)] if context.is_valid else []
