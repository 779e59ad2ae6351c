"""Takes requests in, takes them on step by step, and tells what became of them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Final, Protocol, assert_never

from assessor import backoff
from assessor.assessment.state_machine import Done, Steps, Wait
from assessor.bus.message import OutgoingMessage
from assessor.bus.port import Bus, PublishError
from assessor.clock import Clock
from assessor.ids import name_based_id
from assessor.messages.outcome import Finished, Outcome, Refused, Skipped, conclude, reject
from assessor.messages.outgoing import outcome_message
from assessor.messages.progress import Progress, to_message
from assessor.messages.request import (
    AssessmentRequest,
    IncomingMessage,
    Rejection,
    ScanRequest,
    parse_request,
)
from assessor.messages.request_message import request_message
from assessor.posture.durations import Durations
from assessor.posture.finding import duration_of
from assessor.posture.store import PostureError
from assessor.resource_id import Scope
from assessor.scans.progress import ScanProgress
from assessor.scans.store import ScanStoreError
from assessor.telemetry.attributes import (
    ADOPTED,
    CRITICAL_COUNT,
    ERROR_CODE,
    EXPECTED_SECONDS,
    EXPECTED_SPREAD,
    OTHER_COUNT,
    OUTCOME,
    REBOOT_PENDING,
    REQUEST_ID,
    STATUS,
    VM_ID,
)
from assessor.telemetry.telemetry import (
    ACTIVITY_ID,
    AssessmentTrace,
    Delivery,
    Ending,
    Telemetry,
    current_traceparent,
)

_LOG: Final = logging.getLogger(__name__)


class Alerts(Protocol):
    """Publishes what an outcome changes for the VM's alerts."""

    async def publish(self, outcome: Outcome, traceparent: str | None) -> object:
        """Publishes the alerts that fire, grow or resolve; raises PublishError, PostureError."""
        ...


class FleetScans(Protocol):
    """Does what is asked of whole scopes."""

    async def begin(self, request: ScanRequest) -> None:
        """Accepts a scan; raises PublishError."""
        ...

    async def go_on(self, progress: ScanProgress) -> None:
        """Takes a scan a step further; raises PublishError."""
        ...

    async def record(self, request: AssessmentRequest, outcome: Outcome) -> None:
        """Accounts for an outcome, if its request is part of a scan; raises ScanStoreError."""
        ...


@dataclass(frozen=True, slots=True)
class Entities:
    """The names of the queues and the topic."""

    requests_queue: str
    in_progress_queue: str
    results_topic: str


class Assessor:
    """The app, but for its triggers."""

    def __init__(  # noqa: PLR0913 - each is one narrow port
        self,
        *,
        steps: Steps,
        bus: Bus,
        alerts: Alerts,
        durations: Durations,
        scans: FleetScans,
        telemetry: Telemetry,
        clock: Clock,
        random: Random,
        entities: Entities,
        allowed_scopes: Sequence[Scope],
    ) -> None:
        """Keeps what it works with.

        Args:
            steps: decides what comes next for a request.
            bus: where messages go.
            alerts: told of each outcome.
            durations: learns how long assessments take.
            scans: does what is asked of whole scopes, and is told of each outcome too.
            telemetry: where the assessments' traces come from.
            clock: tells the time.
            random: where jitter comes from.
            entities: the names of the queues and the topic.
            allowed_scopes: the scopes that a request may name; none of them: any.
        """
        self._steps = steps
        self._bus = bus
        self._alerts = alerts
        self._durations = durations
        self._scans = scans
        self._telemetry = telemetry
        self._clock = clock
        self._random = random
        self._entities = entities
        self._allowed_scopes = allowed_scopes

    async def take_request(self, message: IncomingMessage) -> None:
        """Takes a message from the requests queue, whatever is in it.

        Raises:
            PublishError: Service Bus takes nothing; the message has to come again.
        """
        delivery = Delivery(self._entities.requests_queue, message.message_id)
        with self._telemetry.processing(delivery, self._clock.now()):
            match parse_request(message, self._allowed_scopes):
                case Rejection() as rejection:
                    await self._reject(rejection)
                case ScanRequest() as scan:
                    await self._scans.begin(scan)
                case (request,):
                    await self._go_on(Progress(request, accepted_at=self._clock.now()))
                case requests:
                    await self._bus.send(
                        self._entities.requests_queue, [_single(each) for each in requests]
                    )
                    _LOG.info("request %s names %d VMs", requests[0].request_id, len(requests))

    async def take_on(self, progress: Progress) -> None:
        """Takes a request one step further, and sees that what is left of it goes on.

        Raises:
            PublishError: Service Bus takes nothing; the message has to come again.
        """
        delivery = Delivery(
            self._entities.in_progress_queue,
            request_id=progress.request.request_id,
            hop=progress.hop,
            waited_since=progress.handed_over_at,
            assessment=self._trace(progress),
        )
        with self._telemetry.processing(delivery, self._clock.now()):
            await self._go_on(progress)

    async def take_over(self, progress: Progress | ScanProgress) -> None:
        """Goes on with whatever another invocation has handed over; raises PublishError."""
        if isinstance(progress, Progress):
            await self.take_on(progress)
        else:
            delivery = Delivery(self._entities.in_progress_queue)
            with self._telemetry.processing(delivery, self._clock.now()):
                await self._scans.go_on(progress)

    async def _go_on(self, progress: Progress) -> None:
        step = await self._steps.next(progress)
        wait = await self._conclude(step) if isinstance(step, Done) else step
        if wait is not None:
            await self._hand_over(wait)

    async def _reject(self, rejection: Rejection) -> None:
        outcome = reject(rejection, self._clock.now())
        await self._bus.send(
            self._entities.results_topic, [outcome_message(outcome, current_traceparent())]
        )
        self._telemetry.metrics.concluded(outcome.type.value, rejection.reason, None)
        _LOG.warning(
            "message %s is rejected: %s (%s)",
            rejection.message.message_id,
            rejection.reason,
            ", ".join(error.field for error in rejection.errors),
        )

    async def _conclude(self, done: Done) -> Wait | None:
        """Publishes the outcome and what it changes; returns a wait where that did not succeed.

        The outcome goes first, then the alerts that follow from it, then the scan's account: a
        crash in between repeats what was done, under the same IDs.
        """
        progress = done.progress
        outcome = conclude(progress.request, progress.vm, done.conclusion)
        traceparent = self._traceparent(progress)
        try:
            await self._bus.send(
                self._entities.results_topic, [outcome_message(outcome, traceparent)]
            )
            await self._alerts.publish(outcome, traceparent)
            await self._scans.record(progress.request, outcome)
        except (PublishError, PostureError, ScanStoreError) as error:
            return self._again(progress, error)
        self._finish(progress, outcome)
        return None

    def _again(self, progress: Progress, error: Exception) -> Wait:
        """Returns the wait after which the request is concluded again; it is never given up."""
        delay = backoff.delay(progress.attempt, None, self._random)
        now = self._clock.now()
        waiting = progress.waiting(
            attempt=progress.attempt + 1, not_before=None, handed_over_at=now
        )
        return Wait(waiting, delay, str(error))

    async def _hand_over(self, wait: Wait) -> None:
        progress = wait.progress
        enqueue_at = self._clock.now() + timedelta(seconds=wait.delay)
        await self._bus.send(self._entities.in_progress_queue, [to_message(progress, enqueue_at)])
        self._telemetry.metrics.handed_over()
        _LOG.info(
            "request %s for %s goes on in %.0f s: %s",
            progress.request.request_id,
            progress.request.vm,
            wait.delay,
            wait.why,
            extra=_activity(progress),
        )

    def _finish(self, progress: Progress, outcome: Outcome) -> None:
        operation, trace = progress.operation, self._trace(progress)
        result = outcome.conclusion.result if isinstance(outcome.conclusion, Finished) else None
        seconds, expected = duration_of(outcome), progress.expected
        if seconds is not None and progress.vm is not None:
            self._durations.learn(progress.vm.os_type, seconds)
        status = _status(outcome)
        self._telemetry.metrics.concluded(outcome.type.value, status, _operation_seconds(outcome))
        if operation is not None and trace is not None:
            trace.finish(
                operation.begun_at,
                Ending(
                    at=self._clock.now(),
                    failure=_failure(outcome),
                    reported_activity_id=result.activity_id if result else None,
                    request_traceparent=progress.request.traceparent,
                    attributes={
                        OUTCOME: outcome.type.value,
                        STATUS: status,
                        REQUEST_ID: outcome.request_id,
                        VM_ID: str(progress.request.vm),
                        ADOPTED: operation.adopted,
                        EXPECTED_SECONDS: expected.seconds if expected else None,
                        EXPECTED_SPREAD: expected.spread if expected else None,
                        ERROR_CODE: _failure(outcome),
                        CRITICAL_COUNT: result.critical_and_security_count if result else None,
                        OTHER_COUNT: result.other_count if result else None,
                        REBOOT_PENDING: result.reboot_pending if result else None,
                    },
                ),
            )
        _LOG.info(
            "request %s for %s: %s",
            outcome.request_id,
            progress.request.vm,
            outcome.type.value,
            extra=_activity(progress),
        )

    def _traceparent(self, progress: Progress) -> str | None:
        trace = self._trace(progress)
        return trace.traceparent if trace else current_traceparent()

    def _trace(self, progress: Progress) -> AssessmentTrace | None:
        operation = progress.operation
        if operation is None:
            return None
        return self._telemetry.assessment(operation.activity_id, operation.root_span_id)


def _failure(outcome: Outcome) -> str | None:
    """Returns the code that an assessment failed with; None if it did not fail."""
    match outcome.conclusion:
        case Refused(error=error):
            return error.code
        case Finished(result=result) if result.is_failed:
            return (result.error.code if result.error is not None else "") or result.status
        case _:
            return None


def _status(outcome: Outcome) -> str:
    """Returns the assessment's own status, or why there was none; empty where ARM did not tell."""
    match outcome.conclusion:
        case Finished(result=result):
            return result.status or ""
        case Refused():
            return "Failed"
        case Skipped(reason=reason):
            return reason.value
        case Rejection(reason=reason):
            return reason
        case _:
            assert_never(outcome.conclusion)


def _operation_seconds(outcome: Outcome) -> float | None:
    ended = outcome.conclusion
    return ended.seconds if isinstance(ended, Finished | Refused) else None


def _single(request: AssessmentRequest) -> OutgoingMessage:
    """Returns the message that asks for one VM of a request for several."""
    return request_message(request, name_based_id("request", request.request_id, request.vm.key))


def _activity(progress: Progress) -> dict[str, str]:
    return {ACTIVITY_ID: progress.operation.activity_id} if progress.operation else {}
