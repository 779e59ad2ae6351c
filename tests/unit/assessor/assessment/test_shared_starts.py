"""Requests that start on one VM at once: one reads and begins, the others go by what it found."""

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from assessor.app import build_app
from assessor.arm.errors import ArmError, Phase
from assessor.arm.operation import Begun, Ended, Running
from assessor.arm.result import ApiError, parse_result
from assessor.assessment.adoption import KnownAssessments
from assessor.messages.in_progress import parse_in_progress
from assessor.messages.request import identity_of, name_based_id
from assessor.posture.store import MemoryPosture, PostureError, Remembered
from assessor.resource_id import VirtualMachineId
from tests.support.app import ports, settings
from tests.support.fakes import FakeArm
from tests.unit.assessor.assessment.test_assessor import ACTIVITY, OTHER_VM, RUNNING, VM, World

OTHER = "24e074b4-2fd7-4d20-8b3b-5339add89571"
LISTLESS = Ended(parse_result({"status": "Succeeded", "assessmentActivityId": ACTIVITY}))
FAILED = ArmError(Phase.POLL, 200, ApiError("InternalExecutionError", "x"))
CROWD = 30
CONFLICT = ArmError(Phase.BEGIN, 409, ApiError("Conflict", "x"))


@dataclass
class SlowArm(FakeArm):
    """Lets each begin wait until it is let."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def begin(self, vm_id: VirtualMachineId, client_request_id: str) -> Begun:
        """Waits at the gate, then gives the next scripted operation."""
        await self.gate.wait()
        return await super().begin(vm_id, client_request_id)


class Crowd(World):
    """A worker that gets requests for one VM at once."""

    def __init__(self) -> None:
        super().__init__(ASSESS_HOLD_SECONDS="0")
        self.gate = asyncio.Event()
        self.arm = SlowArm(effects=self.effects, gate=self.gate)
        self.start_worker()

    def start_worker(self) -> None:
        """Starts a worker anew: what the one before had in memory is gone."""
        self.app = build_app(
            settings(ASSESS_HOLD_SECONDS="0"),
            ports(clock=self.clock, bus=self.bus, arm=self.arm, postures=self.postures),
        )

    async def ask(self, requests: int) -> list[asyncio.Task[None]]:
        """Has so many requests wait for the first one's begin."""
        tasks = [
            asyncio.create_task(
                self.app.requests.receive(self.message({"vmId": str(VM)}, f"m-{number}"))
            )
            for number in range(requests)
        ]
        for _ in range(20):
            await asyncio.sleep(0)
        return tasks

    async def resume_all(self) -> None:
        """Resumes each request that was handed over."""
        waiting, self.bus.sent["in-progress"] = self.bus.sent["in-progress"], []
        for message in waiting:
            await self.app.resume(parse_in_progress(message.body))

    def called(self, what: str) -> int:
        """Returns how many calls of a kind were made."""
        return sum(each.startswith(what) for each in self.effects)


@pytest.fixture
def crowd() -> Crowd:
    return Crowd()


@pytest.mark.parametrize("end", [LISTLESS, FAILED], ids=["listless", "failed"])
@pytest.mark.parametrize("dies", [False, True])
async def test_a_crowd_shares_one_assessment_whatever_its_end_shows(
    crowd: Crowd, end: Ended | ArmError, *, dies: bool
) -> None:
    """Known by its begin; that goes with each of its requests to whichever worker resumes it."""
    crowd.arm.reads, crowd.arm.begins = [RUNNING], [ACTIVITY]
    tasks = await crowd.ask(CROWD)
    crowd.gate.set()
    await asyncio.gather(*tasks)
    assert (crowd.called("read"), crowd.called("begin")) == (1, 1)
    if dies:
        crowd.start_worker()
    crowd.arm.polls = [end] * (CROWD if isinstance(end, ArmError) else 1)
    crowd.clock.advance(60)
    await crowd.resume_all()
    told = crowd.events()
    assert {each["data"]["assessmentActivityId"] for each in told} == {ACTIVITY}
    assert len({each["id"] for each in told}) == CROWD
    assert crowd.called("begin") == 1


async def test_whoever_dies_in_its_begin_leaves_the_start_to_the_next(crowd: Crowd) -> None:
    """The next one reads again: what the first had begun would show there."""
    crowd.arm.reads, crowd.arm.begins = [RUNNING] * 2, [ACTIVITY]
    leader, *others = await crowd.ask(10)
    leader.cancel()
    crowd.gate.set()
    await asyncio.gather(leader, *others, return_exceptions=True)
    assert leader.cancelled()
    assert (crowd.called("read"), crowd.called("begin")) == (2, 1)
    assert len(crowd.bus.sent["in-progress"]) == 9


async def test_whoever_follows_polls_where_the_one_who_polled_is_gone(crowd: Crowd) -> None:
    """Each request is its own: none waits for another's worker."""
    crowd.arm.reads, crowd.arm.begins = [RUNNING], [ACTIVITY]
    tasks = await crowd.ask(3)
    crowd.gate.set()
    await asyncio.gather(*tasks)
    del crowd.bus.sent["in-progress"][0]
    crowd.start_worker()
    crowd.arm.polls = [Running(), LISTLESS]
    await crowd.resume_all()
    crowd.clock.advance(3_600)
    await crowd.resume_all()
    assert len(crowd.events()) == 2
    assert crowd.called("poll") == 2


async def test_a_refusal_of_the_begin_is_shared(crowd: Crowd) -> None:
    """A crowd that comes too late is told so once."""
    crowd.arm.reads, crowd.arm.begins = [RUNNING], [CONFLICT]
    tasks = await crowd.ask(50)
    crowd.gate.set()
    await asyncio.gather(*tasks)
    # The refused start was under way when the others came; the next one is shared by all of them.
    assert crowd.called("begin") <= 2
    assert len(crowd.bus.sent["in-progress"]) == 50


async def test_other_vms_do_not_wait_for_it(crowd: Crowd) -> None:
    """Only requests for one VM start one after another."""
    crowd.arm.reads, crowd.arm.begins = [RUNNING, replace(RUNNING, id=OTHER_VM)], [ACTIVITY, OTHER]
    first = await crowd.ask(1)
    other = asyncio.create_task(
        crowd.app.requests.receive(crowd.message({"vmId": str(OTHER_VM)}, "other"))
    )
    for _ in range(20):
        await asyncio.sleep(0)
    assert crowd.called("read") == 2
    crowd.gate.set()
    await asyncio.gather(*first, other)
    assert crowd.called("begin") == 2


async def test_what_another_worker_has_published_is_an_assessment(crowd: Crowd) -> None:
    """By the VM's posture, in any case of letters; another activity's is not."""
    crowd.arm.reads, crowd.arm.begins, crowd.arm.polls = [RUNNING], [ACTIVITY], [LISTLESS]
    crowd.gate.set()
    await crowd.app.requests.receive(crowd.message({"vmId": str(VM)}))
    await crowd.resume_all()
    known = KnownAssessments(crowd.postures.load)
    assert not known.has_begun(VM, ACTIVITY)
    assert await known.includes(VM, ACTIVITY.upper())
    assert known.has_begun(VM, ACTIVITY)
    assert not await known.includes(VM, OTHER)
    assert not await known.includes(OTHER_VM, ACTIVITY)


async def test_a_store_that_is_down_knows_of_no_assessment() -> None:
    """Then the request begins its own."""

    async def load(vm_id: VirtualMachineId) -> Remembered | None:
        raise PostureError(vm_id, "down")

    assert not await KnownAssessments(load).includes(VM, ACTIVITY)
    assert not await KnownAssessments(MemoryPosture().load).includes(VM, ACTIVITY)


async def test_a_worker_remembers_the_last_thousands_only() -> None:
    """Memory is bounded."""
    known = KnownAssessments(MemoryPosture().load)
    for number in range(4_097):
        known.note(VM, str(number))
    assert not known.has_begun(VM, "0")
    assert known.has_begun(VM, "1")
    assert known.has_begun(VM, "4096")
    known.note(VM, "1")  # anew: now 2 is the oldest
    known.note(VM, "4097")
    assert known.has_begun(VM, "1")
    assert not known.has_begun(VM, "2")


class NotingArm(FakeArm):
    """Notes by which client request ID each operation is begun."""

    def __init__(self, vms: int) -> None:
        super().__init__(reads=[RUNNING] * vms, begins=[ACTIVITY] * vms)
        self.ids: list[str] = []

    async def begin(self, vm_id: VirtualMachineId, client_request_id: str) -> Begun:
        """Notes the ID, then gives the next scripted operation."""
        self.ids.append(client_request_id)
        return await super().begin(vm_id, client_request_id)


async def test_a_begin_is_named_by_its_request_and_vm(crowd: Crowd) -> None:
    """A repeat after a crash has the same client request ID; nobody else's has."""
    arm = NotingArm(3)
    for message_id in ("m-1", "m-1", "m-2"):
        worker = build_app(
            settings(ASSESS_HOLD_SECONDS="0"), ports(clock=crowd.clock, bus=crowd.bus, arm=arm)
        )
        await worker.requests.receive(crowd.message({"vmId": str(VM)}, message_id))
    first, repeated, others = arm.ids
    assert first == repeated == name_based_id("client-request", identity_of("m-1"), VM.key)
    assert others != first
