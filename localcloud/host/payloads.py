"""What a message says, read from its bytes as the real host's .NET client reads them.

azure-servicebus tells strings, symbols and bytes apart no more once it has decoded them, and has
no decoder for an AMQP char: the exception ends its connection, and the message stays locked until
its time is over, again and again. So `keep_payloads` lets it decode what it needs itself, header
and annotations, and keeps the bytes; `read` makes of them what AmqpAnnotatedMessageConverter and
the types of Microsoft.Azure.Amqp make. Left out: the footer, which no binding shows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus._pyamqp._decode import decode_payload
from azure.servicebus._pyamqp.aio import _receiver_async
from azure.servicebus._pyamqp.message import Message

from localcloud.host.messages import Body, SequenceBody, UnreadableBody, ValueBody
from localcloud.servicebus import wire

_KEPT: Final = "localcloud-payload"
_DELIVERY_ANNOTATIONS, _ANNOTATIONS = 0x71, 0x72
_HEADER, _PROPERTIES, _APPLICATION_PROPERTIES = 0x70, 0x73, 0x74
_DATA, _SEQUENCE, _VALUE = 0x75, 0x76, 0x77
_BODIES: Final = frozenset({_DATA, _SEQUENCE, _VALUE})
_OF_THE_CLIENT: Final = frozenset({_HEADER, _DELIVERY_ANNOTATIONS, _ANNOTATIONS})
_TEXTS: Final = {
    "message_id": 0,
    "to": 2,
    "subject": 3,
    "reply_to": 4,
    "correlation_id": 5,
    "content_type": 6,
    "session_id": 10,
    "reply_to_session_id": 12,
}
"""Positions in the properties section (AMQP 1.0, part 3, section 3.2.4)."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DOTNET_EPOCH: Final = datetime(1, 1, 1, tzinfo=UTC)
_TICKS_PER_MICROSECOND: Final = 10


@dataclass(frozen=True, slots=True)
class Content:
    """What the sender wrote.

    Attributes:
        body: Data as bytes, several sections in one; or what else it is.
        texts: Message ID, correlation ID and so on, those that the message has.
        application_properties: The sender's own; those that .NET drops are left out.
        encoded: The whole message; with empty data where it has no body, as .NET encodes that.
    """

    body: Body
    texts: Mapping[str, str] = field(default_factory=dict)
    application_properties: Mapping[str, object] = field(default_factory=dict)
    encoded: bytes = b""


def keep_payloads() -> None:
    """From now on, let the asynchronous client keep each received message's bytes for `read`."""
    # The module's own name for it, which the client has no parameter for.
    setattr(_receiver_async, "decode_payload", _decode_and_keep)  # noqa: B010 - not exported


def _decode_and_keep(buffer: memoryview) -> Message:
    payload = bytes(buffer)
    try:
        message: Message = decode_payload(memoryview(payload))
    except Exception:  # noqa: BLE001 - whatever a decoder says; `read` says what .NET would
        message = _decode_partly(payload)
    annotations = message.delivery_annotations or {}
    return message._replace(delivery_annotations={**annotations, _KEPT: payload})


def _decode_partly(payload: bytes) -> Message:
    """What the client needs to settle and renew: header and annotations, if they can be read."""
    try:
        sections = _sections(payload)
        own = b"".join(part for code, part, _ in sections if code in _OF_THE_CLIENT)
        partly: Message = decode_payload(memoryview(own))
    except Exception:  # noqa: BLE001 - the message is then settled unread
        return Message()
    return partly


def read(received: ServiceBusReceivedMessage) -> Content:
    """Read a message that was received since `keep_payloads`.

    Returns:
        Its content; with an `UnreadableBody` where the .NET client would raise.
    """
    annotations = received.raw_amqp_message.delivery_annotations or {}
    payload = annotations.get(_KEPT)
    if not isinstance(payload, bytes):
        return Content(UnreadableBody("its bytes were not kept"))
    try:
        return _content(_sections(payload))
    except (wire.WireError, ValueError, OverflowError, ArithmeticError) as error:
        return Content(UnreadableBody(str(error)))


def _sections(payload: bytes) -> list[tuple[object, bytes, object]]:
    """Descriptor, bytes and value of each section."""
    sections = []
    at = 0
    while at < len(payload):
        section, end = wire.decode(payload, at)
        if not isinstance(section, wire.Described):
            raise wire.WireError("a section starts with a descriptor")
        sections.append((section.descriptor, payload[at:end], section.value))
        at = end
    return sections


def _content(sections: list[tuple[object, bytes, object]]) -> Content:
    values = {code: value for code, _, value in sections}
    listed = values.get(_PROPERTIES)
    properties = listed if isinstance(listed, list) else []
    texts = {
        name: _text(properties[position])
        for name, position in _TEXTS.items()
        if len(properties) > position and properties[position] is not None
    }
    mapped = values.get(_APPLICATION_PROPERTIES)
    application = {}
    for name, value in mapped.items() if isinstance(mapped, dict) else ():
        read_value = _dotnet(value)
        if value is None or read_value is not None:
            application[_text(name)] = read_value
    return Content(_body(sections), texts, application, _encoded(sections))


def _encoded(sections: list[tuple[object, bytes, object]]) -> bytes:
    """The sections as AmqpAnnotatedMessageConverter writes them: no body is empty data."""
    parts = [part for code, part, value in sections if not (code == _VALUE and value is None)]
    if not _BODIES & {code for code, _, value in sections if value is not None}:
        parts.append(wire.described(_DATA, wire.binary(b"")))
    return b"".join(parts)


def _body(sections: list[tuple[object, bytes, object]]) -> Body:
    codes = {code for code, _, _ in sections}
    if _DATA in codes:
        return b"".join(
            value for code, _, value in sections if code == _DATA and isinstance(value, bytes)
        )
    if _SEQUENCE in codes:
        return SequenceBody()
    value = next((value for code, _, value in sections if code == _VALUE), None)
    if value is None:
        return b""  # .NET reads no body, and a null, as empty data
    return ValueBody(value if isinstance(value, dict) else _dotnet(value))


def _text(value: object) -> str:
    """A value as .NET's `ToString` writes it: bytes as upper-case hexadecimal digits."""
    return value.hex().upper() if isinstance(value, bytes) else str(value)


def _dotnet(value: object) -> object:
    """A property's value with the type that .NET gives it; None for what .NET drops.

    Raises:
        ValueError: .NET's client raises too, and can't receive the message at all.
    """
    match value:
        case dict():
            raise ValueError("a map is no value of a property")
        case wire.Described(descriptor=wire.Symbol() as name, value=inner):
            translate = _KNOWN.get(name)
            return None if translate is None else translate(inner)
        case wire.Described():
            raise ValueError("a described value whose descriptor is no symbol")
        case wire.Timestamp():
            return _moment(value)
        case wire.Decimal():
            return _decimal(value)
        case _:
            return value


def _moment(milliseconds: int) -> datetime:
    """A timestamp; one that .NET has no date for is its first or its last."""
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return _DOTNET_EPOCH if milliseconds < 0 else datetime.max.replace(tzinfo=UTC)


def _ticks(value: object) -> timedelta:
    if not isinstance(value, int):
        raise ValueError("ticks must be a number")  # noqa: TRY004 - .NET's cast fails alike
    return timedelta(microseconds=value / _TICKS_PER_MICROSECOND)


_KNOWN: Final[Mapping[str, Callable[[object], object]]] = {
    "com.microsoft:timespan": _ticks,
    "com.microsoft:datetime-offset": lambda value: _DOTNET_EPOCH + _ticks(value),
    "com.microsoft:uri": str,
}
# Of each width in bytes: bits of the exponent, and what is taken off it (IEEE 754-2008, 3.5.2).
_DECIMALS: Final = {4: (8, 101), 8: (10, 398), 16: (14, 6176)}


def _decimal(value: bytes) -> Decimal:
    """A decimal in binary integer encoding, the one .NET reads and writes."""
    exponent_bits, bias = _DECIMALS[len(value)]
    number = int.from_bytes(value)
    coefficient_bits = len(value) * 8 - 1 - exponent_bits
    coefficient = number & ((1 << coefficient_bits) - 1)
    exponent = (number >> coefficient_bits) & ((1 << exponent_bits) - 1)
    digits = tuple(map(int, str(coefficient)))
    return Decimal((number >> (len(value) * 8 - 1), digits, exponent - bias))
