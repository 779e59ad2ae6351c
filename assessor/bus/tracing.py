"""Transfers to Service Bus as spans; alerts counted as they go out."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

from assessor.bus.message import OutgoingMessage
from assessor.telemetry.attributes import (
    MESSAGING_BATCH_COUNT,
    MESSAGING_CONVERSATION_ID,
    MESSAGING_MESSAGE_ID,
)
from assessor.telemetry.ids import traceparent_of
from assessor.telemetry.telemetry import Telemetry

_TRACEPARENT: Final = "traceparent"


Send = Callable[[str, Sequence[OutgoingMessage]], Awaitable[None]]
"""Sends messages to a queue or topic; raises PublishError."""


class TracingBus:
    """A bus whose transfers are spans, and which counts alerts as they go out.

    A message without a trace context of its own gets the transfer's, so that whoever receives it
    goes on in the same trace.
    """

    def __init__(self, send: Send, telemetry: Telemetry) -> None:
        """Wraps `send` of another bus."""
        self._send = send
        self._telemetry = telemetry

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        """Sends the messages; raises PublishError."""
        with self._telemetry.sending(entity, _attributes(messages)) as span:
            await self._send(entity, [_traced(message, span) for message in messages])
        for message in messages:
            self._count(message)

    def _count(self, message: OutgoingMessage) -> None:
        properties = message.application_properties
        rule = properties.get("alertRule")
        if rule is not None:
            self._telemetry.metrics.alerted(
                str(rule), str(properties.get("monitorCondition")), str(properties.get("change"))
            )


def _attributes(messages: Sequence[OutgoingMessage]) -> dict[str, AttributeValue]:
    if len(messages) != 1:
        return {MESSAGING_BATCH_COUNT: len(messages)}
    message = messages[0]
    return {
        MESSAGING_MESSAGE_ID: message.message_id,
        MESSAGING_CONVERSATION_ID: message.correlation_id,
    }


def _traced(message: OutgoingMessage, span: Span) -> OutgoingMessage:
    context = span.get_span_context()
    if _TRACEPARENT in message.application_properties or not context.is_valid:
        return message
    properties = {**message.application_properties, _TRACEPARENT: traceparent_of(context)}
    return replace(message, application_properties=properties)
