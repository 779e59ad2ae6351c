"""A local cloud to break: what fault tests do to it, and what they read off it afterwards.

Everything is read where it can't be argued away: outcomes from the topic's own subscription, what
was asked of ARM from ARM, what waits from the bus. Waiting is always for a condition with a
description; the bound is there for a test that fails, and never decides one that passes.
"""

import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import aiohttp
from azure.servicebus import (
    ServiceBusMessage,
    ServiceBusReceivedMessage,
    ServiceBusReceiveMode,
    ServiceBusSubQueue,
)
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.amqp import AmqpAnnotatedMessage

from assessor.bus.message import OutgoingMessage
from assessor.bus.servicebus import tls_context
from assessor.messages.request import identity_of, name_based_id
from assessor.resource_id import VirtualMachineId
from infra.package import shipped_files
from localcloud.cloud import CloudOptions, LocalCloud
from localcloud.control import Control, Counts
from localcloud.processes import Part
from tests.support.schemas import assert_received
from tests.support.waiting import BOUND_SECONDS, eventually

REQUESTS: Final = "assessment-requests"
IN_PROGRESS: Final = "assessments-in-progress"
RESULTS: Final = "assessment-results"
OUTCOMES: Final = f"{RESULTS}/Subscriptions/all"
SUBSCRIPTIONS: Final = (
    "11111111-2222-4333-8444-555555555555",
    "66666666-7777-4888-8999-aaaaaaaaaaaa",
)
LOCK: Final = "PT5S"
"""The shortest lock that the bus has: what a dead worker held comes back after it."""
TIME_SCALE: Final = 60.0
OFTEN: Final = {"ASSESS_EXPECTED_MINUTES": "0.02"}
"""Has each operation looked at about every second, so that there is much that can be broken."""

_ROOT: Final = Path(__file__).parents[2]
_PEEKED: Final = 250
_REGIONS: Final = ("eastus", "westeurope")
_BEHAVIOURS: Final = (
    *("patches",) * 8,
    "clean",
    "reboot-only",
    "counts-only",
    "warnings",
    "unknown",
    "odd",
    "result-failed",
    "operation-failed",
    "deallocated",
    "no-agent",
)
"""What the VMs of a fleet do: mostly what most VMs do, and each of the others now and then."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request for one VM."""

    request_id: str
    vm_id: str

    @property
    def client_request_id(self) -> str:
        """What each POST that is made for this request carries to ARM."""
        key = VirtualMachineId.parse(self.vm_id).key
        return name_based_id("client-request", identity_of(self.request_id), key)

    def message(self) -> ServiceBusMessage:
        """Returns the message that asks."""
        body = json.dumps({"vmId": self.vm_id, "requestId": self.request_id})
        return ServiceBusMessage(body, message_id=self.request_id, content_type="application/json")


@dataclass(frozen=True, slots=True)
class Post:
    """One assessPatches call, as ARM saw it.

    Attributes:
        vm_id: the VM.
        status: what was answered; 0 for a connection that was broken on purpose.
        activity_id: the assessment that it began, even when the answer never left; else None.
        client_request_id: tells the request that it was made for.
    """

    vm_id: str
    status: int
    activity_id: str | None
    client_request_id: str | None


@dataclass(frozen=True, slots=True)
class Published:
    """An outcome, as a subscriber gets it."""

    message_id: str
    request_id: str
    vm_id: str
    type: str
    data: Mapping[str, Any]

    @property
    def error_code(self) -> str | None:
        """The error's code, where there is an error."""
        error = self.data.get("error")
        return str(error["code"]) if error else None


def vm_id(index: int) -> str:
    """Returns the ID of a fleet's VM."""
    return (
        f"/subscriptions/{SUBSCRIPTIONS[index % len(SUBSCRIPTIONS)]}/resourceGroups/rg-fault"
        f"/providers/Microsoft.Compute/virtualMachines/vm-{index:04d}"
    )


def vm(index: int, *, seconds: float = 4.0, **fields: object) -> dict[str, object]:
    """Returns a VM of a scenario whose assessment takes so many seconds of the test's time."""
    return {
        "id": vm_id(index),
        "location": _REGIONS[index // len(SUBSCRIPTIONS) % len(_REGIONS)],
        "behaviour": "patches",
        "durationSeconds": seconds * TIME_SCALE,
        **fields,
    }


def fleet(vms: int, random: Random) -> list[dict[str, object]]:
    """Returns VMs of all kinds, whose assessments take 2 to 6 seconds."""
    return [
        vm(index, seconds=random.uniform(2.0, 6.0), behaviour=random.choice(_BEHAVIOURS))
        for index in range(vms)
    ]


class Harness:
    """A running local cloud and all that a test does to it."""

    def __init__(
        self, cloud: LocalCloud, http: aiohttp.ClientSession, client: ServiceBusClient
    ) -> None:
        """Keeps what it talks to.

        Args:
            cloud: the local cloud.
            http: carries what goes to the control surfaces.
            client: the SDK's client of the bus.
        """
        self.cloud = cloud
        self.http = http
        self._control = Control(http, cloud.control_addresses)
        self._client = client
        self._outcomes_before = 0
        self._posts_before = 0

    async def look_from_now_on(self) -> None:
        """Passes over the outcomes and the assessPatches calls that there are already."""
        self._outcomes_before = (await self.counts(OUTCOMES)).total
        self._posts_before = len((await self.calls())["assessPosts"])

    # What the test does to it.

    async def ask(self, requests: Sequence[Request]) -> None:
        """Sends the requests."""
        await self.send(REQUESTS, [request.message() for request in requests])

    async def send(
        self, queue: str, messages: Sequence[ServiceBusMessage | AmqpAnnotatedMessage]
    ) -> None:
        """Sends messages to a queue."""
        async with self._client.get_queue_sender(queue) as sender:
            for start in range(0, len(messages), 100):
                # Of one kind, as the client has it; a caller never mixes them.
                part: list[Any] = list(messages[start : start + 100])
                await sender.send_messages(part)

    async def break_arm(self, *rules: Mapping[str, object]) -> None:
        """Adds fault rules to ARM."""
        await self._control.break_arm(*rules)

    async def mend_arm(self) -> None:
        """Ends ARM's faults."""
        await self._control.mend_arm()

    async def break_bus(self, **fault: object) -> None:
        """Lets operations on an entity of the bus fail."""
        await self._control.ask_bus("/faults", **fault)

    async def mend_bus(self) -> None:
        """Ends the bus's faults."""
        await self._control.mend_bus()

    async def bus_control(self, path: str, **body: object) -> Any:  # noqa: ANN401 - any JSON
        """Uses another of the bus's controls."""
        return await self._control.ask_bus(path, **body)

    async def change_vm(self, vm_id: str, **change: object) -> None:
        """Changes a VM."""
        await self._control.change_vm(vm_id, change)

    async def kill_worker(self, host: Part) -> bool:
        """Ends a host's worker at once; the host starts another. Returns whether there was one."""
        pid = (await self.host_status(host))["workerPid"]
        return pid is not None and _kill(int(pid))

    async def kill_host(self, host: Part) -> None:
        """Ends a host and its worker at once, as a machine that loses power does."""
        pid = (await self.host_status(host))["workerPid"]
        if pid is not None:
            _kill(int(pid))
        await self.cloud.kill_host(host)

    # What the test reads off it.

    async def host_status(self, host: Part) -> Mapping[str, Any]:
        """Returns what the host says of itself."""
        return await self._control.host_status(str(host.ready["controlUrl"]))

    async def counts(self, entity: str) -> Counts:
        """Returns how many messages of a queue or subscription are where."""
        return (await self._control.counts())[entity]

    async def left(self) -> int:
        """Returns how many messages the app has still to work on."""
        return sum([(await self.counts(queue)).left for queue in (REQUESTS, IN_PROGRESS)])

    async def calls(self) -> Mapping[str, Any]:
        """Returns what ARM counted."""
        return await self._control.calls()

    async def posts(self) -> list[Post]:
        """Returns every assessPatches call, in its order."""
        return [
            Post(each["vmId"], each["status"], each["activityId"], each["clientRequestId"])
            for each in (await self.calls())["assessPosts"][self._posts_before :]
        ]

    async def faults_used(self) -> list[int]:
        """Returns how often each of ARM's fault rules was used."""
        return await self._control.faults_used()

    async def vms(self) -> Mapping[str, Mapping[str, Any]]:
        """Returns what ARM knows of its VMs, by resource ID."""
        return {each["id"]: each for each in await self._control.vms()}

    async def outcomes(self) -> list[Published]:
        """Returns the outcomes that have arrived, leaving them there."""
        async with self._client.get_subscription_receiver(RESULTS, "all") as receiver:
            arrived = await _peek_all(receiver)
        return [_published(message) for message in arrived[self._outcomes_before :]]

    async def arrived(self) -> int:
        """Returns how many outcomes have arrived."""
        return (await self.counts(OUTCOMES)).total - self._outcomes_before

    async def waiting(self) -> list[ServiceBusReceivedMessage]:
        """Returns what waits in the in-progress queue, scheduled messages included."""
        async with self._client.get_queue_receiver(IN_PROGRESS) as receiver:
            return await _peek_all(receiver)

    # What the test waits for.

    async def take_dead_letter(self, queue: str) -> ServiceBusReceivedMessage:
        """Takes the one dead letter of a queue away from there, once it is there."""

        async def is_there() -> bool:
            return (await self.counts(queue)).dead_letter == 1

        await self.until(is_there, f"one dead letter of {queue}")
        async with self._client.get_queue_receiver(
            queue,
            sub_queue=ServiceBusSubQueue.DEAD_LETTER,
            receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE,
        ) as receiver:
            (letter,) = await receiver.receive_messages(1)
        return letter

    async def until(
        self, condition: Callable[[], Awaitable[bool]], what: str, within: float = BOUND_SECONDS
    ) -> None:
        """Waits until a condition holds; fails with its description where it never does."""
        await self.cloud.guard(eventually(condition, what, within))

    async def until_outcomes(self, outcomes: int) -> None:
        """Waits until so many outcomes have arrived, whatever else is left to be done."""

        async def arrived() -> bool:
            return await self.arrived() >= outcomes

        await self.until(arrived, f"{outcomes} outcomes")

    async def until_told(self, outcomes: int, within: float = BOUND_SECONDS) -> None:
        """Waits until so many outcomes have arrived and nothing is left to be worked on."""
        what = f"{outcomes} outcomes and nothing left in the queues"
        await self.until(lambda: self.is_told(outcomes), what, within)

    async def is_told(self, outcomes: int) -> bool:
        """Returns whether so many outcomes have arrived and nothing is left to be worked on."""
        return await self.arrived() >= outcomes and await self.left() == 0

    async def until_calls(self, total: int, or_told: int) -> bool:
        """Waits until ARM was called so often; returns whether there is still work to disturb."""
        busy = True

        async def reached() -> bool:
            nonlocal busy
            busy = await self.arrived() < or_told
            return not busy or (await self.calls())["total"] >= total

        await self.until(reached, f"{total} calls of ARM, or {or_told} outcomes")
        return busy


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run.

    Attributes:
        vms: the VMs, as a scenario states them.
        recorded: whether the two recorded VMs are there besides.
        hosts: how many hosts run the app.
        calls: how many messages of each queue one host works on at the same time; few, so that a
            small load spreads over all hosts.
        lock: the bus's LockDuration.
        seed: draws which calls ARM's random faults hit.
        tables: whether there are tables; without them each worker keeps what it knows to itself.
        settings: more app settings.
    """

    vms: Sequence[Mapping[str, object]]
    recorded: bool = False
    hosts: int = 1
    calls: int = 8
    lock: str = LOCK
    seed: int = 1
    tables: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)


@asynccontextmanager
async def running(directory: Path, plan: Plan) -> AsyncIterator[Harness]:
    """Runs the app on a local cloud of its own; logs, entities and fleet go to `directory`."""
    scenario = directory / "fleet.json"
    recorded = {"fleet": {"vms": 0}} if plan.recorded else {}
    scenario.write_text(json.dumps({"vms": list(plan.vms), **recorded}))
    options = CloudOptions(
        logs=directory / "logs",
        app=app_with_calls(directory, plan.calls),
        entities=_entities(directory, plan),
        scenario=scenario,
        seed=plan.seed,
        time_scale=TIME_SCALE,
        hosts=plan.hosts,
        tables=plan.tables,
        settings={**OFTEN, **plan.settings},
    )
    async with (
        LocalCloud(options) as cloud,
        aiohttp.ClientSession() as http,
        ServiceBusClient.from_connection_string(
            cloud.connection_string, ssl_context=tls_context()
        ) as client,
    ):
        yield Harness(cloud, http, client)


def body_of(message: ServiceBusReceivedMessage) -> bytes:
    """Returns a received message's bytes."""
    return b"".join(message.body)


def to_sdk(message: OutgoingMessage) -> ServiceBusMessage:
    """Returns a message of the app as the SDK sends it, to appear at once."""
    return ServiceBusMessage(
        message.body, message_id=message.message_id, content_type=message.content_type
    )


def app_with_calls(directory: Path, calls: int) -> Path:
    """Lays out the app in a directory with another concurrency in its host.json; returns where.

    A host connects once for each call at a time, which takes longer than few calls do.
    """
    app = directory / "app"
    app.mkdir()
    for part in {path.parts[0] for path in shipped_files(_ROOT)} - {"host.json"}:
        (app / part).symlink_to(_ROOT / part)  # compiled once, not by each worker of each test
    config = json.loads((_ROOT / "host.json").read_text())
    config["extensions"]["serviceBus"]["maxConcurrentCalls"] = calls
    (app / "host.json").write_text(json.dumps(config))
    return app


def _entities(directory: Path, plan: Plan) -> Path:
    """Writes the real list of entities, with other locks, and returns the file.

    What is published is kept as long as in Azure, for it is read at the end: the list is the
    emulator's, which keeps a message for an hour at the most.
    """
    config = json.loads((_ROOT / "infra" / "servicebus.json").read_text())
    for namespace in config["UserConfig"]["Namespaces"]:
        for queue in namespace["Queues"]:
            queue["Properties"]["LockDuration"] = plan.lock
        for topic in namespace["Topics"]:
            for each in (topic, *topic["Subscriptions"]):
                each["Properties"]["DefaultMessageTimeToLive"] = "P14D"
    path = directory / "servicebus.json"
    path.write_text(json.dumps(config))
    return path


async def _peek_all(receiver: ServiceBusReceiver) -> list[ServiceBusReceivedMessage]:
    found: list[ServiceBusReceivedMessage] = []
    start = 0
    while batch := await receiver.peek_messages(_PEEKED, sequence_number=start):
        found += batch
        start = (batch[-1].sequence_number or start) + 1
    return found


def _published(message: ServiceBusReceivedMessage) -> Published:
    event = assert_received(message)
    return Published(
        message_id=message.message_id or "",
        request_id=message.correlation_id or "",
        vm_id=event.get("subject", ""),
        type=event["type"].removeprefix("PatchAssessor."),
        data=event["data"],
    )


def _kill(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False
