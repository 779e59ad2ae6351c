"""A Service Bus in memory: queues, topics, scheduled messages, duplicate detection, and counts.

Left out: locks, settlement and dead letters, for a handler that raises ends the simulation; the
lifetime of messages; and the subscriptions of topics, whose operations are their subscribers'.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Final

from assessor.bus.message import OutgoingMessage
from tests.simulation.clock import START, SimulatedClock

_LATENCY_SECONDS: Final = (0.005, 0.05)
"""Between these a send takes, and a message from its time to its receiver."""
_QUEUE_WINDOW_SECONDS: Final = 300.0
_TOPIC_WINDOW_SECONDS: Final = 3600.0
"""The windows of duplicate detection that infra/servicebus.json and servicebus-cloud.json set."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message as a receiver gets it."""

    message: OutgoingMessage
    enqueued_at: datetime


@dataclass(slots=True)
class Traffic:
    """What the app did on the bus.

    A transfer of several messages is one send: Service Bus counts it so up to 64 KiB, and a page
    of 50 requests has about 25.

    Attributes:
        sends: transfers to a queue or topic.
        receives: messages taken from a queue.
        completes: messages settled.
        sent: how many messages each queue or topic was sent.
        duplicates: messages that were dropped because their ID was known.
    """

    sends: int = 0
    receives: int = 0
    completes: int = 0
    sent: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0

    @property
    def operations(self) -> int:
        """All that Service Bus would bill."""
        return self.sends + self.receives + self.completes


class SimulatedBus:
    """The app's port to Service Bus, and where workers get messages from.

    Attributes:
        traffic: the counts, which whoever measures may begin anew.
    """

    def __init__(
        self,
        clock: SimulatedClock,
        random: Random,
        queues: Iterable[str],
        topics: Mapping[str, Callable[[OutgoingMessage], None]],
    ) -> None:
        """Starts empty.

        Args:
            clock: tells the time.
            random: where latencies come from.
            queues: the queues' names.
            topics: who is told of each topic's messages, by the topic's name.
        """
        self.traffic = Traffic()
        self._clock = clock
        self._random = random
        self._queues = {name: asyncio.Queue[Delivered]() for name in queues}
        self._topics = topics
        self._known = {
            name: _Known(window, clock.seconds)
            for names, window in ((queues, _QUEUE_WINDOW_SECONDS), (topics, _TOPIC_WINDOW_SECONDS))
            for name in names
        }
        self._unfinished = 0
        self._drained = asyncio.Event()
        self._drained.set()

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        """Takes messages of the app."""
        await asyncio.sleep(self._latency())
        self.traffic.sends += 1
        self.traffic.sent[entity] = self.traffic.sent.get(entity, 0) + len(messages)
        self.traffic.duplicates += self.accept(entity, messages)

    def accept(self, entity: str, messages: Sequence[OutgoingMessage]) -> int:
        """Takes messages of whomever, uncounted; returns how many were duplicates."""
        new = [each for each in messages if self._known[entity].admits(each.message_id)]
        for message in new:
            if entity in self._topics:
                self._topics[entity](message)
            else:
                self._schedule(entity, message)
        return len(messages) - len(new)

    async def receive(self, queue: str) -> Delivered:
        """Returns the next message of a queue, once there is one."""
        delivered = await self._queues[queue].get()
        self.traffic.receives += 1
        return delivered

    def complete(self) -> None:
        """Settles a message that was received."""
        self.traffic.completes += 1
        self._unfinished -= 1
        if not self._unfinished:
            self._drained.set()

    async def drained(self) -> None:
        """Waits until every message, scheduled ones included, is received and settled."""
        await self._drained.wait()

    def _schedule(self, queue: str, message: OutgoingMessage) -> None:
        self._unfinished += 1
        self._drained.clear()
        now = self._clock.now()
        due = now if message.enqueue_at is None else max(now, message.enqueue_at)
        asyncio.get_running_loop().call_at(
            (due - START).total_seconds() + self._latency(),
            self._queues[queue].put_nowait,
            Delivered(message, due),
        )

    def _latency(self) -> float:
        return self._random.uniform(*_LATENCY_SECONDS)


class _Known:
    """The message IDs of the last while."""

    def __init__(self, window: float, seconds_now: Callable[[], float]) -> None:
        self._window = window
        self._seconds_now = seconds_now
        self._until: OrderedDict[str, float] = OrderedDict()

    def admits(self, message_id: str) -> bool:
        """Whether a message with this ID is new; from now on it is not."""
        now = self._seconds_now()
        while self._until and next(iter(self._until.values())) <= now:
            self._until.popitem(last=False)
        if message_id in self._until:
            return False
        self._until[message_id] = now + self._window
        return True
