"""One step of an assessment: what an invocation does with a request before it lets go of it.

    start ──► (read the VM) ──► begin or adopt ──► follow ──► Done
                  │                   │               │
                  └───────────────────┴───────────────┴─────► Wait

Nothing is published here and nothing is scheduled: a step returns what is to be done.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Final, assert_never

from assessor import backoff
from assessor.arm.continuation import TokenRefusedError
from assessor.arm.errors import ArmError, Phase, Verdict, judge
from assessor.arm.hold import Hold, HoldOver
from assessor.arm.port import Arm, Operation
from assessor.arm.rate_limiter import RateLimiter, Region
from assessor.arm.result import ApiError
from assessor.arm.virtual_machine import PatchSummary, SkipReason, VirtualMachine
from assessor.clock import Clock, from_text
from assessor.ids import name_based_id
from assessor.messages.outcome import Conclusion, Finished, Refused, Skipped
from assessor.messages.progress import OperationRef, Progress
from assessor.messages.request import AssessmentRequest
from assessor.posture.durations import Durations
from assessor.telemetry.telemetry import Telemetry, root_span_id

_RECHECKS: Final = 3
"""How often a VM that refuses is looked at again before its refusal is believed."""
_CLOCKS_APART: Final = timedelta(seconds=2)
"""How much older than its request an assessment may seem that was begun for it: some hosts write
whole seconds, and Compute and Service Bus have a clock each."""
_LOST_SECONDS: Final = 60.0
"""How often the instance view is looked at where the operation itself can't be."""

_SKIP_MESSAGES: Final = {
    SkipReason.NOT_RUNNING: "The VM is not running; patches can be assessed on a running VM only.",
    SkipReason.BEING_DELETED: "The VM is being deleted.",
    SkipReason.AGENT_NOT_READY: "The VM's agent is missing or not ready; it makes the assessment.",
}


@dataclass(frozen=True, slots=True)
class Done:
    """The request has come to its end."""

    progress: Progress
    conclusion: Conclusion


@dataclass(frozen=True, slots=True)
class Wait:
    """The request goes on later.

    Attributes:
        progress: what the next invocation starts from.
        delay: seconds until then.
        why: for the log.
    """

    progress: Progress
    delay: float
    why: str


Step = Done | Wait


class Steps:
    """Takes requests one step further."""

    def __init__(  # noqa: PLR0913 - each is one narrow port
        self,
        *,
        arm: Arm,
        gate: RateLimiter,
        poll_limiter: RateLimiter,
        durations: Durations,
        telemetry: Telemetry,
        clock: Clock,
        random: Random,
        new_hold: Callable[[], Hold],
        deadline: timedelta,
    ) -> None:
        """Keeps what a step needs.

        Args:
            arm: ARM.
            gate: which regions' begins are held back.
            poll_limiter: which subscriptions' looks are.
            durations: knows how long assessments take.
            telemetry: where the assessments' traces come from.
            clock: tells the time.
            random: where jitter comes from.
            new_hold: starts the hold of one invocation.
            deadline: after that time since its acceptance a request has failed.
        """
        self._arm = arm
        self._gate = gate
        self._look_gate = poll_limiter
        self._durations = durations
        self._telemetry = telemetry
        self._clock = clock
        self._random = random
        self._new_hold = new_hold
        self._deadline = deadline

    async def next(self, progress: Progress) -> Step:
        """Returns what comes next for a request, after doing what can be done now."""
        now = self._clock.now()
        may_ask = progress.not_before is None or progress.not_before <= now
        if now >= self._ends_at(progress) and (progress.operation is None or not may_ask):
            return self._overdue(progress, "it could not be begun")
        if not may_ask and progress.not_before is not None:  # it came early: a clock is off
            return self._wait(
                progress, (progress.not_before - now).total_seconds(), "asked to wait"
            )
        if progress.operation is None:
            return await self._start(progress)
        return await self._resume(progress, progress.operation)

    async def _start(self, progress: Progress) -> Step:
        """Reads the VM; then begins an assessment, or follows the one that answers the request."""
        try:
            vm = await self._arm.read(progress.request.vm)
        except ArmError as error:
            return await self._refused(progress, error)
        progress = replace(progress, vm=vm)
        skip = vm.skip_reason()
        if skip is not None:
            return Done(progress, Skipped(skip, _SKIP_MESSAGES[skip], self._clock.now()))
        running = self._answer_of(vm, progress.request)
        if running is not None and running.activity_id is not None:
            operation = await self._arm.adopt(vm, running.activity_id)
            begun_at = from_text(running.start_time) or self._clock.now()
            progress = replace(progress, expected=await self._durations.expect(vm))
            return await self._follow(progress, operation, begun_at, adopted=True)
        return await self._begin(progress, vm)

    async def _begin(self, progress: Progress, vm: VirtualMachine) -> Step:
        region = Region.of(vm.id.subscription_id, vm.location)
        turn = self._gate.turn(region, self._clock.now())
        if turn > 0:
            return self._wait(progress, turn, "its region is held back")
        request = progress.request
        # Now and not after the begin: what began is to be noted on the bus as soon as can be.
        progress = replace(progress, expected=await self._durations.expect(vm))
        begun_at = self._clock.now()
        try:
            operation = await self._arm.begin(
                vm.id, name_based_id("client-request", request.request_id, vm.id.key)
            )
        except ArmError as error:
            return await self._refused(progress, error)
        self._gate.note(region, operation.remaining, self._clock.now())
        return await self._follow(progress, operation, begun_at)

    def _answer_of(self, vm: VirtualMachine, request: AssessmentRequest) -> PatchSummary | None:
        """Returns the assessment that already answers `request`, if ARM knows of one.

        That is one which runs now, or which began after the request was made: after a crash it is
        the request's own, else another request's of the same time. Either way it is as fresh as a
        new one would be.
        """
        summary = vm.last_assessment
        if summary is None or summary.activity_id is None or vm.location is None:
            return None
        started_at = from_text(summary.start_time)
        if started_at is None:
            return None
        is_live = (
            summary.is_in_progress and started_at > self._clock.now() - self._deadline
        )  # else nobody is at work on it any more
        since = min(request.fresh_since or request.enqueued_at, request.enqueued_at) - _CLOCKS_APART
        is_fresh = not summary.is_in_progress and started_at >= since
        return summary if is_live or is_fresh else None

    async def _resume(self, progress: Progress, ref: OperationRef) -> Step:
        now = self._clock.now()
        turn = self._look_gate.turn(_looks_at(progress), now)
        if turn > 0 and now < self._ends_at(progress):  # at its end it is looked at in any case
            return self._wait(progress, turn, "looks are held back", progress.attempt)
        try:
            operation = await self._arm.resume(progress.request.vm, ref.activity_id, ref.token)
        except TokenRefusedError as error:
            message = f"The operation is not followed: {error}. Nothing was called."
            return Done(
                progress,
                Refused(ApiError("ContinuationTokenRefused", message), self._clock.now()),
            )
        return await self._look(progress, operation, ref)

    async def _follow(
        self, progress: Progress, operation: Operation, begun_at: datetime, *, adopted: bool = False
    ) -> Step:
        """Follows an operation that this invocation has begun or found."""
        ref = OperationRef(
            activity_id=operation.activity_id,
            token=operation.token,
            begun_at=begun_at,
            root_span_id=root_span_id(operation.activity_id, progress.request.request_id),
            adopted=adopted,
        )
        self._telemetry.begun(ref.activity_id, ref.root_span_id, adopted=adopted)
        return await self._look(replace(progress, operation=ref, attempt=0), operation, ref)

    async def _look(self, progress: Progress, operation: Operation, ref: OperationRef) -> Step:
        expected = progress.expected or self._durations.unknown
        try:
            end = await operation.follow(
                self._new_hold(),
                lambda: expected.next_poll(_seconds(ref.begun_at, self._clock.now())),
            )
        except HoldOver as over:
            return self._wait(progress, over.delay, "the operation runs")
        except ArmError as error:
            return await self._refused(progress, error)
        ended_at = end.ended_at or self._clock.now()
        return Done(
            progress,
            Finished(end.result, ended_at, _seconds(end.started_at or ref.begun_at, ended_at)),
        )

    async def _refused(self, progress: Progress, error: ArmError) -> Step:
        """Does what the table of answers says about a refusal."""
        rule = judge(error)
        match rule.verdict:
            case Verdict.WAIT:
                return self._back_off(progress, error, rule.why)
            case Verdict.RECHECK if progress.attempt < _RECHECKS:
                return self._back_off(progress, error, rule.why)
            case Verdict.LOST if progress.operation is not None:
                return await self._lost(progress, progress.operation, error)
            case Verdict.RECHECK | Verdict.LOST | Verdict.FINAL:
                return self._failed(progress, error.error)
            case _:
                assert_never(rule.verdict)

    def _back_off(self, progress: Progress, error: ArmError, why: str) -> Step:
        now = self._clock.now()
        delay = backoff.delay(progress.attempt, error.retry_after, self._random)
        not_before = None
        if error.retry_after is not None:
            not_before = now + timedelta(seconds=error.retry_after)
            if error.is_throttle and error.phase is Phase.BEGIN and progress.vm is not None:
                vm = progress.vm
                self._gate.close(Region.of(vm.id.subscription_id, vm.location), not_before)
            if error.is_throttle and error.phase is Phase.POLL:
                self._look_gate.close(_looks_at(progress), not_before)
        return self._wait(progress, delay, why, progress.attempt + 1, not_before)

    async def _lost(self, progress: Progress, ref: OperationRef, error: ArmError) -> Step:
        """Concludes an operation that can't be followed from what the VM itself still knows."""
        try:
            vm = await self._arm.read(progress.request.vm)
        except ArmError as unread:
            if judge(unread).verdict is Verdict.WAIT:
                return self._back_off(progress, unread, "the operation is lost")
            return self._failed(progress, _operation_lost(ref, error, unread.error))
        summary = vm.last_assessment
        if summary is None or (summary.activity_id or "").lower() != ref.activity_id.lower():
            return self._failed(progress, _operation_lost(ref, error))
        if summary.is_in_progress:
            return self._wait(progress, _LOST_SECONDS, "the operation runs, and can't be read")
        ended_at = from_text(summary.fields.get("lastModifiedTime")) or self._clock.now()
        return Done(
            progress,
            Finished(
                summary.as_result(),
                ended_at,
                _seconds(ref.begun_at, ended_at),
                patches_missing=_why_lost(progress.request, error),
            ),
        )

    def _wait(
        self,
        progress: Progress,
        delay: float,
        why: str,
        attempt: int = 0,
        not_before: datetime | None = None,
    ) -> Step:
        """Returns a wait that ends at the deadline at the latest; past it there is none."""
        left = (self._ends_at(progress) - self._clock.now()).total_seconds()
        if left <= 0:
            return self._overdue(progress, why)
        waiting = progress.waiting(
            attempt=attempt, not_before=not_before, handed_over_at=self._clock.now()
        )
        return Wait(waiting, min(delay, left), why)

    def _ends_at(self, progress: Progress) -> datetime:
        return progress.accepted_at + self._deadline

    def _overdue(self, progress: Progress, why: str) -> Done:
        minutes = self._deadline.total_seconds() / 60
        message = f"There was no result after {minutes:g} minutes; at the end: {why}."
        return self._failed(progress, ApiError("DeadlineExceeded", message))

    def _failed(self, progress: Progress, error: ApiError) -> Done:
        now = self._clock.now()
        ref = progress.operation
        return Done(
            progress,
            Refused(
                error,
                now,
                activity_id=ref.activity_id if ref else None,
                seconds=_seconds(ref.begun_at, now) if ref else None,
            ),
        )


def _looks_at(progress: Progress) -> Region:
    """Returns what a look is counted against: its subscription, whatever the region."""
    return Region.of(progress.request.vm.subscription_id, None)


def _seconds(since: datetime, until: datetime) -> float:
    return max(0.0, (until - since).total_seconds())


def _why_lost(request: AssessmentRequest, error: ArmError) -> str:
    """Returns, in one sentence or two, why there are counts and no patches."""
    said = f"{error.status} {error.error.code}"
    if error.status in {401, 403}:
        return (
            f"ARM refused to show the operation ({said}). Assign the right "
            "Microsoft.Compute/locations/operations/read at the scope "
            f"/subscriptions/{request.vm.subscription_id} to the app's identity; "
            "the counts come from the VM's instance view."
        )
    return f"ARM no longer knew the operation ({said}); the counts come from the instance view."


def _operation_lost(ref: OperationRef, error: ArmError, *further: ApiError) -> ApiError:
    return ApiError(
        "OperationLost",
        "The operation can't be followed, and the VM's instance view does not tell its end.",
        target=ref.activity_id,
        details=tuple(each.to_json() for each in (error.error, *further)),
    )
