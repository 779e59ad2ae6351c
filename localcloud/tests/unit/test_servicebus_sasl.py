"""The SASL layer: what each client offers is taken, and the rest goes to the layer behind."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.servicebus import wire
from localcloud.servicebus.amqp.sasl import AMQP_HEADER, MECHANISMS, SASL_HEADER, Handshake

_OUTCOME = b"\x00\x00\x00\x10\x02\x01\x00\x00\x00\x53\x44\xc0\x03\x01\x50"
_OK, _FAILED = b"\x00", b"\x01"
_BEHIND = AMQP_HEADER + b"and whatever follows"


def _init(mechanism: str, response: bytes = b"") -> bytes:
    fields = [wire.symbol(mechanism), wire.binary(response), wire.string("localhost")]
    body = wire.described(0x41, wire.listing(fields))
    return (8 + len(body)).to_bytes(4) + b"\x02\x01\x00\x00" + body


def _offered(reply: bytes) -> list[object]:
    assert reply.startswith(SASL_HEADER)
    section, _ = wire.decode(reply, len(SASL_HEADER) + 8)
    assert isinstance(section, wire.Described)
    assert section.descriptor == 0x40
    assert isinstance(section.value, list)
    offered = section.value[0]
    assert isinstance(offered, list)
    return offered


@pytest.mark.parametrize(
    ("mechanism", "response"),
    [
        ("ANONYMOUS", b""),
        ("MSSBCBS", b""),
        ("EXTERNAL", b""),
        ("PLAIN", b"\x00RootManageSharedAccessKey\x00SAS_KEY_VALUE"),
        ("PLAIN", b"\x00user\x00" + b"k" * 4000),
    ],
)
@given(cuts=st.lists(st.integers(0, 300), max_size=6))
def test_every_mechanism_is_served_however_its_bytes_arrive(
    mechanism: str, response: bytes, cuts: list[int]
) -> None:
    """The offer names the mechanism, its choice succeeds, and what follows is passed on."""
    sent = SASL_HEADER + _init(mechanism, response) + _BEHIND
    handshake = Handshake()
    edges = [0, *sorted(min(cut, len(sent)) for cut in cuts), len(sent)]
    steps = [handshake.feed(sent[start:end]) for start, end in pairwise(edges)]
    reply = b"".join(step.reply for step in steps)
    assert mechanism in _offered(reply)
    assert reply.endswith(_OUTCOME + _OK)
    assert b"".join(step.rest for step in steps) == _BEHIND
    assert handshake.done
    assert not any(step.refused for step in steps)


def test_a_client_without_the_layer_is_passed_on_as_it_is() -> None:
    """AMQP's own header first means that there is no SASL."""
    handshake = Handshake()
    assert handshake.feed(AMQP_HEADER[:3]).rest == b""
    assert handshake.feed(_BEHIND[3:]).rest == _BEHIND


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x00\xa5\x01\x00\x00",
        b"AMQP\x00\x00\x09\x01",
    ],
)
def test_another_protocol_is_told_which_one_is_spoken(sent: bytes) -> None:
    """HTTP, a TLS hello and AMQP 0.9.1 get the header that would do, and the connection ends."""
    step = Handshake().feed(sent)
    assert step.reply == SASL_HEADER
    assert step.refused


def test_an_unknown_mechanism_is_refused() -> None:
    """The outcome says that authentication failed."""
    step = Handshake().feed(SASL_HEADER + _init("SCRAM-SHA-256"))
    assert step.reply.endswith(_OUTCOME + _FAILED)
    assert step.refused
    assert "SCRAM-SHA-256" not in MECHANISMS


@given(st.binary(max_size=200))
def test_bytes_that_are_no_negotiation_never_pass(data: bytes) -> None:
    """Nothing reaches the layer behind before a mechanism was chosen."""
    handshake = Handshake()
    handshake.feed(SASL_HEADER)
    step = handshake.feed(data)
    assert handshake.done or step.rest == b""
