"""The context of what the app does: what the current invocation works on, and its place in a trace.

The InvocationContext is ambient: the calls to ARM are made deep within the SDK's poller, and log
records come from anywhere. Invocations run as tasks of one event loop, each with a context of its
own. An assessment's trace is found by its activity ID: all IDs of it follow from that one and from
the request's.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.trace import Span, SpanContext
from opentelemetry.util.types import AttributeValue

from assessor.telemetry import attributes as names

_RANDOM_UUID: Final = (4, 0b10)
"""The version and the variant of a UUID of random bits (RFC 9562)."""
_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)


@dataclass(frozen=True, slots=True)
class Call:
    """A call to ARM that came to its end.

    Attributes:
        name: the span's.
        started: in nanoseconds since 1970.
        ended: likewise.
        attributes: the span's.
        error: the HTTP status or the exception's type, where it failed.
        begins: whether it began an operation.
    """

    name: str
    started: int
    ended: int
    attributes: Mapping[str, AttributeValue]
    error: str | None = None
    begins: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that an invocation works on.

    Attributes:
        queue: where it came from.
        message_id: its ID.
        request_id: the request that it is about, where that is known already.
        reschedules: how often the request was rescheduled.
        waited_since: when the last invocation let go of the request.
        assessment: the activity ID and the root span's ID of the assessment, if it has begun: the
            work belongs to its trace.
        delivery_count: how many times the message was delivered, this one included.
    """

    queue: str
    message_id: str | None = None
    request_id: str | None = None
    reschedules: int = 0
    waited_since: datetime | None = None
    assessment: tuple[str, str] | None = None
    delivery_count: int | None = None

    def attributes(self) -> dict[str, AttributeValue]:
        """Returns what its span tells of it."""
        values: dict[str, AttributeValue | None] = {
            names.MESSAGING_SYSTEM: names.SERVICE_BUS,
            names.MESSAGING_DESTINATION: self.queue,
            names.MESSAGING_OPERATION: "process",
            names.MESSAGING_OPERATION_TYPE: "process",
            names.MESSAGING_MESSAGE_ID: self.message_id,
            names.MESSAGING_DELIVERY_COUNT: self.delivery_count,
            names.MESSAGING_CONVERSATION_ID: self.request_id,
            names.REQUEST_ID: self.request_id,
            names.RESCHEDULES: self.reschedules,
        }
        return {name: value for name, value in values.items() if value is not None}


@dataclass(slots=True)
class InvocationContext:
    """One invocation at work.

    Attributes:
        request_id: the request that it works on, where that was known from the start.
        reschedules: how often that request was rescheduled before.
        span: the invocation's own.
        frames: what is closed when the invocation ends.
        activity_id: the assessment's, once it is known.
        begin: the call that began it, until the trace that it belongs to is known.
        ended: emits the root span of the assessment that ended, once all beneath it has.
    """

    request_id: str | None
    reschedules: int
    span: Span
    frames: ExitStack
    activity_id: str | None = None
    begin: Call | None = None
    ended: Callable[[], None] | None = None


_CURRENT: Final[ContextVar[InvocationContext | None]] = ContextVar("invocation", default=None)


@contextmanager
def entered(work: InvocationContext) -> Iterator[None]:
    """Makes `work` the current one."""
    token = _CURRENT.set(work)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current_invocation() -> InvocationContext | None:
    """Returns what the current invocation works on; None outside of any."""
    return _CURRENT.get()


def current_activity_id() -> str | None:
    """Returns the activity ID of the assessment that is being worked on, where it is known."""
    work = _CURRENT.get()
    return work.activity_id if work else None


def trace_id_of(activity_id: str) -> int:
    """Returns the trace ID of an assessment: its activity ID's 128 bits.

    ARM's activity IDs are UUIDs. An ID that is none gets the UUID that always belongs to it.
    """
    try:
        return uuid.UUID(activity_id).int or 1
    except ValueError:
        return uuid.uuid5(uuid.NAMESPACE_URL, activity_id).int


def is_random(trace_id: int) -> bool:
    """Whether the low 56 bits of an assessment's trace ID are random, as a UUID v4's are.

    W3C trace context level 2, "random-trace-id flag".
    """
    return (trace_id >> 76 & 0xF, trace_id >> 62 & 0b11) == _RANDOM_UUID


def root_span_id(activity_id: str, identity: str) -> str:
    """Returns the ID, 16 hex digits, of the root span of one request's assessment.

    It is made of the activity ID and of what identifies the request: a worker that finds the
    operation running after a crash continues the same tree, and a second request that shares the
    operation has a root of its own in the trace.
    """
    digest = hashlib.sha256(json.dumps([activity_id.lower(), identity]).encode()).digest()
    return f"{int.from_bytes(digest[:8]) or 1:016x}"


def traceparent_of(context: SpanContext) -> str:
    """Returns the W3C trace context of a span."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def current_traceparent() -> str | None:
    """Returns the W3C trace context of the span that is current; None outside of any."""
    context = trace.get_current_span().get_span_context()
    return traceparent_of(context) if context.is_valid else None


def traceparent_in(value: object) -> str | None:
    """Returns what a sender gave as W3C trace context if it is one, of 55 characters; else None.

    W3C trace context, section 3.2.
    """
    is_one = isinstance(value, str) and _TRACEPARENT.fullmatch(value)
    return str(value) if is_one else None


class AssessmentIdGenerator(IdGenerator):
    """Random IDs, but for the root span of an assessment, whose IDs are known beforehand."""

    def __init__(self) -> None:
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

    def is_trace_id_random(self) -> bool:
        """Whether the trace ID that comes next has 56 random low bits."""
        chosen = self._chosen.get()
        return is_random(chosen.trace_id) if chosen else self._random.is_trace_id_random()
