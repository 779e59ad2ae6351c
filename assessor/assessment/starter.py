"""Starter: what a request that has no operation yet finds of its VM, and begins there."""

from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from assessor.arm.errors import ArmError, Phase
from assessor.arm.rate_limiter import RateLimiter, Region
from assessor.arm.virtual_machine import PatchSummary, VirtualMachine
from assessor.assessment.adoption import adoptable
from assessor.assessment.known_assessments import KnownAssessments
from assessor.assessment.shared_starts import SharedStarts, Start
from assessor.expectation import Expectation
from assessor.ids import name_based_id
from assessor.messages.progress import AssessmentProgress
from assessor.ports import Arm, Clock
from assessor.posture.durations import Durations


@dataclass(frozen=True, slots=True)
class Starter:
    """Starts requests, those for one VM one after another.

    Attributes:
        starts: lets one of the requests for a VM start for all.
        known: is told of each assessment that is begun.
        begin_limiter: which regions' begins are held back.
        durations: what to expect of a VM.
        deadline: no assessment older than that is adopted.
    """

    arm: Arm
    starts: SharedStarts
    known: KnownAssessments
    begin_limiter: RateLimiter
    durations: Durations
    clock: Clock
    deadline: timedelta

    async def start(self, progress: AssessmentProgress) -> tuple[Start, bool]:
        """Returns what the VM's start has come to, and whether that was another request's."""
        return await self.starts.start(progress.request.vm, partial(self._read_and_begin, progress))

    def found(self, progress: AssessmentProgress, vm: VirtualMachine) -> PatchSummary | None:
        """Returns the assessment that the VM tells of, if it would answer the request."""
        return adoptable(
            vm, progress.request, self.clock.now(), self.deadline, progress.not_adopted
        )

    def expected(self, progress: AssessmentProgress) -> Expectation:
        """Returns how long the request's operation is expected to take, as was told at its start.

        Earlier versions of the app told nothing; then what is expected of any VM.
        """
        return progress.expected or self.durations.unknown

    async def _read_and_begin(self, progress: AssessmentProgress) -> Start:
        """Reads the VM, and begins an assessment where that tells of none that would do."""
        request = progress.request
        try:
            vm = await self.arm.read(request.vm)
        except ArmError as error:
            return Start(refusal=error)
        if vm.skip_reason() is not None:
            return Start(vm)
        # Now and not after the begin: what began is to be noted on the bus as soon as can be.
        start = Start(vm, await self.durations.expect(vm))
        if self.found(progress, vm) is not None:
            return start
        region = Region.of(vm.id.subscription_id, vm.location)
        turn = self.begin_limiter.turn(region, self.clock.now())
        if turn > 0:
            return replace(start, held_back=turn)
        begun_at = self.clock.now()
        try:
            begun = await self.arm.begin(
                vm.id, name_based_id("client-request", request.identity, vm.id.key)
            )
        except ArmError as error:
            if error.phase is Phase.BEGIN and error.is_throttle and error.retry_after is not None:
                until = self.clock.now() + timedelta(seconds=error.retry_after)
                self.begin_limiter.close(region, until)
            return replace(start, refusal=error)
        self.begin_limiter.note(region, begun.remaining, self.clock.now())
        self.known.note(vm.id, begun.activity_id)
        return replace(start, begun=begun, begun_at=begun_at)
