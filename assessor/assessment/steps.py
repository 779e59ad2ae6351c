"""Steps: what a request comes to in one invocation, its end or a later one."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from assessor.arm.hints import AGENT_HINT, hint_for
from assessor.arm.operation import Ended
from assessor.arm.result import ApiError, AssessmentResult
from assessor.arm.virtual_machine import SkipReason
from assessor.clock import seconds_between
from assessor.messages.outcome import Conclusion, Finished, Refused, Skipped
from assessor.messages.progress import AssessmentProgress, Later, OperationRef
from assessor.ports import Clock

INTERNAL_ERROR: Final = "InternalError"
"""The code of an assessment that failed by a fault of the app's own."""

_OWN_FIELDS: Final = frozenset(
    {"assessmentActivityId", "availablePatches", "criticalAndSecurityPatchCount"}
)
"""What VirtualMachineAssessPatchesResult has, and the result of no other operation of Compute."""
_SKIP_MESSAGES: Final = {
    SkipReason.NOT_RUNNING: "The VM is not running; patches can be assessed on a running VM only.",
    SkipReason.BEING_DELETED: "The VM is being deleted.",
    SkipReason.AGENT_NOT_READY: "The VM's agent is missing or not ready; it makes the assessment.",
    SkipReason.IMAGE_NOT_SUPPORTED: "Azure does not assess VMs of this image.",
}


@dataclass(frozen=True, slots=True)
class Done:
    """The request has come to its end."""

    progress: AssessmentProgress
    conclusion: Conclusion


Step = Done | Later


@dataclass(frozen=True, slots=True)
class Steps:
    """Makes the steps of requests that have so long from their acceptance on."""

    clock: Clock
    deadline: timedelta

    def ends_at(self, progress: AssessmentProgress) -> datetime:
        """Returns the request's deadline."""
        return progress.accepted_at + self.deadline

    def later(
        self,
        progress: AssessmentProgress,
        delay: float,
        why: str,
        attempt: int = 0,
        not_before: datetime | None = None,
    ) -> Step:
        """Returns a wait that ends at the deadline at the latest; past it there is none."""
        now = self.clock.now()
        left = (self.ends_at(progress) - now).total_seconds()
        if left <= 0:
            return self.overdue(progress, why)
        if not attempt and progress.problem is not None:
            progress = replace(progress, problem=None)
        rescheduled = progress.rescheduled(now, attempt=attempt, not_before=not_before)
        return Later(rescheduled, now + timedelta(seconds=min(delay, left)), why)

    def ended(self, progress: AssessmentProgress, operation: OperationRef, ended: Ended) -> Done:
        """Returns the end of a request whose operation has ended."""
        now = self.clock.now()
        ended_at = ended.ended_at or now
        if ended.started_at is not None and ended.ended_at is not None:
            seconds = seconds_between(ended.started_at, ended.ended_at)
        else:  # both by one clock: ARM's and this machine's may be minutes apart
            seconds = seconds_between(operation.begun_at, now)
        if is_of_another(ended.result, operation):
            error = ApiError(
                "NotTheAssessment",
                "ARM's result is not that of the operation that was followed; it is left out.",
                target=ended.result.activity_id,
            )
            own, reported = operation.activity_id, ended.result.activity_id
            return Done(progress, Refused(error, ended_at, own, seconds, reported))
        return Done(progress, Finished(ended.result, ended_at, seconds))

    def skipped(self, progress: AssessmentProgress, reason: SkipReason) -> Done:
        """Returns the end of a request for a VM that can't be assessed as it is."""
        hint = AGENT_HINT if reason is SkipReason.AGENT_NOT_READY else None
        return Done(progress, Skipped(reason, _SKIP_MESSAGES[reason], self.clock.now(), hint))

    def unsupported(self, progress: AssessmentProgress, error: ApiError) -> Done:
        """Returns the end of a request whose VM's image ARM does not assess, in ARM's words too."""
        reason = SkipReason.IMAGE_NOT_SUPPORTED
        message = f"{_SKIP_MESSAGES[reason]} ARM says: {error.message}"
        return Done(progress, Skipped(reason, message, self.clock.now(), hint_for(error)))

    def overdue(self, progress: AssessmentProgress, why: str) -> Done:
        """Returns the end of a request at its deadline, with what it waited for then."""
        if progress.problem is not None and progress.problem.code == INTERNAL_ERROR:
            return self.failed(progress, progress.problem, progress.operation)
        minutes = self.deadline.total_seconds() / 60
        message = f"There was no result after {minutes:g} minutes; at the end: {why}."
        details = (progress.problem.to_json(),) if progress.problem else ()
        error = ApiError("DeadlineExceeded", message, details=details)
        return self.failed(progress, error, progress.operation)

    def failed(
        self, progress: AssessmentProgress, error: ApiError, operation: OperationRef | None
    ) -> Done:
        """Returns the end of a request that an error ends."""
        now = self.clock.now()
        return Done(
            progress,
            Refused(
                error,
                now,
                activity_id=operation.activity_id if operation else None,
                seconds=seconds_between(operation.begun_at, now) if operation else None,
            ),
        )


def is_of_another(result: AssessmentResult, operation: OperationRef) -> bool:
    """Returns whether a result is not that of `operation`, or of no assessment at all.

    What follows an operation came from the bus: a message that somebody forged may name any. A
    result whose name can't be read passes if it tells what assessments alone tell, or has failed.
    """
    if result.activity_id:
        return result.activity_id.lower() != operation.activity_id.lower()
    return not result.is_failed and _OWN_FIELDS.isdisjoint(result.raw)
