"""Requests that follow one operation share the answer to one poll."""

import asyncio
from dataclasses import dataclass, field

import pytest

from assessor.arm.continuation import TokenRefusedError
from assessor.arm.errors import ArmError, Phase
from assessor.arm.operation import Ended, Running
from assessor.arm.result import ApiError, parse_result
from assessor.assessment.shared_polls import Polled, SharedPolls
from assessor.resource_id import VirtualMachineId
from tests.support.builders import ACTIVITY_ID, OTHER_SUBSCRIPTION, VM_ID, recorded_result
from tests.support.fakes import FakeArm, FakeClock

ENDED = Ended(parse_result(recorded_result()))
THROTTLED = ArmError(Phase.POLL, 429, ApiError("TooManyRequests", "x"))


@dataclass
class SlowArm(FakeArm):
    """Answers polls by script once it is let, and counts those that wait."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def poll(self, vm_id: VirtualMachineId, token: str, activity_id: str) -> Running | Ended:
        """Waits at the gate, then gives what the next scripted poll shows."""
        await self.gate.wait()
        return await super().poll(vm_id, token, activity_id)


async def _poll(
    shared: SharedPolls, token: str = "token", follower: str = "", vm_id: VirtualMachineId = VM_ID
) -> Running | Ended:
    """Returns what a request that polls by no schedule is shown."""
    return (await shared.poll(vm_id, token, ACTIVITY_ID, follower, _at_once)).answer


def _at_once(running: Running) -> float:
    """Says when a request polls that goes by ARM's wish alone."""
    return running.retry_after


def _polls(arm: FakeArm) -> int:
    return sum(each.startswith("poll ") for each in arm.effects)


async def test_a_thousand_requests_at_once_poll_twice() -> None:
    """Whoever came while the first one polled shares the answer to the next poll."""
    arm = SlowArm(polls=[Running(), Running()])
    shared = SharedPolls(arm, FakeClock())
    asking = [asyncio.ensure_future(_poll(shared)) for _ in range(1_000)]
    await asyncio.sleep(0)  # each has come to where it waits
    arm.gate.set()
    assert await asyncio.gather(*asking) == [Running()] * 1_000
    assert _polls(arm) == 2


async def test_an_end_is_not_asked_for_again() -> None:
    """It stays what it is, however much later a request comes for it."""
    clock = FakeClock()
    arm = FakeArm(polls=[ENDED])
    shared = SharedPolls(arm, clock)
    assert await _poll(shared) is ENDED
    clock.advance(3_600)
    assert await _poll(shared) is ENDED
    assert _polls(arm) == 1


async def test_arm_is_not_asked_before_it_wishes_to_be() -> None:
    """What runs still runs until then, for all who follow it; then it is polled again."""
    clock = FakeClock()
    arm = FakeArm(polls=[Running(15.0), ENDED])
    shared = SharedPolls(arm, clock)
    assert await _poll(shared) == Running(15.0)
    clock.advance(14.9)
    assert await _poll(shared) == Running(15.0)
    clock.advance(0.2)
    assert await _poll(shared) is ENDED


async def test_each_poll_asks_where_arm_wished_for_nothing() -> None:
    """An answer from before the call is no answer to it."""
    arm = FakeArm(polls=[Running(), ENDED])
    shared = SharedPolls(arm, FakeClock())
    assert await _poll(shared) == Running()
    assert await _poll(shared) is ENDED


def _in_30(running: Running) -> float:
    """Says when a request polls that goes by a schedule."""
    del running
    return 30.0


async def test_others_do_not_ask_before_the_next_poll_is_due() -> None:
    """They are told when that is; whoever comes then polls, and is who the others wait for."""
    clock = FakeClock()
    arm = FakeArm(polls=[Running(), Running()])
    shared = SharedPolls(arm, clock)
    first = await shared.poll(VM_ID, "token", ACTIVITY_ID, "r-1", _in_30)
    assert first == Polled(Running(), 30.0)
    clock.advance(20)
    second = await shared.poll(VM_ID, "token", ACTIVITY_ID, "r-2", _in_30)
    assert (second.is_shared, second.seconds) == (True, 10.0)
    assert shared.is_known(VM_ID, "token", ACTIVITY_ID)
    clock.advance(10)
    assert not shared.is_known(VM_ID, "token", ACTIVITY_ID)
    assert not (await shared.poll(VM_ID, "token", ACTIVITY_ID, "r-3", _in_30)).is_shared
    assert (await shared.poll(VM_ID, "token", ACTIVITY_ID, "r-1", _in_30)).is_shared


async def test_a_request_is_not_answered_by_what_it_was_told_itself() -> None:
    """It has waited since then, or asks for the last time."""
    arm = FakeArm(polls=[Running(), Running(), ENDED])
    shared = SharedPolls(arm, FakeClock())
    for follower, is_last in (("r-1", False), ("r-1", False), ("r-2", True)):
        await shared.poll(VM_ID, "token", ACTIVITY_ID, follower, _in_30, is_last=is_last)
    assert _polls(arm) == 3


async def test_the_more_follow_the_dearer_is_a_poll_to_each() -> None:
    """Two hardly feel it; a thousand come back a good deal less often, and more no less often."""
    shared = SharedPolls(FakeArm(polls=[Running()]), FakeClock())
    crowds = []
    for number in range(1_030):
        polled = await shared.poll(VM_ID, "token", ACTIVITY_ID, str(number), _in_30)
        crowds.append(polled.crowd)
    assert crowds[:2] == [1.0, 1.0]
    assert crowds == sorted(crowds)
    assert crowds[3] == 2.0
    assert crowds[-1] == 10.0


async def test_a_refusal_is_shared_by_those_who_waited_for_it() -> None:
    """A crowd that ARM throttles is refused twice; whoever comes later asks again."""
    arm = SlowArm(polls=[THROTTLED, THROTTLED, ENDED])
    shared = SharedPolls(arm, FakeClock())
    asking = [asyncio.ensure_future(_poll(shared)) for _ in range(100)]
    await asyncio.sleep(0)
    arm.gate.set()
    refused = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(each, ArmError) and each.status == 429 for each in refused)
    assert _polls(arm) == 2
    assert await _poll(shared) is ENDED


async def test_whoever_is_cancelled_in_its_poll_leaves_it_to_the_next() -> None:
    """And takes no other request with it."""
    arm = SlowArm(polls=[ENDED])
    shared = SharedPolls(arm, FakeClock())
    first = asyncio.ensure_future(_poll(shared))
    second = asyncio.ensure_future(_poll(shared))
    await asyncio.sleep(0)
    first.cancel()
    arm.gate.set()
    assert await second is ENDED
    assert first.cancelled()


async def test_another_token_is_not_answered_by_what_was_not_checked_for_it() -> None:
    """Nor another operation."""
    arm = FakeArm(polls=[ENDED, Running(), Running(5.0)])
    shared = SharedPolls(arm, FakeClock())
    assert await _poll(shared) is ENDED
    assert await _poll(shared, "other") == Running()
    another = await shared.poll(VM_ID, "token", "another-activity", "", _at_once)
    assert another == Polled(Running(5.0), 5.0)


async def test_one_vm_is_not_answered_by_what_was_checked_for_another() -> None:
    """A token leads to its VM's own subscription: whoever names another VM is checked for that."""
    arm = FakeArm(polls=[ENDED, Running()])
    shared = SharedPolls(arm, FakeClock())
    other = VirtualMachineId(OTHER_SUBSCRIPTION, VM_ID.resource_group, VM_ID.name)
    assert await _poll(shared) is ENDED
    assert await _poll(shared, vm_id=other) == Running()


async def test_only_the_last_operations_are_kept() -> None:
    """Memory is bounded; what was dropped is polled again."""
    arm = FakeArm(polls=[ENDED] * 66)
    shared = SharedPolls(arm, FakeClock())
    for number in range(65):
        await _poll(shared, str(number))
    await _poll(shared, "0")
    assert _polls(arm) == 66


async def test_sixty_four_operations_are_kept_and_the_longest_unasked_for_goes_first() -> None:
    """An end may hold thousands of patches."""
    shared = SharedPolls(FakeArm(polls=[ENDED] * 65), FakeClock())
    for number in range(64):
        await _poll(shared, str(number))
    assert all(shared.is_known(VM_ID, str(number), ACTIVITY_ID) for number in range(64))
    await _poll(shared, "0")  # it is known, and asked for
    await _poll(shared, "64")
    known = [each for each in range(65) if shared.is_known(VM_ID, str(each), ACTIVITY_ID)]
    assert known == [0, *range(2, 65)]


async def test_an_answer_is_known_of_its_own_operation_vm_and_token_only() -> None:
    """An end as well as what runs, until the next poll is due."""
    shared = SharedPolls(FakeArm(polls=[ENDED]), FakeClock())
    other = VirtualMachineId(OTHER_SUBSCRIPTION, VM_ID.resource_group, VM_ID.name)
    assert not shared.is_known(VM_ID, "token", ACTIVITY_ID)
    await _poll(shared)
    assert shared.is_known(VM_ID, "token", ACTIVITY_ID)
    assert not shared.is_known(other, "token", ACTIVITY_ID)
    assert not shared.is_known(VM_ID, "other", ACTIVITY_ID)
    assert not shared.is_known(VM_ID, "token", "another")


async def test_the_next_poll_is_not_due_before_arm_wishes() -> None:
    """Whatever the schedule says."""
    shared = SharedPolls(FakeArm(polls=[Running(900.0)]), FakeClock())
    polled = await shared.poll(VM_ID, "token", ACTIVITY_ID, "r-1", _in_30)
    assert polled == Polled(Running(900.0), 900.0)
    shown = await shared.poll(VM_ID, "token", ACTIVITY_ID, "r-2", _in_30)
    assert shown == Polled(Running(900.0), 900.0, is_shared=True)


@pytest.mark.parametrize("other", ["r-1", "r-2"])
async def test_an_end_says_whether_another_request_has_polled(other: str) -> None:
    """Nothing is due after it, and nothing dear."""
    shared = SharedPolls(FakeArm(polls=[ENDED]), FakeClock())
    assert await shared.poll(VM_ID, "token", ACTIVITY_ID, "r-1", _in_30) == Polled(ENDED)
    shown = await shared.poll(VM_ID, "token", ACTIVITY_ID, other, _in_30)
    assert shown == Polled(ENDED, is_shared=True)


async def test_a_request_is_kept_from_its_own_next_poll_by_arms_wish_alone() -> None:
    """Not by the schedule, which it knows itself; nor is one that asks for the last time."""
    clock = FakeClock()
    arm = FakeArm(polls=[Running(10.0)] * 3)
    shared = SharedPolls(arm, clock)
    await shared.poll(VM_ID, "token", ACTIVITY_ID, "r-1", _in_30)
    for seconds, follower, is_last, polls in (
        (9, "r-1", False, 1),
        (0, "r-2", True, 1),
        (1, "r-2", False, 1),
        (0, "r-1", False, 2),
        (10, "r-2", True, 3),
    ):
        clock.advance(seconds)
        await shared.poll(VM_ID, "token", ACTIVITY_ID, follower, _in_30, is_last=is_last)
        assert _polls(arm) == polls


async def test_a_refusal_is_no_answer_to_who_comes_later() -> None:
    """Whoever that is."""
    arm = FakeArm(polls=[Running(900.0), THROTTLED, Running()])
    clock = FakeClock()
    shared = SharedPolls(arm, clock)
    await _poll(shared, follower="r-1")
    clock.advance(900)
    with pytest.raises(ArmError) as refused:
        await _poll(shared, follower="r-1")
    assert refused.value is THROTTLED
    assert not shared.is_known(VM_ID, "token", ACTIVITY_ID)
    assert await _poll(shared, follower="r-2") == Running()


class CheckingArm(SlowArm):
    """Refuses the first two polls' token, as ARM's client does by itself, and notes all polls."""

    def __init__(self, answer: Running | Ended) -> None:
        refused = TokenRefusedError("a URL is not https")
        super().__init__(polls=[refused, refused, answer])
        self.asked: list[tuple[VirtualMachineId, str, str]] = []

    async def poll(self, vm_id: VirtualMachineId, token: str, activity_id: str) -> Running | Ended:
        """Notes what is polled, then waits at the gate."""
        self.asked.append((vm_id, token, activity_id))
        return await super().poll(vm_id, token, activity_id)


@pytest.mark.parametrize(
    ("answer", "polled"),
    [
        (Running(), Polled(Running(), 30.0)),
        (Running(40.0), Polled(Running(40.0), 40.0)),
        (ENDED, Polled(ENDED)),
    ],
    ids=["runs", "is asked to wait", "ended"],
)
async def test_a_token_that_is_refused_for_one_request_is_checked_for_each(
    answer: Running | Ended, polled: Polled
) -> None:
    """The refusal is its own; whoever waited for it polls by itself, by its own schedule."""
    arm = CheckingArm(answer)
    shared = SharedPolls(arm, FakeClock())
    asking = [
        asyncio.ensure_future(shared.poll(VM_ID, "token", ACTIVITY_ID, follower, _in_30))
        for follower in ("r-1", "r-2", "r-3")
    ]
    await asyncio.sleep(0)
    arm.gate.set()
    first, second, third = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(first, TokenRefusedError)
    assert isinstance(second, TokenRefusedError)
    assert third == polled
    assert arm.asked == [(VM_ID, "token", ACTIVITY_ID)] * 3
