"""What clients of other languages put on the wire, and what they must get for it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from azure.servicebus import ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient
from proton import Described, Terminus, symbol
from proton.reactor import Copy, Filter, Selector
from proton.utils import LinkDetached

from localcloud.servicebus import wire
from localcloud.servicebus.amqp.sasl import SASL_HEADER
from localcloud.servicebus.server import ServiceBus, TlsOptions
from localcloud.tests.integration.amqp_peer import ACCEPTED, MODIFIED, REJECTED, Peer, with_peer
from localcloud.tests.integration.servicebus_clients import client, entities, receive
from localcloud.tls import LocalAuthority

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="function")]

_BODY = wire.described(0x75, wire.binary(b"x"))


@pytest.fixture
async def bus() -> AsyncIterator[ServiceBus]:
    """A bus with a queue `q`."""
    async with ServiceBus.start(entities("q")) as running:
        yield running


@pytest.fixture
async def sdk(bus: ServiceBus) -> AsyncIterator[ServiceBusClient]:
    """The service's Python client on it."""
    async with client(bus) as opened:
        yield opened


@pytest.mark.parametrize(
    "options",
    [
        {"allowed_mechs": "ANONYMOUS"},
        {
            "allowed_mechs": "PLAIN",
            "user": "RootManageSharedAccessKey",
            "password": "SAS_KEY_VALUE",
        },
        {"sasl_enabled": False},
    ],
)
async def test_every_way_to_sign_in_is_taken(bus: ServiceBus, options: dict[str, object]) -> None:
    """ANONYMOUS, PLAIN with any secret, and no SASL at all."""
    assert await with_peer(bus, lambda peer: peer.send("q", _BODY), **options) == ACCEPTED


async def test_modified_without_failed_counts_until_the_dead_letter_queue(
    bus: ServiceBus, sdk: ServiceBusClient
) -> None:
    """How .NET, Java, Go and JavaScript abandon; the properties they give stay, types and all."""

    def abandon(peer: Peer) -> list[int]:
        peer.send("q", _BODY)
        receiver = peer.receiver("q", credit=3)
        properties = {symbol("tries"): 2**40}
        settled = [
            peer.settle(receiver, MODIFIED, failed=False, annotations=properties) for _ in range(3)
        ]
        return [message.delivery_count for message in settled]

    assert await with_peer(bus, abandon) == [0, 1, 2]
    async with sdk.get_queue_receiver("q", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead:
        (letter,) = await receive(dead)
        assert letter.dead_letter_reason == "MaxDeliveryCountExceeded"
        assert letter.dead_letter_source == "q"
        assert letter.application_properties is not None
        assert letter.application_properties[b"tries"] == 2**40


async def test_a_browser_sees_messages_and_takes_none(bus: ServiceBus) -> None:
    """Distribution mode `copy`, as JMS's QueueBrowser attaches; twice, and all are still there."""

    def browse(peer: Peer) -> list[int]:
        for _ in range(3):
            peer.send("q", _BODY)
        seen = []
        for _ in range(2):
            receiver = peer.receiver("q", credit=10, options=Copy())
            assert receiver.link.remote_source.distribution_mode == Terminus.DIST_MODE_COPY
            seen.append(len([receiver.receive(timeout=10) for _ in range(3)]))
            receiver.close()
        return seen

    assert await with_peer(bus, browse) == [3, 3]
    counts = bus.counts()["q"]
    assert (counts.active, counts.locked) == (3, 0)


def _filter(name: str) -> Filter:
    return Filter({symbol(name): Described(symbol(name), "x")})


async def test_filters_are_refused_or_left_out_of_the_reply(bus: ServiceBus) -> None:
    """A selector and a session would change what is received; another filter isn't in force."""

    def attach(peer: Peer) -> object:
        for refused in (
            Selector("color = 'red'"),
            _filter("com.microsoft:session-filter"),
        ):
            with pytest.raises(LinkDetached):
                peer.receiver("q", options=refused)
        other = peer.receiver("q", options=_filter("example:other"))
        data = other.link.remote_source.filter
        data.rewind()
        return data.next() and data.get_dict()

    assert not await with_peer(bus, attach)


async def test_a_drain_is_answered_at_any_credit(bus: ServiceBus) -> None:
    """Credit that there is no message for is given back; none at all is in the unit tests."""

    def drain(peer: Peer) -> list[int]:
        peer.send("q", _BODY)
        left = []
        for credit in (5, 5):
            receiver = peer.receiver("q", credit=0)
            receiver.link.drain(credit)
            peer.connection.wait(lambda link=receiver.link: not link.draining(), timeout=10)
            left.append(receiver.link.credit)
            receiver.close()
        return left

    assert await with_peer(bus, drain) == [0, 0]


async def test_what_the_service_adds_and_refuses(bus: ServiceBus, sdk: ServiceBusClient) -> None:
    """An ID and the entity's time to live; no ID over 128 characters, no header over 64 KB."""

    def send(peer: Peer) -> list[int]:
        def with_id(message_id: bytes) -> bytes:
            return wire.described(0x73, wire.listing([message_id])) + _BODY

        large = [(wire.string("k"), wire.string("v" * 66_000))]
        return [
            peer.send("q", _BODY),
            peer.send("q", with_id(wire.binary(b"\x00\xff"))),
            peer.send("q", with_id(wire.string("i" * 128))),
            peer.send("q", with_id(wire.string("i" * 129))),
            peer.send("q", wire.described(0x74, wire.mapping(large)) + _BODY),
            peer.send("q", wire.described(0x77, b"\xa1\x09cut")),
        ]

    assert await with_peer(bus, send) == [ACCEPTED] * 3 + [REJECTED] * 3
    async with sdk.get_queue_receiver("q") as receiver:
        first, *_ = await receive(receiver, 3)
        assert len(first.message_id or "") == 32
        assert first.time_to_live is not None
        assert first.time_to_live.total_seconds() == 3600


async def test_tls_is_spoken_on_a_port_of_its_own() -> None:
    """A client without the emulator's flag connects by TLS and trusts the local authority."""
    authority = LocalAuthority()
    tls = TlsOptions(authority.server_context())
    async with ServiceBus.start(entities("q"), tls=tls) as running:
        reader, writer = await asyncio.open_connection(
            "localhost", running.tls_port, ssl=authority.client_context()
        )
        writer.write(SASL_HEADER)
        assert await reader.readexactly(len(SASL_HEADER)) == SASL_HEADER
        writer.close()
