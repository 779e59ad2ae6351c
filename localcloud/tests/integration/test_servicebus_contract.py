"""What Service Bus does for the unmodified asynchronous SDK: the same on every bus.

`--service-bus CONNECTION_STRING` names Microsoft's emulator, started with servicebus_contract.json,
or a Standard namespace of one's own; else it is the local bus, which some tests then also look
behind the back of. Time is waited for as the receivers notice it, so that a bus may be slow.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from azure.servicebus import (
    ServiceBusMessage,
    ServiceBusMessageState,
    ServiceBusReceiveMode,
    ServiceBusSubQueue,
)
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessageSizeExceededError,
    MessagingEntityNotFoundError,
    ServiceBusError,
)

from localcloud.servicebus.server import ServiceBus
from localcloud.tests.integration.servicebus_clients import Lane, open_lanes, receive
from localcloud.tests.integration.servicebus_clients import client as client_of
from localcloud.tests.integration.servicebus_place import (
    ONCE,
    QUEUES,
    TOPIC,
    Place,
    everything,
    open_place,
)
from tests.support.waiting import BOUND_SECONDS, eventually

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

_CLOCKS = timedelta(minutes=5)
"""How far a bus's clock may be from this machine's."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def place(pytestconfig: pytest.Config) -> AsyncIterator[Place]:
    """Where the tests run."""
    async with open_place(pytestconfig.getoption("--service-bus", None)) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(place: Place) -> AsyncIterator[ServiceBusClient]:
    """A client of it."""
    async with client_of(place) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def lanes(place: Place, client: ServiceBusClient) -> AsyncIterator[list[Lane]]:
    """Open links to all queues of the local bus; other buses don't take so many connections."""
    async with open_lanes(client, *(QUEUES if place.local else ())) as opened:
        yield list(opened)


@pytest.fixture(scope="module")
def free_queues() -> list[str]:
    """The queues of a bus without lanes that no test has used."""
    return list(QUEUES)


@pytest_asyncio.fixture(loop_scope="module")
async def lane(
    client: ServiceBusClient, lanes: list[Lane], free_queues: list[str]
) -> AsyncIterator[Lane]:
    """A queue of the test's own, empty, with open links."""
    if lanes:
        yield lanes.pop()
        return
    async with open_lanes(client, free_queues.pop()) as (opened,):
        yield opened


@pytest.fixture
def bus(place: Place) -> ServiceBus:
    """The local bus itself."""
    if place.local is None:
        pytest.skip("only the local bus lets a test look at its locks")
    return place.local


async def _bodies(lane: Lane) -> list[str]:
    """What is in the queue, locked messages included."""
    return [str(each) for each in await everything(lane.receiver)]


async def _take(lane: Lane, count: int) -> list[str]:
    """Receives and completes so many messages."""
    got = await lane.receive(count)
    for each in got:
        await lane.receiver.complete_message(each)
    return [str(each) for each in got]


async def test_a_message_arrives_as_it_was_sent(lane: Lane) -> None:
    """Body, properties and annotations; then it is completed and gone."""
    sent = ServiceBusMessage(
        b"\x00\xffbody",
        message_id="m-1",
        correlation_id="c-1",
        subject="label",
        content_type="application/json",
        reply_to="r",
        time_to_live=timedelta(minutes=10),
        application_properties={"text": "t", "flag": True, "count": 3, "ratio": 0.5},
    )
    await lane.sender.send_messages(sent)
    (got,) = await lane.receive()
    assert b"".join(got.body) == b"\x00\xffbody"
    assert (got.message_id, got.correlation_id, got.subject) == ("m-1", "c-1", "label")
    assert (got.content_type, got.reply_to) == ("application/json", "r")
    assert got.time_to_live == timedelta(minutes=10)
    assert got.application_properties == {
        b"text": b"t",
        b"flag": True,
        b"count": 3,
        b"ratio": 0.5,
    }
    assert got.delivery_count == 0
    assert got.sequence_number
    assert got.state is ServiceBusMessageState.ACTIVE
    assert got.enqueued_time_utc is not None
    assert abs(got.enqueued_time_utc - datetime.now(UTC)) < _CLOCKS
    assert got.locked_until_utc is not None
    assert got.locked_until_utc > got.enqueued_time_utc + timedelta(seconds=30)
    assert len(await everything(lane.receiver)) == 1
    await lane.receiver.complete_message(got)
    assert not await everything(lane.receiver)


async def test_a_batch_arrives_as_its_messages(lane: Lane) -> None:
    """A list and an explicit batch; a batch may hold what fits the limit and no more."""
    await lane.sender.send_messages([ServiceBusMessage(str(i)) for i in range(50)])
    batch = await lane.sender.create_message_batch()
    assert batch.max_size_in_bytes == 256 * 1024
    for _ in range(26):
        batch.add_message(ServiceBusMessage("x" * 10_000))
    with pytest.raises(MessageSizeExceededError):
        batch.add_message(ServiceBusMessage("x" * 10_000))
    await lane.sender.send_messages(batch)
    sent = [*(str(i) for i in range(50)), *["x" * 10_000] * 26]
    assert await _bodies(lane) == sent
    assert await _take(lane, 76) == sent


async def test_abandoned_messages_come_back_until_they_are_dead(
    client: ServiceBusClient, lane: Lane
) -> None:
    """At once, with the count one higher; after the last delivery in the dead-letter queue."""
    await lane.send("stubborn")
    for delivery in range(3):
        (got,) = await lane.receive()
        assert got.delivery_count == delivery
        await lane.receiver.abandon_message(got)
    assert not await _bodies(lane)
    async with client.get_queue_receiver(lane.queue, sub_queue="deadletter") as receiver:
        (dead,) = await receive(receiver)
        assert dead.dead_letter_reason == "MaxDeliveryCountExceeded"
        await receiver.complete_message(dead)
        assert not await everything(receiver)


async def test_dead_letters_say_why(client: ServiceBusClient, lane: Lane) -> None:
    """Reason and description come back with the message, as its sender left it."""
    await lane.send("bad", application_properties={"mine": 1})
    (got,) = await lane.receive()
    await lane.receiver.dead_letter_message(got, reason="Bad", error_description="Because")
    sub_queue = ServiceBusSubQueue.DEAD_LETTER
    async with client.get_queue_receiver(lane.queue, sub_queue=sub_queue) as receiver:
        (dead,) = await receive(receiver)
        assert (dead.dead_letter_reason, dead.dead_letter_error_description) == ("Bad", "Because")
        assert dead.application_properties is not None
        assert dead.application_properties[b"mine"] == 1
        assert str(dead) == "bad"
        await receiver.complete_message(dead)


async def test_a_lost_lock_is_lost_for_every_purpose(place: Place, lane: Lane) -> None:
    """Completing and renewing fail, and the message is delivered again."""
    await lane.send("contested")
    (got,) = await lane.receive()
    if place.local is not None:
        assert place.local.expire_locks(lane.queue) == 1
    (again,) = await lane.receive()  # elsewhere, once the lock's minute is over
    assert again.delivery_count == 1
    with pytest.raises(MessageLockLostError):
        await lane.receiver.renew_message_lock(got)
    with pytest.raises(MessageLockLostError):
        await lane.receiver.complete_message(got)
    await lane.receiver.complete_message(again)


async def test_a_renewed_lock_lasts_longer(lane: Lane) -> None:
    """The SDK learns the new end from the reply."""
    await lane.send("slow")
    (got,) = await lane.receive()
    first_end = got.locked_until_utc
    new_end = await lane.receiver.renew_message_lock(got)
    assert first_end is not None
    assert new_end > first_end
    await lane.receiver.complete_message(got)


async def test_deferred_messages_are_received_by_number(
    client: ServiceBusClient, lane: Lane
) -> None:
    """And settled like others, over the management link; an unknown one is not found."""
    await lane.send("later", "dead")
    numbers = []
    for got in await lane.receive(2):
        await lane.receiver.defer_message(got)
        assert got.sequence_number is not None
        numbers.append(got.sequence_number)
    deferred = ServiceBusMessageState.DEFERRED
    assert [each.state for each in await everything(lane.receiver)] == [deferred] * 2
    later, dead = await lane.receiver.receive_deferred_messages(numbers)
    assert str(later) == "later"
    assert later.state is deferred
    await lane.receiver.renew_message_lock(later)
    await lane.receiver.complete_message(later)
    await lane.receiver.dead_letter_message(dead, reason="Old", error_description="Too")
    assert not await _bodies(lane)
    sub_queue = ServiceBusSubQueue.DEAD_LETTER
    async with client.get_queue_receiver(lane.queue, sub_queue=sub_queue) as receiver:
        (letter,) = await receive(receiver)
        assert (str(letter), letter.dead_letter_reason) == ("dead", "Old")
        await receiver.complete_message(letter)


async def test_peeking_shows_active_and_scheduled_messages(lane: Lane) -> None:
    """Without locking them, as often as one likes."""
    later = datetime.now(UTC) + timedelta(hours=1)
    await lane.send("now")
    await lane.sender.schedule_messages(ServiceBusMessage("later"), later)
    peeked = await lane.receiver.peek_messages(10, sequence_number=1)
    assert [(str(each), each.state) for each in peeked] == [
        ("now", ServiceBusMessageState.ACTIVE),
        ("later", ServiceBusMessageState.SCHEDULED),
    ]
    again = await lane.receiver.peek_messages(10, sequence_number=1)
    assert [str(each) for each in again] == ["now", "later"]
    beyond = 1 + max(each.sequence_number or 0 for each in peeked)
    assert await lane.receiver.peek_messages(10, sequence_number=beyond) == []


async def test_scheduled_messages_come_at_their_time(lane: Lane) -> None:
    """Sent with a time or scheduled through management; not before, and under a new number."""
    due = datetime.now(UTC) + timedelta(seconds=1)
    (number,) = await lane.sender.schedule_messages(ServiceBusMessage("scheduled"), due)
    await lane.send("sent", scheduled_enqueue_time_utc=due)
    got = await lane.receive(2)
    assert {str(each) for each in got} == {"scheduled", "sent"}
    for each in got:
        assert each.sequence_number is not None
        assert each.sequence_number > number
        assert each.enqueued_time_utc is not None
        assert each.enqueued_time_utc >= due - timedelta(milliseconds=1)  # sent in whole ones
        await lane.receiver.complete_message(each)


async def test_a_cancelled_message_is_not_there(client: ServiceBusClient, lane: Lane) -> None:
    """Cancelling works on queues and topics alike."""
    later = datetime.now(UTC) + timedelta(hours=1)
    messages = [ServiceBusMessage(each) for each in "ab"]
    numbers = await lane.sender.schedule_messages(messages, later)
    await lane.sender.cancel_scheduled_messages(numbers[0])
    assert await _bodies(lane) == ["b"]
    async with client.get_topic_sender(TOPIC) as sender:
        numbers = await sender.schedule_messages(ServiceBusMessage("c"), later)
        await sender.cancel_scheduled_messages(numbers)


async def test_expired_messages_are_dead_lettered(
    place: Place, client: ServiceBusClient, lane: Lane
) -> None:
    """By time alone on the local bus; elsewhere perhaps when somebody asks for messages."""
    await lane.send("brief", time_to_live=timedelta(seconds=1))
    over = datetime.now(UTC) + timedelta(seconds=1)
    await eventually(lambda: datetime.now(UTC) > over, "its time is over")
    if place.local is None:
        assert not await lane.receiver.receive_messages(max_wait_time=1)
    async with client.get_queue_receiver(lane.queue, sub_queue="deadletter") as receiver:
        (dead,) = await receive(receiver)
        assert dead.dead_letter_reason == "TTLExpiredException"
        await receiver.complete_message(dead)


async def test_duplicates_are_accepted_and_dropped(place: Place, client: ServiceBusClient) -> None:
    """Alone, in one batch, and scheduled; the entity's name has no case."""
    later = datetime.now(UTC) + timedelta(hours=1)

    def message(number: str) -> ServiceBusMessage:
        return ServiceBusMessage(number, message_id=f"{place.run}-{number}")

    async with (
        client.get_queue_sender(ONCE.upper()) as sender,
        client.get_queue_receiver(ONCE) as receiver,
    ):
        for _ in range(2):
            await sender.send_messages(message("1"))
        await sender.send_messages([message(each) for each in ("2", "1", "3", "2")])
        await sender.schedule_messages(message("3"), later)
        assert [str(each) for each in await everything(receiver)] == ["1", "2", "3"]
        for each in await receive(receiver, 3):
            await receiver.complete_message(each)


async def test_a_topic_drops_duplicates_before_it_copies(
    place: Place, client: ServiceBusClient
) -> None:
    """No subscription gets the second one; a time to come does not save it."""
    later = datetime.now(UTC) + timedelta(hours=1)
    first, second = (
        ServiceBusMessage(body, message_id=f"{place.run}-topic", subject="unheard")
        for body in ("first", "second")
    )
    async with (
        client.get_topic_sender(TOPIC) as sender,
        client.get_subscription_receiver(TOPIC, "all") as receiver,
    ):
        await sender.send_messages(first)
        await sender.send_messages(second)
        await sender.schedule_messages(second, later)
        await sender.send_messages(ServiceBusMessage("last", subject="unheard"))
        got = await receive(receiver, 2)
        assert [str(each) for each in got] == ["first", "last"]
        for each in got:
            await receiver.complete_message(each)


async def test_subscriptions_get_what_their_rules_let_in(client: ServiceBusClient) -> None:
    """A copy each; settling one leaves the other. Rules are of correlation or of SQL."""
    expected = {"only-a": ["AL"], "by-sql": ["BL", "Aother"], "all": ["AL", "BL", "Aother"]}
    async with client.get_topic_sender(TOPIC) as sender:
        for kind, label in (("A", "L"), ("B", "L"), ("A", "other")):
            properties: dict[str | bytes, Any] = {"type": kind}
            message = ServiceBusMessage(
                kind + label, subject=label, application_properties=properties
            )
            await sender.send_messages(message)
    for subscription, bodies in expected.items():
        async with client.get_subscription_receiver(TOPIC, subscription) as receiver:
            assert [str(each) for each in await everything(receiver)] == bodies
            for each in await receive(receiver, len(bodies)):
                await receiver.complete_message(each)


async def test_receive_and_delete_needs_no_settling(client: ServiceBusClient, lane: Lane) -> None:
    """What is received is gone."""
    await lane.send("a", "b")
    mode = ServiceBusReceiveMode.RECEIVE_AND_DELETE
    async with client.get_queue_receiver(lane.queue, receive_mode=mode) as receiver:
        assert [str(each) for each in await receive(receiver, 2)] == ["a", "b"]
    assert not await _bodies(lane)


async def test_closing_a_receiver_gives_back_what_it_prefetched(
    bus: ServiceBus, client: ServiceBusClient, lane: Lane
) -> None:
    """The SDK drains the link and releases; no delivery is counted."""
    await lane.send(*"abcde")
    async with client.get_queue_receiver(lane.queue, prefetch_count=10) as receiver:
        (got,) = await receive(receiver)
        await receiver.complete_message(got)
        await eventually(lambda: bus.counts()[lane.queue].locked == 4, "the rest was prefetched")
    await eventually(lambda: bus.counts()[lane.queue].active == 4, "the rest was released")
    assert [each.delivery_count for each in await lane.receive(4)] == [0, 0, 0, 0]


async def test_competing_receivers_share_the_work(client: ServiceBusClient, lane: Lane) -> None:
    """Each asks for one message, and gets one that the other doesn't get."""
    async with client.get_queue_receiver(lane.queue) as other:
        first, second, _ = await asyncio.gather(lane.receive(), receive(other), lane.send("a", "b"))
        assert {str(first[0]), str(second[0])} == {"a", "b"}
        await lane.receiver.complete_message(first[0])
        await other.complete_message(second[0])


async def test_what_an_address_cannot_do_is_refused(place: Place, client: ServiceBusClient) -> None:
    """Entities that aren't there are not found; a topic is only sent to."""
    outcomes = await asyncio.gather(
        client.get_queue_sender("nothing").send_messages(ServiceBusMessage("x")),
        client.get_queue_receiver("nothing").receive_messages(max_wait_time=BOUND_SECONDS),
        client.get_queue_receiver(TOPIC).receive_messages(max_wait_time=BOUND_SECONDS),
        return_exceptions=True,
    )
    assert [type(each) for each in outcomes[:2]] == [MessagingEntityNotFoundError] * 2
    assert isinstance(outcomes[2], ServiceBusError)
    if place.local is not None:
        assert "can't be received from the topic" in str(outcomes[2])


async def test_the_tiers_limit_on_size(lane: Lane) -> None:
    """A message of just under 256 KiB passes, in several frames; one over it is refused."""
    await lane.sender.send_messages(ServiceBusMessage(b"x" * 261_000))
    too_large = ServiceBusMessage(b"x" * 262_200)
    with pytest.raises(MessageSizeExceededError):
        await lane.sender.send_messages(too_large)
    with pytest.raises(MessageSizeExceededError):
        await lane.sender.schedule_messages(too_large, datetime.now(UTC))
    await lane.send("the link is still good")
    assert await _take(lane, 2) == ["x" * 261_000, "the link is still good"]
