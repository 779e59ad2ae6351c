"""Starter: what a request that has no operation yet finds of its VM, and begins there.

By itself each of a thousand requests for one VM would read the VM and begin an assessment, to be
told by a 429 or a 409 that it came too late. Here the first one does so, and the others go by what
it found.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from assessor.arm.errors import ArmError, Phase
from assessor.arm.operation import Begun
from assessor.arm.throttling import RateLimiter, Region
from assessor.arm.virtual_machine import PatchSummary, VirtualMachine
from assessor.assessment.adoption import KnownAssessments, adoptable
from assessor.expectation import Expectation
from assessor.messages.progress import AssessmentProgress
from assessor.messages.request import name_based_id
from assessor.ports import Arm, Clock
from assessor.posture.durations import Durations
from assessor.resource_id import VirtualMachineId


@dataclass(frozen=True, slots=True)
class Start:
    """What ARM has told to a request that started on a VM.

    Attributes:
        vm: the VM as it was read; None where ARM refused that.
        expected: how long its assessment is expected to take; None where that was not asked.
        refusal: how ARM refused the read or the begin.
        begun: the operation that was begun.
        begun_at: when that was.
        held_back: for how many seconds the VM's region is held back, so that nothing was begun.
    """

    vm: VirtualMachine | None = None
    expected: Expectation | None = None
    refusal: ArmError | None = None
    begun: Begun | None = None
    begun_at: datetime | None = None
    held_back: float = 0.0


@dataclass(slots=True)
class _Vm:
    """A VM that requests start on now.

    Attributes:
        turn: held by the one that does.
        asking: how many requests wait for it, or have it.
        made: how many have had it; the last one's start is `last`.
        last: None where that one failed.
    """

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    asking: int = 0
    made: int = 0
    last: Start | None = None


class SharedStarts:
    """Lets one request of those for one VM start on it, and shares what it is told."""

    def __init__(self) -> None:
        self._vms: dict[str, _Vm] = {}

    async def start(
        self, vm_id: VirtualMachineId, make: Callable[[], Awaitable[Start]]
    ) -> tuple[Start, bool]:
        """Returns what ARM told, and whether it was another request that it told it.

        Another's is shared if it was made while this one waited. One that was under way already
        may have read what is older than this request, and is shared only if it has begun what runs
        now.

        What `make`, which starts by itself, raises is not shared.
        """
        vm = self._vms.setdefault(vm_id.key, _Vm())
        under_way = vm.made
        vm.asking += 1
        try:
            async with vm.turn:
                last = vm.last
                if last is not None and (
                    vm.made > under_way or (vm.made == under_way and _runs(last))
                ):
                    return last, True
                vm.last = None
                vm.made += 1
                vm.last = await make()
                return vm.last, False
        finally:
            vm.asking -= 1
            if not vm.asking:
                del self._vms[vm_id.key]


def _runs(start: Start) -> bool:
    return start.begun is not None and start.begun.ended is None


@dataclass(frozen=True, slots=True)
class Starter:
    """Starts requests, those for one VM one after another.

    `known` is told of each assessment that is begun; none older than `deadline` is adopted.
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
