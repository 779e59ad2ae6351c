"""A simulated world: a fleet, ARM, a bus and workers, and the requests that run through it."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from random import Random
from typing import Final

from assessor.bus.message import OutgoingMessage
from assessor.posture.store import MemoryPosture
from assessor.scans.pace import Pace
from assessor.scans.store import MemoryScans
from assessor.settings import Settings, read_settings
from localcloud.arm.buckets import DOCUMENTED, FRONT_DOOR, Buckets
from localcloud.arm.cloud import Cloud
from localcloud.arm.model import Vm
from tests.simulation.arm import SimulatedArm
from tests.simulation.bus import SimulatedBus, Traffic
from tests.simulation.clock import SimulatedClock
from tests.simulation.endpoint import ArmCalls, Endpoint
from tests.simulation.fleet import DrawnDurations, FleetSpec, make_vms, subscription_id
from tests.simulation.listing import SimulatedFleet, vm_id_of
from tests.simulation.rounds import Listener, Round
from tests.simulation.workers import Surroundings, Worker

WORKERS: Final = 4


class World:
    """Everything that is simulated; lives in a virtual loop. Made by `open_world`."""

    def __init__(self, spec: FleetSpec, clock: SimulatedClock, settings: Settings) -> None:
        """Makes the fleet and what is around it; starts no worker.

        Args:
            spec: what fleet.
            clock: tells the time.
            settings: the app's.
        """
        self.vms: Sequence[Vm] = make_vms(spec)
        self._spec = spec
        self._clock = clock
        self._settings = settings
        ids = _random(spec, "ids")
        self._cloud = Cloud(
            self.vms,
            clock=clock.ticks,
            new_id=lambda: str(uuid.UUID(int=ids.getrandbits(128), version=4)),
        )
        self._listener = Listener(self._cloud, clock.seconds)
        self._endpoint = Endpoint(
            Buckets(DOCUMENTED, clock.ticks, enforce=True),
            Buckets(FRONT_DOOR, clock.ticks, enforce=True),
            clock,
            _random(spec, "ARM"),
        )
        self._bus = SimulatedBus(
            clock,
            _random(spec, "bus"),
            (settings.requests_queue, settings.in_progress_queue),
            {settings.results_topic: self._listener.take, settings.alerts_topic: lambda _: None},
        )
        self._around = Surroundings(
            settings=settings,
            arm=SimulatedArm(
                self._cloud, self._endpoint, DrawnDurations(spec.seed, spec.within), clock
            ),
            fleet=SimulatedFleet(self._cloud, self._endpoint),
            bus=self._bus,
            clock=clock,
            postures=MemoryPosture(),
            accounts=MemoryScans(),
        )

    def workers(self, number: int) -> list[Worker]:
        """Returns that many workers, which share this world."""
        return [
            Worker(self._around, _random(self._spec, f"worker {index}")) for index in range(number)
        ]

    async def assess(self, request_id: str, *, paced: bool = True) -> Round:
        """Asks for each VM by a request of its own; returns what became of them.

        Args:
            request_id: the round's name, which no earlier one had.
            paced: whether the requests are released at the pace of the app's scans; else all at
                once.

        Raises:
            NotOneOutcomeError: a request had no outcome, or several.
        """
        turns = _Turns(self._clock.now(), self._settings.pace_per_minute if paced else None)
        requests = [self._request(vm, request_id, turns) for vm in self.vms]
        return await self._round(requests, self.vms)

    async def scan(self, request_id: str, alone: Sequence[Vm] = ()) -> Round:
        """Asks for each subscription by one request; returns what became of all VMs.

        Args:
            request_id: the round's name, which no earlier one had.
            alone: VMs that are asked for by requests of their own as well, ten seconds later.

        Raises:
            NotOneOutcomeError: a request had no outcome for one of its VMs, or several.
        """
        scopes = [f"/subscriptions/{subscription_id(n)}" for n in range(self._spec.subscriptions)]
        later = _Turns(self._clock.now() + timedelta(seconds=10), None)
        requests = [self._request(vm, f"{request_id} alone", later) for vm in alone]
        requests += [
            OutgoingMessage(
                json.dumps({"scope": scope, "requestId": request_id}).encode(),
                message_id=f"{request_id} {scope}",
                correlation_id=request_id,
                content_type="application/json",
            )
            for scope in scopes
        ]
        return await self._round(requests, [*self.vms, *alone])

    async def crowd(self, vm: Vm, requests: int) -> Round:
        """Asks for one VM by so many requests at once; returns what became of them.

        Raises:
            NotOneOutcomeError: a request had no outcome, or several.
        """
        at_once = _Turns(self._clock.now(), None)
        asked = [self._request(vm, f"crowd {number}", at_once) for number in range(requests)]
        return await self._round(asked, [vm] * requests)

    async def pause(self, seconds: float) -> None:
        """Lets time pass."""
        await asyncio.sleep(seconds)

    async def _round(self, requests: Sequence[OutgoingMessage], asked: Sequence[Vm]) -> Round:
        started_at = self._clock.seconds()
        calls = self._endpoint.calls = ArmCalls()
        traffic = self._bus.traffic = Traffic()
        self._bus.accept(self._settings.requests_queue, requests)
        await self._bus.drained()
        handed_over = traffic.sent.get(self._settings.in_progress_queue, 0)
        return Round(started_at, self._listener.published_of(asked), calls, traffic, handed_over)

    def _request(self, vm: Vm, request_id: str, turns: "_Turns") -> OutgoingMessage:
        at = turns.next(vm)
        return OutgoingMessage(
            json.dumps({"vmId": str(vm_id_of(vm)), "requestId": request_id}).encode(),
            message_id=f"{request_id} {vm.key}",
            correlation_id=request_id,
            content_type="application/json",
            enqueue_at=at,
        )


class _Turns:
    """When each request is released: as a scan of its subscription would, or at once."""

    def __init__(self, now: datetime, per_minute: int | None) -> None:
        self._now = now
        self._per_minute = per_minute
        self._paces: dict[str, Pace] = {}

    def next(self, vm: Vm) -> datetime:
        """Returns the next turn of the VM's subscription and region."""
        if self._per_minute is None:
            return self._now
        pace = self._paces.setdefault(vm.subscription_id, Pace(self._per_minute, {}, self._now))
        return pace.turn(vm.region.name)


@asynccontextmanager
async def open_world(spec: FleetSpec, workers: int = WORKERS) -> AsyncIterator[World]:
    """Opens a world with workers at work, under the app's default settings.

    It must be entered in a virtual loop, and ends with the first error that a handler raises.
    """
    clock = SimulatedClock(asyncio.get_running_loop().time)
    settings = read_settings({"ServiceBus__fullyQualifiedNamespace": "simulated"})
    world = World(spec, clock, settings)
    async with asyncio.TaskGroup() as tasks:
        slots = [task for each in world.workers(workers) for task in each.start(tasks)]
        yield world
        for task in slots:
            task.cancel()


def _random(spec: FleetSpec, purpose: str) -> Random:
    return Random(f"{spec.seed} {purpose}")
