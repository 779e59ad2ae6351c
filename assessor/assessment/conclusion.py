"""Concludes a request: publishes its outcome, and all that follows from it."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from random import Random
from typing import assert_never

from opentelemetry.util.types import AttributeValue

from assessor import backoff
from assessor.assessment.steps import Done
from assessor.errors import UnavailableError
from assessor.messages.outcome import Finished, Outcome, Refused, Skipped, conclude
from assessor.messages.outgoing import outcome_message
from assessor.messages.owner_tags import OwnerTags
from assessor.messages.progress import AssessmentProgress, Later
from assessor.messages.records import facts_of
from assessor.messages.request import AssessmentRequest, Rejection
from assessor.ports import Bus, Clock
from assessor.posture.durations import Durations
from assessor.posture.finding import duration_of
from assessor.telemetry.attributes import (
    ADOPTED,
    ATTEMPTS,
    CRITICAL_COUNT,
    ERROR_CODE,
    EXPECTED_SECONDS,
    EXPECTED_SPREAD,
    OTHER_COUNT,
    OUTCOME,
    REBOOT_PENDING,
    REQUEST_ID,
    RESCHEDULES,
    SCAN_ID,
    STATUS,
    TOTAL_SECONDS,
    VM_ID,
)
from assessor.telemetry.records import Facts, Record
from assessor.telemetry.telemetry import (
    ACTIVITY_ID,
    AssessmentEnd,
    AssessmentTrace,
    Telemetry,
    current_traceparent,
)
from assessor.telemetry.unforeseen import note_unforeseen

Consequence = Callable[[AssessmentRequest, Outcome, str | None], Awaitable[Facts | None]]
"""Does what follows from a request's outcome, with its trace context, and returns what the record
of the outcome tells of that; may raise UnavailableError. It may be called again with the same
outcome at any time."""


class Concluder:
    """Publishes outcomes once each."""

    def __init__(  # noqa: PLR0913 - each is one narrow part
        self,
        *,
        bus: Bus,
        results_topic: str,
        tags: OwnerTags,
        consequences: Sequence[Consequence],
        durations: Durations,
        telemetry: Telemetry,
        clock: Clock,
        random: Random,
    ) -> None:
        """Keeps where outcomes go, and what follows from each in this order: `consequences`."""
        self._bus = bus
        self._tags = tags
        self._topic = results_topic
        self._consequences = consequences
        self._durations = durations
        self._telemetry = telemetry
        self._clock = clock
        self._random = random

    async def conclude(self, done: Done, *, is_last: bool = False) -> Later | None:
        """Publishes the outcome and what it changes; returns a retry where that did not succeed.

        The outcome goes first, then the alerts that follow from it, then the scan's account: a
        crash in between repeats what was done, under the same IDs.

        Args:
            done: the request and its end.
            is_last: whether its time is over: what fails by a fault of the app's own is then left.

        Raises:
            UnavailableError: it could not be done for GIVES_UP_AFTER.
        """
        progress = done.progress
        outcome = conclude(progress.request, progress.vm, done.conclusion)
        trace = trace_of(self._telemetry, progress)
        traceparent = trace.traceparent if trace else current_traceparent()
        facts: dict[str, AttributeValue | None] = {}
        try:
            message = outcome_message(outcome, traceparent, tags=self._tags)
            await self._bus.send(self._topic, [message])
        except UnavailableError as error:
            if self._clock.now() >= progress.accepted_at + backoff.GIVES_UP_AFTER:
                raise
            return self._retry(progress, error)
        try:
            for follow_up in self._consequences:
                facts |= await self._follow_up(
                    follow_up, progress, outcome, traceparent, is_last=is_last
                )
        except Exception as error:
            # It is published, whatever becomes of the rest: once that is done, its record follows
            # again, under the same ID.
            await self._telemetry.records.write(self._record(progress, outcome, facts))
            if isinstance(error, UnavailableError):
                return self._retry(progress, error)
            raise
        await self._telemetry.records.write(self._record(progress, outcome, facts))
        self._finish(progress, outcome, trace)
        return None

    async def _follow_up(
        self,
        follow_up: Consequence,
        progress: AssessmentProgress,
        outcome: Outcome,
        traceparent: str | None,
        *,
        is_last: bool,
    ) -> Facts:
        try:
            return await follow_up(progress.request, outcome, traceparent) or {}
        except UnavailableError:
            raise
        except Exception as error:
            if not is_last:
                raise
            what = f"what follows from the outcome for {progress.request.vm}"
            note_unforeseen(error, self._telemetry.metrics, what)
            return {}

    def _retry(self, progress: AssessmentProgress, error: UnavailableError) -> Later:
        """Returns when the request is concluded again."""
        now = self._clock.now()
        delay = timedelta(seconds=backoff.delay(progress.attempt, None, self._random))
        return Later(
            progress.rescheduled(now, attempt=progress.attempt + 1), now + delay, str(error)
        )

    def _finish(
        self, progress: AssessmentProgress, outcome: Outcome, trace: AssessmentTrace | None
    ) -> None:
        ended = outcome.conclusion
        learned = duration_of(outcome)
        if learned is not None and progress.vm is not None:
            self._durations.learn(progress.vm.os_type, learned)
        seconds = ended.seconds if isinstance(ended, Finished | Refused) else None
        self._telemetry.metrics.concluded(outcome.type.value, status_of(outcome), seconds)
        operation = progress.operation
        begun_at = operation.begun_at if operation else progress.accepted_at
        self._telemetry.ended(trace, begun_at, self._end(progress, outcome))

    def _record(self, progress: AssessmentProgress, outcome: Outcome, facts: Facts) -> Record:
        request, operation = progress.request, progress.operation
        total = (self._clock.now() - request.enqueued_at).total_seconds()
        return Record(
            name=outcome.type.value,
            id=outcome.id,
            text=f"request {outcome.request_id} for {request.vm}: {outcome.type.value}",
            status=status_of(outcome),
            facts={
                **facts_of(outcome),
                ACTIVITY_ID: operation.activity_id if operation else None,
                ADOPTED: operation.adopted if operation else None,
                SCAN_ID: request.scan_id,
                RESCHEDULES: progress.reschedules,
                ATTEMPTS: progress.attempt,
                TOTAL_SECONDS: round(max(0.0, total), 3),
                **facts,
            },
        )

    def _end(self, progress: AssessmentProgress, outcome: Outcome) -> AssessmentEnd:
        """Returns what the root span tells of the assessment."""
        ended, expected = outcome.conclusion, progress.expected
        result = ended.result if isinstance(ended, Finished) else None
        reported = result.activity_id if result else None
        if isinstance(ended, Refused):
            reported = ended.reported_activity_id
        failure = failure_of(outcome)
        return AssessmentEnd(
            at=self._clock.now(),
            failure=failure,
            reported_activity_id=reported,
            request_traceparent=progress.request.traceparent,
            attributes={
                OUTCOME: outcome.type.value,
                STATUS: status_of(outcome),
                REQUEST_ID: outcome.request_id,
                VM_ID: str(progress.request.vm),
                ADOPTED: progress.operation.adopted if progress.operation else None,
                EXPECTED_SECONDS: round(expected.seconds, 1) if expected else None,
                EXPECTED_SPREAD: expected.spread if expected else None,
                ERROR_CODE: failure,
                CRITICAL_COUNT: result.critical_and_security_count if result else None,
                OTHER_COUNT: result.other_count if result else None,
                REBOOT_PENDING: result.reboot_pending if result else None,
            },
        )


def trace_of(telemetry: Telemetry, progress: AssessmentProgress) -> AssessmentTrace | None:
    """Returns the trace of the request's assessment; None before it has begun."""
    operation = progress.operation
    if operation is None:
        return None
    return telemetry.assessment(operation.activity_id, operation.root_span_id)


def failure_of(outcome: Outcome) -> str | None:
    """Returns the code that an assessment failed with; None if it did not fail."""
    match outcome.conclusion:
        case Refused(error=error):
            return error.code
        case Finished(result=result) if result.is_failed:
            return (result.error.code if result.error is not None else "") or result.status
        case _:
            return None


def status_of(outcome: Outcome) -> str:
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
