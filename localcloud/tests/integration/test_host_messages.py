"""Messages through the host: settlement, bodies, metadata, concurrency, locks."""

import base64
import json

import pytest
from azure.servicebus import ServiceBusMessage

from localcloud.servicebus import wire
from localcloud.tests.integration.amqp_peer import ACCEPTED, Peer, with_peer
from localcloud.tests.integration.host_harness import rig
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


async def test_success_completes_the_message() -> None:
    """A message whose function succeeds is gone from its queue, async or sync function alike."""
    async with rig() as it:
        await it.order("a")
        await it.send(ServiceBusMessage("plain", message_id="b"), queue="sync")
        (done,) = await it.reports.wait(event="done", id="b")
        assert done["body"] == "plain"
        await it.reports.wait(event="done", id="a")
        await eventually(lambda: it.is_empty() and it.is_empty("sync"), "both queues are empty")
        assert it.host.status()["invocations"] == {"succeeded": 2, "failed": 0}
        assert sorted(it.host.functions_by_name) == ["nightly", "raw", "work", "work_sync"]


async def test_failure_brings_the_message_back_until_it_is_dead_lettered() -> None:
    """An exception abandons: delivery count 2, 3, then the dead-letter queue, as configured."""
    async with rig(max_deliveries=3) as it:
        await it.order("bad", fail=True)
        await it.reports.wait(3, event="begun", id="bad")
        dead = await it.dead_letter()
        assert dead.dead_letter_reason == "MaxDeliveryCountExceeded"
        assert [each["delivery"] for each in it.reports.matching(event="begun")] == [1, 2, 3]
        assert it.is_empty()


async def test_binary_body_survives_when_the_binding_says_binary() -> None:
    """Bytes that are not UTF-8 reach a function whose dataType is binary, unharmed."""
    body = bytes(range(256))
    async with rig() as it:
        async with it.client.get_topic_sender("news") as sender:
            await sender.send_messages(ServiceBusMessage(body, message_id="b", subject="s"))
        (done,) = await it.reports.wait(event="done", id="b")
        assert base64.b64decode(done["body"]) == body
        assert done["subject"] == "s"


async def test_app_sees_metadata_properties_and_the_continued_trace() -> None:
    """Metadata, properties and trace context are the message's; the span ID is the host's own."""
    message = ServiceBusMessage(
        json.dumps({"subject": "from the body"}),
        message_id="m",
        subject="from the message",
        content_type="application/json",
        application_properties={"traceparent": TRACEPARENT, "count": 7},
    )
    async with rig(settings={"PYTHON_ENABLE_OPENTELEMETRY": "true"}) as it:
        await it.send(message)
        (done,) = await it.reports.wait(event="done", id="m")
        version, trace, span, flags = done["traceparent"].split("-")
        assert (version, trace, flags) == ("00", TRACE, "01")
        assert span != "00f067aa0ba902b7"
        assert done["current_trace"] == TRACE
        assert done["properties"] == {"traceparent": TRACEPARENT, "count": 7}
        assert done["metadata"]["ContentType"] == "application/json"
        assert done["metadata"]["Subject"] == "from the body"
        assert done["metadata"]["Label"] == "from the message"


async def test_receiving_goes_on_whatever_a_message_is_made_of() -> None:
    """A null body, a char property, an ID of bytes and a value each fail or arrive, and at once."""
    char = wire.mapping([(wire.string("letter"), b"\x73\x00\x00\x00\x41")])
    order = wire.described(0x75, wire.binary(b"{}"))
    text = wire.described(0x77, wire.string("{}"))
    payloads = [
        _identified(wire.string("null")) + b"\x00\x53\x77\x40",
        _identified(wire.string("sequence")) + wire.described(0x76, wire.listing([])),
        _identified(wire.string("char")) + wire.described(0x74, char) + order,
        _identified(wire.binary(b"\x00\xff")) + order,
        _identified(wire.string("value")) + text,
    ]
    async with rig(max_deliveries=2) as it:

        def send(peer: Peer) -> list[int]:
            return [peer.send("work", payload) for payload in payloads]

        assert await with_peer(it.bus, send) == [ACCEPTED] * 5
        (done,) = await it.reports.wait(event="done", id="char")
        assert done["properties"] == {"letter": "A"}
        await it.reports.wait(event="done", id="00FF")
        await it.reports.wait(event="done", id="value")
        await eventually(lambda: it.bus.counts()["work"].dead_letter == 2, "two dead letters")
        await eventually(it.is_empty, "the queue is empty")


def _identified(message_id: bytes) -> bytes:
    return wire.described(0x73, wire.listing([message_id]))


async def test_concurrency_limit_is_reached_and_never_exceeded() -> None:
    """With maxConcurrentCalls 4, twelve slow messages are never more than four at a time."""
    async with rig() as it:
        await it.send(
            *(ServiceBusMessage('{"seconds": 0.3}', message_id=str(n)) for n in range(12))
        )
        done = await it.reports.wait(12, event="done")
        assert max(each["most"] for each in done) == 4


async def test_lock_is_renewed_while_the_function_runs() -> None:
    """An invocation longer than the lock keeps it: one delivery, then completed."""
    async with rig(lock="PT3S") as it:
        await it.order("slow", seconds=4)
        await it.reports.wait(event="done", id="slow")
        await eventually(it.is_empty, "the queue is empty")
        assert len(it.reports.matching(event="begun", id="slow")) == 1


async def test_lock_is_lost_when_renewal_is_over() -> None:
    """Past maxAutoLockRenewalDuration the message is delivered again; the host goes on."""
    options = {"maxConcurrentCalls": 2, "maxAutoLockRenewalDuration": "00:00:00"}
    async with rig(lock="PT1S", host_json={"extensions": {"serviceBus": options}}) as it:
        await it.order("slow", seconds_first=2)
        await it.reports.wait(event="done", id="slow", delivery=2)
        await it.reports.wait(event="done", id="slow", delivery=1)
        await it.order("next")
        await it.reports.wait(event="done", id="next")
        await eventually(it.is_empty, "the queue is empty")
