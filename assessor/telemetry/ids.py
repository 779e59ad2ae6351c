"""The IDs of an assessment's trace: all of them follow from the activity ID and the request's."""

import hashlib
import json
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.trace import SpanContext

_RANDOM_UUID: Final = (4, 0b10)
"""The version and the variant of a UUID of random bits (RFC 9562)."""
_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)


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
