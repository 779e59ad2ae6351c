"""Message formats, read from the frames whatever way they are cut into reads."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from localcloud.servicebus import wire
from localcloud.servicebus.amqp.frames import Frames
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


_BEGIN = _frame(0x11, [wire.NULL, wire.uint(0), wire.uint(100), wire.uint(100)])
_EMPTY_FRAME = b"\x00\x00\x00\x08\x02\x00\x00\x00"
_STREAM = b"".join(
    [
        _HEADERS,
        _BEGIN,
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
    frames = Frames()
    edges = [0, *sorted(cuts), len(_STREAM)]
    for start, end in pairwise(edges):
        frames.incoming(_STREAM[start:end])
    assert [frames.take_format("one") for _ in range(3)] == [BATCH_FORMAT, 0, 0]
    assert [frames.take_format("two") for _ in range(3)] == [0, BATCH_FORMAT, 0]
    assert frames.take_format("unknown") == 0


@given(st.binary(max_size=300))
def test_bytes_that_are_no_frames_do_no_harm(data: bytes) -> None:
    """Proton is the one who refuses them."""
    frames = Frames()
    frames.incoming(_HEADERS + data)
    assert frames.take_format("one") == 0


def _decoded(frame: bytes) -> list[object]:
    fields, _ = wire.decode(frame, 11)
    assert isinstance(fields, list)
    return fields


def _numbered(handle: int, delivery_id: int, *, more: bool = False) -> bytes:
    fields = [wire.uint(handle), wire.uint(delivery_id), wire.binary(b"tag"), wire.uint(0)]
    return _frame(0x14, [*fields, wire.NULL, wire.boolean(more)], payload=b"payload")


def _settled(first: int, last: int) -> bytes:
    """What Proton says of a client's deliveries: accepted."""
    accepted = wire.described(0x24, wire.listing([]))
    ids = [wire.uint(first), wire.uint(last)]
    return _frame(
        0x15, [wire.boolean(value=True), *ids, wire.boolean(value=True), accepted], channel=0
    )


def _began() -> Frames:
    """A connection with a session: the client's channel 1 is the bus's channel 0."""
    frames = Frames()
    frames.incoming(_HEADERS + _BEGIN + _attach("one", 0) + _attach("two", 1))
    reply = [wire.uint(1), wire.uint(5), wire.uint(100), wire.uint(100)]
    frames.outgoing(b"AMQP\x00\x01\x00\x00" + _frame(0x11, reply, channel=0))
    return frames


def test_delivery_ids_out_of_order_are_put_in_order_and_answered_as_given() -> None:
    """A link's transfer that overtook another's: Proton sees 7, 8, 9, and the client its own."""
    frames = _began()
    passed = [frames.incoming(_numbered(*each)) for each in [(0, 7), (1, 9), (0, 8), (1, 10)]]
    assert [_decoded(each)[1] for each in passed] == [7, 8, 9, 10]
    assert all(each.endswith(b"payload") for each in passed)
    told = frames.outgoing(_settled(7, 9))
    size = int.from_bytes(told[:4])
    replies = [told[at : at + size] for at in range(0, len(told), size)]
    assert [_decoded(each)[1:3] for each in replies] == [[7, 7], [9, 9], [8, 8]]
    assert frames.outgoing(_settled(10, 10)) == _settled(10, 10)


def test_a_delivery_of_many_frames_keeps_its_id_in_all_of_them() -> None:
    """A continuation that repeats the ID gets the one that its first frame got."""
    frames = _began()
    frames.incoming(_numbered(0, 0))
    first = frames.incoming(_numbered(1, 2, more=True))
    assert [_decoded(frames.incoming(_numbered(0, 1)))[1], _decoded(first)[1]] == [2, 1]
    assert _decoded(frames.incoming(_numbered(1, 2)))[1] == 1


def _flow(handle: int, delivery_count: int, credit: int) -> bytes:
    session = [wire.uint(9), wire.uint(100), wire.uint(0), wire.uint(100)]
    return _frame(0x13, [*session, wire.uint(handle), wire.uint(delivery_count), wire.uint(credit)])


@given(st.integers(0, 2**32 - 1))
def test_any_credit_is_one_that_proton_takes(credit: int) -> None:
    """Up to 2^31-1 it passes as it is; above that it is cut to it."""
    frames = _began()
    frames.incoming(_attach("mine", 2, receiver=True))
    passed = frames.incoming(_flow(2, 0, credit))
    assert _decoded(passed)[6] == min(credit, 2**31 - 1)
    assert _decoded(passed)[:6] == [9, 100, 0, 100, 2, 0]


def test_a_drain_without_credit_is_answered_with_the_links_delivery_count() -> None:
    """The flow counts the session's transfers and the deliveries that are on their way."""
    frames = _began()
    frames.incoming(_attach("mine", 2, receiver=True) + _flow(2, 3, 0))
    frames.incoming(_numbered(0, 0) + _numbered(0, 1))
    attach = [wire.string("mine"), wire.uint(4), wire.boolean(value=False)]
    frames.outgoing(_frame(0x12, attach, channel=0))
    frames.outgoing(_frame(0x14, [wire.uint(4), wire.uint(0)], channel=0))
    reply = frames.drained("mine", -2)
    assert reply[6:8] == b"\x00\x00"
    next_incoming, next_outgoing = 0 + 2, 5 + 1
    told = _decoded(reply)
    assert [told[0], told[2], told[4]] == [next_incoming, next_outgoing, 4]
    assert told[5:9] == [5, 0, 0, True]
    assert frames.drained("unknown", 0) == b""
