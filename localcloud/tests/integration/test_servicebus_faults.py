"""What tests may do to the bus: faults, lost locks, double deliveries, cut connections, HTTP."""

import asyncio
import gc
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from azure.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import (
    MessageLockLostError,
    ServiceBusError,
    ServiceBusServerBusyError,
)
from cproton import retained_count

from localcloud.servicebus.control import serve_control
from localcloud.servicebus.faults import Operation
from localcloud.servicebus.server import ServiceBus
from localcloud.tests.integration.servicebus_clients import (
    Lane,
    client,
    entities,
    open_lanes,
    receive,
)
from localcloud.tests.unit.servicebus_messages import MINUTE, ManualClock
from tests.support.waiting import BOUND_SECONDS, eventually

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

_QUEUES = [f"queue-{i}" for i in range(5)]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def bus() -> AsyncIterator[ServiceBus]:
    """A running bus."""
    async with ServiceBus.start(entities(*_QUEUES)) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def lanes(bus: ServiceBus) -> AsyncIterator[list[Lane]]:
    """Open links to queues that no test has used, of a client that doesn't retry."""
    async with (
        client(bus, retry_total=0) as impatient,
        open_lanes(impatient, *_QUEUES) as opened,
    ):
        yield list(opened)


@pytest.fixture
def lane(lanes: list[Lane]) -> Lane:
    """A queue of the test's own, empty, with open links."""
    return lanes.pop()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def control(bus: ServiceBus) -> AsyncIterator[aiohttp.ClientSession]:
    """The bus's control surface."""
    async with serve_control(bus) as url, aiohttp.ClientSession(url) as session:
        yield session


async def _post(control: aiohttp.ClientSession, path: str, body: object) -> tuple[int, Any]:
    async with control.post(path, json=body) as response:
        return response.status, await response.json()


async def test_a_failing_send_gets_the_condition_asked_for(bus: ServiceBus, lane: Lane) -> None:
    """So many times and no more; nothing of it is enqueued. Scheduling is sending too."""
    bus.faults.add(lane.queue, Operation.SEND, "com.microsoft:server-busy", count=2)
    with pytest.raises(ServiceBusServerBusyError):
        await lane.send("x")
    with pytest.raises(ServiceBusServerBusyError):
        await lane.sender.schedule_messages(ServiceBusMessage("x"), datetime.now(UTC))
    await lane.send("x")
    assert bus.counts()[lane.queue].total == 1


async def test_a_failing_receive_detaches_the_receiver(bus: ServiceBus, lane: Lane) -> None:
    """With the condition; no message is locked by it, and another receiver gets it."""
    await lane.send("x")
    bus.faults.add(lane.queue, Operation.RECEIVE, "com.microsoft:server-busy", count=1)
    with pytest.raises(ServiceBusServerBusyError):
        await lane.receive()
    counts = bus.counts()[lane.queue]
    assert (counts.active, counts.locked) == (1, 0)
    async with client(bus) as other, other.get_queue_receiver(lane.queue) as receiver:
        assert [str(each) for each in await receive(receiver)] == ["x"]


async def test_a_failing_settlement_leaves_the_message_locked(bus: ServiceBus, lane: Lane) -> None:
    """Until somebody settles it after all."""
    await lane.send("x")
    (got,) = await lane.receive()
    bus.faults.add(lane.queue, Operation.SETTLE, "amqp:internal-error", count=1)
    with pytest.raises(ServiceBusError):
        await lane.receiver.complete_message(got)
    assert bus.counts()[lane.queue].locked == 1


async def test_a_message_can_be_delivered_to_two_at_once(bus: ServiceBus, lane: Lane) -> None:
    """Both have it; the first one's lock is lost."""
    bus.duplicate_next(lane.queue, 1)
    await lane.send("twice")
    async with client(bus) as other, other.get_queue_receiver(lane.queue) as receiver:
        (first,) = await lane.receive()
        (second,) = await receive(receiver)
        assert str(first) == str(second) == "twice"
        with pytest.raises(MessageLockLostError):
            await lane.receiver.complete_message(first)
        await receiver.complete_message(second)
    counts = bus.counts()[lane.queue]
    assert (counts.active, counts.locked) == (0, 0)


async def test_clients_come_back_after_faults_and_cut_connections() -> None:
    """With the SDK's own retries: open links go on, and a lock taken before is good after."""
    async with (
        ServiceBus.start(entities("work")) as bus,
        client(bus, retry_backoff_factor=0.1) as patient,
        open_lanes(patient, "work") as (lane,),
    ):
        bus.faults.add("work", Operation.SEND, "amqp:internal-error", count=1)
        await lane.send("a", "b")
        (first,) = await lane.receive()
        assert bus.drop_connections() == 2
        await lane.receiver.complete_message(first)
        await lane.send("c")
        assert [str(each) for each in await lane.receive(2)] == ["b", "c"]
        assert bus.counts()["work"].total == 3


async def test_a_connection_that_is_gone_leaves_nothing_behind() -> None:
    """Proton's objects of it are freed, whether it was closed or cut."""

    async def converse(bus: ServiceBus) -> int:
        async with client(bus) as peer:
            async with open_lanes(peer, "work", "other") as (work, other):
                for lane in (work, other):
                    await lane.send("x", "y")
                    await lane.receiver.complete_message((await lane.receive())[0])
            async with open_lanes(peer, "work") as (work,):
                await work.receive()
                assert bus.drop_connections() == 2
        await eventually(lambda: bus.drop_connections() == 0, "the bus saw all connections end")
        gc.collect()
        return int(retained_count())

    async with ServiceBus.start(entities("work", "other")) as bus:
        after_one = await converse(bus)
        assert await converse(bus) == after_one


async def test_time_can_be_the_tests_own() -> None:
    """With a clock that the test moves, an hour passes in a moment."""
    clock = ManualClock()
    async with (
        ServiceBus.start(entities("work"), clock=clock) as bus,
        client(bus) as peer,
        open_lanes(peer, "work") as (lane,),
    ):
        later = datetime.fromtimestamp((clock.now + 60 * MINUTE) / 1000, UTC)
        await lane.send("x", scheduled_enqueue_time_utc=later)
        assert bus.counts()["work"].scheduled == 1
        clock.sleep(60 * MINUTE)
        bus.tick()
        assert [str(each) for each in await lane.receive()] == ["x"]
        clock.sleep(MINUTE)
        bus.tick()
        assert bus.counts()["work"].active == 1


async def test_the_control_surface_shows_and_does_it_all(
    control: aiohttp.ClientSession, lane: Lane
) -> None:
    """Counts, faults, lost locks and double deliveries, over HTTP."""
    async with control.get("/health") as response:
        assert await response.json() == {"status": "ok"}
    fault = {"entity": lane.queue, "operation": "send", "condition": "amqp:internal-error"}
    assert (await _post(control, "/faults", {**fault, "count": 1}))[0] == 201
    with pytest.raises(ServiceBusError):
        await lane.send("x")
    assert (await _post(control, "/faults", {**fault, "seconds": 60}))[0] == 201
    async with control.delete("/faults") as response:
        assert response.status == 200
    assert await _post(control, "/duplicate", {"entity": lane.queue}) == (200, {})
    await lane.send("x")
    first, second = await lane.receive(2)
    assert str(first) == str(second) == "x"
    async with control.get("/entities") as response:
        counts = await response.json()
    assert counts.keys() >= {"once", "events/Subscriptions/all", "events/Subscriptions/only-a"}
    assert counts[lane.queue] == {
        "active": 0,
        "locked": 1,
        "scheduled": 0,
        "deferred": 0,
        "deadLetter": 0,
        "total": 1,
    }
    assert await _post(control, "/locks/expire", {"entity": lane.queue}) == (200, {"expired": 1})
    with pytest.raises(MessageLockLostError):
        await lane.receiver.complete_message(second)


async def test_connections_can_be_cut_over_http() -> None:
    """The answer says how many there were."""
    async with (
        ServiceBus.start(entities()) as bus,
        serve_control(bus) as url,
        aiohttp.ClientSession(url) as session,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", bus.port)
        writer.write(b"AMQP\x03\x01\x00\x00")
        assert await reader.readexactly(8) == b"AMQP\x03\x01\x00\x00"
        assert await _post(session, "/connections/drop", {}) == (200, {"dropped": 1})
        async with asyncio.timeout(BOUND_SECONDS):
            await reader.read()  # up to the end, which comes when the connection is cut
        writer.close()


async def test_a_peer_that_speaks_no_amqp_is_turned_away(bus: ServiceBus) -> None:
    """The bus ends that connection and goes on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", bus.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    async with asyncio.timeout(BOUND_SECONDS):
        await reader.read()
    writer.close()
    assert bus.counts()


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/faults", {"entity": "work"}, 400),
        ("/faults", {"entity": "work", "operation": "eat", "condition": "amqp:x"}, 400),
        ("/faults", {"entity": "work", "operation": "send", "condition": "no condition"}, 400),
        ("/locks/expire", {"entity": "nothing"}, 404),
        ("/locks/expire", {"entity": "work", "all": True}, 400),
        ("/duplicate", {"entity": "events"}, 400),
    ],
)
async def test_the_control_surface_refuses_what_makes_no_sense(
    control: aiohttp.ClientSession, path: str, body: dict[str, object], status: int
) -> None:
    """With a reason, and the code that fits."""
    got, answer = await _post(control, path, body)
    assert got == status
    assert answer["error"]
