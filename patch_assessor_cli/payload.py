"""A message as its bytes: what it says, and how it is sent again without changing one of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from patch_assessor_cli.amqp_values import AmqpError, composed, end_of, parts_of, read, text
from patch_assessor_cli.json_lines import json_line

_HEADER, _DELIVERY_ANNOTATIONS, _ANNOTATIONS = 0x70, 0x71, 0x72
_PROPERTIES, _APPLICATION_PROPERTIES = 0x73, 0x74
_DATA, _SEQUENCE, _VALUE, _FOOTER = 0x75, 0x76, 0x77, 0x78
_KINDS: Final = range(_HEADER, _FOOTER + 1)
_MESSAGE_ID, _SUBJECT, _CORRELATION_ID, _CONTENT_TYPE = 0, 3, 5, 6
_EXPIRY, _CREATION = 8, 9
"""Positions in the properties section (AMQP 1.0, part 3, 3.2.4)."""
_SENDERS_HEADER: Final = 3
"""Durable, priority and time to live are the sender's; what follows them is the bus's."""
_NULL: Final = b"\x40"
FIRST_ENQUEUED: Final = "firstEnqueued"
"""The application property by which a copy says when the queue took its original."""
_REASONS: Final = frozenset({"DeadLetterReason", "DeadLetterErrorDescription"})
_OF_THE_BUS: Final = frozenset(
    {
        "x-opt-deadletter-source",
        "x-opt-enqueue-sequence-number",
        "x-opt-enqueued-time",
        "x-opt-lock-token",
        "x-opt-locked-until",
        "x-opt-message-state",
        "x-opt-scheduled-enqueue-time",
        "x-opt-sequence-number",
    }
)


@dataclass(frozen=True, slots=True)
class Payload:
    """What a message says.

    Attributes:
        message_id: Its ID as a text, as .NET writes one that is none: a number in decimal, bytes
            in upper-case hexadecimal digits; empty without one.
        correlation_id: Likewise; None without one.
        subject: Likewise.
        content_type: The body's media type.
        application_properties: What the sender put beside the body.
        body: The bytes of data; of a value that is a text its UTF-8; of any other as JSON.
        body_kind: data, value, sequence or none.
    """

    message_id: str
    correlation_id: str | None
    subject: str | None
    content_type: str | None
    application_properties: Mapping[str, object]
    body: bytes
    body_kind: str

    @classmethod
    def of(cls, octets: bytes) -> "Payload":
        """Reads a message; raises AmqpError."""
        found = _sections(octets)
        properties = _listed(found, _PROPERTIES)
        named = _mapped(found, _APPLICATION_PROPERTIES)
        body, kind = _body(found)
        return cls(
            message_id=_text_at(properties, _MESSAGE_ID) or "",
            correlation_id=_text_at(properties, _CORRELATION_ID),
            subject=_text_at(properties, _SUBJECT),
            content_type=_text_at(properties, _CONTENT_TYPE),
            application_properties={str(read(name)): read(value) for name, value in named},
            body=body,
            body_kind=kind,
        )


def copy_of(octets: bytes, new_id: str | None, *, says_when: bool = False) -> bytes:
    """Returns the bytes of the same message, as its sender would send it once more.

    Left out is what the bus and the death have added: deliveries, annotations, the reason; and
    when it was to expire, for it would be dead at once. Everything else is kept byte for byte.
    At most one application property is added: by FIRST_ENQUEUED the app knows a scan, and a message
    that had no ID, for the one that it was.

    Args:
        octets: The dead letter.
        new_id: Another message ID; None keeps the one that it has.
        says_when: Whether it says when the queue took the original first, unless that says it
            itself.

    Raises:
        AmqpError: It can't be read, so that nobody could tell that the copy is the same.
    """
    found = _sections(octets)
    kept = []
    added = _first_enqueued(found) if says_when else []
    for code, raw in found:
        match code:
            case 0x70:
                section = _header(raw)
            case 0x71 | 0x73:
                continue  # the link's own; the properties follow below
            case 0x72:
                section = _without(code, raw, _OF_THE_BUS)
            case 0x74:
                section = _without(code, raw, _REASONS, added)
                added = []
            case _:
                section = raw
        kept.append((code, section))
    properties = next((raw for code, raw in found if code == _PROPERTIES), None)
    kept.append((_PROPERTIES, _properties(properties, new_id)))
    if added:
        kept.append((_APPLICATION_PROPERTIES, _section(_APPLICATION_PROPERTIES, _map_of(added))))
    return b"".join(section for _, section in sorted(kept, key=lambda each: each[0]))


def bare(octets: bytes) -> bytes:
    """Returns what every reader can read of a message: the header, and the bus's annotations."""
    kept = []
    for code, raw in _sections(octets):
        if code == _HEADER:
            kept.append(raw)
        if code == _ANNOTATIONS:
            pairs = [pair for pair in _pairs(raw) if str(read(pair[0])) in _OF_THE_BUS]
            kept.append(_section(code, _map_of(pairs)))
    return b"".join(kept)


def _sections(octets: bytes) -> list[tuple[int, bytes]]:
    """Returns the kind and the bytes of each section, in order."""
    found, at = [], 0
    while at < len(octets):
        begin, at = at, end_of(octets, at)
        raw = octets[begin:at]
        kind = read(raw, 1) if raw[0] == 0 else None
        if not isinstance(kind, int) or kind not in _KINDS:
            raise AmqpError("it is no section of a message")
        found.append((kind, raw))
    return found


def _value_at(raw: bytes) -> int:
    """Returns where a section's value begins, behind its descriptor."""
    return end_of(raw, 1)


def _section(code: int, value: bytes) -> bytes:
    return bytes((0x00, 0x53, code)) + value


def _listed(found: list[tuple[int, bytes]], code: int) -> list[bytes]:
    raw = next((raw for kind, raw in found if kind == code), None)
    return [] if raw is None else parts_of(raw, _value_at(raw))


def _mapped(found: list[tuple[int, bytes]], code: int) -> list[tuple[bytes, bytes]]:
    raw = next((raw for kind, raw in found if kind == code), None)
    return [] if raw is None else _pairs(raw)


def _pairs(raw: bytes) -> list[tuple[bytes, bytes]]:
    parts = parts_of(raw, _value_at(raw))
    if len(parts) % 2:
        raise AmqpError("a name has no value")
    return list(zip(parts[::2], parts[1::2], strict=True))


def _first_enqueued(found: list[tuple[int, bytes]]) -> list[tuple[bytes, bytes]]:
    """Returns FIRST_ENQUEUED as the original's annotations have it; none where it has one."""
    if any(read(name) == FIRST_ENQUEUED for name, _ in _mapped(found, _APPLICATION_PROPERTIES)):
        return []
    annotations = {str(read(name)): read(value) for name, value in _mapped(found, _ANNOTATIONS)}
    at, number = annotations.get("x-opt-enqueued-time"), annotations.get("x-opt-sequence-number")
    if not isinstance(at, datetime) or not isinstance(number, int):
        return []
    moment = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return [(text(FIRST_ENQUEUED), text(f"{moment} {number}"))]


def _without(
    code: int,
    raw: bytes,
    names: frozenset[str],
    added: Sequence[tuple[bytes, bytes]] = (),
) -> bytes:
    """Returns a section of named values without these and with others; nothing where none is left.

    Values that it keeps are the same to the byte.
    """
    pairs = _pairs(raw)
    kept = [*(pair for pair in pairs if str(read(pair[0])) not in names), *added]
    if kept == pairs:
        return raw
    return _section(code, _map_of(kept)) if kept else b""


def _map_of(pairs: list[tuple[bytes, bytes]]) -> bytes:
    return composed([each for pair in pairs for each in pair], is_map=True)


def _header(raw: bytes) -> bytes:
    parts = parts_of(raw, _value_at(raw))[:_SENDERS_HEADER]
    return _section(_HEADER, composed(parts, is_map=False)) if set(parts) - {_NULL} else b""


def _properties(raw: bytes | None, new_id: str | None) -> bytes:
    parts = [] if raw is None else parts_of(raw, _value_at(raw))
    changed = list(parts)
    for position in (_EXPIRY, _CREATION):
        if len(changed) > position:
            changed[position] = _NULL
    if new_id is not None:
        changed[:1] = [text(new_id)]
    if changed == parts:
        return raw or b""
    return _section(_PROPERTIES, composed(changed, is_map=False))


def _text_at(properties: list[bytes], position: int) -> str | None:
    value = read(properties[position]) if len(properties) > position else None
    if value is None:
        return None
    return value.hex().upper() if isinstance(value, bytes) else str(value)


def _body(found: list[tuple[int, bytes]]) -> tuple[bytes, str]:
    bodies = [(code, raw) for code, raw in found if code in (_DATA, _SEQUENCE, _VALUE)]
    values = [(code, read(raw, _value_at(raw))) for code, raw in bodies]
    if not values:
        return b"", "none"
    code, value = values[0]
    if code == _DATA:
        return b"".join(each for _, each in values if isinstance(each, bytes)), "data"
    if code == _SEQUENCE:
        return json_line([each for _, each in values]).encode(), "sequence"
    if isinstance(value, str | bytes):
        return value.encode() if isinstance(value, str) else value, "value"
    return json_line(value).encode(), "value"
