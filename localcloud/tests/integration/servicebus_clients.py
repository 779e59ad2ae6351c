"""What the Service Bus tests share: entities and opened links.

The SDK takes half a second to open a link and half a second to close it, nearly all of it waiting.
So a module's tests share a bus, each test has a queue of its own there, and the links to all of
these queues are opened at once and closed at once.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender

from localcloud.servicebus.entities import Entities, parse_entities
from tests.support.waiting import BOUND_SECONDS

_WITHOUT_TLS = "usedevelopmentemulator=true"
_QUEUE = {"LockDuration": "PT1M", "MaxDeliveryCount": 3, "DeadLetteringOnMessageExpiration": True}
_DETECTING = {"RequiresDuplicateDetection": True, "DuplicateDetectionHistoryTimeWindow": "PT5M"}
_ONLY_A = {
    "Name": "a",
    "Properties": {
        "FilterType": "Correlation",
        "CorrelationFilter": {"Label": "L", "Properties": {"type": "A"}},
    },
}
_TOPICS = [
    {
        "Name": "events",
        "Properties": _DETECTING,
        "Subscriptions": [{"Name": "all"}, {"Name": "only-a", "Rules": [_ONLY_A]}],
    }
]


def entities(*queues: str) -> Entities:
    """These queues; `once`, a queue with duplicate detection; and a topic, `events`.

    Each queue has locks of a minute and three deliveries, and dead-letters what expires.
    """
    own = [{"Name": name, "Properties": _QUEUE} for name in queues]
    once = {"Name": "once", "Properties": {**_QUEUE, **_DETECTING}}
    namespace: dict[str, Any] = {
        "Name": "sbemulatorns",
        "Queues": [*own, once],
        "Topics": _TOPICS,
    }
    return parse_entities({"UserConfig": {"Namespaces": [namespace]}})


@dataclass(frozen=True)
class Lane:
    """A queue and open links to it."""

    queue: str
    sender: ServiceBusSender
    receiver: ServiceBusReceiver

    async def send(self, *bodies: str, **options: Any) -> None:  # noqa: ANN401 - the SDK's own
        """Send messages, one by one."""
        for body in bodies:
            await self.sender.send_messages(ServiceBusMessage(body, **options))

    async def receive(self, count: int = 1) -> list[ServiceBusReceivedMessage]:
        """Receive exactly so many messages."""
        return await receive(self.receiver, count)


@asynccontextmanager
async def open_lanes(client: ServiceBusClient, *queues: str) -> AsyncIterator[list[Lane]]:
    """Open a sender and a receiver for each queue, all at the same time."""
    lanes = [
        Lane(queue, client.get_queue_sender(queue), client.get_queue_receiver(queue))
        for queue in queues
    ]
    links = [link for lane in lanes for link in (lane.sender, lane.receiver)]
    await asyncio.gather(*(link.__aenter__() for link in links))
    try:
        yield lanes
    finally:
        await asyncio.gather(*(link.close() for link in links))


class Reachable(Protocol):
    """A bus, running somewhere."""

    @property
    def connection_string(self) -> str:
        """What clients connect with."""
        ...


def client(bus: Reachable, **options: Any) -> ServiceBusClient:  # noqa: ANN401 - the SDK's own
    """The SDK's client."""
    string = bus.connection_string
    if _WITHOUT_TLS in string.lower():
        # The SDK else reads the certificate authorities for each link, for which there is no use.
        options["ssl_context"] = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return ServiceBusClient.from_connection_string(string, **options)


async def receive(receiver: ServiceBusReceiver, count: int = 1) -> list[ServiceBusReceivedMessage]:
    """Receive exactly so many messages, waiting for them as long as it takes."""
    received: list[ServiceBusReceivedMessage] = []
    async with asyncio.timeout(BOUND_SECONDS):
        while len(received) < count:
            received += await receiver.receive_messages(count - len(received), max_wait_time=5)
    return received
