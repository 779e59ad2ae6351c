"""Stand-ins for the domain's ports: they record effects in their order and answer by script."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from assessor.arm.operation import Begun, Ended, Running
from assessor.arm.virtual_machine import VirtualMachine
from assessor.bus.message import OutgoingMessage, PublishError
from assessor.resource_id import VirtualMachineId
from tests.support.memory_bus import MemoryBus
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
class FakeArm:
    """ARM by script: what each call gives, in turn, and the calls that came."""

    reads: list[VirtualMachine | Exception] = field(default_factory=list)
    begins: list[str | Exception] = field(default_factory=list)
    polls: list[Running | Ended | Exception] = field(default_factory=list)
    effects: list[str] = field(default_factory=list)
    remaining: Mapping[str, int] = field(default_factory=dict)
    retry_after: float = 0.0
    """What the begin's answer asks to wait."""
    ended: Ended | None = None
    """How the operation ended that is over by the begin's answer."""

    async def read(self, vm_id: VirtualMachineId) -> VirtualMachine:
        """Gives the next scripted VM."""
        self.effects.append(f"read {vm_id.name}")
        return _given(self.reads.pop(0))

    async def begin(self, vm_id: VirtualMachineId, client_request_id: str) -> Begun:
        """Gives the next scripted operation."""
        del client_request_id
        self.effects.append(f"begin {vm_id.name}")
        activity_id = _given(self.begins.pop(0))
        return Begun(activity_id, "token", self.retry_after, self.remaining, self.ended)

    def continuation_token(self, vm: VirtualMachine, activity_id: str) -> str:
        """Gives a token that names the operation."""
        self.effects.append(f"adopt {vm.id.name} {activity_id}")
        return "adopted-token"

    async def poll(self, vm_id: VirtualMachineId, token: str, activity_id: str) -> Running | Ended:
        """Gives what the next scripted poll shows."""
        del activity_id
        self.effects.append(f"poll {vm_id.name} {token}")
        polled = self.polls.pop(0)
        if isinstance(polled, Exception):
            raise polled
        return polled


def _given(answer: T | Exception) -> T:
    if isinstance(answer, Exception):
        raise answer
    return answer


class FakeBus(MemoryBus):
    """The bus in memory, which holds what it takes against the schemas, and may refuse."""

    def __init__(self, effects: list[str] | None = None) -> None:
        super().__init__()
        self.effects: list[str] = [] if effects is None else effects
        self.refuse: Callable[[str], bool] = lambda _: False

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        """Takes the messages, or refuses them."""
        if self.refuse(entity):
            raise PublishError(entity, "refused by the test")
        for message in messages:
            assert_published(message)
            self.effects.append(f"send {entity}")
        await super().send(entity, messages)
