"""What a request finds of its VM and begins there, and who of a crowd does so."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from assessor.arm.errors import ArmError, Phase
from assessor.arm.operation import Begun, Ended
from assessor.arm.result import ApiError, parse_result
from assessor.arm.throttling import RateLimiter, Region
from assessor.arm.virtual_machine import PatchSummary
from assessor.assessment.adoption import KnownAssessments
from assessor.assessment.starter import SharedStarts, Start, Starter
from assessor.expectation import Expectation
from assessor.messages.progress import AssessmentProgress
from assessor.posture.durations import Durations
from assessor.posture.store import MemoryPosture
from assessor.resource_id import VirtualMachineId
from tests.support.builders import ACTIVITY_ID, NOW, VM_ID, machine, recorded_result, request
from tests.support.fakes import FakeArm, FakeClock

VM = machine()
NEW = AssessmentProgress(request(), NOW)
REGION = Region.of(VM_ID.subscription_id, VM.location)
ENDED = Ended(parse_result(recorded_result()))


class World:
    """A starter of one request a second in each region, and what it is told."""

    def __init__(self) -> None:
        self.arm = FakeArm(reads=[VM], begins=[ACTIVITY_ID])
        self.clock = FakeClock(NOW)
        self.postures = MemoryPosture()
        self.durations = Durations(self.postures.durations, 660.0)
        self.known = KnownAssessments(self.postures.load)
        self.limiter = RateLimiter(60)
        self.starter = Starter(
            arm=self.arm,
            starts=SharedStarts(),
            known=self.known,
            begin_limiter=self.limiter,
            durations=self.durations,
            clock=self.clock,
            deadline=timedelta(hours=2),
        )

    async def start(self, progress: AssessmentProgress = NEW) -> Start:
        """Returns what the start of a request that is alone has come to."""
        start, is_anothers = await self.starter.start(progress)
        assert not is_anothers
        return start

    async def expected(self) -> Expectation:
        """Returns what is expected of the VM."""
        return await self.durations.expect(VM)


@pytest.fixture
def world() -> World:
    return World()


async def test_a_running_vm_is_begun_and_known_to_be(world: World) -> None:
    """The start tells the VM, what is expected of it, the operation, and when it began."""
    world.arm.retry_after = 7.0
    begun = Begun(ACTIVITY_ID, "token", 7.0)
    assert await world.start() == Start(VM, await world.expected(), begun=begun, begun_at=NOW)
    assert world.known.has_begun(VM_ID, ACTIVITY_ID)
    assert world.limiter.turn(REGION, NOW) == 0.0


async def test_a_vm_that_cant_be_assessed_is_told_and_nothing_else(world: World) -> None:
    """Nothing is expected of it, and nothing begun."""
    off = replace(VM, power_state="deallocated")
    world.arm.reads = [off]
    assert await world.start() == Start(off)
    assert world.arm.effects == [f"read {VM_ID.name}"]


async def test_a_vm_that_cant_be_read_is_told_by_its_refusal(world: World) -> None:
    """It holds nothing back: a read is counted elsewhere."""
    refused = ArmError(Phase.READ, 429, ApiError("TooManyRequests", "x"), retry_after=60.0)
    world.arm.reads = [refused]
    assert await world.start() == Start(refusal=refused)
    assert world.limiter.turn(REGION, NOW) == 0.0


@pytest.mark.parametrize("refused_before", [False, True])
async def test_what_the_vm_tells_of_is_begun_again_only_if_it_was_refused(
    world: World, *, refused_before: bool
) -> None:
    """An assessment that runs would do; one that proved to be none would not."""
    running = {"assessmentActivityId": ACTIVITY_ID, "status": "InProgress"}
    vm = replace(VM, last_assessment=PatchSummary(running | {"startTime": NOW.isoformat()}))
    world.arm.reads = [vm]
    progress = replace(NEW, not_adopted=(ACTIVITY_ID,)) if refused_before else NEW
    start = await world.start(progress)
    assert (start.vm, start.expected) == (vm, await world.expected())
    assert (start.begun is not None) is refused_before


async def test_a_region_that_is_held_back_begins_nothing(world: World) -> None:
    """The start tells for how long: each request takes a turn of its own."""
    world.limiter.close(REGION, NOW + timedelta(seconds=30))
    world.arm.reads = [VM, VM]
    assert await world.start() == Start(VM, await world.expected(), held_back=31.0)
    assert (await world.start()).held_back == 32.0
    assert world.arm.effects == [f"read {VM_ID.name}"] * 2


async def test_a_turn_that_is_less_than_a_second_away_is_waited_for(world: World) -> None:
    """As any other."""
    limiter = RateLimiter(600)
    limiter.close(REGION, NOW + timedelta(milliseconds=100))
    start, _ = await replace(world.starter, begin_limiter=limiter).start(NEW)
    assert start.held_back == 0.2


@pytest.mark.parametrize(
    ("refused", "held_back"),
    [
        (ArmError(Phase.BEGIN, 429, ApiError("OperationNotAllowed", "x"), 60.0), 61.0),
        (ArmError(Phase.BEGIN, 429, ApiError("OperationNotAllowed", "x")), 0.0),
        (ArmError(Phase.BEGIN, 503, ApiError("ServiceUnavailable", "x"), 60.0), 0.0),
        (ArmError(Phase.POLL, 429, ApiError("OperationNotAllowed", "x"), 60.0), 0.0),
    ],
    ids=["throttled", "for no time", "unwell", "a poll"],
)
async def test_only_a_throttled_begin_holds_its_region_back(
    world: World, refused: ArmError, held_back: float
) -> None:
    """For as long as ARM asks for; the request is told the refusal."""
    world.arm.begins = [refused]
    assert await world.start() == Start(VM, await world.expected(), refusal=refused)
    assert world.limiter.turn(REGION, NOW) == held_back
    assert not world.known.has_begun(VM_ID, ACTIVITY_ID)


async def test_a_bucket_that_the_begin_has_emptied_holds_its_region_back(world: World) -> None:
    """For the minute in which ARM refills it; the operation itself goes on."""
    world.arm.remaining = {"Microsoft.Compute/UpdateVM3Min": 0}
    assert (await world.start()).begun is not None
    assert world.limiter.turn(REGION, NOW) == 61.0


_RUNS = Start(VM, begun=Begun(ACTIVITY_ID, "token"), begun_at=NOW)
_ENDED = Start(VM, begun=Begun(ACTIVITY_ID, "token", ended=ENDED), begun_at=NOW)
_REFUSED = Start(refusal=ArmError(Phase.READ, 503, ApiError("x", "x")))


class Asking:
    """Requests for one VM, whose starts come to their ends when the test says so."""

    def __init__(self) -> None:
        self._shared = SharedStarts()
        self.made: list[asyncio.Future[Start]] = []

    async def ask(
        self, requests: int = 1, vm: VirtualMachineId = VM_ID
    ) -> list[asyncio.Task[tuple[Start, bool]]]:
        """Has so many more requests ask, until each waits for something."""
        asking = [asyncio.create_task(self._shared.start(vm, self._make)) for _ in range(requests)]
        await _settled()
        return asking

    async def end(self, start: Start | Exception) -> None:
        """Ends the start that was made last."""
        if isinstance(start, Exception):
            self.made[-1].set_exception(start)
        else:
            self.made[-1].set_result(start)
        await _settled()

    async def _make(self) -> Start:
        self.made.append(asyncio.get_running_loop().create_future())
        return await self.made[-1]


async def _settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def asking() -> Asking:
    return Asking()


async def test_a_start_that_runs_is_shared_by_all_who_came_during_it(asking: Asking) -> None:
    """In any case of the VM's name; only the first one's is its own."""
    first = await asking.ask()
    others = await asking.ask(2, replace(VM_ID, name=VM_ID.name.upper()))
    await asking.end(_RUNS)
    assert [each.result() for each in first + others] == [
        (_RUNS, False),
        (_RUNS, True),
        (_RUNS, True),
    ]
    assert len(asking.made) == 1


@pytest.mark.parametrize("old", [_REFUSED, _ENDED], ids=["refused", "ended"])
async def test_what_may_be_older_than_a_request_does_not_answer_it(
    asking: Asking, old: Start
) -> None:
    """Only what was made while it waited: the second one's start is the third one's too."""
    tasks = await asking.ask(3)
    await asking.end(old)
    await asking.end(_REFUSED)
    assert [each.result() for each in tasks] == [
        (old, False),
        (_REFUSED, False),
        (_REFUSED, True),
    ]


async def test_a_start_that_fails_is_nobody_elses(asking: Asking) -> None:
    """Nor is what was told before it."""
    tasks = await asking.ask(4)
    await asking.end(_REFUSED)
    await asking.end(ZeroDivisionError())
    await asking.end(_RUNS)
    told = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(told[1], ZeroDivisionError)
    assert [told[0], *told[2:]] == [(_REFUSED, False), (_RUNS, False), (_RUNS, True)]


async def test_whoever_comes_while_the_next_one_starts_shares_that_one(asking: Asking) -> None:
    """As long as anybody asks, the VM's starts follow one another."""
    tasks = await asking.ask(2)
    await asking.end(_REFUSED)
    tasks += await asking.ask()
    assert len(asking.made) == 2
    await asking.end(_RUNS)
    assert [each.result() for each in tasks] == [(_REFUSED, False), (_RUNS, False), (_RUNS, True)]


async def test_whoever_comes_after_all_were_told_starts_by_itself(asking: Asking) -> None:
    """What they were told is forgotten; another VM's start is never waited for."""
    await asking.ask(2)
    await asking.end(_RUNS)
    (later,) = await asking.ask()
    (other,) = await asking.ask(vm=replace(VM_ID, name="another"))
    assert len(asking.made) == 3
    await asking.end(_ENDED)
    assert other.result() == (_ENDED, False)
    assert not later.done()
    later.cancel()
