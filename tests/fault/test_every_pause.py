"""A worker dies once at every pause between two effects; what it was doing is done all the same.

The world around the app is simulated with a clock that jumps: ARM keeps an operation for the VM,
the bus redelivers what was not completed and drops duplicates. An effect is anything that ARM, the
bus or the posture store sees. The test runs the way of a request once to count its effects, and
then once more for each of them, dying right before it and right after it.
"""

import heapq
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest

from assessor.app import App, build_app
from assessor.arm.operation import Begun, Ended, Running
from assessor.arm.result import parse_result
from assessor.arm.virtual_machine import PatchSummary, VirtualMachine
from assessor.bus.message import OutgoingMessage
from assessor.messages.in_progress import parse_in_progress
from assessor.messages.request import IncomingMessage
from assessor.posture.model import Posture
from assessor.posture.store import MemoryPosture
from assessor.resource_id import VirtualMachineId
from tests.support.app import ports, settings
from tests.support.fakes import FakeClock
from tests.support.schemas import assert_published

pytestmark = pytest.mark.fault

VM = VirtualMachineId("00000000-0000-0000-0000-000000000001", "group", "vm-1")
OPERATION_SECONDS = 660.0
POLL_SECONDS = 30.0
SETTINGS = settings(ASSESS_EXPECTED_MINUTES="0.5")


class Died(BaseException):
    """The worker is gone: nothing that it would have done after this happens."""


@dataclass
class Mortality:
    """Lets the worker die once, at one of the pauses that it passes."""

    at: int | None
    passed: int = 0

    def pause(self) -> None:
        """Is a place to die."""
        self.passed += 1
        if self.passed == self.at:
            raise Died


@dataclass
class World:
    """ARM with one VM, and a bus with the app's entities, on one clock."""

    clock: FakeClock
    mortality: Mortality
    operation_seconds: float = OPERATION_SECONDS
    posts: list[str] = field(default_factory=list)
    views: dict[str, dict[str, Any]] = field(default_factory=dict)
    ends_at: dict[str, datetime] = field(default_factory=dict)
    outcomes: dict[str, OutgoingMessage] = field(default_factory=dict)
    alerts: dict[str, OutgoingMessage] = field(default_factory=dict)
    postures: MemoryPosture = field(default_factory=MemoryPosture)
    queue: list["Queued"] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    order: Any = field(default_factory=count)

    async def read(self, vm_id: VirtualMachineId) -> VirtualMachine:
        """Shows the VM with what its instance view knows."""
        self.mortality.pause()
        view = self._view(vm_id)
        last = PatchSummary(view) if view else None
        vm = VirtualMachine(vm_id, location="eastus", power_state="running", last_assessment=last)
        self.mortality.pause()
        return vm

    async def begin(self, vm_id: VirtualMachineId, client_request_id: str) -> Begun:
        """Begins the operation; the instance view knows of it from then on."""
        del client_request_id
        self.mortality.pause()
        activity_id = str(uuid.UUID(int=len(self.posts) + 1, version=4))
        self.posts.append(vm_id.key)
        self.ends_at[activity_id] = self.clock.now() + timedelta(seconds=self.operation_seconds)
        self.views[vm_id.key] = {
            "status": "InProgress",
            "assessmentActivityId": activity_id,
            "startTime": self.clock.now().isoformat(),
        }
        self.mortality.pause()
        return Begun(activity_id, token=activity_id, retry_after=POLL_SECONDS)

    def continuation_token(self, vm: VirtualMachine, activity_id: str) -> str:
        """Returns what an operation is found by: its name."""
        del vm
        return activity_id

    async def poll(self, vm_id: VirtualMachineId, token: str, activity_id: str) -> Running | Ended:
        """Shows how far the operation is."""
        del vm_id, activity_id
        self.mortality.pause()
        ends_at = self.ends_at[token]
        if ends_at > self.clock.now():
            return Running(POLL_SECONDS)
        self.mortality.pause()
        result = {
            "status": "Succeeded",
            "assessmentActivityId": token,
            "rebootPending": True,
            "availablePatches": [],
        }
        return Ended(parse_result(result), None, ends_at)

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        """Takes messages, without duplicates."""
        self.mortality.pause()
        for message in messages:
            assert_published(message)
            if f"{entity}/{message.message_id}" not in self.seen:
                self.seen.add(f"{entity}/{message.message_id}")
                self._keep(entity, message)
        self.mortality.pause()

    def _keep(self, entity: str, message: OutgoingMessage) -> None:
        if entity == SETTINGS.results_topic:
            self.outcomes[message.message_id] = message
        elif entity == SETTINGS.alerts_topic:
            self.alerts[message.message_id] = message
        else:
            due = message.enqueue_at or self.clock.now()
            heapq.heappush(self.queue, Queued(due, next(self.order), entity, message, due))

    def _view(self, vm_id: VirtualMachineId) -> dict[str, Any] | None:
        view = self.views.get(vm_id.key)
        if view is None or self.ends_at[view["assessmentActivityId"]] > self.clock.now():
            return view
        return view | {"status": "Succeeded", "criticalAndSecurityPatchCount": 1}


@dataclass(order=True)
class Queued:
    """A message that waits in one of the queues."""

    due: datetime
    order: int
    entity: str = field(compare=False)
    message: OutgoingMessage = field(compare=False)
    enqueued_at: datetime = field(compare=False)


class MortalPosture(MemoryPosture):
    """The table of postures, which outlives workers; to save is a place to die before and after."""

    def __init__(self, mortality: Mortality) -> None:
        super().__init__()
        self._mortality = mortality

    async def save(self, posture: Posture, etag: str | None) -> str:
        """Saves a posture."""
        self._mortality.pause()
        saved = await super().save(posture, etag)
        self._mortality.pause()
        return saved


def new_worker(world: World) -> App:
    """Returns the app in a fresh process: nothing is left of the one that died."""
    return build_app(
        SETTINGS, ports(clock=world.clock, bus=world, arm=world, postures=world.postures)
    )


async def run(world: World) -> int:
    """Delivers messages until none is left; returns how often a worker died."""
    worker, deaths = new_worker(world), 0
    while world.queue:
        queued = heapq.heappop(world.queue)
        world.clock.advance(max(0.0, (queued.due - world.clock.now()).total_seconds()))
        try:
            if queued.entity == SETTINGS.requests_queue:
                await worker.requests.receive(incoming(queued))
            else:
                await worker.resume(parse_in_progress(queued.message.body))
        except Died:
            deaths += 1
            worker = new_worker(world)
            again = world.clock.now() + timedelta(seconds=60)  # when its lock has run out
            heapq.heappush(world.queue, replace(queued, due=again))
    return deaths


def incoming(queued: Queued) -> IncomingMessage:
    """Returns a request as the queue delivers it, for the first time or again."""
    message = queued.message
    return IncomingMessage(
        message.body, message.message_id, message.content_type, {}, queued.enqueued_at
    )


def request(now: datetime, *vms: VirtualMachineId) -> Queued:
    """Returns a request as it stands in the queue."""
    body = json.dumps({"vmIds": [str(vm) for vm in vms], "requestId": "r-1"}).encode()
    message = OutgoingMessage(body, "m-1", "r-1", "application/json")
    return Queued(now, -1, SETTINGS.requests_queue, message, now)


async def way(
    at: int | None, *vms: VirtualMachineId, operation_seconds: float = OPERATION_SECONDS
) -> tuple[World, int]:
    """Runs the way of a request in a new world, and lets the worker die at that pause."""
    clock = FakeClock()
    mortality = Mortality(at)
    world = World(clock, mortality, operation_seconds, postures=MortalPosture(mortality))
    world.queue.append(request(clock.now(), *vms))
    return world, await run(world)


async def test_a_request_has_one_outcome_wherever_its_worker_dies() -> None:
    """At every pause: one outcome, its alerts told, one begin."""
    untouched, _ = await way(None, VM)
    pauses = untouched.mortality.passed
    assert pauses > 50  # read, begin, about twenty polls, publish, alert

    for at in range(1, pauses + 1):
        world, deaths = await way(at, VM)

        assert deaths == 1, f"nobody died at pause {at}"
        assert len(world.outcomes) == 1, f"died at pause {at}"
        assert len(world.alerts) == 1, f"died at pause {at}"
        assert len(world.posts) == 1, f"begun twice after a death at pause {at}"


@pytest.mark.parametrize(
    "seconds", [POLL_SECONDS * 5, pytest.param(OPERATION_SECONDS, marks=pytest.mark.deep)]
)
async def test_each_vm_of_a_request_has_one_outcome_wherever_its_worker_dies(
    seconds: float,
) -> None:
    """The request is split on the way; a death in the middle of that loses and doubles nothing.

    Polls are alike: what a death at one more of them does costs the square of their number.
    """
    other = VirtualMachineId(VM.subscription_id, VM.resource_group, "vm-2")
    untouched, _ = await way(None, VM, other, operation_seconds=seconds)

    for at in range(1, untouched.mortality.passed + 1):
        world, deaths = await way(at, VM, other, operation_seconds=seconds)

        assert deaths == 1
        assert len(world.outcomes) == 2, f"died at pause {at}"
        assert sorted(world.posts) == [VM.key, other.key], f"died at pause {at}"
