"""A fleet with every kind of trouble, run through the whole app over two nights.

The app is `build_app`'s, with the telemetry pipeline and the Azure Monitor exporters of a worker;
ARM is scripted for each VM, the bus, the postures and the scans are the twins in memory. The clock
is moved on to each message's time and ends now, so that what the queries ask of the last hour is of
the last hour.
"""

import json
import logging
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from assessor.app import App, build_app
from assessor.arm.errors import ArmError, Phase
from assessor.arm.listing import ListedVm, Page
from assessor.arm.operation import Begun, Ended, Running
from assessor.arm.result import ApiError, parse_result
from assessor.arm.virtual_machine import VirtualMachine
from assessor.bus.message import OutgoingMessage
from assessor.clock import to_text
from assessor.events.event import read_event
from assessor.messages.in_progress import parse_in_progress
from assessor.messages.request import IncomingMessage
from assessor.resource_id import Scope, VirtualMachineId
from assessor.telemetry.attributes import (
    AZURE_PROVIDER,
    AZURE_REQUEST_ID,
    CLOUD_ACCOUNT,
    HTTP_METHOD,
    HTTP_RETRY_AFTER,
    HTTP_STATUS,
    SERVER_ADDRESS,
    SERVER_PORT,
)
from assessor.telemetry.context import Call, Delivery
from assessor.telemetry.setup import METRICS_EVERY_MS, TelemetryPipeline
from assessor.telemetry.telemetry import Telemetry
from tests.support.app import ports, settings
from tests.support.assessments import patch
from tests.support.fakes import FakeBus, FakeClock
from tests.support.told_stores import ask_for_token, told_postures, told_scans

SUBSCRIPTION: Final = "00000000-0000-0000-0000-000000000001"
SCOPE: Final = f"/subscriptions/{SUBSCRIPTION}"
_GROUP: Final = f"{SCOPE}/resourceGroups/fleet/providers/Microsoft.Compute/virtualMachines"
_POLICY: Final = "Microsoft.Compute/UpdateVM3Min"


class WorkerKilledError(BaseException):
    """The worker is gone, in the middle of something."""


class BugError(Exception):
    """What nobody foresaw."""


@dataclass(frozen=True)
class Night:
    """What a VM's assessment of one night comes to.

    Attributes:
        result: the assessment's result, but for its activity ID; None if it never ends.
        refused: what ARM answers, by what is asked: status and code.
        times: how often it does; for ever if None.
        bug: whether the first poll raises what nobody foresaw.
        power_state: the VM's.
    """

    result: Mapping[str, object] | None = None
    refused: Mapping[Phase, tuple[int, str]] = field(default_factory=dict)
    times: int | None = None
    bug: bool = False
    power_state: str = "running"


def found(critical: int = 0, *, reboot: bool = False, **fields: object) -> Night:
    """Returns a night whose assessment ends well."""
    patches = [patch(f"patch-{number}") for number in range(critical)]
    return Night(
        {
            "status": "Succeeded",
            "criticalAndSecurityPatchCount": critical,
            "otherPatchCount": 2,
            "rebootPending": reboot,
            "availablePatches": patches,
            **fields,
        }
    )


def refusal(phase: Phase, status: int, code: str, times: int | None = None) -> Night:
    """Returns a night in which ARM refuses, then answers."""
    return Night(found(1).result, {phase: (status, code)}, times)


_CUT: Final = patch("40 additional updates of classification Security reported", "Security") | {
    "patchId": "Truncated_patch_list_id"
}
FLEET: Final[Mapping[str, tuple[Night, Night]]] = {
    "grows": (found(1), found(3, reboot=True)),
    "resolves": (found(4, reboot=True), found(0)),
    "stays": (found(2, reboot=True), found(2, reboot=True)),
    "unknown": (found(1), found(5, status="Unknown")),
    "warned": (found(0), found(2, status="CompletedWithWarnings")),
    "cut": (found(0), found(45, availablePatches=[patch("a"), _CUT])),
    "no-rights": (refusal(Phase.READ, 403, "AuthorizationFailed"),) * 2,
    "not-there": (refusal(Phase.READ, 404, "ResourceNotFound"),) * 2,
    "goes": (found(7), refusal(Phase.READ, 404, "ResourceNotFound")),
    "stopped": (found(1), replace(found(0), power_state="deallocated")),
    "busy": (refusal(Phase.BEGIN, 409, "AnotherOperationInProgress", 2),) * 2,
    "throttled": (found(1), refusal(Phase.BEGIN, 429, "OperationNotAllowed")),
    "unwell": (refusal(Phase.POLL, 500, "InternalError", 3),) * 2,
    "unavailable": (refusal(Phase.BEGIN, 503, "ServiceUnavailable", 2), found(1)),
    "failed": (
        found(0),
        Night({"status": "Failed", "error": {"code": "AgentGone", "message": "a secret"}}),
    ),
    "killed": (found(1), found(2)),
    "twice": (found(0), found(6)),
    "odd": (found(1), replace(found(1), bug=True)),
    "renamed": (found(1), found(1, assessmentActivityId="68f8b292-dfc2-4646-9781-33cc88631968")),
}


def vm_id(name: str) -> VirtualMachineId:
    """Returns the ID of the VM of that name."""
    return VirtualMachineId(SUBSCRIPTION, "fleet", name)


class FleetArm:
    """ARM as FLEET has it; tells of its calls as the SDK's pipeline does."""

    def __init__(self, clock: FakeClock) -> None:
        self.telemetry: Telemetry | None = None
        self.night = 0
        self.calls: Counter[tuple[str, int]] = Counter()
        self._clock = clock
        self._refusals: Counter[tuple[str, int]] = Counter()
        self._polls: Counter[str] = Counter()

    async def read(self, vm_id: VirtualMachineId) -> VirtualMachine:
        """Reads the VM."""
        night = self._answer(vm_id, Phase.READ, "GET virtualMachines", 200)
        return VirtualMachine(
            vm_id,
            location="westeurope",
            os_type="Linux",
            power_state=night.power_state,
            agent_state="Ready",
        )

    async def begin(self, vm_id: VirtualMachineId, client_request_id: str) -> Begun:
        """Begins an assessment, whose ID follows from the VM and the night."""
        del client_request_id
        self._answer(vm_id, Phase.BEGIN, "POST virtualMachines/assessPatches", 202)
        activity = uuid.uuid5(uuid.NAMESPACE_URL, f"{vm_id.name}{self.night}")
        return Begun(str(uuid.UUID(int=activity.int, version=4)), "token")

    def continuation_token(self, vm: VirtualMachine, activity_id: str) -> str:
        """Nothing is adopted here: no VM names an assessment."""
        raise NotImplementedError

    async def poll(self, vm_id: VirtualMachineId, token: str, activity_id: str) -> Running | Ended:
        """Ends at the second poll."""
        del token, activity_id
        night = self._answer(vm_id, Phase.POLL, "GET locations/operations", 200)
        key = f"{vm_id.name}{self.night}"
        self._polls[key] += 1
        if night.bug and self._polls[key] == 1:
            word = "sec" + "ret"  # a stack shows the line, and not what is in it
            raise BugError(f"a {word}")
        if night.result is None or self._polls[key] == 1:
            return Running()
        activity = uuid.uuid5(uuid.NAMESPACE_URL, key)
        named = {"assessmentActivityId": str(uuid.UUID(int=activity.int, version=4))}
        started = self._clock.now() - timedelta(seconds=60 + len(vm_id.name))
        result = parse_result({**named, **night.result, "startDateTime": to_text(started)})
        return Ended(result, started, self._clock.now())

    def _answer(self, vm: VirtualMachineId, phase: Phase, call: str, status: int) -> Night:
        night = self._night(vm.name)
        refused = night.refused.get(phase)
        key = (vm.name, self.night)
        if refused is not None and (night.times is None or self._refusals[key] < night.times):
            self._refusals[key] += 1
            self._tell(call, refused[0])
            wait = 1200.0 if refused[0] == 429 else None
            raise ArmError(phase, refused[0], ApiError(refused[1], "a secret"), retry_after=wait)
        self._tell(call, status)
        return night

    def _draw(self, *policies: str) -> None:
        assert self.telemetry is not None
        for policy in policies:
            self.telemetry.metrics.drew(policy, SUBSCRIPTION, 100)

    def _night(self, name: str) -> Night:
        return FLEET[name][self.night]

    def _tell(self, call: str, status: int) -> None:
        assert self.telemetry is not None
        self.calls[call, status] += 1
        at = int(self._clock.now().timestamp() * 1e9)
        self._draw(_POLICY)
        attributes: dict[str, Any] = {
            HTTP_METHOD: call.partition(" ")[0],
            HTTP_STATUS: status,
            SERVER_ADDRESS: "management.azure.com",
            SERVER_PORT: 443,
            AZURE_PROVIDER: "Microsoft.Compute",
            AZURE_REQUEST_ID: str(uuid.uuid5(uuid.NAMESPACE_URL, f"{at}")),
            CLOUD_ACCOUNT: SUBSCRIPTION,
        }
        if status == 429:
            attributes[HTTP_RETRY_AFTER] = ["1200"]
            self.telemetry.metrics.throttled(_POLICY)
        failed = status in {403, 500, 503}
        self.telemetry.called(
            Call(call, at, at, attributes, str(status) if failed else None, begins=status == 202)
        )


class FleetList:
    """The list of the fleet."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names

    async def page(self, scope: Scope, link: str | None) -> Page:
        """Returns the one page."""
        del scope, link
        return Page(tuple(ListedVm(vm_id(name), "westeurope") for name in self._names))

    async def power_page(self, scope: Scope, link: str | None) -> Page:
        """Returns the same."""
        return await self.page(scope, link)


class TimedBus(FakeBus):
    """The bus in memory, which knows when it took what, and kills a worker by script."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.taken_at: dict[str, datetime] = {}
        self.kills_after: Callable[[OutgoingMessage], bool] = lambda _: False
        self._clock = clock

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        """Takes the messages; a worker may be killed right after."""
        await super().send(entity, messages)
        for message in messages:
            self.taken_at.setdefault(message.message_id, self._clock.now())
            if self.kills_after(message):
                self.kills_after = lambda _: False
                raise WorkerKilledError


@dataclass
class Nights:
    """What two nights left behind.

    Attributes:
        bus: what was published, and when.
        arm: what was called.
        gone: VMs that an event told to be gone.
        gone_at: when it did.
    """

    bus: TimedBus
    arm: FleetArm
    gone: set[str]
    gone_at: datetime

    def results(self) -> Iterator[tuple[datetime, Mapping[str, Any]]]:
        """Yields the events of the results topic, each with when the bus took it."""
        return self._events("results")

    def alerts(self) -> Iterator[tuple[datetime, Mapping[str, Any]]]:
        """Yields those of the alerts topic."""
        return self._events("alerts")

    def _events(self, topic: str) -> Iterator[tuple[datetime, Mapping[str, Any]]]:
        for message in self.bus.sent.get(topic, []):
            yield self.bus.taken_at[message.message_id], json.loads(message.body)


class Host:
    """Hands each message to the app when its time has come, and again if the worker dies."""

    def __init__(
        self,
        pipeline: TelemetryPipeline,
        clock: FakeClock,
        arm: FleetArm | None = None,
        names: Collection[str] = FLEET,
    ) -> None:
        self.clock = clock
        self.bus = TimedBus(clock)
        self.arm = arm or FleetArm(clock)
        self.tick: Callable[[], Awaitable[object]] | None = None
        self._names = names
        self.arm.telemetry = pipeline.telemetry
        self._telemetry = pipeline.telemetry
        self._postures = told_postures(pipeline.telemetry)
        self._scans = told_scans(pipeline.telemetry)
        self._done: set[tuple[str, int]] = set()
        self._deliveries: Counter[tuple[str, int]] = Counter()
        self.app = self._new_app()

    async def run(self) -> None:
        """Works until no message is left."""
        while (next_one := self._next()) is not None:
            due, queue, index = next_one
            if due > self.clock.now():
                await self._wait_until(due)
            message = self.bus.sent[queue][index]
            self._deliveries[queue, index] += 1
            try:
                await self._handle(queue, message, self._deliveries[queue, index])
            except WorkerKilledError:
                self.app = self._new_app()  # and the message comes again
            else:
                self._done.add((queue, index))

    async def _wait_until(self, due: datetime) -> None:
        """Moves the clock on, with a tick each METRICS_EVERY_MS where anybody wants one."""
        step = METRICS_EVERY_MS / 1_000
        while (left := (due - self.clock.now()).total_seconds()) > 0:
            self.clock.advance(left if self.tick is None else min(step, left))
            if self.tick is not None:
                await self.tick()

    def _next(self) -> tuple[datetime, str, int] | None:
        waiting = (
            (message.enqueue_at or self.bus.taken_at[message.message_id], queue, index)
            for queue in ("requests", "in-progress")
            for index, message in enumerate(self.bus.sent.get(queue, []))
            if (queue, index) not in self._done
        )
        return min(waiting, default=None)

    async def _handle(self, queue: str, message: OutgoingMessage, deliveries: int) -> None:
        if queue == "requests":
            await self.ask(message.body, message.message_id)
        else:
            delivery = Delivery(queue, message.message_id, delivery_count=deliveries)
            await self.app.resume(parse_in_progress(message.body), delivery=delivery)

    async def ask(self, body: bytes, message_id: str) -> None:
        """Hands one message of the requests queue over."""
        await self.app.requests.receive(
            IncomingMessage(body, message_id, "application/json", {}, self.clock.now())
        )

    async def start(self) -> None:
        """Gets the token that a worker's first call of ARM needs."""
        await ask_for_token(self._telemetry)

    def _new_app(self) -> App:
        return build_app(
            settings(SCAN_SCOPES=SCOPE, SCAN_SCHEDULE="0 0 * * * *"),
            ports(
                clock=self.clock,
                bus=self.bus,
                arm=self.arm,
                lister=FleetList(self._names),
                postures=self._postures,
                scans=self._scans,
                telemetry=self._telemetry,
            ),
        )


async def two_nights(pipeline: TelemetryPipeline) -> Nights:
    """Runs the fleet through two scans, and what else comes in the last hour.

    Between the nights a VM goes; in the second a worker is killed right after an outcome is on the
    topic, and the alerts topic refuses once.
    """
    now = datetime.now(UTC)
    clock = FakeClock(now - timedelta(hours=30))
    host = Host(pipeline, clock)
    with stamped_by(clock):
        await host.start()
        await host.app.schedule.fire()
        await host.run()

        host.arm.night = 1
        clock.advance((now - timedelta(hours=2, minutes=30) - clock.now()).total_seconds())
        gone, gone_at = f"{_GROUP}/goes", clock.now()
        await host.app.events.receive(read_event(json.dumps(_deleted(gone, clock.now()))))

        clock.advance(60)
        host.bus.kills_after = lambda message: (
            message.application_properties.get("type") == "PatchAssessor.AssessmentCompleted"
            and message.application_properties.get("vmName") == "killed"
        )
        refusals = iter([True])
        host.bus.refuse = lambda entity: entity == "alerts" and next(refusals, False)
        await host.app.schedule.fire()
        await host.run()

        clock.advance((datetime.now(UTC) - clock.now()).total_seconds())
        for number in range(7):
            await host.ask(b'{"vmId": "nonsense"}', f"nonsense-{number}")
        await host.app.events.receive(read_event('{"id": "e-1", "eventType": 5}'))
    return Nights(host.bus, host.arm, {gone.lower()}, gone_at)


def _deleted(vm: str, at: datetime) -> dict[str, object]:
    return {
        "id": "deleted-1",
        "topic": SCOPE,
        "subject": vm,
        "eventType": "Microsoft.Resources.ResourceDeleteSuccess",
        "eventTime": at.isoformat(),
        "dataVersion": "2",
        "metadataVersion": "1",
        "data": {
            "resourceUri": vm,
            "operationName": "Microsoft.Compute/virtualMachines/delete",
            "status": "Succeeded",
            "resourceProvider": "Microsoft.Compute",
        },
    }


@contextmanager
def stamped_by(clock: FakeClock) -> Iterator[None]:
    """Gives log records the clock's time, as the machine's clock would."""
    make = logging.getLogRecordFactory()

    def stamped(*arguments: Any, **options: Any) -> logging.LogRecord:  # noqa: ANN401 - passed on
        record = make(*arguments, **options)
        record.created = clock.now().timestamp()
        return record

    logging.setLogRecordFactory(stamped)
    try:
        yield
    finally:
        logging.setLogRecordFactory(make)
