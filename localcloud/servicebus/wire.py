"""AMQP 1.0 values as bytes: what the bus reads and writes itself.

Proton encodes a whole message again when it is asked to change one section of it. The service
keeps what a sender wrote byte for byte, so the bus works on sections, and on the few values in
them that it must know. Decimals are left as the bytes they are.

Layout and constructor codes: AMQP 1.0, part 1 (types), section 1.6.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

Buffer: TypeAlias = bytes | bytearray | memoryview

_U32 = struct.Struct(">I")
_Q = struct.Struct(">q")
_LENGTH_BY_WIDTH = {4: 0, 5: 1, 6: 2, 7: 4, 8: 8, 9: 16}
_SHORT_SIZE = frozenset({0xA, 0xC, 0xE})
_LONG_SIZE = frozenset({0xB, 0xD, 0xF})
_MAX_SHORT = 0xFF
NULL = b"\x40"
_EMPTY_LIST_CODE = 0x45


class WireError(ValueError):
    """Bytes that are no AMQP 1.0 value."""


class Symbol(str):
    """An AMQP symbol: a name out of a constrained vocabulary."""

    __slots__ = ()


class Char(str):
    """An AMQP char: one character of Unicode."""

    __slots__ = ()


class Timestamp(int):
    """An AMQP timestamp: milliseconds since the Unix epoch."""


class Decimal(bytes):
    """An AMQP decimal, undecoded; its width tells which of the three."""


@dataclass(frozen=True, slots=True)
class Described:
    """A value with a descriptor that says what it means."""

    descriptor: object
    value: object


# A reader takes a buffer and the position after a constructor; it returns the value and its end.
_Reader: TypeAlias = Callable[[Buffer, int], tuple[object, int]]


def _constant(value: object) -> _Reader:
    return lambda _data, at: (value, at)


def _scalar(code: str) -> _Reader:
    layout = struct.Struct(">" + code)
    return lambda data, at: (layout.unpack_from(data, at)[0], at + layout.size)


def _timestamp(data: Buffer, at: int) -> tuple[object, int]:
    return Timestamp(_Q.unpack_from(data, at)[0]), at + _Q.size


def _slice(convert: Callable[[Buffer], object], kind: int) -> _Reader:
    def read(data: Buffer, at: int) -> tuple[object, int]:
        start, end = _content(data, kind, at)
        return convert(data[start:end]), end

    return read


def _char(content: Buffer) -> Char:
    return Char(str(content, "utf-32-be"))


def _text(content: Buffer) -> str:
    return str(content, "utf-8")


def _symbol(content: Buffer) -> Symbol:
    return Symbol(str(content, "ascii"))


def _uuid(content: Buffer) -> UUID:
    return UUID(bytes=bytes(content))


def _content(data: Buffer, kind: int, at: int) -> tuple[int, int]:
    """Where the content of a value starts and ends.

    Args:
        data: the buffer.
        kind: the upper half of the constructor, which says how long the value is.
        at: the position after the constructor.
    """
    length = _LENGTH_BY_WIDTH.get(kind)
    if length is not None:
        start, end = at, at + length
    elif kind in _SHORT_SIZE:
        start = at + 1
        end = start + data[at]
    elif kind in _LONG_SIZE:
        start = at + 4
        end = start + _U32.unpack_from(data, at)[0]
    else:
        raise WireError(f"no AMQP constructor begins with 0x{kind:x}")
    if end > len(data):
        raise WireError("the value is longer than its buffer")
    return start, end


def _skip(data: Buffer, at: int) -> int:
    code = data[at]
    if code == 0:
        return _skip(data, _skip(data, at + 1))
    return _content(data, code >> 4, at + 1)[1]


def _items_of(data: Buffer, kind: int, start: int) -> tuple[int, int]:
    """How many items a list, map or array has, and where the first one is."""
    if kind in _SHORT_SIZE:
        return data[start], start + 1
    return _U32.unpack_from(data, start)[0], start + 4


def _read(data: Buffer, at: int) -> tuple[object, int]:
    return _READERS[data[at]](data, at + 1)


def _read_described(data: Buffer, at: int) -> tuple[object, int]:
    descriptor, at = _read(data, at)
    value, at = _read(data, at)
    return Described(descriptor, value), at


def _list_reader(kind: int) -> Callable[[Buffer, int], tuple[list[object], int]]:
    def read(data: Buffer, at: int) -> tuple[list[object], int]:
        start, end = _content(data, kind, at)
        count, at = _items_of(data, kind, start)
        items = []
        for _ in range(count):
            item, at = _READERS[data[at]](data, at + 1)
            items.append(item)
        return items, end

    return read


def _map_reader(kind: int) -> _Reader:
    read_items = _list_reader(kind)

    def read(data: Buffer, at: int) -> tuple[object, int]:
        items, end = read_items(data, at)
        return dict(zip(items[::2], items[1::2], strict=True)), end

    return read


def _array_reader(kind: int) -> _Reader:
    def read(data: Buffer, at: int) -> tuple[object, int]:
        start, end = _content(data, kind, at)
        count, at = _items_of(data, kind, start)
        constructor = data[at]
        at += 1
        if constructor == 0:
            at = _skip(data, at)
            constructor = data[at]
            at += 1
        items = []
        for _ in range(count):
            item, at = _READERS[constructor](data, at)
            items.append(item)
        return items, end

    return read


_READERS: dict[int, _Reader] = {
    0x00: _read_described,
    0x40: _constant(None),
    0x41: _constant(value=True),
    0x42: _constant(value=False),
    0x43: _constant(0),
    0x44: _constant(0),
    0x45: lambda _data, at: ([], at),
    0x50: _scalar("B"),
    0x51: _scalar("b"),
    0x52: _scalar("B"),
    0x53: _scalar("B"),
    0x54: _scalar("b"),
    0x55: _scalar("b"),
    0x56: _scalar("?"),
    0x60: _scalar("H"),
    0x61: _scalar("h"),
    0x70: _scalar("I"),
    0x71: _scalar("i"),
    0x72: _scalar("f"),
    0x73: _slice(_char, 0x7),
    0x74: _slice(Decimal, 0x7),
    0x80: _scalar("Q"),
    0x81: _scalar("q"),
    0x82: _scalar("d"),
    0x83: _timestamp,
    0x84: _slice(Decimal, 0x8),
    0x94: _slice(Decimal, 0x9),
    0x98: _slice(_uuid, 0x9),
    0xA0: _slice(bytes, 0xA),
    0xA1: _slice(_text, 0xA),
    0xA3: _slice(_symbol, 0xA),
    0xB0: _slice(bytes, 0xB),
    0xB1: _slice(_text, 0xB),
    0xB3: _slice(_symbol, 0xB),
    0xC0: _list_reader(0xC),
    0xC1: _map_reader(0xC),
    0xD0: _list_reader(0xD),
    0xD1: _map_reader(0xD),
    0xE0: _array_reader(0xE),
    0xF0: _array_reader(0xF),
}
_MALFORMED = (LookupError, struct.error, TypeError, ValueError, RecursionError)


def decode(data: Buffer, at: int = 0) -> tuple[object, int]:
    """Read one value.

    Returns:
        The value and the position just after it. Maps become dicts, lists and arrays lists,
        timestamps, chars, decimals and symbols the types above, the rest Python's own.

    Raises:
        WireError: there is no whole, well-formed value at that position.
    """
    try:
        return _read(data, at)
    except _MALFORMED as error:
        raise WireError("not an AMQP value") from error


def end_of(data: Buffer, at: int = 0) -> int:
    """The position just after the value at `at`, without decoding it.

    Raises:
        WireError: there is no whole value at that position.
    """
    try:
        return _skip(data, at)
    except _MALFORMED as error:
        raise WireError("not an AMQP value") from error


def raw_items(data: Buffer) -> list[bytes]:
    """The encoded items of an encoded list or map, in order; a map's keys and values alternate.

    Raises:
        WireError: the bytes are neither.
    """
    if not data or data[0] == _EMPTY_LIST_CODE:
        return []
    code = data[0]
    if code not in {0xC0, 0xC1, 0xD0, 0xD1}:
        raise WireError(f"0x{code:02x} constructs neither a list nor a map")
    kind = code >> 4
    try:
        count, at = _items_of(data, kind, _content(data, kind, 1)[0])
    except _MALFORMED as error:
        raise WireError("not an AMQP value") from error
    items = []
    for _ in range(count):
        end = end_of(data, at)
        items.append(bytes(data[at:end]))
        at = end
    return items


def merge_map(encoded: Buffer, updates: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Set entries of an encoded map; the others keep their bytes, types and order.

    Args:
        encoded: an encoded map, or nothing for an empty one.
        updates: encoded keys and values.

    Returns:
        The encoded map.
    """
    items = raw_items(encoded)
    replaced = {decode(key)[0] for key, _ in updates} if items else frozenset()
    kept = [
        pair
        for pair in zip(items[::2], items[1::2], strict=True)
        if decode(pair[0])[0] not in replaced
    ]
    return mapping([*kept, *updates])


def boolean(value: bool) -> bytes:  # noqa: FBT001 - the one argument is the value to encode
    """Encode a boolean."""
    return b"\x41" if value else b"\x42"


def ubyte(value: int) -> bytes:
    """Encode an unsigned 8-bit integer."""
    return bytes((0x50, value))


def uint(value: int) -> bytes:
    """Encode an unsigned 32-bit integer."""
    return bytes((0x52, value)) if value <= _MAX_SHORT else struct.pack(">BI", 0x70, value)


def integer(value: int) -> bytes:
    """Encode a signed 32-bit integer."""
    return struct.pack(">Bi", 0x71, value)


def long(value: int) -> bytes:
    """Encode a signed 64-bit integer."""
    return struct.pack(">Bq", 0x81, value)


def ulong(value: int) -> bytes:
    """Encode an unsigned 64-bit integer."""
    return struct.pack(">BQ", 0x80, value)


def double(value: float) -> bytes:
    """Encode a 64-bit floating-point number."""
    return struct.pack(">Bd", 0x82, value)


def timestamp(milliseconds: int) -> bytes:
    """Encode a moment, in milliseconds since the Unix epoch."""
    return struct.pack(">Bq", 0x83, milliseconds)


def uuid(value: UUID) -> bytes:
    """Encode a UUID."""
    return b"\x98" + value.bytes


def _sized(short: int, content: bytes) -> bytes:
    if len(content) <= _MAX_SHORT:
        return bytes((short, len(content))) + content
    return struct.pack(">BI", short + 0x10, len(content)) + content


def binary(value: bytes) -> bytes:
    """Encode bytes."""
    return _sized(0xA0, value)


def string(value: str) -> bytes:
    """Encode text."""
    return _sized(0xA1, value.encode())


def symbol(value: str) -> bytes:
    """Encode a symbol."""
    return _sized(0xA3, value.encode("ascii"))


def _compound(short: int, count: int, content: bytes) -> bytes:
    if count <= _MAX_SHORT and len(content) < _MAX_SHORT:
        return bytes((short, len(content) + 1, count)) + content
    return struct.pack(">BII", short + 0x10, len(content) + 4, count) + content


def listing(items: Sequence[bytes]) -> bytes:
    """Encode a list of encoded items."""
    return _compound(0xC0, len(items), b"".join(items))


def mapping(pairs: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Encode a map of encoded keys and values."""
    return _compound(0xC1, 2 * len(pairs), b"".join(key + value for key, value in pairs))


def array(items: Iterable[bytes]) -> bytes:
    """Encode an array; its items are encoded with one and the same constructor."""
    encoded = list(items)
    constructors = {item[:1] for item in encoded}
    if len(constructors) > 1:
        raise WireError("an array has items of one constructor")
    content = b"".join([*(constructors or {NULL}), *(item[1:] for item in encoded)])
    return struct.pack(">BII", 0xF0, len(content) + 4, len(encoded)) + content


def described(descriptor: int, encoded: bytes) -> bytes:
    """Describe an encoded value by one of AMQP's own descriptors, as a small ulong.

    The service's Python client looks for the descriptor in the third byte, so the long form of
    the same number would not do.
    """
    return bytes((0x00, 0x53, descriptor)) + encoded
