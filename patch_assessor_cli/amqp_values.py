"""AMQP 1.0's values as they lie in a message: where each one ends, and what it is (part 1, 1.6).

azure-servicebus has no decoder for some types (a char, the short decimals), and tells strings,
symbols and bytes apart no more once it has decoded them. What it can't tell is read here.
"""

import struct
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

_DEEPEST: Final = 32
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIXED: Final = {0x4: 0, 0x5: 1, 0x6: 2, 0x7: 4, 0x8: 8, 0x9: 16}
"""How many bytes follow a constructor, by its upper half."""
_SIZED: Final = {0xA: 1, 0xB: 4, 0xC: 1, 0xD: 4, 0xE: 1, 0xF: 4}
"""How many bytes tell the length of what follows, by the constructor's upper half."""
_LIST, _MAP, _ARRAY = (0xC0, 0xD0), (0xC1, 0xD1), (0xE0, 0xF0)
_CONSTANTS: Final[Mapping[int, object]] = {
    0x40: None,
    0x41: True,
    0x42: False,
    0x43: 0,
    0x44: 0,
}
_UNSIGNED: Final = frozenset({0x50, 0x52, 0x53, 0x60, 0x70, 0x80})
_SIGNED: Final = frozenset({0x51, 0x54, 0x55, 0x61, 0x71, 0x81})
_BYTE_MOST: Final = 255


class AmqpError(ValueError):
    """Bytes that are no AMQP value."""


@dataclass(frozen=True, slots=True)
class Opaque:
    """A value that only its bytes tell, such as a decimal."""

    kind: str
    octets: bytes

    def __str__(self) -> str:
        """Returns the kind and the bytes in hexadecimal digits."""
        return f"{self.kind} 0x{self.octets.hex()}"


def end_of(data: bytes, at: int, depth: int = 0) -> int:
    """Returns where the value ends that begins at `at`; raises AmqpError."""
    if depth > _DEEPEST or at >= len(data):
        raise AmqpError("a value is cut off, or too deep")
    code = data[at]
    at += 1
    if code == 0:
        return end_of(data, end_of(data, at, depth + 1), depth + 1)
    kind = code >> 4
    if kind in _FIXED:
        end = at + _FIXED[kind]
    elif kind in _SIZED:
        width = _SIZED[kind]
        end = at + width + int.from_bytes(data[at : at + width])
    else:
        raise AmqpError(f"there is no constructor 0x{code:02x}")
    if end > len(data):
        raise AmqpError("a value is cut off")
    return end


def parts_of(data: bytes, at: int) -> list[bytes]:
    """Returns the bytes of each part of the list or map that begins at `at`; raises AmqpError."""
    end = end_of(data, at)
    code = data[at]
    if code == 0x45:  # noqa: PLR2004 - the empty list, which has no size
        return []
    if code not in (*_LIST, *_MAP):
        raise AmqpError("it is neither list nor map")
    width = _SIZED[code >> 4]
    count = int.from_bytes(data[at + 1 + width : at + 1 + 2 * width])
    at += 1 + 2 * width
    parts = []
    for _ in range(min(count, end - at)):
        begin, at = at, end_of(data, at)
        parts.append(data[begin:at])
    if at != end or len(parts) != count:
        raise AmqpError("its parts are not as long as it says")
    return parts


def composed(parts: Sequence[bytes], *, is_map: bool) -> bytes:
    """Returns a list or a map of these parts, in its shorter form where it fits."""
    body = b"".join(parts)
    small, large = _MAP if is_map else _LIST
    if len(body) < _BYTE_MOST and len(parts) <= _BYTE_MOST:
        return bytes((small, len(body) + 1, len(parts))) + body
    return bytes((large,)) + struct.pack(">II", len(body) + 4, len(parts)) + body


def text(value: str) -> bytes:
    """Returns an AMQP string."""
    encoded = value.encode()
    if len(encoded) <= _BYTE_MOST:
        return bytes((0xA1, len(encoded))) + encoded
    return b"\xb1" + struct.pack(">I", len(encoded)) + encoded


def read(data: bytes, at: int = 0, depth: int = 0) -> object:
    """Returns the value that begins at `at`, for people and for JSON; raises AmqpError.

    A char is a text, a timestamp a time, bytes are bytes; a described value is that without its
    descriptor, and what has no form of its own is Opaque.
    """
    end = end_of(data, at, depth)
    code = data[at]
    if code == 0:
        return read(data, end_of(data, at + 1, depth + 1), depth + 1)
    if code in (*_LIST, 0x45):
        return [read(part, 0, depth + 1) for part in parts_of(data, at)]
    if code in _MAP:
        parts = [read(part, 0, depth + 1) for part in parts_of(data, at)]
        return {str(name): value for name, value in zip(parts[::2], parts[1::2], strict=True)}
    if code in _ARRAY:
        return Opaque("array", data[at:end])
    return _scalar(code, data[at + 1 + _SIZED.get(code >> 4, 0) : end])


def _scalar(code: int, octets: bytes) -> object:
    if code in _CONSTANTS:
        return _CONSTANTS[code]
    if code in _UNSIGNED or code in _SIGNED:
        return int.from_bytes(octets, signed=code in _SIGNED)
    if code not in _READERS:
        raise AmqpError(f"there is no constructor 0x{code:02x}")
    return _READERS[code](octets)


def _moment(milliseconds: int) -> object:
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return milliseconds


def _text(octets: bytes) -> str:
    return octets.decode(errors="replace")


def _bytes(octets: bytes) -> bytes:
    return octets


def _decimal(octets: bytes) -> Opaque:
    return Opaque("decimal", octets)


_READERS: Final[Mapping[int, Callable[[bytes], object]]] = {
    0x56: lambda octets: octets != b"\0",
    0x72: lambda octets: struct.unpack(">f", octets)[0],
    0x82: lambda octets: struct.unpack(">d", octets)[0],
    0x73: lambda octets: octets.decode("utf-32-be", errors="replace"),
    0x83: lambda octets: _moment(int.from_bytes(octets, signed=True)),
    0x98: lambda octets: uuid.UUID(bytes=octets),
    **dict.fromkeys((0xA1, 0xB1, 0xA3, 0xB3), _text),
    **dict.fromkeys((0xA0, 0xB0), _bytes),
    **dict.fromkeys((0x74, 0x84, 0x94), _decimal),
}
