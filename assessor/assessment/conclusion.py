"""Concludes a request: publishes its outcome, and all that follows from it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import assert_never

from opentelemetry.util.types import AttributeValue

from assessor import backoff
from assessor.assessment.steps import Done
from assessor.clock import seconds_between
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
from assessor.telemetry import attributes as names
from assessor.telemetry.assessment_trace import AssessmentEnd, AssessmentTrace
from assessor.telemetry.context import current_traceparent
from assessor.telemetry.records import Facts, Record
from assessor.telemetry.telemetry import Telemetry
from assessor.telemetry.unforeseen import note_unforeseen

Consequence = Callable[[AssessmentRequest, Outcome, str | None], Awaitable[Facts | None]]
"""Does what follows from a request's outcome, with its trace context, and returns what the record
of the outcome tells of that; may raise UnavailableError. It may be called again with the same
outcome at any time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Concluder:
    """Publishes outcomes once each.

    Attributes:
        consequences: what follows from each outcome, in this order.
    """

    bus: Bus
    results_topic: str
    tags: OwnerTags
    consequences: Sequence[Consequence]
    durations: Durations
    telemetry: Telemetry
    clock: Clock
    random: Random

    async def conclude(self, done: Done, *, is_last: bool = False) -> Later | None:
        """Publishes the outcome and what it changes; returns a retry where that did not succeed.

        The outcome goes first, then the alerts that follow from it, then the scan's account: a
        crash in between repeats what was done, under the same IDs.

        Once the request's time is over (`is_last`), what fails by a fault of the app's own is left.

        Raises:
            UnavailableError: it could not be done for GIVES_UP_AFTER.
        """
        progress = done.progress
        outcome = conclude(progress.request, progress.vm, done.conclusion)
        trace = trace_of(self.telemetry, progress)
        traceparent = trace.traceparent if trace else current_traceparent()
        facts: dict[str, AttributeValue | None] = {}
        try:
            message = outcome_message(outcome, traceparent, tags=self.tags)
            await self.bus.send(self.results_topic, [message])
        except UnavailableError as error:
            if self.clock.now() >= progress.accepted_at + backoff.GIVES_UP_AFTER:
                raise
            return self._retry(progress, error)
        try:
            for follow_up in self.consequences:
                facts |= await self._follow_up(
                    follow_up, progress, outcome, traceparent, is_last=is_last
                )
        except Exception as error:
            # It is published, whatever becomes of the rest: once that is done, its record follows
            # again, under the same ID.
            await self.telemetry.records.write(self._record(progress, outcome, facts))
            if isinstance(error, UnavailableError):
                return self._retry(progress, error)
            raise
        await self.telemetry.records.write(self._record(progress, outcome, facts))
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
            note_unforeseen(error, self.telemetry.metrics, what)
            return {}

    def _retry(self, progress: AssessmentProgress, error: UnavailableError) -> Later:
        """Returns when the request is concluded again."""
        now = self.clock.now()
        delay = timedelta(seconds=backoff.delay(progress.attempt, None, self.random))
        return Later(
            progress.rescheduled(now, attempt=progress.attempt + 1), now + delay, str(error)
        )

    def _finish(
        self, progress: AssessmentProgress, outcome: Outcome, trace: AssessmentTrace | None
    ) -> None:
        ended = outcome.conclusion
        learned = duration_of(outcome)
        if learned is not None and progress.vm is not None:
            self.durations.learn(progress.vm.os_type, learned)
        seconds = ended.seconds if isinstance(ended, Finished | Refused) else None
        self.telemetry.metrics.concluded(outcome.type.value, status_of(outcome), seconds)
        operation = progress.operation
        begun_at = operation.begun_at if operation else progress.accepted_at
        self.telemetry.ended(trace, begun_at, self._end(progress, outcome))

    def _record(self, progress: AssessmentProgress, outcome: Outcome, facts: Facts) -> Record:
        request, operation = progress.request, progress.operation
        total = seconds_between(request.enqueued_at, self.clock.now())
        return Record(
            name=outcome.type.value,
            id=outcome.id,
            text=f"request {outcome.request_id} for {request.vm}: {outcome.type.value}",
            status=status_of(outcome),
            facts={
                **facts_of(outcome),
                names.ACTIVITY_ID: operation.activity_id if operation else None,
                names.ADOPTED: operation.adopted if operation else None,
                names.SCAN_ID: request.scan_id,
                names.RESCHEDULES: progress.reschedules,
                names.ATTEMPTS: progress.attempt,
                names.TOTAL_SECONDS: round(total, 3),
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
            at=self.clock.now(),
            failure=failure,
            reported_activity_id=reported,
            request_traceparent=progress.request.traceparent,
            attributes={
                names.OUTCOME: outcome.type.value,
                names.STATUS: status_of(outcome),
                names.REQUEST_ID: outcome.request_id,
                names.VM_ID: str(progress.request.vm),
                names.ADOPTED: progress.operation.adopted if progress.operation else None,
                names.EXPECTED_SECONDS: round(expected.seconds, 1) if expected else None,
                names.EXPECTED_SPREAD: expected.spread if expected else None,
                names.ERROR_CODE: failure,
                names.CRITICAL_COUNT: result.critical_and_security_count if result else None,
                names.OTHER_COUNT: result.other_count if result else None,
                names.REBOOT_PENDING: result.reboot_pending if result else None,
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
