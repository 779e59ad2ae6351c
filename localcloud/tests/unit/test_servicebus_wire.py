"""AMQP values: what the bus writes it can read, and no bytes make it fail unexpectedly."""

import struct
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.servicebus import wire

_LONGS = st.integers(-(2**63), 2**63 - 1)
_ENCODED = st.one_of(
    st.builds(lambda value: (value, wire.boolean(value)), st.booleans()),
    st.builds(lambda value: (value, wire.uint(value)), st.integers(0, 2**32 - 1)),
    st.builds(lambda value: (value, wire.integer(value)), st.integers(-(2**31), 2**31 - 1)),
    st.builds(lambda value: (value, wire.long(value)), _LONGS),
    st.builds(lambda value: (value, wire.timestamp(value)), _LONGS),
    st.builds(lambda value: (value, wire.uuid(value)), st.uuids()),
    st.builds(lambda value: (value, wire.binary(value)), st.binary(max_size=400)),
    st.builds(lambda value: (value, wire.string(value)), st.text(max_size=300)),
    st.just((None, wire.NULL)),
)


@given(_ENCODED)
def test_a_written_value_reads_back_the_same(pair: tuple[object, bytes]) -> None:
    """Encoding and decoding are inverse, and `end_of` agrees with `decode` about the length."""
    value, data = pair
    assert wire.decode(data) == (value, len(data))
    assert wire.end_of(data) == len(data)


@given(st.lists(_ENCODED, max_size=40))
def test_lists_keep_their_items_and_their_bytes(pairs: list[tuple[object, bytes]]) -> None:
    """A list of any size reads back, and its raw items are the very bytes it was made of."""
    data = wire.listing([encoded for _, encoded in pairs])
    assert wire.decode(data)[0] == [value for value, _ in pairs]
    assert wire.raw_items(data) == [encoded for _, encoded in pairs]


@given(st.dictionaries(st.text(max_size=20), _ENCODED, max_size=30), st.text(max_size=20))
def test_merging_replaces_one_entry_and_leaves_the_others_bytes(
    entries: dict[str, tuple[object, bytes]], key: str
) -> None:
    """Only the entry that is set changes; every other keeps the type its sender gave it."""
    original = wire.mapping([(wire.string(name), data) for name, (_, data) in entries.items()])
    merged = wire.merge_map(original, [(wire.string(key), wire.string("set"))])
    expected = {name: value for name, (value, _) in entries.items()} | {key: "set"}
    assert wire.decode(merged)[0] == expected
    items = wire.raw_items(merged)
    raw = dict(zip(items[::2], items[1::2], strict=True))
    for name, (_, data) in entries.items():
        if name != key:
            assert raw[wire.string(name)] == data


@given(st.lists(_LONGS, max_size=300))
def test_arrays_read_back(values: list[int]) -> None:
    """Arrays have one constructor for all items, of any number."""
    assert wire.decode(wire.array(map(wire.long, values)))[0] == values


def test_an_array_refuses_mixed_types() -> None:
    """AMQP has no arrays of several types."""
    with pytest.raises(wire.WireError):
        wire.array([wire.long(1), wire.string("1")])


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_wire_error(data: bytes) -> None:
    """What a client sends may be anything; the bus answers for it in one way."""
    for read in (wire.decode, wire.end_of, wire.raw_items):
        try:
            read(data)
        except wire.WireError:
            continue


@given(_ENCODED, st.data())
def test_a_truncated_value_is_an_error(pair: tuple[object, bytes], data: st.DataObject) -> None:
    """Half a value is never taken for a whole one."""
    _, encoded = pair
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(wire.WireError):
        wire.decode(encoded[:cut])


def test_a_deep_nest_of_values_is_an_error() -> None:
    """A nest of lists a million deep doesn't overflow anything."""
    with pytest.raises(wire.WireError):
        wire.decode(b"\x00" * 1_000_000)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x53\x80", 128),
        (b"\x54\xff", -1),
        (b"\x55\xfe", -2),
        (b"\x60\x01\x00", 256),
        (b"\x82" + struct.pack(">d", 1.5), 1.5),
        (b"\xa3\x03foo", wire.Symbol("foo")),
        (b"\x45", []),
        (b"\x00\x53\x24\x45", wire.Described(0x24, [])),
        (b"\x98" + bytes(16), UUID(int=0)),
    ],
)
def test_encodings_that_only_others_write_are_read(data: bytes, expected: object) -> None:
    """The specification's examples of each width."""
    assert wire.decode(data) == (expected, len(data))
