"""One message: the sections that a sender wrote, and what the bus reads in them.

The bare message (properties, application properties, body, footer) is delivered as it came, byte
for byte; the header and the annotations are the service's to write. Delivery annotations are
dropped, as they are meant for one hop.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from localcloud.servicebus import wire
from localcloud.servicebus.clock import Milliseconds
from localcloud.servicebus.errors import InvalidRequestError

BATCH_FORMAT = 0x80013700
"""Message-format of a transfer whose Data sections are messages of their own."""

_HEADER = 0x70
_DELIVERY_ANNOTATIONS = 0x71
_MESSAGE_ANNOTATIONS = 0x72
_PROPERTIES = 0x73
_APPLICATION_PROPERTIES = 0x74
_DATA = 0x75
_FOOTER = 0x78
_LONGEST_MESSAGE_ID = 128  # characters
_LARGEST_HEADER = 64 * 1024  # bytes: everything but the body
_HEADER_TTL = 2
_MAX_UINT = 2**32 - 1
_SCHEDULED_FOR = "x-opt-scheduled-enqueue-time"
_FIELDS = (
    "message_id",
    "user_id",
    "to",
    "subject",
    "reply_to",
    "correlation_id",
    "content_type",
    "content_encoding",
    "absolute_expiry_time",
    "creation_time",
    "group_id",
    "group_sequence",
    "reply_to_group_id",
)


@dataclass(frozen=True)
class Message:
    """A message, section by section, each as its encoded value; empty when there is none.

    Attributes:
        header: durable, priority, time to live.
        annotations: the sender's message annotations.
        properties: AMQP's standard properties, the message ID first.
        application_properties: the sender's own.
        body: every body section with its descriptor, and the footer.
    """

    header: bytes
    annotations: bytes
    properties: bytes
    application_properties: bytes
    body: bytes

    @cached_property
    def message_id(self) -> str | None:
        """The message ID as text, whatever AMQP type it has; None when there is none."""
        return self.system_property("message_id")

    @cached_property
    def time_to_live(self) -> Milliseconds | None:
        """How long the sender wants it kept; None for as long as the entity allows."""
        fields = _list(self.header)
        value = fields[_HEADER_TTL] if len(fields) > _HEADER_TTL else None
        return value if isinstance(value, int) else None

    @cached_property
    def scheduled_for(self) -> Milliseconds | None:
        """When the sender wants it enqueued; None for now."""
        if not self.annotations:
            return None
        value = _map(self.annotations).get(_SCHEDULED_FOR)
        return value if isinstance(value, int) else None

    @cached_property
    def application(self) -> Mapping[str, object]:
        """The application properties, decoded."""
        return {str(key): value for key, value in _map(self.application_properties).items()}

    @cached_property
    def _system(self) -> Mapping[str, object]:
        return dict(zip(_FIELDS, _list(self.properties), strict=False))

    def system_property(self, name: str) -> str | None:
        """One of AMQP's standard properties as text; None when the sender left it out."""
        return _text(self._system.get(name))

    def with_application_properties(self, updates: Sequence[tuple[bytes, bytes]]) -> "Message":
        """The same message with these properties set, the others untouched.

        Args:
            updates: encoded keys and values.
        """
        if not updates:
            return self
        return replace(
            self, application_properties=wire.merge_map(self.application_properties, updates)
        )

    def with_message_id(self, message_id: str) -> "Message":
        """The same message under this ID."""
        rest = wire.raw_items(self.properties)[1:]
        return replace(self, properties=wire.listing([wire.string(message_id), *rest]))

    def with_time_to_live(self, lifetime: Milliseconds | None) -> "Message":
        """The same message, to be kept that long; one that no header can carry is left out."""
        if lifetime == self.time_to_live:
            return self
        fields = [*wire.raw_items(self.header), *[wire.NULL] * 3]
        fits = lifetime is not None and lifetime <= _MAX_UINT
        ttl = wire.uint(lifetime) if lifetime is not None and fits else wire.NULL
        header = [*fields[:_HEADER_TTL], ttl]
        return replace(self, header=wire.listing(header))

    def encode(
        self,
        annotations: Sequence[tuple[bytes, bytes]] = (),
        delivery_count: int | None = None,
        delivery_annotations: Sequence[tuple[bytes, bytes]] = (),
    ) -> bytes:
        """The message as it goes over the wire.

        Args:
            annotations: encoded keys and values that the service sets over the sender's.
            delivery_count: how often it was delivered before; None keeps the sender's header.
            delivery_annotations: encoded keys and values for this delivery alone.
        """
        parts = []
        header = self.header if delivery_count is None else self._header(delivery_count)
        if header:
            parts.append(wire.described(_HEADER, header))
        if delivery_annotations:
            told = wire.mapping(delivery_annotations)
            parts.append(wire.described(_DELIVERY_ANNOTATIONS, told))
        if self.annotations or annotations:
            merged = wire.merge_map(self.annotations, annotations)
            parts.append(wire.described(_MESSAGE_ANNOTATIONS, merged))
        if self.properties:
            parts.append(wire.described(_PROPERTIES, self.properties))
        if self.application_properties:
            parts.append(wire.described(_APPLICATION_PROPERTIES, self.application_properties))
        parts.append(self.body)
        return b"".join(parts)

    def _header(self, delivery_count: int) -> bytes:
        fields = [*wire.raw_items(self.header), *[wire.NULL] * 4][:4]
        return wire.listing([*fields, wire.uint(delivery_count)])


def _text(value: object) -> str | None:
    """An AMQP value as the service's .NET side writes it: bytes as hexadecimal digits."""
    match value:
        case None | str():
            return value
        case bytes():
            return value.hex().upper()
        case _:
            return str(value)


def text_properties(updates: Mapping[str, str | None]) -> list[tuple[bytes, bytes]]:
    """Texts as encoded properties; those that are None are left out."""
    return [
        (wire.string(key), wire.string(value))
        for key, value in updates.items()
        if value is not None
    ]


def _map(encoded: bytes) -> dict[object, object]:
    if not encoded:
        return {}
    value, _ = wire.decode(encoded)
    return value if isinstance(value, dict) else {}


def _list(encoded: bytes) -> list[object]:
    if not encoded:
        return []
    value, _ = wire.decode(encoded)
    return value if isinstance(value, list) else []


def _sections(payload: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Each section's descriptor, its start, the start of its value, and its end."""
    at = 0
    while at < len(payload):
        if payload[at] != 0:
            raise wire.WireError("a section starts with a descriptor")
        descriptor, value_at = wire.decode(payload, at + 1)
        if not isinstance(descriptor, int) or not _HEADER <= descriptor <= _FOOTER:
            raise wire.WireError("no message section has this descriptor")
        end = wire.end_of(payload, value_at)
        yield descriptor, at, value_at, end
        at = end


def accept(payload: bytes) -> Message:
    """Read one message that a client sends, and hold it against the service's limits.

    Raises:
        InvalidRequestError: the bytes are no AMQP message, its ID is longer than 128 characters,
            or everything but its body is larger than 64 KB.
    """
    message = parse(payload)
    if len(message.message_id or "") > _LONGEST_MESSAGE_ID:
        raise InvalidRequestError(
            f"The message ID is longer than {_LONGEST_MESSAGE_ID} characters."
        )
    header = len(payload) - len(message.body)
    if header > _LARGEST_HEADER:
        raise InvalidRequestError(
            f"The message's header has {header} bytes, more than {_LARGEST_HEADER}."
        )
    return message


def parse(payload: bytes) -> Message:
    """Read one encoded message.

    Raises:
        InvalidRequestError: the bytes are no AMQP message.
    """
    values: dict[int, bytes] = {}
    body = b""
    try:
        for descriptor, start, value_at, end in _sections(payload):
            if descriptor < _DATA:
                values[descriptor] = payload[value_at:end]
            elif not body:
                body = payload[start:]
        message = Message(
            header=values.get(_HEADER, b""),
            annotations=values.get(_MESSAGE_ANNOTATIONS, b""),
            properties=values.get(_PROPERTIES, b""),
            application_properties=values.get(_APPLICATION_PROPERTIES, b""),
            body=body,
        )
        # What the bus will need is read here, so that a broken message is its sender's problem.
        _ = message.message_id, message.time_to_live, message.scheduled_for, message.application
    except wire.WireError as error:
        raise InvalidRequestError(f"The message can't be decoded: {error}.") from error
    return message


def split_batch(payload: bytes) -> list[bytes]:
    """The encoded messages in a batch transfer.

    Raises:
        InvalidRequestError: the bytes are no batch of AMQP messages.
    """
    try:
        inner = [
            wire.decode(payload, value_at)[0]
            for descriptor, _, value_at, _ in _sections(payload)
            if descriptor == _DATA
        ]
    except wire.WireError as error:
        raise InvalidRequestError(f"The batch can't be decoded: {error}.") from error
    messages = [item for item in inner if isinstance(item, bytes)]
    if not messages or len(messages) != len(inner):
        raise InvalidRequestError("A batch has one Data section for each of its messages.")
    return messages
