"""AMQP 1.0 values as bytes: what the bus reads and writes itself.

Proton encodes a whole message again when it is asked to change one section of it. The service
keeps what a sender wrote byte for byte, so the bus works on sections, and on the few values in
them that it must know. Decimals and chars are stepped over, never decoded.

Layout and constructor codes: AMQP 1.0, part 1 (types), section 1.6.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

Buffer: TypeAlias = bytes | bytearray | memoryview

_U32 = struct.Struct(">I")
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


@dataclass(frozen=True, slots=True)
class Described:
    """A value with a descriptor that says what it means."""

    descriptor: object
    value: object


def _scalar(code: str) -> Callable[[Buffer, int, int], object]:
    layout = struct.Struct(">" + code)
    return lambda data, start, _end: layout.unpack_from(data, start)[0]


def _constant(value: object) -> Callable[[Buffer, int, int], object]:
    return lambda _data, _start, _end: value


_SCALARS: dict[int, Callable[[Buffer, int, int], object]] = {
    0x40: _constant(None),
    0x41: _constant(value=True),
    0x42: _constant(value=False),
    0x43: _constant(0),
    0x44: _constant(0),
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
    0x80: _scalar("Q"),
    0x81: _scalar("q"),
    0x82: _scalar("d"),
    0x83: _scalar("q"),
    0x98: lambda data, start, end: UUID(bytes=bytes(data[start:end])),
    0xA0: lambda data, start, end: bytes(data[start:end]),
    0xA1: lambda data, start, end: str(data[start:end], "utf-8"),
    0xA3: lambda data, start, end: Symbol(str(data[start:end], "ascii")),
    0xB0: lambda data, start, end: bytes(data[start:end]),
    0xB1: lambda data, start, end: str(data[start:end], "utf-8"),
    0xB3: lambda data, start, end: Symbol(str(data[start:end], "ascii")),
}


def _content(data: Buffer, code: int, at: int) -> tuple[int, int]:
    """Where the content of a value starts and ends, `at` being just after its constructor."""
    kind = code >> 4
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
        raise WireError(f"no AMQP constructor has the code 0x{code:02x}")
    if end > len(data):
        raise WireError("the value is longer than its buffer")
    return start, end


def _skip(data: Buffer, at: int) -> int:
    code = data[at]
    if code == 0:
        return _skip(data, _skip(data, at + 1))
    return _content(data, code, at + 1)[1]


def _items_of(data: Buffer, code: int, start: int) -> tuple[int, int]:
    """How many items a list, map or array has, and where the first one is."""
    if code >> 4 in _SHORT_SIZE:
        return data[start], start + 1
    return _U32.unpack_from(data, start)[0], start + 4


def _read(data: Buffer, at: int) -> tuple[object, int]:
    code = data[at]
    if code == 0:
        descriptor, at = _read(data, at + 1)
        value, at = _read(data, at)
        return Described(descriptor, value), at
    return _read_content(data, code, at + 1)


def _read_content(data: Buffer, code: int, at: int) -> tuple[object, int]:
    start, end = _content(data, code, at)
    scalar = _SCALARS.get(code)
    if scalar is not None:
        return scalar(data, start, end), end
    match code:
        case 0x45:
            return [], end
        case 0xC0 | 0xD0:
            return _read_items(data, code, start), end
        case 0xC1 | 0xD1:
            items = _read_items(data, code, start)
            return dict(zip(items[::2], items[1::2], strict=True)), end
        case 0xE0 | 0xF0:
            return _read_array(data, code, start), end
        case _:
            return bytes(data[start:end]), end  # decimals and chars


def _read_items(data: Buffer, code: int, start: int) -> list[object]:
    count, at = _items_of(data, code, start)
    items: list[object] = []
    for _ in range(count):
        item, at = _read(data, at)
        items.append(item)
    return items


def _read_array(data: Buffer, code: int, start: int) -> list[object]:
    count, at = _items_of(data, code, start)
    constructor = data[at]
    at += 1
    if constructor == 0:
        at = _skip(data, at)
        constructor = data[at]
        at += 1
    items: list[object] = []
    for _ in range(count):
        item, at = _read_content(data, constructor, at)
        items.append(item)
    return items


def decode(data: Buffer, at: int = 0) -> tuple[object, int]:
    """Read one value.

    Returns:
        The value and the position just after it. Maps become dicts, lists and arrays lists,
        timestamps milliseconds since the Unix epoch, symbols `Symbol`.

    Raises:
        WireError: there is no whole, well-formed value at that position.
    """
    try:
        return _read(data, at)
    except (IndexError, struct.error, UnicodeDecodeError, TypeError, RecursionError) as error:
        raise WireError("not an AMQP value") from error
    except WireError:
        raise
    except ValueError as error:
        raise WireError("not an AMQP value") from error


def end_of(data: Buffer, at: int = 0) -> int:
    """The position just after the value at `at`, without decoding it.

    Raises:
        WireError: there is no whole value at that position.
    """
    try:
        return _skip(data, at)
    except (IndexError, struct.error, RecursionError) as error:
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
    try:
        count, at = _items_of(data, code, _content(data, code, 1)[0])
    except (IndexError, struct.error) as error:
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
