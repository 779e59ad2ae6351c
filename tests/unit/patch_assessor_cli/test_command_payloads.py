"""Messages as bytes: what the commands read of them, and that a copy is the same to the byte."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.servicebus import wire
from patch_assessor_cli.amqp_values import AmqpError
from patch_assessor_cli.json_lines import json_line
from patch_assessor_cli.payload import FIRST_ENQUEUED, Payload, bare, copy_of

DATA = wire.described(0x75, wire.binary(b'{"vmId": "x"}'))
CHAR = b"\x73\x00\x00\x20\xac"
DECIMAL = b"\x84" + b"\x22" * 8
NULL, TRUE, FALSE = b"\x40", b"\x41", b"\x42"
PROPERTIES = (
    (wire.string("char"), CHAR),
    (wire.string("decimal"), DECIMAL),
    (wire.string("when"), wire.timestamp(1_767_614_400_123)),
    (wire.string("int"), wire.integer(7)),
    (wire.string("long"), wire.long(2**40)),
    (wire.string("ulong"), wire.ulong(2**63)),
    (wire.string("symbol"), wire.symbol("s")),
    (wire.string("bytes"), wire.binary(b"\xff\x00")),
    (wire.string("uuid"), wire.uuid(UUID(int=5))),
    (wire.string("none"), NULL),
)
REASONS = (
    (wire.string("DeadLetterReason"), wire.string("NotGood")),
    (wire.string("DeadLetterErrorDescription"), wire.string("It is not good.")),
)


def properties(message_id: bytes, *others: bytes) -> bytes:
    """A properties section: an ID, and what follows it."""
    return wire.described(0x73, wire.listing([message_id, *others]))


def named(*pairs: tuple[bytes, bytes]) -> bytes:
    """A section of application properties."""
    return wire.described(0x74, wire.mapping(pairs))


def test_every_type_of_property_is_read() -> None:
    """Also those that the SDK has no decoder for, and as JSON they are all one line."""
    said = Payload.of(named(*PROPERTIES) + DATA)
    assert said.application_properties == {
        "char": "€",
        "decimal": said.application_properties["decimal"],
        "when": datetime(2026, 1, 5, 12, 0, 0, 123000, tzinfo=UTC),
        "int": 7,
        "long": 2**40,
        "ulong": 2**63,
        "symbol": "s",
        "bytes": b"\xff\x00",
        "uuid": UUID(int=5),
        "none": None,
    }
    assert str(said.application_properties["decimal"]) == "decimal 0x2222222222222222"
    assert json.loads(json_line(said.application_properties))["char"] == "€"


@pytest.mark.parametrize(
    ("message_id", "text"),
    [
        (wire.string("m-1"), "m-1"),
        (
            wire.uuid(UUID("0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9")),
            "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9",
        ),
        (wire.ulong(2**64 - 1), "18446744073709551615"),
        (wire.binary(b"\x00\x01\xfe\xff"), "0001FEFF"),
        (NULL, ""),
    ],
)
def test_an_id_of_any_type_is_text_as_dotnet_writes_it(message_id: bytes, text: str) -> None:
    """So that one can name it on the command line."""
    assert Payload.of(properties(message_id) + DATA).message_id == text


@pytest.mark.parametrize(
    ("body", "shown", "kind"),
    [
        (DATA, b'{"vmId": "x"}', "data"),
        (DATA + DATA, b'{"vmId": "x"}' * 2, "data"),
        (wire.described(0x77, wire.string("text")), b"text", "value"),
        (wire.described(0x77, wire.binary(b"\x00")), b"\x00", "value"),
        (wire.described(0x77, NULL), b"null", "value"),
        (wire.described(0x77, wire.integer(5)), b"5", "value"),
        (wire.described(0x77, wire.mapping(PROPERTIES[:1])), '{"char": "€"}'.encode(), "value"),
        (
            wire.described(0x76, wire.listing([wire.integer(1), CHAR])),
            '[[1, "€"]]'.encode(),
            "sequence",
        ),
        (b"", b"", "none"),
    ],
)
def test_a_body_of_any_kind_is_shown(body: bytes, shown: bytes, kind: str) -> None:
    """Data as they are, a text as its UTF-8, anything else as JSON."""
    said = Payload.of(properties(wire.string("m")) + body)
    assert (said.body, said.body_kind) == (shown, kind)


def test_a_copy_is_the_senders_message_without_what_the_bus_added() -> None:
    """Header, annotations and reason go; each remaining section is the same to the byte."""
    own = wire.described(
        0x72, wire.mapping([(wire.symbol("x-opt-partition-key"), wire.string("p"))])
    )
    sent = (
        wire.described(0x70, wire.listing([TRUE, wire.ubyte(9), wire.uint(60000)]))
        + own
        + properties(wire.uuid(UUID(int=1)), NULL, wire.string("to"))
        + named(*PROPERTIES)
        + wire.described(0x77, wire.mapping(PROPERTIES))
        + wire.described(0x78, wire.mapping(PROPERTIES[:1]))
    )
    came = (
        wire.described(
            0x70,
            wire.listing(
                [
                    TRUE,
                    wire.ubyte(9),
                    wire.uint(60000),
                    FALSE,
                    wire.uint(10),
                ]
            ),
        )
        + wire.described(
            0x71, wire.mapping([(wire.symbol("x-opt-lock-token"), wire.uuid(UUID(int=9)))])
        )
        + wire.described(
            0x72,
            wire.mapping(
                [
                    (wire.symbol("x-opt-sequence-number"), wire.long(5)),
                    (wire.symbol("x-opt-partition-key"), wire.string("p")),
                    (wire.symbol("x-opt-enqueued-time"), wire.timestamp(5)),
                ]
            ),
        )
        + properties(wire.uuid(UUID(int=1)), NULL, wire.string("to"))
        + named(*PROPERTIES, *REASONS)
        + wire.described(0x77, wire.mapping(PROPERTIES))
        + wire.described(0x78, wire.mapping(PROPERTIES[:1]))
    )
    assert copy_of(came, None) == sent


def test_a_copy_with_another_id_differs_in_nothing_else() -> None:
    """The ID may be of another type, or missing."""
    rest = named(*PROPERTIES) + DATA
    renamed = properties(wire.string("new"), NULL, wire.string("to"))
    assert (
        copy_of(properties(wire.ulong(7), NULL, wire.string("to")) + rest, "new") == renamed + rest
    )
    assert copy_of(rest, "new") == properties(wire.string("new")) + rest
    long_id = "n" * 300
    assert Payload.of(copy_of(rest, long_id)).message_id == long_id


def _came(*said: tuple[bytes, bytes]) -> bytes:
    """A dead letter that the queue took as its fifth, with these properties."""
    place = [
        (wire.symbol("x-opt-sequence-number"), wire.long(5)),
        (wire.symbol("x-opt-enqueued-time"), wire.timestamp(1_767_614_400_123)),
    ]
    return wire.described(0x72, wire.mapping(place)) + (named(*said) if said else b"") + DATA


@pytest.mark.parametrize("own", [(), PROPERTIES])
def test_a_copy_says_when_its_original_was_enqueued(own: tuple[tuple[bytes, bytes], ...]) -> None:
    """By one more property; every other byte is the sender's."""
    said = (wire.string(FIRST_ENQUEUED), wire.string("2026-01-05T12:00:00.123Z 5"))
    copied = copy_of(_came(*own, *REASONS), None, says_when=True)
    assert copied == named(*own, said) + DATA
    assert copy_of(_came(*own, said, *REASONS), None, says_when=True) == copied, "the first counts"


def test_a_copy_of_what_has_no_place_says_none() -> None:
    """Nothing is made up."""
    assert copy_of(DATA, None, says_when=True) == DATA


def test_a_copy_does_not_expire_when_its_dead_letter_did() -> None:
    """The moments that the sender reckoned with are over; the time to live counts anew."""
    times = [NULL] * 7 + [wire.timestamp(5), wire.timestamp(4), wire.string("group")]
    copied = copy_of(properties(wire.string("m"), *times) + DATA, None)
    assert copied == properties(wire.string("m"), *[NULL] * 9, wire.string("group")) + DATA


@given(st.binary(max_size=64))
def test_no_bytes_are_another_exception(octets: bytes) -> None:
    """What is no message is told as such, or read."""
    for read in (Payload.of, bare, lambda each: copy_of(each, None)):
        with suppress(AmqpError):
            read(octets)


@given(st.data())
def test_a_message_that_is_cut_off_is_refused(data: st.DataObject) -> None:
    """Nobody could tell that the copy is the same."""
    whole = properties(wire.string("m-1")) + named(*PROPERTIES) + DATA
    ends = {len(properties(wire.string("m-1"))), len(whole) - len(DATA)}
    at = data.draw(st.integers(1, len(whole) - 1).filter(lambda each: each not in ends))
    with pytest.raises(AmqpError):
        copy_of(whole[:at], None)


def test_what_any_reader_can_read_is_the_header_and_the_buss_annotations() -> None:
    """The client needs no more to tell a message and to settle it."""
    number = (wire.symbol("x-opt-sequence-number"), wire.long(5))
    header = wire.described(0x70, wire.listing([]))
    annotations = wire.described(0x72, wire.mapping([number, (wire.symbol("mine"), CHAR)]))
    expected = header + wire.described(0x72, wire.mapping([number]))
    assert bare(header + annotations + named(*PROPERTIES) + DATA) == expected
