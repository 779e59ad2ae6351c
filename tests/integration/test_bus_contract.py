"""The app's port to Service Bus: what its adapter and its twin in memory both keep to."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Protocol

import pytest
import pytest_asyncio
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient

from assessor.bus.message import OutgoingMessage, PublishError
from assessor.bus.servicebus import ServiceBus
from assessor.ports import Bus
from localcloud.servicebus.entities import load_entities
from localcloud.servicebus.server import ServiceBus as LocalServiceBus
from tests.support.memory_bus import MemoryBus
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

ENTITIES = Path(__file__).parents[2] / "infra" / "servicebus.json"
QUEUE, TOPIC, SUBSCRIPTION = "assessments-in-progress", "assessment-results", "all"
MESSAGE = OutgoingMessage(
    body='{"né": "\\ud83d\\udc1b"}'.encode(),
    message_id="message-1",
    correlation_id="request-1",
    content_type="application/cloudevents+json",
    application_properties={"text": "é", "count": 7, "share": 0.5, "flag": True},
    subject="/subscriptions/x",
)


@dataclass
class Arrived:
    """A message as a receiver has it."""

    body: bytes
    message_id: str
    correlation_id: str | None
    content_type: str | None
    application_properties: dict[str, object]
    subject: str | None


class World(Protocol):
    """A bus, and what arrives at the other end of it."""

    @property
    def bus(self) -> Bus:
        """What is tested."""
        ...

    async def arrived(self, entity: str, count: int) -> list[Arrived]:
        """Returns the next messages of the queue, or of the topic's subscription; at most so many.

        It waits until there are as many, or until no more will come.
        """
        ...


class MemoryWorld:
    """The twin."""

    def __init__(self) -> None:
        self.bus = MemoryBus((QUEUE, TOPIC))
        self._taken = {QUEUE: 0, TOPIC: 0}

    async def arrived(self, entity: str, count: int) -> list[Arrived]:
        """Returns what is visible, each message once."""
        taken = self._taken[entity]

        await eventually(
            lambda: len(self.bus.visible(entity)) > taken, f"{entity} has another message"
        )
        new = self.bus.visible(entity)[taken : taken + count]
        self._taken[entity] += len(new)
        return [
            Arrived(
                each.body,
                each.message_id,
                each.correlation_id,
                each.content_type,
                dict(each.application_properties),
                each.subject,
            )
            for each in new
        ]


class ServiceBusWorld:
    """The adapter, against the local cloud's Service Bus."""

    def __init__(self, client: ServiceBusClient) -> None:
        self.bus = ServiceBus(client, topics=(TOPIC,))
        self._client = client

    async def arrived(self, entity: str, count: int) -> list[Arrived]:
        """Receives and settles."""
        receiver = (
            self._client.get_subscription_receiver(TOPIC, SUBSCRIPTION)
            if entity == TOPIC
            else self._client.get_queue_receiver(entity)
        )
        found: list[Arrived] = []
        async with receiver:
            while len(found) < count:
                batch = await receiver.receive_messages(count - len(found), max_wait_time=3)
                if not batch:
                    break
                for each in batch:
                    found.append(_arrived(each))
                    await receiver.complete_message(each)
        return found


def _arrived(message: ServiceBusReceivedMessage) -> Arrived:
    properties = message.application_properties or {}
    return Arrived(
        b"".join(message.body),
        str(message.message_id),
        message.correlation_id,
        message.content_type,
        {_text(name): _text(value) for name, value in properties.items()},
        message.subject,
    )


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else value  # type: ignore[return-value] # any


@pytest_asyncio.fixture(loop_scope="module", params=["memory", "service-bus"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Each bus in turn, empty."""
    if request.param == "memory":
        yield MemoryWorld()
        return
    async with (
        LocalServiceBus.start(load_entities(ENTITIES)) as local,
        ServiceBusClient.from_connection_string(local.connection_string, retry_total=0) as client,
    ):
        yield ServiceBusWorld(client)


def numbered(count: int, body: bytes = b"{}") -> list[OutgoingMessage]:
    """Returns messages with IDs of their own."""
    return [replace(MESSAGE, message_id=f"message-{number}", body=body) for number in range(count)]


def ids(messages: Sequence[Arrived | OutgoingMessage]) -> list[str]:
    """Returns the messages' IDs in their order."""
    return [each.message_id for each in messages]


@pytest.mark.parametrize("entity", [QUEUE, TOPIC])
async def test_a_message_arrives_as_it_was_sent(world: World, entity: str) -> None:
    """Body, IDs, content type, subject, and properties of each type."""
    await world.bus.send(entity, [MESSAGE])
    (arrived,) = await world.arrived(entity, 1)
    assert arrived == Arrived(
        MESSAGE.body,
        MESSAGE.message_id,
        MESSAGE.correlation_id,
        MESSAGE.content_type,
        dict(MESSAGE.application_properties),
        MESSAGE.subject,
    )


async def test_a_message_without_subject_and_properties_has_none(world: World) -> None:
    """Nothing stands in for them."""
    await world.bus.send(QUEUE, [replace(MESSAGE, subject=None, application_properties={})])
    (arrived,) = await world.arrived(QUEUE, 1)
    assert (arrived.subject, arrived.application_properties) == (None, {})


async def test_messages_of_one_call_arrive_in_their_order(world: World) -> None:
    """More than fit into one transfer: each of these has a tenth of what a transfer takes."""
    messages = numbered(25, b"x" * 25_000)
    await world.bus.send(QUEUE, messages)
    assert ids(await world.arrived(QUEUE, 25)) == ids(messages)


async def test_no_messages_are_no_transfer(world: World) -> None:
    """And no error."""
    await world.bus.send(QUEUE, [])
    await world.bus.send(QUEUE, [MESSAGE])
    assert ids(await world.arrived(QUEUE, 1)) == ["message-1"]


async def test_a_message_id_is_taken_once(world: World) -> None:
    """By each entity, in one call and in several, whatever else the message says."""
    again = replace(MESSAGE, body=b"other")
    await world.bus.send(QUEUE, [MESSAGE, again])
    await world.bus.send(QUEUE, [again])
    await world.bus.send(TOPIC, [again])
    await world.bus.send(QUEUE, [replace(MESSAGE, message_id="last")])
    arrived = await world.arrived(QUEUE, 2)
    assert ids(arrived) == ["message-1", "last"]
    assert arrived[0].body == MESSAGE.body
    (other,) = await world.arrived(TOPIC, 1)
    assert other.body == b"other"


async def test_a_scheduled_message_waits_for_its_time(world: World) -> None:
    """In whatever zone the time is written; one without a time does not wait for it."""
    due = datetime.now(UTC) + timedelta(seconds=1.5)
    elsewhere = due.astimezone(timezone(timedelta(hours=5, minutes=30)))
    afterwards = elsewhere + timedelta(days=1)
    await world.bus.send(QUEUE, [replace(MESSAGE, message_id="later", enqueue_at=elsewhere)])
    await world.bus.send(QUEUE, [replace(MESSAGE, message_id="tomorrow", enqueue_at=afterwards)])
    await world.bus.send(QUEUE, [replace(MESSAGE, message_id="now")])
    first, second = await world.arrived(QUEUE, 1), await world.arrived(QUEUE, 1)
    assert sorted(ids([*first, *second])) == ["later", "now"]
    assert datetime.now(UTC) >= due - timedelta(milliseconds=50)


async def test_a_time_that_is_over_is_now(world: World) -> None:
    """Whoever hands over late loses no time."""
    past = datetime.now(UTC) - timedelta(minutes=5)
    await world.bus.send(QUEUE, [replace(MESSAGE, enqueue_at=past)])
    assert ids(await world.arrived(QUEUE, 1)) == ["message-1"]


async def test_a_message_that_is_too_large_is_refused_and_stops_nothing_else(
    world: World,
) -> None:
    """Alone or among others; the error names the entity."""
    large = replace(MESSAGE, message_id="large", body=b"x" * (256 * 1024))
    for messages in ([large], [replace(MESSAGE, message_id="first"), large]):
        with pytest.raises(PublishError) as refused:
            await world.bus.send(QUEUE, messages)
        assert refused.value.entity == QUEUE
    await world.bus.send(QUEUE, [replace(MESSAGE, message_id="last")])
    assert ids(await world.arrived(QUEUE, 2))[-1] == "last"


async def test_a_message_as_large_as_the_app_makes_them_is_taken(world: World) -> None:
    """240 KiB of body, and room for its properties."""
    await world.bus.send(QUEUE, [replace(MESSAGE, body=b"x" * (240 * 1024))])
    (arrived,) = await world.arrived(QUEUE, 1)
    assert len(arrived.body) == 240 * 1024


async def test_an_entity_that_is_not_there_is_an_error(world: World) -> None:
    """Which names it."""
    with pytest.raises(PublishError) as refused:
        await world.bus.send("nowhere", [MESSAGE])
    assert refused.value.entity == "nowhere"
    assert "nowhere" in str(refused.value)
