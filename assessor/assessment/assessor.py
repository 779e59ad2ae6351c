"""The assessor: takes one request for one VM from step to step until its outcome is published.

`RequestIntake` takes what comes from the requests queue, whatever is in it, and hands each request
for one VM to the `Assessor`.

Here is the edge of the domain, and its last resort: what nobody foresaw is counted, logged with its
stack, and tried again with back-off until the deadline; then it is the outcome.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Final

from assessor import backoff
from assessor.arm.result import ApiError
from assessor.assessment.conclusion import Concluder
from assessor.assessment.rescheduler import Rescheduler
from assessor.assessment.state_machine import StateMachine
from assessor.assessment.steps import INTERNAL_ERROR, Done, Step
from assessor.errors import UnavailableError
from assessor.messages.in_progress import request_message
from assessor.messages.outcome import Refused, reject
from assessor.messages.outgoing import outcome_message
from assessor.messages.progress import AssessmentProgress, Later
from assessor.messages.request import (
    AssessmentRequest,
    FieldError,
    IncomingMessage,
    Rejection,
    ScanRequest,
    split,
)
from assessor.messages.request_body import parse_request
from assessor.ports import Bus, Clock
from assessor.resource_id import Scope, is_allowed
from assessor.telemetry.context import Delivery, current_traceparent
from assessor.telemetry.telemetry import Telemetry
from assessor.telemetry.unforeseen import note_unforeseen

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessor:
    """Starts and resumes assessments; what can't go on within one invocation is rescheduled."""

    machine: StateMachine
    concluder: Concluder
    rescheduler: Rescheduler
    telemetry: Telemetry
    clock: Clock
    random: Random
    in_progress_queue: str
    deadline: timedelta
    allowed_scopes: Sequence[Scope]

    async def start(self, request: AssessmentRequest) -> None:
        """Starts on a request that was just accepted; raises PublishError."""
        await self._advance(AssessmentProgress(request, accepted_at=self.clock.now()))

    async def take_up(self, request: AssessmentRequest, received: Delivery | None = None) -> None:
        """Starts on a request that the app itself has made; raises PublishError."""
        delivery = replace(
            received or Delivery(self.in_progress_queue), request_id=request.request_id
        )
        with self.telemetry.processing(delivery, self.clock.now()):
            await self.start(request)

    async def resume(self, progress: AssessmentProgress, received: Delivery | None = None) -> None:
        """Resumes a request where another invocation has let go of it; raises PublishError."""
        operation = progress.operation
        delivery = replace(
            received or Delivery(self.in_progress_queue),
            request_id=progress.request.request_id,
            reschedules=progress.reschedules,
            waited_since=progress.rescheduled_at,
            assessment=(operation.activity_id, operation.root_span_id) if operation else None,
        )
        with self.telemetry.processing(delivery, self.clock.now()):
            await self._advance(progress)

    async def _advance(self, progress: AssessmentProgress) -> None:
        is_last = self.clock.now() >= progress.accepted_at + self.deadline
        try:
            step = await self._step(progress)
            await self._conclude_or_reschedule(step, is_last=is_last)
        except UnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - the one place for whatever nobody foresaw
            note_unforeseen(error, self.telemetry.metrics, f"request for {progress.request.vm}")
            await self._conclude_or_reschedule(
                self._after(progress, error, is_last=is_last), is_last=is_last
            )

    async def _conclude_or_reschedule(self, step: Step, *, is_last: bool) -> None:
        later: Step | None = step
        if isinstance(step, Done):
            later = await self.concluder.conclude(step, is_last=is_last)
        if isinstance(later, Later):
            await self.rescheduler.reschedule(later)

    def _after(self, progress: AssessmentProgress, error: Exception, *, is_last: bool) -> Step:
        """Returns what becomes of a request after an error that nobody foresaw."""
        now = self.clock.now()
        problem = ApiError(
            INTERNAL_ERROR, f"The app failed ({type(error).__name__}); its log has the stack."
        )
        if is_last:
            operation = progress.operation
            return Done(
                progress, Refused(problem, now, operation.activity_id if operation else None)
            )
        left = (progress.accepted_at + self.deadline - now).total_seconds()
        delay = min(backoff.delay(progress.attempt, None, self.random), left)
        later = replace(progress, problem=problem).rescheduled(now, attempt=progress.attempt + 1)
        return Later(later, now + timedelta(seconds=delay), "the app failed")

    async def _step(self, progress: AssessmentProgress) -> Step:
        """Returns what comes next; nothing is called for a VM that may not be named (any more)."""
        if is_allowed(progress.request.vm, self.allowed_scopes):
            return await self.machine.advance(progress)
        error = ApiError("OutOfScope", "The VM lies in none of ALLOWED_SCOPES. Nothing was called.")
        return Done(progress, Refused(error, self.clock.now()))


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
