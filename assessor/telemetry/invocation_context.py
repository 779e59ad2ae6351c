"""The InvocationContext: what the current invocation works on, for its spans and log records.

It is ambient: the calls to ARM are made deep within the SDK's poller, and log records come from
anywhere. Invocations run as tasks of one event loop, each with a context of its own.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

from assessor.telemetry import attributes as names
from assessor.telemetry.assessment_trace import AssessmentTrace


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
        assessment: the trace that the work belongs to, if the assessment has begun.
        delivery_count: how many times the message was delivered, this one included.
    """

    queue: str
    message_id: str | None = None
    request_id: str | None = None
    reschedules: int = 0
    waited_since: datetime | None = None
    assessment: AssessmentTrace | None = None
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
