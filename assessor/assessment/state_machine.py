"""The state machine of one assessment: what an invocation does before it lets go of a request.

    start ──► (read the VM) ──► begin or adopt ──► poll ──► Done
      ▲           │                   │             │ │
      │           └───────────────────┴─────────────┼─┴───► Later
      └───── what was adopted is no assessment ◄────┘

Nothing is published here and nothing is rescheduled: a step returns what is to be done.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Final, assert_never

from assessor import backoff
from assessor.arm.continuation import TokenRefusedError
from assessor.arm.errors import ArmError, Phase, Verdict, judge
from assessor.arm.hints import AGENT_HINT, hint_for
from assessor.arm.operation import Ended, Running
from assessor.arm.rate_limiter import RateLimiter, Region, dearness
from assessor.arm.result import ApiError
from assessor.arm.virtual_machine import PatchSummary, SkipReason, VirtualMachine
from assessor.assessment.adoption import (
    adoptable,
    finished_by_summary,
    is_of_another,
    operation_lost,
    patience_ends_at,
    proves_assessment,
    summary_of,
)
from assessor.assessment.polling_window import PollingWindow
from assessor.assessment.shared_polls import SharedPolls
from assessor.clock import from_text
from assessor.ids import name_based_id
from assessor.messages.outcome import Conclusion, Finished, Refused, Skipped
from assessor.messages.progress import AssessmentProgress, Later, OperationRef
from assessor.ports import Arm, Clock
from assessor.posture.durations import Durations
from assessor.telemetry.telemetry import Telemetry, root_span_id

_RECHECKS: Final = 3
"""How often a VM that refuses is read again before its refusal is believed."""
INTERNAL_ERROR: Final = "InternalError"
"""The code of an assessment that failed by a fault of the app's own."""
_LOST_SECONDS: Final = 60.0
"""How often the instance view is read where the operation itself can't be polled."""

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
class StateMachine:
    """Takes a request one step further.

    Attributes:
        polls: polls operations, once for the requests that share one.
        begin_limiter: which regions' begins are held back.
        poll_limiter: which subscriptions' polls are.
        random: where jitter comes from.
        new_window: opens the polling window of one invocation.
        deadline: after that time since its acceptance a request has failed.
    """

    arm: Arm
    polls: SharedPolls
    begin_limiter: RateLimiter
    poll_limiter: RateLimiter
    durations: Durations
    telemetry: Telemetry
    clock: Clock
    random: Random
    new_window: Callable[[], PollingWindow]
    deadline: timedelta

    async def advance(self, progress: AssessmentProgress) -> Step:
        """Returns what comes next for a request, after doing what can be done now."""
        now = self.clock.now()
        may_ask = progress.not_before is None or progress.not_before <= now
        if now >= self._ends_at(progress) and (progress.operation is None or not may_ask):
            return self._overdue(progress, "it could not be begun")
        not_before = progress.not_before
        if not may_ask and not_before is not None and not progress.came_early:
            # A clock is off. Once it waits by its own; a second time the bus's clock is believed.
            progress = replace(progress, came_early=True)
            return self._later(
                progress,
                (not_before - now).total_seconds(),
                "asked to wait",
                progress.attempt,
                not_before,
            )
        progress = replace(progress, came_early=False)
        if progress.operation is None:
            return await self._start(progress)
        return await self._resume(progress, progress.operation)

    async def _start(self, progress: AssessmentProgress) -> Step:
        """Reads the VM; then begins an assessment, or adopts the one that answers the request."""
        try:
            vm = await self.arm.read(progress.request.vm)
        except ArmError as error:
            return await self._refused(progress, error)
        progress = replace(progress, vm=vm)
        skip = vm.skip_reason()
        if skip is not None:
            hint = AGENT_HINT if skip is SkipReason.AGENT_NOT_READY else None
            return Done(progress, Skipped(skip, _SKIP_MESSAGES[skip], self.clock.now(), hint))
        found = adoptable(
            vm, progress.request, self.clock.now(), self.deadline, progress.not_adopted
        )
        if found is not None and found.activity_id is not None:
            return await self._adopt(progress, vm, found, found.activity_id)
        return await self._begin(progress, vm)

    async def _adopt(
        self,
        progress: AssessmentProgress,
        vm: VirtualMachine,
        found: PatchSummary,
        activity_id: str,
    ) -> Step:
        token = self.arm.continuation_token(vm, activity_id)
        begun_at = from_text(found.start_time) or self.clock.now()
        progress = replace(progress, expected=await self.durations.expect(vm))
        return await self._poll(
            *self._of_operation(progress, activity_id, token, begun_at, adopted=True)
        )

    async def _begin(self, progress: AssessmentProgress, vm: VirtualMachine) -> Step:
        region = Region.of(vm.id.subscription_id, vm.location)
        turn = self.begin_limiter.turn(region, self.clock.now())
        if turn > 0:
            return self._later(progress, turn, "its region is held back")
        request = progress.request
        # Now and not after the begin: what began is to be noted on the bus as soon as can be.
        progress = replace(progress, expected=await self.durations.expect(vm))
        begun_at = self.clock.now()
        try:
            begun = await self.arm.begin(
                vm.id, name_based_id("client-request", request.identity, vm.id.key)
            )
        except ArmError as error:
            return await self._refused(progress, error)
        self.begin_limiter.note(region, begun.remaining, self.clock.now())
        progress, operation = self._of_operation(progress, begun.activity_id, begun.token, begun_at)
        if begun.ended is not None:
            return self._ended(progress, operation, begun.ended)
        # The SDK would poll at once, and no assessment ends in no time.
        return await self._poll(progress, operation, wait_first=begun.retry_after)

    def _of_operation(
        self,
        progress: AssessmentProgress,
        activity_id: str,
        token: str,
        begun_at: datetime,
        *,
        adopted: bool = False,
    ) -> tuple[AssessmentProgress, OperationRef]:
        """Returns the progress of a request that has an operation from now on."""
        root = root_span_id(activity_id, progress.request.identity)
        operation = OperationRef(activity_id, token, begun_at, root, adopted)
        self.telemetry.begun(activity_id, root, adopted=adopted)
        return replace(progress, operation=operation, attempt=0, problem=None), operation

    async def _begin_own(self, progress: AssessmentProgress, adopted: OperationRef) -> Step:
        """Starts anew without the operation that was adopted and is no assessment to wait for."""
        return await self._start(
            replace(
                progress,
                operation=None,
                expected=None,
                attempt=0,
                not_adopted=(*progress.not_adopted, adopted.activity_id.lower()),
            )
        )

    async def _resume(self, progress: AssessmentProgress, operation: OperationRef) -> Step:
        now = self.clock.now()
        turn = self.poll_limiter.turn(_polls_of(progress), now)
        if turn > 0 and now < self._ends_at(progress):  # at its end it is polled in any case
            return self._later(progress, turn, "polls are held back", progress.attempt)
        return await self._poll(progress, operation)

    async def _poll(
        self,
        progress: AssessmentProgress,
        operation: OperationRef,
        wait_first: float | None = None,
    ) -> Step:
        """Polls until the operation ends, or the invocation has to let go of it.

        Args:
            progress: the request.
            operation: its operation.
            wait_first: the least seconds before the first poll; None for none at all.
        """
        window = self.new_window()
        expected = progress.expected or self.durations.unknown
        retry_after, price = wait_first, 1.0
        try:
            while True:
                if retry_after is not None:
                    elapsed = _seconds(operation.begun_at, self.clock.now())
                    gap = expected.next_poll(elapsed, price)
                    left = await window.wait(max(retry_after, gap))
                    if left is not None:
                        return self._later(progress, left, "the operation runs")
                polled = await self.polls.poll(
                    progress.request.vm, operation.token, operation.activity_id
                )
                if operation.adopted and self._is_refuted(progress, operation, polled):
                    return await self._begin_own(progress, operation)
                if isinstance(polled, Ended):
                    return self._ended(progress, operation, polled)
                retry_after, price = polled.retry_after, dearness(polled.reads_left)
        except ArmError as error:
            return await self._refused(progress, error)
        except TokenRefusedError as error:
            return await self._token_refused(progress, operation, error)

    async def _token_refused(
        self, progress: AssessmentProgress, operation: OperationRef, error: TokenRefusedError
    ) -> Step:
        if operation.adopted:
            return await self._begin_own(progress, operation)
        message = f"The operation is not followed: {error}. Nothing was called."
        return self._failed(progress, ApiError("ContinuationTokenRefused", message), None)

    def _is_refuted(
        self, progress: AssessmentProgress, operation: OperationRef, polled: Running | Ended
    ) -> bool:
        """Whether an adopted operation has ended as no assessment, or runs for too long for one."""
        if isinstance(polled, Ended):
            return not proves_assessment(polled.result, operation)
        expected = progress.expected or self.durations.unknown
        until = patience_ends_at(operation, expected, progress.accepted_at, self.deadline)
        return self.clock.now() >= until

    def _ended(self, progress: AssessmentProgress, operation: OperationRef, ended: Ended) -> Done:
        now = self.clock.now()
        ended_at = ended.ended_at or now
        if ended.started_at is not None and ended.ended_at is not None:
            seconds = _seconds(ended.started_at, ended.ended_at)
        else:  # both by one clock: ARM's and this machine's may be minutes apart
            seconds = _seconds(operation.begun_at, now)
        if is_of_another(ended.result, operation):
            error = ApiError(
                "NotTheAssessment",
                "ARM's result is not that of the operation that was followed; it is left out.",
                target=ended.result.activity_id,
            )
            own, reported = operation.activity_id, ended.result.activity_id
            return Done(progress, Refused(error, ended_at, own, seconds, reported))
        return Done(progress, Finished(ended.result, ended_at, seconds))

    async def _refused(self, progress: AssessmentProgress, error: ArmError) -> Step:
        """Does what the table of errors says about a refusal."""
        rule = judge(error)
        operation = progress.operation
        is_adopted = operation is not None and operation.adopted and error.phase is Phase.POLL
        match rule.verdict:
            case Verdict.WAIT:
                return self._back_off(progress, error, rule.why)
            case _ if operation is not None and is_adopted:
                return await self._begin_own(progress, operation)
            case Verdict.UNSUPPORTED:
                return self._unsupported(progress, error.error)
            case Verdict.RECHECK if progress.attempt < _RECHECKS or progress.not_adopted:
                return self._back_off(progress, error, rule.why)
            case Verdict.LOST if operation is not None:
                return await self._lost(progress, operation, error)
            case Verdict.RECHECK | Verdict.LOST | Verdict.FINAL:
                return self._failed(progress, error.error, operation)
            case _:
                assert_never(rule.verdict)

    def _unsupported(self, progress: AssessmentProgress, error: ApiError) -> Done:
        reason = SkipReason.IMAGE_NOT_SUPPORTED
        message = f"{_SKIP_MESSAGES[reason]} ARM says: {error.message}"
        return Done(progress, Skipped(reason, message, self.clock.now(), hint_for(error)))

    def _back_off(self, progress: AssessmentProgress, error: ArmError, why: str) -> Step:
        now = self.clock.now()
        progress = replace(progress, problem=error.error)
        delay = backoff.delay(progress.attempt, error.retry_after, self.random)
        not_before = None
        if error.retry_after is not None:
            not_before = now + timedelta(seconds=error.retry_after)
            if error.is_throttle and error.phase is Phase.BEGIN and progress.vm is not None:
                vm = progress.vm
                region = Region.of(vm.id.subscription_id, vm.location)
                self.begin_limiter.close(region, not_before)
            if error.is_throttle and error.phase is Phase.POLL:
                self.poll_limiter.close(_polls_of(progress), not_before)
        return self._later(progress, delay, why, progress.attempt + 1, not_before)

    async def _lost(
        self, progress: AssessmentProgress, operation: OperationRef, error: ArmError
    ) -> Step:
        """Concludes an operation that can't be polled from what the VM itself still knows."""
        try:
            vm = await self.arm.read(progress.request.vm)
        except ArmError as unread:
            if judge(unread).verdict is Verdict.WAIT:
                return self._back_off(progress, unread, "the operation is lost")
            lost = operation_lost(operation, error.error, unread.error)
            return self._failed(progress, lost, operation)
        summary = summary_of(vm, operation)
        if summary is None:
            return self._failed(progress, operation_lost(operation, error.error), operation)
        if summary.is_in_progress:
            return self._later(progress, _LOST_SECONDS, "the operation runs, and can't be read")
        now = self.clock.now()
        return Done(progress, finished_by_summary(progress.request, operation, summary, error, now))

    def _later(
        self,
        progress: AssessmentProgress,
        delay: float,
        why: str,
        attempt: int = 0,
        not_before: datetime | None = None,
    ) -> Step:
        """Returns a wait that ends at the deadline at the latest; past it there is none."""
        now = self.clock.now()
        left = (self._ends_at(progress) - now).total_seconds()
        if left <= 0:
            return self._overdue(progress, why)
        if not attempt:
            progress = replace(progress, problem=None)
        rescheduled = progress.rescheduled(now, attempt=attempt, not_before=not_before)
        return Later(rescheduled, now + timedelta(seconds=min(delay, left)), why)

    def _ends_at(self, progress: AssessmentProgress) -> datetime:
        return progress.accepted_at + self.deadline

    def _overdue(self, progress: AssessmentProgress, why: str) -> Done:
        if progress.problem is not None and progress.problem.code == INTERNAL_ERROR:
            return self._failed(progress, progress.problem, progress.operation)
        minutes = self.deadline.total_seconds() / 60
        message = f"There was no result after {minutes:g} minutes; at the end: {why}."
        details = (progress.problem.to_json(),) if progress.problem else ()
        error = ApiError("DeadlineExceeded", message, details=details)
        return self._failed(progress, error, progress.operation)

    def _failed(
        self, progress: AssessmentProgress, error: ApiError, operation: OperationRef | None
    ) -> Done:
        now = self.clock.now()
        return Done(
            progress,
            Refused(
                error,
                now,
                activity_id=operation.activity_id if operation else None,
                seconds=_seconds(operation.begun_at, now) if operation else None,
            ),
        )


def _polls_of(progress: AssessmentProgress) -> Region:
    """Returns what a poll is counted against: its subscription, whatever the region."""
    return Region.of(progress.request.vm.subscription_id, None)


def _seconds(since: datetime, until: datetime) -> float:
    return max(0.0, (until - since).total_seconds())
