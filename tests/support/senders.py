"""Several senders before one app: whole ways of their messages, on the bus's twin in memory."""

import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from assessor.app import build_app
from assessor.arm.operation import Begun, Ended, Running
from assessor.arm.result import parse_result
from assessor.arm.virtual_machine import PatchSummary, VirtualMachine
from assessor.bus.message import OutgoingMessage
from assessor.messages.in_progress import parse_in_progress
from assessor.messages.request import IncomingMessage
from assessor.posture.store import MemoryPosture
from assessor.resource_id import VirtualMachineId
from assessor.scans.store import MemoryScans
from tests.support.app import ports, settings
from tests.support.fakes import FakeClock
from tests.support.memory_bus import MemoryBus
from tests.support.scan_world import FakeFleet, vms

REQUESTS, IN_PROGRESS, RESULTS = "requests", "in-progress", "results"
ASSESSMENT_SECONDS: Final = 60.0
_STEPS: Final = 10_000


class AnsweringArm:
    """An ARM whose VMs run, and whose assessments take a minute each."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.begun: list[tuple[VirtualMachineId, str]] = []
        self._started: dict[str, datetime] = {}

    async def read(self, vm_id: VirtualMachineId) -> VirtualMachine:
        """Shows the VM with its last assessment."""
        own = [name for vm, name in self.begun if vm == vm_id]
        summary = None
        if own:
            started = self._started[own[-1]]
            summary = PatchSummary(
                {
                    "status": "Succeeded" if self._is_over(own[-1]) else "InProgress",
                    "assessmentActivityId": own[-1],
                    "startTime": started.isoformat(),
                }
            )
        return VirtualMachine(
            vm_id,
            location="eastus",
            power_state="running",
            agent_state="Ready",
            last_assessment=summary,
        )

    async def begin(self, vm_id: VirtualMachineId, client_request_id: str) -> Begun:
        """Begins an assessment; its name stands for its token too."""
        del client_request_id
        name = str(uuid.uuid5(uuid.NAMESPACE_OID, f"operation {len(self.begun)}"))
        self.begun.append((vm_id, name))
        self._started[name] = self._clock.now()
        return Begun(name, name, ASSESSMENT_SECONDS, {}, None)

    def continuation_token(self, vm: VirtualMachine, activity_id: str) -> str:
        """Returns what an operation is found by."""
        del vm
        return activity_id

    async def poll(self, vm_id: VirtualMachineId, token: str, activity_id: str) -> Running | Ended:
        """Shows how far the operation is."""
        del vm_id, activity_id
        if not self._is_over(token):
            return Running(ASSESSMENT_SECONDS)
        result = {"status": "Succeeded", "assessmentActivityId": token, "availablePatches": []}
        return Ended(parse_result(result), None, None)

    def _is_over(self, name: str) -> bool:
        age = (self._clock.now() - self._started[name]).total_seconds()
        return age >= ASSESSMENT_SECONDS


class Senders:
    """The app, and whoever sends to its queues."""

    def __init__(self, fleet: int = 0, **named: str) -> None:
        """Starts with a fleet of that many VMs; `named` are settings."""
        self.clock = FakeClock()
        self.bus = MemoryBus(now=self.clock.now)
        self.arm = AnsweringArm(self.clock)
        self.scans = MemoryScans()
        self.app = build_app(
            settings(**named),
            ports(
                clock=self.clock,
                bus=self.bus,
                arm=self.arm,
                lister=FakeFleet(vms(fleet), 100),
                postures=MemoryPosture(),
                scans=self.scans,
            ),
        )
        self._done: set[tuple[str, int]] = set()

    async def send(self, message_id: str, body: object, queue: str = REQUESTS) -> None:
        """Sends a message, as whoever has the right to send to that queue may."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        message = OutgoingMessage(data, message_id, "", "application/json")
        await self.bus.send(queue, [message])

    async def run(self, until: datetime | None = None) -> None:
        """Delivers each message once, at its time, until none is left or it is that late."""
        for _ in range(_STEPS):
            waiting = [
                (message.enqueue_at or self.clock.now(), queue, place, message)
                for queue in (REQUESTS, IN_PROGRESS)
                for place, message in enumerate(self.bus.sent.get(queue, []))
                if (queue, place) not in self._done
            ]
            if not waiting:
                return
            due, queue, place, message = min(waiting, key=lambda each: each[:3])
            if until is not None and due > until:
                self.clock.advance(max(0.0, (until - self.clock.now()).total_seconds()))
                return
            self.clock.advance(max(0.0, (due - self.clock.now()).total_seconds()))
            self._done.add((queue, place))
            await self._deliver(queue, message)
        raise AssertionError("the messages do not come to an end")

    async def _deliver(self, queue: str, message: OutgoingMessage) -> None:
        now = self.clock.now()
        if queue == IN_PROGRESS:
            await self.app.resume(parse_in_progress(message.body), now)
            return
        await self.app.requests.receive(
            IncomingMessage(message.body, message.message_id, message.content_type, {}, now)
        )

    def told(self, kind: str = "") -> list[Mapping[str, Any]]:
        """Returns the events on the results topic, of one type or of all."""
        events = [json.loads(each.body) for each in self.bus.sent.get(RESULTS, [])]
        return [each for each in events if kind in each["type"]]
