"""A message's bytes, read as .NET's client reads them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from azure.servicebus import ServiceBusReceivedMessage
from hypothesis import given
from hypothesis import strategies as st

from localcloud.host.messages import SequenceBody, UnreadableBody, ValueBody
from localcloud.host.payloads import Content, _decode_and_keep, read
from localcloud.servicebus import wire

_NULL_BODY = b"\x00\x53\x77\x40"
_CHAR = b"\x73\x00\x00\x00\x41"


def _received(payload: bytes) -> ServiceBusReceivedMessage:
    message = _decode_and_keep(memoryview(payload))
    frame: Any = [0, 0, UUID(int=7).bytes_le, 0, False, False]
    return ServiceBusReceivedMessage(message, receiver=None, frame=frame)


def _read(*sections: bytes) -> Content:
    return read(_received(b"".join(sections)))


def _data(*parts: bytes) -> bytes:
    return b"".join(wire.described(0x75, wire.binary(part)) for part in parts)


def _properties(message_id: bytes) -> bytes:
    return wire.described(0x73, wire.listing([message_id]))


def _application(**values: bytes) -> bytes:
    pairs = [(wire.string(key), value) for key, value in values.items()]
    return wire.described(0x74, wire.mapping(pairs))


def _own(name: str, value: bytes) -> bytes:
    return b"\x00" + wire.symbol(name) + value


@pytest.mark.parametrize(
    ("sections", "body"),
    [
        (_data(b"one"), b"one"),
        (_data(b"one", b"two"), b"onetwo"),
        (_NULL_BODY, b""),
        (b"", b""),
        (wire.described(0x77, wire.string("text")), ValueBody("text")),
        (wire.described(0x77, wire.symbol("text")), ValueBody("text")),
        (wire.described(0x77, wire.binary(b"text")), ValueBody(b"text")),
        (wire.described(0x77, wire.long(7)), ValueBody(7)),
        (wire.described(0x77, wire.mapping([])), ValueBody({})),
        (wire.described(0x76, wire.listing([wire.string("text")])), SequenceBody()),
    ],
)
def test_a_body_is_what_the_dotnet_client_makes_of_it(sections: bytes, body: object) -> None:
    """A null and nothing at all are empty data; strings, symbols and bytes are told apart."""
    assert _read(sections).body == body


@pytest.mark.parametrize(
    ("sections", "encoded"),
    [
        (_data(b"one", b"two"), _data(b"one", b"two")),
        (_NULL_BODY, _data(b"")),
        (b"", _data(b"")),
        (wire.described(0x77, wire.string("text")), wire.described(0x77, wire.string("text"))),
        (wire.described(0x76, wire.listing([])), wire.described(0x76, wire.listing([]))),
    ],
)
def test_a_message_is_encoded_again_as_dotnet_does(sections: bytes, encoded: bytes) -> None:
    """Section by section; where it has no body, with empty data."""
    properties = _properties(wire.string("id")) + _application(char=_CHAR)
    assert _read(properties, sections).encoded == properties + encoded


@pytest.mark.parametrize(
    ("encoded", "text"),
    [
        (wire.string("id"), "id"),
        (wire.ulong(18446744073709551615), "18446744073709551615"),
        (
            wire.uuid(UUID("0A1B2C3D-4E5F-6071-8293-A4B5C6D7E8F9")),
            "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9",
        ),
        (wire.binary(b"\x00\x01\xfe\xff"), "0001FEFF"),
    ],
)
def test_an_id_that_is_no_text_becomes_one_as_in_dotnet(encoded: bytes, text: str) -> None:
    """A UUID in lower case with dashes, a number in decimal, bytes in upper-case hexadecimal."""
    assert _read(_properties(encoded), _data(b"x")).texts == {"message_id": text}


def test_properties_have_the_types_of_dotnet() -> None:
    """A char, a moment, a span, a decimal and an address; what has an unknown name is dropped."""
    decimal = b"\x94" + ((6176 - 2) << 113 | 12345).to_bytes(16)
    second = 10_000_000
    read_back = _read(
        _application(
            char=_CHAR,
            when=wire.timestamp(1_767_614_400_123),
            early=wire.timestamp(-(2**62)),
            span=_own("com.microsoft:timespan", wire.long(90 * second)),
            offset=_own("com.microsoft:datetime-offset", wire.long(86_400 * second)),
            uri=_own("com.microsoft:uri", wire.string("https://example.org/x")),
            unknown=_own("com.example:unknown", wire.long(1)),
            price=decimal,
            nothing=wire.NULL,
        ),
        _data(b"x"),
    )
    assert read_back.application_properties == {
        "char": "A",
        "when": datetime(2026, 1, 5, 12, 0, 0, 123000, tzinfo=UTC),
        "early": datetime(1, 1, 1, tzinfo=UTC),
        "span": timedelta(seconds=90),
        "offset": datetime(1, 1, 2, tzinfo=UTC),
        "uri": "https://example.org/x",
        "price": Decimal("123.45"),
        "nothing": None,
    }


@pytest.mark.parametrize(
    "payload",
    [
        _application(map=wire.mapping([])) + _data(b"x"),
        _application(described=b"\x00" + wire.ulong(1) + wire.long(1)) + _data(b"x"),
        wire.described(0x77, b"\xa1\x02\xff\xff"),
        b"no message",
    ],
)
def test_what_dotnet_can_not_read_is_said_and_can_be_settled(payload: bytes) -> None:
    """The message has a body that says why, and the lock token to give it back by."""
    received = _received(payload)
    assert isinstance(read(received).body, UnreadableBody)
    assert received.lock_token == UUID(int=7)


@given(st.binary(max_size=100))
def test_no_bytes_break_the_reader(payload: bytes) -> None:
    """Whatever arrives is a message in the end, whose content can be asked for."""
    assert read(_received(payload)) is not None


def test_the_client_still_knows_what_it_settles_and_renews_by() -> None:
    """Delivery count, sequence number and the lock's end are decoded by the client itself."""
    annotations = [
        (wire.symbol("x-opt-sequence-number"), wire.long(42)),
        (wire.symbol("x-opt-locked-until"), wire.timestamp(1_767_614_400_000)),
    ]
    header = wire.described(0x70, wire.listing([wire.NULL] * 4 + [wire.uint(3)]))
    payload = header + wire.described(0x72, wire.mapping(annotations)) + _application(c=_CHAR)
    received = _received(payload + _NULL_BODY)
    assert received.delivery_count == 3
    assert received.sequence_number == 42
    assert received.locked_until_utc == datetime(2026, 1, 5, 12, tzinfo=UTC)
