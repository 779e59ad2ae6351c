"""`dead-letters`, `send` and `watch` on a bus without the app."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import proton
import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from proton import Condition, symbol

from assessor.bus.servicebus import tls_context
from localcloud.servicebus import wire
from localcloud.servicebus.entities import load_entities
from localcloud.servicebus.server import ServiceBus
from localcloud.tests.integration.amqp_peer import ACCEPTED, REJECTED, Peer, with_peer
from tests.integration.commands_harness import ROOT, Ended, Place
from tests.support.waiting import BOUND_SECONDS

pytestmark = pytest.mark.integration

QUEUE = "assessment-requests"
BODY = b'{"vmId": "/subscriptions/s"}'
DATA = wire.described(0x75, wire.binary(BODY))


def properties_section(message_id: bytes) -> bytes:
    """The properties section of a message with this ID, of whatever type."""
    return wire.described(0x73, wire.listing([message_id]))


def named(*pairs: tuple[bytes, bytes]) -> bytes:
    """A section of application properties."""
    return wire.described(0x74, wire.mapping(pairs))


@dataclass(frozen=True)
class Bench:
    """A bus, a client of it, and the commands that go there."""

    bus: ServiceBus
    client: ServiceBusClient
    place: Place

    async def run(self, *arguments: str) -> Ended:
        """Runs a command against the bus."""
        return await self.place.run(*arguments, "--connection-string", self.bus.connection_string)

    async def bury(self, *message_ids: str) -> None:
        """Makes dead letters of messages with a body and properties."""
        async with (
            self.client.get_queue_sender(QUEUE) as sender,
            self.client.get_queue_receiver(QUEUE) as receiver,
        ):
            for message_id in message_ids:
                await sender.send_messages(
                    ServiceBusMessage(
                        BODY,
                        message_id=message_id,
                        correlation_id="c-1",
                        content_type="application/json",
                        subject="s",
                        application_properties={"traceparent": "00-a-b-01", "attempt": 3},
                    )
                )
                (message,) = await receiver.receive_messages(max_wait_time=BOUND_SECONDS)
                await receiver.dead_letter_message(message, "NotGood", "It is\nnot good.")

    @property
    def counts(self) -> tuple[int, int]:
        """Messages and dead letters in the queue."""
        counts = self.bus.counts()[QUEUE]
        return counts.active, counts.dead_letter


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A bus with the app's entities, and without the app."""
    async with _bench(tmp_path) as bench:
        yield bench


@asynccontextmanager
async def _bench(
    directory: Path, config: Path = ROOT / "infra" / "servicebus.json"
) -> AsyncIterator[Bench]:
    async with (
        ServiceBus.start(load_entities(config)) as bus,
        ServiceBusClient.from_connection_string(
            bus.connection_string, ssl_context=tls_context()
        ) as client,
    ):
        yield Bench(bus, client, Place(directory))


async def test_dead_letters_are_listed_and_shown_and_stay_where_they_are(bench: Bench) -> None:
    """One line each; the body only by `show`."""
    empty = await bench.run("dead-letters", "list")
    assert (empty.code, empty.out) == (0, "No dead letters.\n"), empty
    await bench.bury("m-1", "m-2")

    listed = await bench.run("dead-letters", "list")
    lines = listed.out.splitlines()
    assert len(lines) == 2, listed
    assert lines[0].startswith(f"{QUEUE}  m-1  sent ")
    assert lines[0].endswith("NotGood: It is not good.")
    as_json = await bench.run("dead-letters", "list", "--json", "--entity", QUEUE)
    assert [json.loads(line)["messageId"] for line in as_json.out.splitlines()] == ["m-1", "m-2"]

    shown = await bench.run("dead-letters", "show", "m-2")
    assert BODY.decode() in shown.out
    assert "attempt: 3" in shown.out
    assert bench.counts == (0, 2)
    unknown = await bench.run("dead-letters", "show", "m-3")
    assert unknown.code == 1
    assert "has the ID m-3" in unknown.err


async def test_a_resubmitted_message_is_the_same_but_for_what_made_it_dead(bench: Bench) -> None:
    """The one that was named goes back to its queue; the other stays."""
    await bench.bury("m-1", "m-2")
    sent = await bench.run("dead-letters", "resubmit", "m-2", "--new-id")
    assert sent.code == 0, sent
    assert bench.counts == (1, 1)
    async with bench.client.get_queue_receiver(QUEUE) as receiver:
        (message,) = await receiver.receive_messages(max_wait_time=BOUND_SECONDS)
        await receiver.complete_message(message)
    assert sent.out == f"m-2 is sent again as {message.message_id}.\n"
    assert b"".join(message.body) == BODY
    assert message.application_properties == {b"traceparent": b"00-a-b-01", b"attempt": 3}
    assert (message.correlation_id, message.content_type, message.subject) == (
        "c-1",
        "application/json",
        "s",
    )


async def test_a_copy_under_its_own_id_says_when_its_original_was_enqueued(tmp_path: Path) -> None:
    """On a queue that takes an ID twice; by one more property, and nothing else changes."""
    config = json.loads((ROOT / "infra" / "servicebus.json").read_text("utf-8"))
    for queue in config["UserConfig"]["Namespaces"][0]["Queues"]:
        queue["Properties"]["RequiresDuplicateDetection"] = False
    path = tmp_path / "servicebus.json"
    path.write_text(json.dumps(config), "utf-8")
    async with _bench(tmp_path, path) as bench:
        await bench.bury("m-1")
        listed = await bench.run("dead-letters", "list", "--json", "--entity", QUEUE)
        dead = json.loads(listed.out)
        sent = await bench.run("dead-letters", "resubmit", "m-1", "--window-minutes", "0")
        assert sent.code == 0, sent
        async with bench.client.get_queue_receiver(QUEUE) as receiver:
            (message,) = await receiver.receive_messages(max_wait_time=BOUND_SECONDS)
            await receiver.complete_message(message)
    at = datetime.fromisoformat(dead["enqueuedTime"]).isoformat(timespec="milliseconds")
    assert message.application_properties == {
        b"traceparent": b"00-a-b-01",
        b"attempt": 3,
        b"firstEnqueued": f"{at.removesuffix('+00:00')}Z {dead['sequenceNumber']}".encode(),
    }
    assert (b"".join(message.body), message.message_id) == (BODY, "m-1")


STRANGE = (
    properties_section(wire.string("char")) + named((wire.string("c"), b"\x73\0\0\x20\xac")) + DATA,
    properties_section(wire.uuid(UUID(int=5))) + wire.described(0x77, wire.string("{}")),
    properties_section(wire.ulong(2**64 - 1)) + wire.described(0x77, b"\x40"),
    properties_section(wire.binary(b"\0\x01\xfe\xff"))
    + named((wire.string("at"), wire.timestamp(1)), (wire.string("n"), wire.long(2**40)))
    + wire.described(0x76, wire.listing([wire.integer(1)])),
    properties_section(wire.string("nothing")) + named((wire.string("i"), wire.integer(1))),
)
"""What other languages' clients send: types the SDK can't decode, all kinds of bodies and IDs."""
SHOWN = ("char", str(UUID(int=5)), str(2**64 - 1), "0001FEFF", "nothing")


async def test_messages_of_every_kind_are_listed_and_sent_again_the_same(bench: Bench) -> None:
    """To the type: what comes out of the queue then is what was sent, but for its ID."""

    def bury(peer: Peer) -> None:
        for payload in STRANGE:
            assert peer.send(QUEUE, payload) == ACCEPTED
            receiver = peer.receiver(QUEUE)
            condition = Condition(
                "com.microsoft:dead-letter", info={symbol("DeadLetterReason"): "No"}
            )
            peer.settle(receiver, REJECTED, condition=condition)
            receiver.close()

    def receive(peer: Peer) -> list[tuple[Any, Any]]:
        receiver = peer.receiver(QUEUE, credit=len(STRANGE))
        received = [peer.settle(receiver, ACCEPTED) for _ in STRANGE]
        return [(message.body, message.properties) for message in received]

    await with_peer(bench.bus, bury)
    listed = await bench.run("dead-letters", "list", "--json", "--entity", QUEUE)
    assert listed.code == 0, listed
    letters = [json.loads(line) for line in listed.out.splitlines()]
    assert [(each["messageId"], each["reason"]) for each in letters] == [(i, "No") for i in SHOWN]
    shown = await bench.run("dead-letters", "show", "char", "--json")
    assert json.loads(shown.out)["applicationProperties"] == {"c": "€"}

    sent = await bench.run("dead-letters", "resubmit", "--all", "--new-id")
    assert sent.code == 0, sent
    char, text, null, sequence, nothing = await with_peer(bench.bus, receive)
    assert char[1] == {"c": proton.char("€")}
    assert text[0] == "{}"
    assert null[0] is None
    assert sequence == ([1], {"at": proton.timestamp(1), "n": 2**40})
    assert type(sequence[1]["at"]) is proton.timestamp
    assert type(nothing[1]["i"]) is proton.int32
    assert bench.counts == (0, 0)


async def test_watching_survives_what_the_sdk_cant_decode(bench: Bench) -> None:
    """It is shown, completed, and the next one comes."""
    topic = "assessment-results"

    def publish(peer: Peer) -> list[int]:
        return [peer.send(topic, payload) for payload in STRANGE]

    assert set(await with_peer(bench.bus, publish)) == {ACCEPTED}
    watched = await bench.run("watch", "--count", str(len(STRANGE)), "--json", "--for", "180")
    assert watched.code == 0, watched
    assert {json.loads(line)["messageId"] for line in watched.out.splitlines()} == set(SHOWN)


async def test_nothing_is_resubmitted_into_duplicate_detection(bench: Bench) -> None:
    """A copy with the same ID would vanish within the window: nothing is sent, nothing lost."""
    await bench.bury("m-1", "m-2")
    refused = await bench.run("dead-letters", "resubmit", "--all")
    assert refused.code == 1
    assert "--new-id" in refused.err
    assert bench.counts == (0, 2)
    sent = await bench.run("dead-letters", "resubmit", "--all", "--new-id")
    assert sent.code == 0, sent
    assert bench.counts == (2, 0)


async def test_watching_takes_what_it_shows_and_no_more(bench: Bench) -> None:
    """With a count, what comes after it stays for the next one."""
    async with bench.client.get_topic_sender("assessment-results") as sender:
        for number in range(3):
            body = json.dumps({"type": f"PatchAssessor.Test{number}"})
            await sender.send_messages(ServiceBusMessage(body, message_id=f"m-{number}"))
    watched = await bench.run("watch", "--count", "2", "--json", "--for", "180")
    assert watched.code == 0, watched
    assert [json.loads(line)["messageId"] for line in watched.out.splitlines()] == ["m-0", "m-1"]
    left = bench.bus.counts()["assessment-results/Subscriptions/all"]
    assert left.active + left.locked == 1
    rest = await bench.run("watch", "--count", "2", "--for", "20")
    assert rest.code == 1, "one is less than two"
    assert len(rest.out.splitlines()) == 1


async def test_several_vms_make_one_message(bench: Bench) -> None:
    """With the ID that is printed."""
    sent = await bench.run("send", "/subscriptions/a", "/subscriptions/b")
    assert sent.code == 0, sent
    async with bench.client.get_queue_receiver(QUEUE) as receiver:
        (message,) = await receiver.receive_messages(max_wait_time=BOUND_SECONDS)
        await receiver.complete_message(message)
    assert message.message_id == sent.out.strip()
    assert json.loads(b"".join(message.body)) == {"vmIds": ["/subscriptions/a", "/subscriptions/b"]}
