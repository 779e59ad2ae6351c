"""Transfers to Service Bus as spans; what goes out is counted, and recorded."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from opentelemetry import trace
from opentelemetry.util.types import AttributeValue

from assessor.bus.message import OutgoingMessage
from assessor.telemetry import attributes as names
from assessor.telemetry.context import current_activity_id, current_traceparent, traceparent_of
from assessor.telemetry.telemetry import Telemetry

_TRACEPARENT: Final = "traceparent"


Send = Callable[[str, Sequence[OutgoingMessage]], Awaitable[None]]
"""Sends messages to a queue or topic; raises PublishError."""


@dataclass(frozen=True, slots=True)
class TracingBus:
    """A bus whose transfers are spans, and which counts and records what goes out.

    A message without a trace context of its own gets the transfer's, so that whoever receives it
    goes on in the same trace. What the app sends to itself within an assessment gets none: the
    Functions host makes a span of each delivery, which beneath the assessment's would end after
    what it lies under. So it has a trace of its own, and the app's span links to it.
    """

    sender: Send
    telemetry: Telemetry
    own_queue: str | None = None

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        """Sends the messages; raises PublishError."""
        before = current_traceparent()
        with self.telemetry.sending(entity, _attributes(messages)) as span:
            context = span.get_span_context()
            traceparent = traceparent_of(context) if context.is_valid else None
            if entity == self.own_queue:
                span.set_attribute(names.TO_ITSELF, value=True)
                traceparent = _to_itself(before or traceparent)  # the transfer is no step
            await self.sender(entity, [_traced(message, traceparent) for message in messages])
        for message in messages:
            self._count(message)
        await self.telemetry.records.write(*(each.record for each in messages if each.record))

    def _count(self, message: OutgoingMessage) -> None:
        if message.record is not None and message.record.status:
            self.telemetry.metrics.concluded(message.record.name, message.record.status, None)
        properties = message.application_properties
        rule = properties.get("alertRule")
        if rule is not None:
            self.telemetry.metrics.alerted(
                str(rule), str(properties.get("monitorCondition")), str(properties.get("change"))
            )


def _to_itself(traceparent: str | None) -> str | None:
    """What a message to the app itself carries, of what is current.

    An assessment whose trace is not kept goes on telling so: the host keeps no span of it either.
    """
    is_kept = trace.get_current_span().get_span_context().trace_flags.sampled
    return None if is_kept and current_activity_id() is not None else traceparent


def _attributes(messages: Sequence[OutgoingMessage]) -> dict[str, AttributeValue]:
    if len(messages) != 1:
        return {names.MESSAGING_BATCH_COUNT: len(messages)}
    message = messages[0]
    return {
        names.MESSAGING_MESSAGE_ID: message.message_id,
        names.MESSAGING_CONVERSATION_ID: message.correlation_id,
    }


def _traced(message: OutgoingMessage, traceparent: str | None) -> OutgoingMessage:
    if _TRACEPARENT in message.application_properties or traceparent is None:
        return message
    properties = {**message.application_properties, _TRACEPARENT: traceparent}
    return replace(message, application_properties=properties)
