"""The body of an AMQP message, read from the message's bytes.

Only what the body needs is read (AMQP 1.0, part 3, section 3.2): every section before it is
stepped over by its size, so that nothing that a sender can put into properties and annotations
stands in the way of what it asks for. azure-servicebus has a reader of whole messages
(`ServiceBusReceivedMessage.from_bytes`); it fails on a property of the type char, and no longer
tells a text from bytes.

Left out: descriptors that are symbols, which neither Azure's clients nor its service write.
"""

from dataclasses import dataclass
from typing import Final

_DATA, _SEQUENCE, _VALUE = 0x75, 0x76, 0x77
_FOOTER: Final = 0x78
_DESCRIBED: Final = 0x00
_CODE_SIZES: Final = {0x53: 1, 0x80: 8}
"""How many bytes a descriptor has: a short or a long unsigned number."""
_FIXED: Final = {0x4: 0, 0x5: 1, 0x6: 2, 0x7: 4, 0x8: 8, 0x9: 16}
_SIZED: Final = {0xA: 1, 0xB: 4, 0xC: 1, 0xD: 4, 0xE: 1, 0xF: 4}
"""By a constructor's upper half: the bytes of its value, or of the size that stands before it."""
_BYTES: Final = frozenset({0xA0, 0xB0})
_TEXT: Final = frozenset({0xA1, 0xB1, 0xA3, 0xB3})
_NULL: Final = 0x40
_KINDS: Final = {
    0x41: "a boolean",
    0x42: "a boolean",
    0x56: "a boolean",
    0x73: "a char",
    0x83: "a timestamp",
    0x98: "a UUID",
    0x45: "a list",
    0xC0: "a list",
    0xD0: "a list",
    0xC1: "a map",
    0xD1: "a map",
    0xE0: "an array",
    0xF0: "an array",
}
_WANTED: Final = "must be JSON in UTF-8, as bytes (AMQP data) or as a text"


@dataclass(frozen=True, slots=True)
class AmqpBody:
    """What a message says.

    Attributes:
        content: the data sections in one, or the text, in UTF-8; where it is neither, the body's
            sections as they came.
        problem: what the body must be and is not; None where it can be read.
    """

    content: bytes
    problem: str | None = None


class _CutError(Exception):
    """The bytes end before the message does, or are no message."""


def read_body(message: bytes) -> AmqpBody:
    """Returns the body of a whole encoded message. Never raises: what is no message is a problem.

    No body, and a null, are empty, as Azure's clients have them.
    """
    parts: list[bytes] = []
    begin = at = 0
    try:
        while at < len(message):
            begin = at
            code, value = _descriptor(message, at)
            at = _end(message, value)
            if code == _DATA:
                parts.append(_data(message, value))
            elif code == _VALUE:
                return _value(message, begin, value)
            elif code == _SEQUENCE:
                return AmqpBody(message[begin:], f"{_WANTED}; it is an AMQP sequence")
            elif code == _FOOTER:
                break
    except _CutError:
        return AmqpBody(message[begin:], f"{_WANTED}; it is no AMQP message")
    return AmqpBody(b"".join(parts))


def _descriptor(message: bytes, at: int) -> tuple[int, int]:
    """Which section begins there, and where its value does."""
    size = _CODE_SIZES.get(message[at + 1]) if len(message) > at + 1 else None
    if message[at] != _DESCRIBED or size is None:
        raise _CutError
    begin, end = at + 2, at + 2 + size
    if end > len(message):
        raise _CutError
    return int.from_bytes(message[begin:end]), end


def _end(message: bytes, at: int) -> int:
    """Where the value ends that begins there, whatever it is."""
    values = 1
    while values:
        if message[at : at + 1] == b"\0":  # a descriptor follows, and what it describes
            at, values = at + 1, values + 1
        else:
            at, values = _span(message, at)[1], values - 1
    return at


def _span(message: bytes, at: int) -> tuple[int, int]:
    """Where the content of a value begins and ends that is not described."""
    if at >= len(message):
        raise _CutError
    upper = message[at] >> 4
    if upper in _FIXED:
        begin, size = at + 1, _FIXED[upper]
    elif upper in _SIZED:
        begin = at + 1 + _SIZED[upper]
        size = int.from_bytes(message[at + 1 : begin])
    else:
        raise _CutError
    if begin + size > len(message):
        raise _CutError
    return begin, begin + size


def _data(message: bytes, at: int) -> bytes:
    if at >= len(message) or message[at] not in _BYTES:
        raise _CutError
    begin, end = _span(message, at)
    return message[begin:end]


def _value(message: bytes, section: int, at: int) -> AmqpBody:
    constructor = message[at]
    if constructor == _NULL:
        return AmqpBody(b"")
    if constructor in _BYTES or constructor in _TEXT:
        begin, end = _span(message, at)
        return AmqpBody(message[begin:end])
    kind = "a described value" if constructor == _DESCRIBED else _KINDS.get(constructor, "a number")
    return AmqpBody(message[section:], f"{_WANTED}; it is an AMQP value that is {kind}")
