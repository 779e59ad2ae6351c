"""The bus that the contract suite runs on: the local one, or whichever a connection string names.

The entities are those of servicebus_contract.json, which Microsoft's emulator starts from as well.
A namespace in the cloud is given those that it lacks, and they are deleted afterwards. Queues are
left empty, so that the suite can run again on the same bus.
"""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from azure.core.exceptions import ResourceNotFoundError
from azure.servicebus import (
    ServiceBusMessageState,
    ServiceBusReceivedMessage,
    ServiceBusReceiveMode,
    ServiceBusSubQueue,
)
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.aio.management import ServiceBusAdministrationClient
from azure.servicebus.management import CorrelationRuleFilter, SqlRuleFilter

from localcloud.servicebus.entities import load_entities
from localcloud.servicebus.server import ServiceBus
from tests.support.waiting import BOUND_SECONDS

CONFIG: Final = Path(__file__).with_name("servicebus_contract.json")
QUEUES: Final = [f"contract-{number:02}" for number in range(1, 16)]
"""One for each test that wants one for itself."""
ONCE, TOPIC = "contract-once", "contract-events"
"""A queue with duplicate detection, and a topic with it."""
_EMULATORS: Final = "usedevelopmentemulator=true"
_DEFAULT_RULE: Final = "$Default"
_CONNECTIONS: Final = 4
"""At a time; one that empties has two of the emulator's ten."""


@dataclass(frozen=True)
class Place:
    """Where the suite runs.

    Attributes:
        connection_string: of the bus.
        local: the local bus, to look behind its back; None when the bus is another one.
        run: makes this run's message IDs others than those of the run before.
    """

    connection_string: str
    local: ServiceBus | None
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:12])


@asynccontextmanager
async def open_place(named: str | None) -> AsyncIterator[Place]:
    """Gives the bus that is named by its connection string, or a local one of its own.

    A named bus is emptied before and after; what a test that failed has left locked is waited for.
    """
    async with AsyncExitStack() as stack:
        if named is None:
            bus = await stack.enter_async_context(ServiceBus.start(load_entities(CONFIG)))
            yield Place(bus.connection_string, bus)
            return
        if _EMULATORS not in named.lower():
            await stack.enter_async_context(_entities_in_the_cloud(named))
        await _empty(named)
        yield Place(named, None)
        await _empty(named)


def _namespace() -> dict[str, Any]:
    (namespace,) = json.loads(CONFIG.read_text())["UserConfig"]["Namespaces"]
    return dict(namespace)


@asynccontextmanager
async def _entities_in_the_cloud(named: str) -> AsyncIterator[None]:
    async with (
        ServiceBusAdministrationClient.from_connection_string(named) as admin,
        AsyncExitStack() as stack,
    ):
        namespace = _namespace()
        for queue in namespace["Queues"]:
            try:
                await admin.get_queue(queue["Name"])
            except ResourceNotFoundError:
                await admin.create_queue(queue["Name"], **_options(queue))
                stack.push_async_callback(admin.delete_queue, queue["Name"])
        for topic in namespace["Topics"]:
            try:
                await admin.get_topic(topic["Name"])
            except ResourceNotFoundError:
                await admin.create_topic(topic["Name"], **_options(topic))
                stack.push_async_callback(admin.delete_topic, topic["Name"])
                for subscription in topic["Subscriptions"]:
                    await _subscribe(admin, topic["Name"], subscription)
        yield


async def _subscribe(
    admin: ServiceBusAdministrationClient, topic: str, subscription: dict[str, Any]
) -> None:
    name = subscription["Name"]
    await admin.create_subscription(topic, name, **_options(subscription))
    for rule in subscription.get("Rules", ()):
        await admin.create_rule(topic, name, rule["Name"], filter=_filter(rule["Properties"]))
    if subscription.get("Rules"):
        await admin.delete_rule(topic, name, _DEFAULT_RULE)


def _filter(properties: dict[str, Any]) -> CorrelationRuleFilter | SqlRuleFilter:
    if properties["FilterType"] == "Sql":
        return SqlRuleFilter(properties["SqlFilter"]["SqlExpression"])
    wanted = properties["CorrelationFilter"]
    return CorrelationRuleFilter(label=wanted["Label"], properties=wanted["Properties"])


_OPTIONS: Final = {
    "LockDuration": "lock_duration",
    "MaxDeliveryCount": "max_delivery_count",
    "DefaultMessageTimeToLive": "default_message_time_to_live",
    "DeadLetteringOnMessageExpiration": "dead_lettering_on_message_expiration",
    "RequiresDuplicateDetection": "requires_duplicate_detection",
    "DuplicateDetectionHistoryTimeWindow": "duplicate_detection_history_time_window",
}
"""The emulator's words and the administration client's."""


def _options(entity: dict[str, Any]) -> dict[str, Any]:
    return {_OPTIONS[name]: value for name, value in entity["Properties"].items()}


async def _empty(named: str) -> None:
    namespace = _namespace()
    sources = [(queue["Name"], None) for queue in namespace["Queues"]] + [
        (topic["Name"], subscription["Name"])
        for topic in namespace["Topics"]
        for subscription in topic["Subscriptions"]
    ]
    connections = asyncio.Semaphore(_CONNECTIONS)
    async with ServiceBusClient.from_connection_string(named) as client:

        async def empty(entity: str, subscription: str | None) -> None:
            async with connections:
                await _empty_one(client, entity, subscription)

        await asyncio.gather(*(empty(*source) for source in sources))


async def _empty_one(client: ServiceBusClient, entity: str, subscription: str | None) -> None:
    for sub_queue in (None, ServiceBusSubQueue.DEAD_LETTER):
        options: dict[str, Any] = {
            "sub_queue": sub_queue,
            "receive_mode": ServiceBusReceiveMode.RECEIVE_AND_DELETE,
        }
        receiver = (
            client.get_queue_receiver(entity, **options)
            if subscription is None
            else client.get_subscription_receiver(entity, subscription, **options)
        )
        async with asyncio.timeout(BOUND_SECONDS), receiver:
            while there := await everything(receiver):
                await _take(client, receiver, entity, there)


async def _take(
    client: ServiceBusClient,
    receiver: ServiceBusReceiver,
    entity: str,
    there: Iterable[ServiceBusReceivedMessage],
) -> None:
    numbers: dict[ServiceBusMessageState, list[int]] = {}
    for each in there:
        numbers.setdefault(each.state, []).append(each.sequence_number or 0)
    if scheduled := numbers.get(ServiceBusMessageState.SCHEDULED):
        async with client.get_queue_sender(entity) as sender:
            await sender.cancel_scheduled_messages(scheduled)
    if deferred := numbers.get(ServiceBusMessageState.DEFERRED):
        await receiver.receive_deferred_messages(deferred)
    if active := numbers.get(ServiceBusMessageState.ACTIVE):
        await receiver.receive_messages(len(active), max_wait_time=5)


async def everything(receiver: ServiceBusReceiver) -> list[ServiceBusReceivedMessage]:
    """All that is there, without receiving it: locked, deferred and scheduled messages too."""
    found: list[ServiceBusReceivedMessage] = []
    number = 1
    while batch := await receiver.peek_messages(100, sequence_number=number):
        found += batch
        number = 1 + max(each.sequence_number or 0 for each in batch)
    return found
