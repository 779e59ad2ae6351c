"""Stand-ins for the domain's ports: they record effects in their order and answer by script."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from assessor.arm.hold import Hold
from assessor.arm.port import OperationEnd
from assessor.arm.virtual_machine import VirtualMachine
from assessor.bus.message import OutgoingMessage
from assessor.bus.port import PublishError
from assessor.messages.outcome import Outcome
from assessor.messages.request import AssessmentRequest, ScanRequest
from assessor.resource_id import VirtualMachineId
from assessor.scans.progress import ScanProgress
from tests.support.schemas import assert_published

T = TypeVar("T")


class FakeClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: datetime = datetime(2026, 1, 5, 12, tzinfo=UTC)) -> None:
        self._now = now

    def now(self) -> datetime:
        """Returns the time that was set."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Moves the clock on."""
        self._now += timedelta(seconds=seconds)


@dataclass
class FakeOperation:
    """An operation whose next look gives what the script says."""

    activity_id: str
    token: str
    arm: "FakeArm"
    remaining: Mapping[str, int] = field(default_factory=dict)

    async def follow(self, hold: Hold, next_poll: Callable[[], float]) -> OperationEnd:
        """Returns the next scripted end, or raises it; notes when the next look would be due."""
        del hold
        self.arm.due.append(next_poll())
        self.arm.effects.append(f"poll {self.activity_id}")
        return _given(self.arm.looks.pop(0))


@dataclass
class FakeArm:
    """ARM by script: what each call gives, in turn, and the calls that came."""

    reads: list[VirtualMachine | Exception] = field(default_factory=list)
    begins: list[str | Exception] = field(default_factory=list)
    looks: list[OperationEnd | Exception] = field(default_factory=list)
    effects: list[str] = field(default_factory=list)
    remaining: Mapping[str, int] = field(default_factory=dict)
    token_problem: Exception | None = None
    due: list[float] = field(default_factory=list)

    async def read(self, vm_id: VirtualMachineId) -> VirtualMachine:
        """Gives the next scripted VM."""
        self.effects.append(f"read {vm_id.name}")
        return _given(self.reads.pop(0))

    async def begin(self, vm_id: VirtualMachineId, client_request_id: str) -> FakeOperation:
        """Gives the next scripted operation."""
        del client_request_id
        self.effects.append(f"begin {vm_id.name}")
        return FakeOperation(_given(self.begins.pop(0)), "token", self, self.remaining)

    async def resume(self, vm_id: VirtualMachineId, activity_id: str, token: str) -> FakeOperation:
        """Gives the operation that was handed over."""
        del vm_id
        if self.token_problem is not None:
            raise self.token_problem
        self.effects.append(f"resume {activity_id}")
        return FakeOperation(activity_id, token, self)

    async def adopt(self, vm: VirtualMachine, activity_id: str) -> FakeOperation:
        """Gives the operation that ARM told of."""
        self.effects.append(f"adopt {vm.id.name} {activity_id}")
        return FakeOperation(activity_id, "adopted-token", self)


def _given(answer: T | Exception) -> T:
    if isinstance(answer, Exception):
        raise answer
    return answer


@dataclass
class FakeBus:
    """A bus that keeps what is sent, drops duplicates as the entities do, and may refuse."""

    effects: list[str] = field(default_factory=list)
    sent: dict[str, list[OutgoingMessage]] = field(default_factory=dict)
    refuse: Callable[[str], bool] = lambda _: False

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        """Keeps the messages, or refuses them."""
        if self.refuse(entity):
            raise PublishError(entity, "refused by the test")
        for message in messages:
            assert_published(message)
            self.effects.append(f"send {entity}")
            kept = self.sent.setdefault(entity, [])
            if all(message.message_id != each.message_id for each in kept):
                kept.append(message)


@dataclass
class FakeAlerts:
    """Keeps the outcomes whose alerts it is to publish."""

    effects: list[str] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    failure: Exception | None = None

    async def publish(self, outcome: Outcome, traceparent: str | None) -> None:
        """Keeps the outcome."""
        del traceparent
        self.effects.append("alerts")
        if self.failure is not None:
            raise self.failure
        self.outcomes.append(outcome)


@dataclass
class FakeScans:
    """Keeps the scans that it is told to begin and to go on with, and the outcomes."""

    effects: list[str] = field(default_factory=list)
    begun: list[ScanRequest] = field(default_factory=list)
    gone_on: list[ScanProgress] = field(default_factory=list)
    recorded: list[Outcome] = field(default_factory=list)
    failure: Exception | None = None

    async def begin(self, request: ScanRequest) -> None:
        """Keeps the request."""
        self.begun.append(request)

    async def go_on(self, progress: ScanProgress) -> None:
        """Keeps the progress."""
        self.gone_on.append(progress)

    async def record(self, request: AssessmentRequest, outcome: Outcome) -> None:
        """Keeps the outcome of a scan's request."""
        if request.scan_id is None:
            return
        self.effects.append("scan")
        if self.failure is not None:
            raise self.failure
        self.recorded.append(outcome)
