"""How an operation is followed: when it is polled, for how long, and what its polls come to."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from assessor.arm.operation import Ended, Running
from assessor.arm.result import parse_result
from assessor.arm.throttling import RateLimiter, Region, dearness
from assessor.assessment.adoption import KnownAssessments, patience_ends_at
from assessor.assessment.follower import Follower
from assessor.assessment.shared_polls import SharedPolls
from assessor.assessment.steps import Done, Step, Steps
from assessor.clock import PollingWindow
from assessor.expectation import Expectation
from assessor.messages.progress import AssessmentProgress, Later, OperationRef
from assessor.posture.durations import Durations
from assessor.posture.store import MemoryPosture
from tests.support.builders import ACTIVITY_ID, NOW, VM_ID, machine, recorded_result, request
from tests.support.fakes import FakeArm, FakeClock

DEADLINE = timedelta(hours=2)
EXPECTED = Expectation(660.0, 0.3)
OPERATION = OperationRef(ACTIVITY_ID, "token", NOW - timedelta(seconds=300), "0" * 16)
ADOPTED = replace(OPERATION, adopted=True)
PROGRESS = AssessmentProgress(request(), NOW, vm=machine(), operation=OPERATION, expected=EXPECTED)
ENDED = Ended(parse_result(recorded_result()))
LISTLESS = Ended(parse_result({"status": "Succeeded", "assessmentActivityId": ACTIVITY_ID}))
POLLS = Region.of(VM_ID.subscription_id, None)
RUNS = "the operation runs"
GIVES_WAY = "the operation runs; polls are further apart, for ARM has few reads left"


class Window(PollingWindow):
    """A polling window whose waits move a clock on."""

    def __init__(self, seconds: float, clock: FakeClock) -> None:
        super().__init__(seconds, lambda: clock.now().timestamp(), asyncio.Event())
        self._clock = clock
        self._until = clock.now() + timedelta(seconds=seconds)

    async def wait(self, delay: float) -> float | None:
        """Lets the time go by, if it ends within the window."""
        if self._clock.now() + timedelta(seconds=delay) > self._until:
            return delay
        self._clock.advance(delay)
        return None


class World:
    """A follower between scripts, whose invocations wait for so many seconds."""

    def __init__(self) -> None:
        self.clock = FakeClock(NOW)
        self.arm = FakeArm()
        self.postures = MemoryPosture()
        self.known = KnownAssessments(self.postures.load)
        self.durations = Durations(self.postures.durations, 123.0)
        self.limiter = RateLimiter(60)
        self.polls = SharedPolls(self.arm, self.clock)
        self.hold = 20.0
        self.follower = Follower(
            polls=self.polls,
            limiter=self.limiter,
            known=self.known,
            durations=self.durations,
            clock=self.clock,
            new_window=lambda: Window(self.hold, self.clock),
            steps=Steps(self.clock, DEADLINE),
        )

    async def follow(
        self,
        progress: AssessmentProgress = PROGRESS,
        operation: OperationRef = OPERATION,
        wait_first: float | None = None,
    ) -> Step | None:
        """Returns what an invocation comes to."""
        return await self.follower.follow(progress, operation, wait_first)

    def later(
        self, seconds: float, why: str = RUNS, progress: AssessmentProgress = PROGRESS
    ) -> Later:
        """Returns what goes on in so many seconds from now."""
        now = self.clock.now()
        return Later(progress.rescheduled(now), now + timedelta(seconds=seconds), why)


@pytest.fixture
def world() -> World:
    return World()


def asking(number: int) -> AssessmentProgress:
    """Returns one of many requests that follow the operation."""
    return replace(PROGRESS, request=request(request_id=f"r-{number}"))


async def test_the_next_poll_comes_by_how_long_the_operation_has_run(world: World) -> None:
    """From its begin on; what was waited out is over by an answer."""
    world.arm.polls = [Running()]
    waited = replace(PROGRESS, attempt=3)
    assert await world.follow(waited) == world.later(EXPECTED.next_poll(300.0))
    assert world.arm.effects == [f"poll {VM_ID.name} token"]


async def test_a_request_that_was_told_nothing_is_polled_as_any_vms(world: World) -> None:
    """An earlier version of the app has begun it."""
    world.arm.polls = [Running()]
    untold = replace(PROGRESS, expected=None)
    seconds = world.durations.unknown.next_poll(300.0)
    assert await world.follow(untold) == world.later(seconds, progress=untold)


@pytest.mark.parametrize(("reads_left", "why"), [(None, RUNS), (230, RUNS), (229, GIVES_WAY)])
async def test_polls_give_way_from_where_arms_bucket_is_no_longer_nearly_full(
    world: World, reads_left: int | None, why: str
) -> None:
    """By how dear a poll is then."""
    world.arm.polls = [Running(reads_left=reads_left)]
    seconds = EXPECTED.next_poll(300.0, dearness(reads_left))
    assert await world.follow() == world.later(seconds, why)


async def test_arm_has_reads_again_once_it_says_so(world: World) -> None:
    """What the last answer says counts."""
    world.hold = 3_600.0
    world.arm.polls = [Running(reads_left=100), Running(900.0), Running(3_600.0)]
    assert await world.follow() == world.later(3_600.0)


@pytest.mark.parametrize(
    ("begun_ago", "wait_first", "seconds"),
    [
        (0.0, 1.0, EXPECTED.next_poll(0.0)),
        (0.0, 900.0, 900.0),
        (300.0, 0.0, EXPECTED.next_poll(300.0)),
    ],
)
async def test_an_operation_that_was_just_begun_is_first_polled_when_its_end_may_come(
    world: World, begun_ago: float, wait_first: float, seconds: float
) -> None:
    """Not before ARM wishes."""
    operation = replace(OPERATION, begun_at=NOW - timedelta(seconds=begun_ago))
    step = await world.follow(operation=operation, wait_first=wait_first)
    assert step == world.later(seconds)
    assert world.arm.effects == []


async def test_one_invocation_polls_for_as_long_as_its_window_lasts(world: World) -> None:
    """Each time by what the last answer asks, until the operation ends."""
    world.hold = 1_000.0
    world.arm.polls = [Running(200.0), Running(300.0), ENDED]
    step = await world.follow(wait_first=400.0)
    assert world.clock.now() == NOW + timedelta(seconds=900)
    assert step == Steps(world.clock, DEADLINE).ended(PROGRESS, OPERATION, ENDED)
    assert world.arm.effects == [f"poll {VM_ID.name} token"] * 3


async def test_two_requests_wait_for_each_others_polls_alike(world: World) -> None:
    """To two a poll is no dearer than to one; the second goes on by the first one's."""
    world.arm.polls = [Running(300.0)]
    await world.follow(asking(1))
    world.clock.advance(40)
    assert await world.follow(asking(2)) == world.later(260.0, progress=asking(2))
    assert len(world.arm.effects) == 1


async def test_one_of_many_leaves_the_polls_to_the_others(world: World) -> None:
    """It comes back by how dear a poll is to each of so many, and holds no worker until then."""
    world.hold = 3_600.0
    world.arm.polls = [Running(reads_left=100)]
    for other in "123":
        await world.polls.poll(VM_ID, "token", ACTIVITY_ID, other, _in_50)

    step = await world.follow(asking(4))

    seconds = EXPECTED.next_poll(300.0, dearness(100) * 2.0)
    assert seconds > 50
    why = "another request polls the operation"
    assert step == world.later(seconds, why, asking(4))
    assert len(world.arm.effects) == 1


async def test_one_of_many_does_not_come_back_before_the_next_poll_is_due(world: World) -> None:
    """Then somebody else will have polled."""
    world.arm.polls = [Running(3_000.0)]
    for number in range(1, 4):
        await world.follow(asking(number))
    step = await world.follow(asking(4))
    assert step == world.later(3_000.0, "another request polls the operation", asking(4))


def _in_50(running: Running) -> float:
    """Says when a request polls that has a schedule of its own."""
    del running
    return 50.0


@pytest.mark.parametrize(("seconds_left", "polls"), [(1, 1), (0, 2)])
async def test_at_its_deadline_a_request_is_told_no_old_news(
    world: World, seconds_left: int, polls: int
) -> None:
    """It polls by itself, though another one's answer would do for longer."""
    world.arm.polls = [Running(), Running()]
    await world.follow(asking(1))
    accepted_at = NOW - DEADLINE + timedelta(seconds=seconds_left)
    await world.follow(replace(asking(2), accepted_at=accepted_at))
    assert len(world.arm.effects) == polls


def _patience() -> datetime:
    return patience_ends_at(ADOPTED, EXPECTED, NOW, DEADLINE)


@pytest.mark.parametrize(
    ("operation", "seconds_over", "is_left"),
    [
        (ADOPTED, -1, False),
        (ADOPTED, 0, True),
        (replace(ADOPTED, known=True), 1, False),
        (OPERATION, 1, False),
        (replace(OPERATION, known=True), 1, False),
    ],
    ids=["in time", "over time", "known", "begun", "begun and known"],
)
async def test_only_what_was_adopted_and_runs_too_long_is_left(
    world: World, operation: OperationRef, seconds_over: int, is_left: object
) -> None:
    """What this app has begun is an assessment, however long it runs."""
    world.arm.polls = [Running(900.0)]
    world.clock.advance((_patience() - NOW).total_seconds() + seconds_over)
    assert (await world.follow(operation=operation) is None) is is_left


async def test_what_runs_too_long_is_followed_if_this_app_knows_it(world: World) -> None:
    """By its begin in this worker."""
    world.arm.polls = [Running(900.0)]
    world.clock.advance((_patience() - NOW).total_seconds())
    world.known.note(VM_ID, ACTIVITY_ID)
    assert await world.follow(operation=ADOPTED) == world.later(900.0)


@pytest.mark.parametrize("known", [True, False])
async def test_an_end_without_a_list_is_an_assessments_only_if_this_app_knows_it(
    world: World, *, known: bool
) -> None:
    """Another operation's end may look alike."""
    world.arm.polls = [LISTLESS]
    if known:
        world.known.note(VM_ID, ACTIVITY_ID)
    end = Steps(world.clock, DEADLINE).ended(PROGRESS, ADOPTED, LISTLESS)
    assert await world.follow(operation=ADOPTED) == (end if known else None)
    assert await world.follower.is_known(PROGRESS, ADOPTED) is known
    assert await world.follower.is_known(PROGRESS, replace(ADOPTED, known=True))


async def test_an_end_that_proves_itself_is_known_from_then_on(world: World) -> None:
    """To all requests for its VM."""
    world.arm.polls = [ENDED]
    assert isinstance(await world.follow(operation=ADOPTED), Done)
    assert world.known.has_begun(VM_ID, ACTIVITY_ID)


@pytest.mark.parametrize(("seconds_left", "held_back"), [(1, 31.0), (0, 0.0), (-1, 0.0)])
def test_polls_of_a_subscription_are_held_back_until_a_requests_deadline(
    world: World, seconds_left: int, held_back: float
) -> None:
    """Then the operation is polled in any case."""
    world.follower.hold_back(PROGRESS, NOW + timedelta(seconds=30))
    accepted_at = NOW - DEADLINE + timedelta(seconds=seconds_left)
    progress = replace(PROGRESS, accepted_at=accepted_at)
    assert world.follower.held_back(progress, OPERATION) == held_back
    assert world.limiter.turn(POLLS, NOW) == 32.0  # it has taken its turn all the same


async def test_an_operation_whose_answer_is_known_is_not_held_back(world: World) -> None:
    """Nothing is called for it; that of another operation is."""
    world.arm.polls = [Running(900.0)]
    await world.follow()
    world.follower.hold_back(PROGRESS, NOW + timedelta(seconds=30))
    assert world.follower.held_back(PROGRESS, OPERATION) == 0.0
    assert world.follower.held_back(PROGRESS, replace(OPERATION, token="other")) == 31.0
    another = replace(OPERATION, activity_id="another")
    assert world.follower.held_back(PROGRESS, another) == 32.0


def test_polls_that_nothing_holds_back_are_made_now(world: World) -> None:
    """Those of other subscriptions, and all once the time is over."""
    assert world.follower.held_back(PROGRESS, OPERATION) == 0.0
    world.follower.hold_back(PROGRESS, NOW + timedelta(seconds=30))
    world.clock.advance(30)
    assert world.follower.held_back(PROGRESS, OPERATION) == 0.0
