"""Message formats, read from the frames whatever way they are cut into reads."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from localcloud.servicebus import wire
from localcloud.servicebus.amqp.formats import MessageFormats
from localcloud.servicebus.message import BATCH_FORMAT

_HEADERS = b"AMQP\x03\x01\x00\x00AMQP\x00\x01\x00\x00"


def _frame(performative: int, fields: list[bytes], payload: bytes = b"", channel: int = 1) -> bytes:
    body = wire.described(performative, wire.listing(fields)) + payload
    return (8 + len(body)).to_bytes(4) + b"\x02\x00" + channel.to_bytes(2) + body


def _attach(name: str, handle: int, *, receiver: bool = False) -> bytes:
    return _frame(0x12, [wire.string(name), wire.uint(handle), wire.boolean(receiver)])


def _transfer(handle: int, message_format: int | None, *, more: bool = False) -> bytes:
    fields = [wire.uint(handle), wire.uint(0), wire.binary(b"\xff\xfe")]
    fields.append(wire.NULL if message_format is None else wire.uint(message_format))
    fields += [wire.NULL, wire.boolean(more)]
    return _frame(0x14, fields, payload=b"AMQP" * 50)


_EMPTY_FRAME = b"\x00\x00\x00\x08\x02\x00\x00\x00"
_STREAM = b"".join(
    [
        _HEADERS,
        _attach("one", 0),
        _attach("two", 1),
        _attach("replies", 2, receiver=True),
        _transfer(0, BATCH_FORMAT),
        _EMPTY_FRAME,
        _transfer(1, 0, more=True),
        _transfer(0, 0),
        _transfer(1, None, more=True),
        _transfer(1, None),
        _transfer(1, BATCH_FORMAT),
        _transfer(9, BATCH_FORMAT),
    ]
)


@given(st.lists(st.integers(0, len(_STREAM)), max_size=30))
def test_formats_are_found_however_the_stream_is_cut(cuts: list[int]) -> None:
    """Each link's deliveries have their formats in order; a delivery of many frames has one."""
    formats = MessageFormats()
    edges = [0, *sorted(cuts), len(_STREAM)]
    for start, end in pairwise(edges):
        formats.feed(_STREAM[start:end])
    assert [formats.take("one") for _ in range(3)] == [BATCH_FORMAT, 0, 0]
    assert [formats.take("two") for _ in range(3)] == [0, BATCH_FORMAT, 0]
    assert formats.take("unknown") == 0


@given(st.binary(max_size=300))
def test_bytes_that_are_no_frames_do_no_harm(data: bytes) -> None:
    """Proton is the one who refuses them."""
    formats = MessageFormats()
    formats.feed(_HEADERS + data)
    assert formats.take("one") == 0
