"""The intake: takes messages from the requests queue, whatever is in them."""

import logging
from collections.abc import Awaitable, Callable, Sequence
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
from assessor.telemetry.telemetry import Delivery, Telemetry, current_traceparent
from assessor.telemetry.unforeseen import note_unforeseen

_LOG: Final = logging.getLogger(__name__)


class RequestIntake:
    """Starts, splits or rejects what is asked for."""

    def __init__(  # noqa: PLR0913 - each is one narrow port or setting
        self,
        *,
        assessor: Assessor,
        received: Callable[[datetime], None],
        start_scan: Callable[[ScanRequest], Awaitable[None]],
        bus: Bus,
        telemetry: Telemetry,
        clock: Clock,
        requests_queue: str,
        in_progress_queue: str,
        results_topic: str,
        allowed_scopes: Sequence[Scope],
    ) -> None:
        """Keeps whom it hands requests to; no `allowed_scopes` means that any may be named."""
        self._assessor = assessor
        self._received = received
        self._start_scan = start_scan
        self._bus = bus
        self._telemetry = telemetry
        self._clock = clock
        self._requests_queue = requests_queue
        self._in_progress_queue = in_progress_queue
        self._topic = results_topic
        self._allowed_scopes = allowed_scopes

    async def receive(self, message: IncomingMessage) -> None:
        """Does what a message asks for, or publishes its rejection.

        Raises:
            PublishError: Service Bus takes nothing; the message has to come again.
        """
        self._received(message.enqueued_at)
        delivery = Delivery(
            self._requests_queue, message.message_id, delivery_count=message.delivery_count
        )
        with self._telemetry.processing(delivery, self._clock.now()):
            match self._read(message):
                case Rejection() as rejection:
                    await self._reject(rejection)
                case ScanRequest() as scan:
                    await self._start_scan(scan)
                case (request,):
                    await self._assessor.start(request)
                case requests:
                    singles = [request_message(split(each)) for each in requests]
                    await self._bus.send(self._in_progress_queue, singles)
                    _LOG.info("request %s names %d VMs", requests[0].request_id, len(requests))

    def _read(
        self, message: IncomingMessage
    ) -> tuple[AssessmentRequest, ...] | ScanRequest | Rejection:
        """Returns what the message asks for; it is rejected where the app itself fails at it."""
        try:
            return parse_request(message, self._allowed_scopes)
        except Exception as error:  # noqa: BLE001 - whatever a sender may write
            note_unforeseen(error, self._telemetry.metrics, f"message {message.message_id}")
            problem = FieldError("body", "could not be read: the app failed at it")
            return Rejection(message.message_id, "NotUnderstood", (problem,), message)

    async def _reject(self, rejection: Rejection) -> None:
        outcome = reject(rejection, self._clock.now())
        await self._bus.send(self._topic, [outcome_message(outcome, current_traceparent())])
