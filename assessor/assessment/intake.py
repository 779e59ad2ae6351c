"""The intake: takes messages from the requests queue, whatever is in them."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from assessor.assessment.assessor import Assessor
from assessor.messages.in_progress import request_message
from assessor.messages.outcome import reject
from assessor.messages.outgoing import outcome_message
from assessor.messages.request import (
    AssessmentRequest,
    FieldError,
    IncomingMessage,
    Rejection,
    ScanRequest,
    parse_request,
    split,
)
from assessor.ports import Bus, Clock
from assessor.resource_id import Scope
from assessor.telemetry.ids import current_traceparent
from assessor.telemetry.invocation_context import Delivery
from assessor.telemetry.telemetry import Telemetry
from assessor.telemetry.unforeseen import note_unforeseen

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestIntake:
    """Starts, splits or rejects what is asked for.

    Attributes:
        received: is told when each message was enqueued, by the bus's clock.
        allowed_scopes: what a request may name; none of them: anything.
    """

    assessor: Assessor
    received: Callable[[datetime], None]
    start_scan: Callable[[ScanRequest], Awaitable[None]]
    bus: Bus
    telemetry: Telemetry
    clock: Clock
    requests_queue: str
    in_progress_queue: str
    results_topic: str
    allowed_scopes: Sequence[Scope]

    async def receive(self, message: IncomingMessage) -> None:
        """Does what a message asks for, or publishes its rejection; raises PublishError."""
        self.received(message.enqueued_at)
        delivery = Delivery(
            self.requests_queue, message.message_id, delivery_count=message.delivery_count
        )
        with self.telemetry.processing(delivery, self.clock.now()):
            match self._read(message):
                case Rejection() as rejection:
                    await self._reject(rejection)
                case ScanRequest() as scan:
                    await self.start_scan(scan)
                case (request,):
                    await self.assessor.start(request)
                case requests:
                    singles = [request_message(split(each)) for each in requests]
                    await self.bus.send(self.in_progress_queue, singles)
                    _LOG.info("request %s names %d VMs", requests[0].request_id, len(requests))

    def _read(
        self, message: IncomingMessage
    ) -> tuple[AssessmentRequest, ...] | ScanRequest | Rejection:
        """Returns what the message asks for; it is rejected where the app itself fails at it."""
        try:
            return parse_request(message, self.allowed_scopes)
        except Exception as error:  # noqa: BLE001 - whatever a sender may write
            note_unforeseen(error, self.telemetry.metrics, f"message {message.message_id}")
            problem = FieldError("body", "could not be read: the app failed at it")
            return Rejection(message.message_id, "NotUnderstood", (problem,), message)

    async def _reject(self, rejection: Rejection) -> None:
        outcome = reject(rejection, self.clock.now())
        await self.bus.send(self.results_topic, [outcome_message(outcome, current_traceparent())])
