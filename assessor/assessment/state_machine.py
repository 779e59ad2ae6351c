"""The state machine of one assessment: what an invocation does before it lets go of a request.

    start ──► (read the VM) ──► begin or adopt ──► poll ──► Done
      ▲           │                   │             │ │
      │           └───────────────────┴─────────────┼─┴───► Later
      └───── what was adopted is no assessment ◄────┘

Nothing is published here and nothing is rescheduled: a step returns what is to be done.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Final, assert_never

from assessor import backoff
from assessor.arm.continuation import TokenRefusedError
from assessor.arm.errors import ArmError, Phase, Verdict, judge
from assessor.arm.operation import Begun
from assessor.arm.result import ApiError
from assessor.arm.virtual_machine import PatchSummary, VirtualMachine
from assessor.assessment.adoption import (
    KnownAssessments,
    finished_by_summary,
    operation_lost,
    summary_of,
)
from assessor.assessment.follower import Follower
from assessor.assessment.starter import Start, Starter
from assessor.assessment.steps import Done, Step, Steps
from assessor.clock import from_text
from assessor.messages.progress import AssessmentProgress, OperationRef
from assessor.ports import Arm, Clock
from assessor.telemetry.context import root_span_id
from assessor.telemetry.telemetry import Telemetry

_RECHECKS: Final = 3
"""How often a VM that refuses is read again before its refusal is believed."""
_LOST_SECONDS: Final = 60.0
"""How often the instance view is read where the operation itself can't be polled."""


@dataclass(frozen=True, slots=True)
class StateMachine:
    """Takes a request one step further."""

    arm: Arm
    starter: Starter
    known: KnownAssessments
    follower: Follower
    telemetry: Telemetry
    clock: Clock
    random: Random
    steps: Steps

    async def advance(self, progress: AssessmentProgress) -> Step:
        """Returns what comes next for a request, after doing what can be done now."""
        now = self.clock.now()
        may_ask = progress.not_before is None or progress.not_before <= now
        if now >= self.steps.ends_at(progress) and (progress.operation is None or not may_ask):
            return self.steps.overdue(progress, "it could not be begun")
        not_before = progress.not_before
        if not may_ask and not_before is not None and not progress.came_early:
            # A clock is off. Once it waits by its own; a second time the bus's clock is believed.
            progress = replace(progress, came_early=True)
            return self.steps.later(
                progress,
                (not_before - now).total_seconds(),
                "asked to wait",
                progress.attempt,
                not_before,
            )
        if progress.came_early:
            progress = replace(progress, came_early=False)
        if progress.operation is None:
            return await self._start(progress)
        return await self._resume(progress, progress.operation)

    async def _start(self, progress: AssessmentProgress) -> Step:
        """Begins an assessment, or adopts the one that answers the request."""
        while True:
            start, is_anothers = await self.starter.start(progress)
            step = await self._started(progress, start, is_anothers=is_anothers)
            if step is not None:
                return step

    async def _started(
        self, progress: AssessmentProgress, start: Start, *, is_anothers: bool
    ) -> Step | None:
        """Returns what follows from a start; None if that answers another request only."""
        vm = start.vm
        progress = replace(progress, vm=vm or progress.vm)
        if start.refusal is not None or vm is None:
            return await self._refused(progress, start.refusal) if start.refusal else None
        skip = vm.skip_reason()
        if skip is not None:
            return self.steps.skipped(progress, skip)
        progress = replace(progress, expected=start.expected)
        if start.begun is not None and start.begun_at is not None:
            return await self._go_on(progress, start.begun, start.begun_at, adopted=is_anothers)
        found = self.starter.found(progress, vm)
        if found is not None and found.activity_id is not None:
            return await self._adopt(progress, vm, found, found.activity_id)
        held_back = start.held_back
        return (
            self.steps.later(progress, held_back, "its region is held back") if held_back else None
        )

    async def _adopt(
        self,
        progress: AssessmentProgress,
        vm: VirtualMachine,
        found: PatchSummary,
        activity_id: str,
    ) -> Step:
        token = self.arm.continuation_token(vm, activity_id)
        begun_at = from_text(found.start_time) or self.clock.now()
        known = self.known.has_begun(vm.id, activity_id)
        root = root_span_id(activity_id, progress.request.identity)
        operation = OperationRef(activity_id, token, begun_at, root, adopted=True, known=known)
        return await self._poll(self._of_operation(progress, operation), operation)

    async def _go_on(
        self, progress: AssessmentProgress, begun: Begun, begun_at: datetime, *, adopted: bool
    ) -> Step:
        """Follows what was begun, for this request or for another one that started with it."""
        root = root_span_id(begun.activity_id, progress.request.identity)
        operation = OperationRef(
            begun.activity_id, begun.token, begun_at, root, adopted=adopted, known=adopted
        )
        progress = self._of_operation(progress, operation)
        if begun.ended is not None:
            return self.steps.ended(progress, operation, begun.ended)
        # The SDK would poll at once, and no assessment ends in no time.
        return await self._poll(progress, operation, wait_first=begun.retry_after)

    def _of_operation(
        self, progress: AssessmentProgress, operation: OperationRef
    ) -> AssessmentProgress:
        """Returns the progress of a request that has an operation from now on."""
        self.telemetry.begun(
            operation.activity_id, operation.root_span_id, adopted=operation.adopted
        )
        return replace(progress, operation=operation, attempt=0, problem=None)

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
        turn = self.follower.held_back(progress, operation)
        if turn > 0:
            return self.steps.later(progress, turn, "polls are held back", progress.attempt)
        return await self._poll(progress, operation)

    async def _poll(
        self,
        progress: AssessmentProgress,
        operation: OperationRef,
        wait_first: float | None = None,
    ) -> Step:
        """Follows the operation, and does what is due if that leads to no end of an assessment."""
        try:
            step = await self.follower.follow(progress, operation, wait_first)
        except ArmError as error:
            return await self._refused(progress, error)
        except TokenRefusedError as error:
            if operation.adopted:
                return await self._begin_own(progress, operation)
            message = f"The operation is not followed: {error}. Nothing was called."
            return self.steps.failed(progress, ApiError("ContinuationTokenRefused", message), None)
        return step or await self._begin_own(progress, operation)

    async def _refused(self, progress: AssessmentProgress, error: ArmError) -> Step:
        """Does what the table of errors says about a refusal."""
        rule = judge(error)
        operation = progress.operation
        is_candidate = operation is not None and operation.adopted and error.phase is Phase.POLL
        match rule.verdict:
            case Verdict.WAIT:
                return self._back_off(progress, error, rule.why)
            case _ if (
                operation is not None
                and is_candidate
                and not await self.follower.is_known(progress, operation)
            ):
                return await self._begin_own(progress, operation)
            case Verdict.UNSUPPORTED:
                return self.steps.unsupported(progress, error.error)
            case Verdict.RECHECK if progress.attempt < _RECHECKS or progress.not_adopted:
                return self._back_off(progress, error, rule.why)
            case Verdict.LOST if operation is not None:
                return await self._lost(progress, operation, error)
            case Verdict.RECHECK | Verdict.LOST | Verdict.FINAL:
                return self.steps.failed(progress, error.error, operation)
            case _:
                assert_never(rule.verdict)

    def _back_off(self, progress: AssessmentProgress, error: ArmError, why: str) -> Step:
        now = self.clock.now()
        progress = replace(progress, problem=error.error)
        delay = backoff.delay(progress.attempt, error.retry_after, self.random)
        not_before = None
        if error.retry_after is not None:
            not_before = now + timedelta(seconds=error.retry_after)
            if error.is_throttle and error.phase is Phase.POLL:
                self.follower.hold_back(progress, not_before)
        return self.steps.later(progress, delay, why, progress.attempt + 1, not_before)

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
            return self.steps.failed(progress, lost, operation)
        summary = summary_of(vm, operation)
        if summary is None:
            return self.steps.failed(progress, operation_lost(operation, error.error), operation)
        if summary.is_in_progress:
            return self.steps.later(
                progress, _LOST_SECONDS, "the operation runs, and can't be read"
            )
        now = self.clock.now()
        finished = finished_by_summary(progress.request, operation, summary, error, now)
        return Done(progress, finished)
