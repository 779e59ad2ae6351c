"""The body of an AMQP message, whatever stands before it."""

from typing import Any, cast
from uuid import UUID

import pytest
from azure.servicebus._pyamqp._encode import encode_payload
from azure.servicebus._pyamqp.message import Header, Message, Properties
from hypothesis import given
from hypothesis import strategies as st

from assessor.bus.amqp_body import AmqpBody, read_body
from localcloud.servicebus import wire

_CHAR = b"\x73\x00\x00\x00\x41"
_BEFORE = b"".join(
    (
        wire.described(0x70, wire.listing([wire.NULL] * 4 + [wire.uint(3)])),
        wire.described(0x71, wire.mapping([(wire.symbol("x"), wire.uuid(UUID(int=7)))])),
        wire.described(0x72, wire.mapping([(wire.symbol("y"), wire.timestamp(1))])),
        wire.described(0x73, wire.listing([wire.string("id")])),
        wire.described(0x74, wire.mapping([(wire.string("letter"), _CHAR)])),
    )
)
_TEXTS = st.text(st.characters(codec="utf-8"), max_size=300)


def _data(*parts: bytes) -> bytes:
    return b"".join(wire.described(0x75, wire.binary(part)) for part in parts)


def _value(encoded: bytes) -> bytes:
    return wire.described(0x77, encoded)


@pytest.mark.parametrize("before", [b"", _BEFORE])
@pytest.mark.parametrize(
    ("sections", "content"),
    [
        (_data(b"{}"), b"{}"),
        (_data(b"{", b"", b"}"), b"{}"),
        (_data(b"x" * 300), b"x" * 300),
        (_value(wire.string("\u00fc")), "\u00fc".encode()),
        (_value(wire.string("x" * 300)), b"x" * 300),
        (_value(wire.symbol("x")), b"x"),
        (_value(wire.binary(b"\xff")), b"\xff"),
        (_value(wire.NULL), b""),
        (b"", b""),
        (_data(b"x") + wire.described(0x78, wire.mapping([])), b"x"),
        (b"\x00\x80" + (0x75).to_bytes(8) + wire.binary(b"long descriptor"), b"long descriptor"),
    ],
)
def test_data_and_texts_are_read(before: bytes, sections: bytes, content: bytes) -> None:
    """Several data are one; a null and nothing at all are empty; a char before is no matter."""
    assert read_body(before + sections) == AmqpBody(content)


@pytest.mark.parametrize(
    ("section", "kind"),
    [
        (_value(wire.mapping([])), "an AMQP value that is a map"),
        (_value(wire.listing([])), "an AMQP value that is a list"),
        (_value(wire.array([wire.long(1)])), "an AMQP value that is an array"),
        (_value(wire.long(7)), "an AMQP value that is a number"),
        (_value(wire.double(7)), "an AMQP value that is a number"),
        (_value(b"\x41"), "an AMQP value that is a boolean"),
        (_value(_CHAR), "an AMQP value that is a char"),
        (_value(wire.timestamp(0)), "an AMQP value that is a timestamp"),
        (_value(b"\x00" + wire.symbol("s") + wire.NULL), "an AMQP value that is a described value"),
        (wire.described(0x76, wire.listing([])), "an AMQP sequence"),
        (b"\x00\x53", "no AMQP message"),
        (b"\x00\x53\x75\xa0\x05abc", "no AMQP message"),
        (b"\x00\x53\x75\x40", "no AMQP message"),
        (b"\x00" * 100_000, "no AMQP message"),
        (b"text", "no AMQP message"),
    ],
)
def test_anything_else_is_a_problem_that_says_what_it_is(section: bytes, kind: str) -> None:
    """And keeps the body's own bytes, so that a rejection can show them."""
    body = read_body(_BEFORE + section)
    assert body.content == section
    assert body.problem == (
        f"must be JSON in UTF-8, as bytes (AMQP data) or as a text; it is {kind}"
    )


@given(
    st.lists(st.binary(max_size=300), min_size=1, max_size=3) | _TEXTS,
    st.dictionaries(_TEXTS, st.integers(-(2**31), 2**31 - 1) | _TEXTS | st.booleans(), max_size=3),
)
def test_what_another_encoder_writes_is_read_back(
    body: list[bytes] | str, properties: dict[str, Any]
) -> None:
    """azure-servicebus' own encoder, with whatever properties."""
    form = {"value": body} if isinstance(body, str) else {"data": body}
    message = Message(
        header=Header(delivery_count=2),
        message_annotations={"x-opt-sequence-number": 7},
        properties=Properties(message_id="id", content_type="application/json"),
        application_properties=cast("dict[str | bytes, Any]", properties) or None,
        **form,
    )
    content = body.encode() if isinstance(body, str) else b"".join(body)
    assert read_body(bytes(encode_payload(bytearray(), message))) == AmqpBody(content)


@given(st.binary(max_size=200), st.integers(0, 60))
def test_no_bytes_break_the_reader(noise: bytes, cut: int) -> None:
    """Noise, alone or behind a part of a message, is a body or a problem, and never an error."""
    assert read_body(noise) is not None
    assert read_body(_BEFORE[:cut] + noise) is not None
