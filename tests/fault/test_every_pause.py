"""A worker dies once at every pause between two effects; what it was doing is done all the same.

The world around the app is simulated with a clock that jumps: ARM keeps an operation for the VM,
the bus redelivers what was not completed and drops duplicates. An effect is anything that ARM, the
bus or the posture store sees. The test runs the way of a request once to count its effects, and
then once more for each of them, dying right before it and right after it.
"""

import asyncio
import heapq
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from random import Random
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from assessor.arm.hold import Hold
from assessor.arm.port import OperationEnd
from assessor.arm.rate_limiter import RateLimiter
from assessor.arm.result import parse_result
from assessor.arm.virtual_machine import PatchSummary, VirtualMachine
from assessor.assessment.assessor import Assessor, Entities
from assessor.assessment.state_machine import Steps
from assessor.bus.message import OutgoingMessage
from assessor.messages.outcome import Outcome
from assessor.messages.progress import from_body
from assessor.messages.request import IncomingMessage
from assessor.posture.durations import Durations
from assessor.posture.store import MemoryPosture
from assessor.resource_id import VirtualMachineId
from assessor.telemetry.telemetry import AssessmentIdGenerator, Telemetry
from tests.support.fakes import FakeClock, FakeScans
from tests.support.schemas import assert_published

pytestmark = pytest.mark.fault

VM = VirtualMachineId("00000000-0000-0000-0000-000000000001", "group", "vm-1")
OPERATION_SECONDS = 660.0
ENTITIES = Entities("requests", "in-progress", "results")


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
    posts: list[str] = field(default_factory=list)
    views: dict[str, dict[str, Any]] = field(default_factory=dict)
    ends_at: dict[str, datetime] = field(default_factory=dict)
    outcomes: dict[str, OutgoingMessage] = field(default_factory=dict)
    alerted: dict[str, Outcome] = field(default_factory=dict)
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

    async def begin(self, vm_id: VirtualMachineId, client_request_id: str) -> "WorldOperation":
        """Begins the operation; the instance view knows of it from then on."""
        del client_request_id
        self.mortality.pause()
        activity_id = str(uuid.UUID(int=len(self.posts) + 1, version=4))
        self.posts.append(vm_id.key)
        self.ends_at[activity_id] = self.clock.now() + timedelta(seconds=OPERATION_SECONDS)
        self.views[vm_id.key] = {
            "status": "InProgress",
            "assessmentActivityId": activity_id,
            "startTime": self.clock.now().isoformat(),
        }
        self.mortality.pause()
        return WorldOperation(self, activity_id)

    async def resume(
        self, vm_id: VirtualMachineId, activity_id: str, token: str
    ) -> "WorldOperation":
        """Continues an operation."""
        del vm_id, token
        return WorldOperation(self, activity_id)

    async def adopt(self, vm: VirtualMachine, activity_id: str) -> "WorldOperation":
        """Follows an operation that was found."""
        del vm
        return WorldOperation(self, activity_id)

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        """Takes messages, without duplicates."""
        self.mortality.pause()
        for message in messages:
            assert_published(message)
            if f"{entity}/{message.message_id}" not in self.seen:
                self.seen.add(f"{entity}/{message.message_id}")
                self._keep(entity, message)
        self.mortality.pause()

    async def publish(self, outcome: Outcome, traceparent: str | None) -> None:
        """Publishes alerts and remembers the posture: two effects."""
        del traceparent
        self.mortality.pause()
        self.alerted[outcome.id] = outcome
        self.mortality.pause()

    def _keep(self, entity: str, message: OutgoingMessage) -> None:
        if entity == ENTITIES.results_topic:
            self.outcomes[message.message_id] = message
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


@dataclass
class WorldOperation:
    """The operation in the world's ARM."""

    world: World
    activity_id: str
    token: str = "token"
    remaining: Mapping[str, int] = field(default_factory=dict)

    async def follow(self, hold: Hold, next_poll: Callable[[], float]) -> OperationEnd:
        """Looks once; the next look is in 30 seconds, whatever is expected."""
        del next_poll
        self.world.mortality.pause()
        ends_at = self.world.ends_at[self.activity_id]
        if ends_at > self.world.clock.now():
            await hold.wait(30)
        self.world.mortality.pause()
        result = {"status": "Succeeded", "assessmentActivityId": self.activity_id}
        return OperationEnd(parse_result(result), None, ends_at)


def new_worker(world: World) -> Assessor:
    """Returns the app in a fresh process: nothing is left of the one that died."""
    ids = AssessmentIdGenerator()
    telemetry = Telemetry(TracerProvider(id_generator=ids).get_tracer("test"), ids)
    return Assessor(
        steps=Steps(
            arm=world,
            gate=RateLimiter(60),
            poll_limiter=RateLimiter(4500),
            durations=Durations(MemoryPosture(), 660),
            telemetry=telemetry,
            clock=world.clock,
            random=Random(1),
            new_hold=lambda: Hold(20, lambda: 0.0, asyncio.Event()),
            deadline=timedelta(minutes=120),
        ),
        bus=world,
        alerts=world,
        durations=Durations(MemoryPosture(), 660),
        scans=FakeScans(),
        telemetry=telemetry,
        clock=world.clock,
        random=Random(1),
        entities=ENTITIES,
        allowed_scopes=(),
    )


async def run(world: World) -> int:
    """Delivers messages until none is left; returns how often a worker died."""
    worker, deaths = new_worker(world), 0
    while world.queue:
        queued = heapq.heappop(world.queue)
        world.clock.advance(max(0.0, (queued.due - world.clock.now()).total_seconds()))
        try:
            if queued.entity == ENTITIES.requests_queue:
                await worker.take_request(incoming(queued))
            else:
                await worker.take_on(from_body(queued.message.body))
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
    return Queued(now, -1, ENTITIES.requests_queue, message, now)


async def way(at: int | None, *vms: VirtualMachineId) -> tuple[World, int]:
    """Runs the way of a request in a new world, and lets the worker die at that pause."""
    clock = FakeClock()
    world = World(clock, Mortality(at))
    world.queue.append(request(clock.now(), *vms))
    return world, await run(world)


async def test_a_request_has_one_outcome_wherever_its_worker_dies() -> None:
    """At every pause: one outcome, its alerts told, one begin."""
    untouched, _ = await way(None, VM)
    pauses = untouched.mortality.passed
    assert pauses > 50  # read, begin, about twenty looks and hand-overs, publish, alert

    for at in range(1, pauses + 1):
        world, deaths = await way(at, VM)

        assert deaths == 1, f"nobody died at pause {at}"
        assert len(world.outcomes) == 1, f"died at pause {at}"
        assert set(world.alerted) == set(world.outcomes), f"died at pause {at}"
        assert len(world.posts) == 1, f"begun twice after a death at pause {at}"


async def test_each_vm_of_a_request_has_one_outcome_wherever_its_worker_dies() -> None:
    """The request is split on the way; a death in the middle of that loses and doubles nothing."""
    other = VirtualMachineId(VM.subscription_id, VM.resource_group, "vm-2")
    untouched, _ = await way(None, VM, other)

    for at in range(1, untouched.mortality.passed + 1):
        world, deaths = await way(at, VM, other)

        assert deaths == 1
        assert len(world.outcomes) == 2, f"died at pause {at}"
        assert sorted(world.posts) == [VM.key, other.key], f"died at pause {at}"
