"""Follower: polls an operation until it ends, or the invocation has to let go of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from assessor.arm.operation import Ended, Running
from assessor.arm.throttling import RateLimiter, Region, dearness
from assessor.assessment.adoption import KnownAssessments, patience_ends_at, proves_assessment
from assessor.assessment.shared_polls import SharedPolls
from assessor.assessment.steps import Step, Steps
from assessor.clock import PollingWindow, seconds_between
from assessor.expectation import Expectation
from assessor.messages.progress import AssessmentProgress, OperationRef
from assessor.ports import Clock
from assessor.posture.durations import Durations

_RUNS: Final = "the operation runs"
_GIVES_WAY: Final = f"{_RUNS}; polls are further apart, for ARM has few reads left"


@dataclass(frozen=True, slots=True)
class Follower:
    """Polls operations by what is expected of them.

    `limiter` tells which subscriptions' polls are held back; `new_window` opens the polling window
    of one invocation.
    """

    polls: SharedPolls
    limiter: RateLimiter
    known: KnownAssessments
    durations: Durations
    clock: Clock
    new_window: Callable[[], PollingWindow]
    steps: Steps

    def held_back(self, progress: AssessmentProgress, operation: OperationRef) -> float:
        """Returns for how many seconds the operation is not to be polled; 0.0: it may be now.

        At its deadline a request's operation is polled in any case.
        """
        vm_id = progress.request.vm
        if self.polls.is_known(vm_id, operation.token, operation.activity_id):
            return 0.0
        now = self.clock.now()
        turn = self.limiter.turn(_polls_of(progress), now)
        return turn if now < self.steps.ends_at(progress) else 0.0

    def hold_back(self, progress: AssessmentProgress, until: datetime) -> None:
        """Holds the polls of the VM's subscription back until then."""
        self.limiter.close(_polls_of(progress), until)

    async def follow(
        self,
        progress: AssessmentProgress,
        operation: OperationRef,
        wait_first: float | None,
    ) -> Step | None:
        """Returns what comes next; None if the operation was adopted and is no assessment.

        It is polled by what its start has told of its duration. Earlier versions of the app told
        nothing; then by what is expected of any VM. The first poll comes after `wait_first` seconds
        at the least; None: at once.

        Raises:
            ArmError: ARM refused the poll.
            TokenRefusedError: the token leads elsewhere; nothing was called.
        """
        window = self.new_window()
        expected = progress.expected or self.durations.unknown
        vm_id, token, activity_id = progress.request.vm, operation.token, operation.activity_id

        def gap(running: Running, crowd: float = 1.0) -> float:
            elapsed = seconds_between(operation.begun_at, self.clock.now())
            return expected.next_poll(elapsed, dearness(running.reads_left) * crowd)

        why = _RUNS
        wait = None if wait_first is None else max(wait_first, gap(Running()))
        while True:
            left = None if wait is None else await window.wait(wait)
            if left is not None:
                return self.steps.later(progress, left, why)
            is_last = self.clock.now() >= self.steps.ends_at(progress)
            polled = await self.polls.poll(
                vm_id, token, activity_id, progress.request.identity, gap, is_last=is_last
            )
            if await self._is_refuted(progress, operation, expected, polled.answer):
                return None
            if isinstance(polled.answer, Ended):
                return self.steps.ended(progress, operation, polled.answer)
            if polled.crowd > 1:  # nobody waits here for what another one asks
                seconds = max(polled.seconds, gap(polled.answer, polled.crowd))
                return self.steps.later(progress, seconds, "another request polls the operation")
            wait = polled.seconds
            why = _RUNS if dearness(polled.answer.reads_left) <= 1 else _GIVES_WAY

    async def is_known(self, progress: AssessmentProgress, operation: OperationRef) -> bool:
        """Returns whether an adopted operation is an assessment of this app's, however it ends."""
        return operation.known or await self.known.includes(
            progress.request.vm, operation.activity_id
        )

    async def _is_refuted(
        self,
        progress: AssessmentProgress,
        operation: OperationRef,
        expected: Expectation,
        polled: Running | Ended,
    ) -> bool:
        """Whether an adopted operation has ended as no assessment, or runs for too long for one."""
        if not operation.adopted or operation.known:
            return False
        if isinstance(polled, Running):
            until = patience_ends_at(operation, expected, progress.accepted_at, self.steps.deadline)
            return self.clock.now() >= until and not await self.is_known(progress, operation)
        if proves_assessment(polled.result, operation):
            self.known.note(progress.request.vm, operation.activity_id)
            return False
        return not await self.is_known(progress, operation)


def _polls_of(progress: AssessmentProgress) -> Region:
    """Returns what a poll is counted against: its subscription, whatever the region."""
    return Region.of(progress.request.vm.subscription_id, None)
