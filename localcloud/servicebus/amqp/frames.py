"""The frames between a client and Proton: what it doesn't tell, and what it doesn't take.

Proton speaks the protocol; this listens to both directions, frame by frame, and mends four things
that clients of Service Bus do and Proton can't:

- A delivery's message-format says whether it is a message or a batch, and Proton keeps it to
  itself: `take_format`.
- Delivery IDs that are out of order: the service's synchronous Python client counts and sends
  under two locks, so that two threads may pass each other. Proton closes the connection; here the
  IDs are put in order, and turned back in what Proton answers.
- A credit above 2^31-1, which Proton takes for a negative one.
- A drain of a link that has no credit: Proton has nothing to give back and so says nothing, and
  the client waits. `drained` makes the answer.

Layout: AMQP 1.0, part 2, sections 2.3 and 2.7.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from localcloud.servicebus import wire

_PROTOCOL_HEADER = b"AMQP"
_PREFIX = 8
_AMQP_FRAME = 0
_SMALL_ULONG = 0x53
_BEGIN, _ATTACH, _FLOW, _TRANSFER, _DISPOSITION = 0x11, 0x12, 0x13, 0x14, 0x15
_LARGEST_CREDIT = 2**31 - 1
_LARGEST_FRAME = 1024 * 1024
_WINDOW = _LARGEST_CREDIT
_IDS = 2**32
# Positions of fields in the performatives' lists.
_BEGIN_REMOTE_CHANNEL, _BEGIN_NEXT_OUTGOING_ID = 0, 1
_ATTACH_NAME, _ATTACH_HANDLE, _ATTACH_ROLE = 0, 1, 2
_FLOW_HANDLE, _FLOW_DELIVERY_COUNT, _FLOW_CREDIT = 4, 5, 6
_TRANSFER_HANDLE, _TRANSFER_ID, _TRANSFER_FORMAT, _TRANSFER_MORE = 0, 1, 3, 5
_DISPOSITION_ROLE, _DISPOSITION_FIRST, _DISPOSITION_LAST = 0, 1, 2


@dataclass(slots=True)
class _IncomingLink:
    """A client's sender."""

    formats: deque[int] = field(default_factory=deque)
    in_delivery: bool = False
    delivery_id: int = 0  # as Proton knows it


@dataclass(slots=True)
class _Session:
    """A session, under the client's channel.

    Attributes:
        next_incoming_id: of the client's next transfer frame.
        next_outgoing_id: of the bus's next one.
        next_delivery_id: what Proton expects; None before the first delivery.
        given: the client's delivery IDs that differ from Proton's, by Proton's.
    """

    next_incoming_id: int = 0
    next_outgoing_id: int = 0
    next_delivery_id: int | None = None
    given: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Consumer:
    """A client's receiver: the delivery count it told, and the bus's channel and handle for it."""

    delivery_count: int = 0
    channel: int | None = None
    handle: int = 0


class _Stream:
    """Cuts one direction's bytes into frames, however they arrive."""

    def __init__(self) -> None:
        self._unread = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Whole frames and protocol headers; what can be neither, as it is."""
        self._unread += data
        at = 0
        while len(self._unread) - at >= _PREFIX:
            size = int.from_bytes(self._unread[at : at + 4])
            if self._unread.startswith(_PROTOCOL_HEADER, at):
                size = _PREFIX
            elif not _PREFIX <= size <= _LARGEST_FRAME:
                size = len(self._unread) - at  # Proton refuses it and closes the connection
            if len(self._unread) - at < size:
                break
            yield bytes(self._unread[at : at + size])
            at += size
        del self._unread[:at]


class Frames:
    """Both directions of one connection."""

    def __init__(self) -> None:
        self._in = _Stream()
        self._out = _Stream()
        self._sessions: dict[int, _Session] = {}  # by the client's channel
        self._channels: dict[int, int] = {}  # the client's channel by the bus's
        self._links: dict[tuple[int, int], _IncomingLink] = {}  # by the client's channel, handle
        self._links_by_name: dict[str, _IncomingLink] = {}
        self._consumers: dict[str, _Consumer] = {}  # by name
        self._consumers_by_handle: dict[tuple[int, int], _Consumer] = {}

    def take_format(self, link_name: str) -> int:
        """The format of the oldest delivery on a link that was not asked for yet."""
        link = self._links_by_name.get(link_name)
        return link.formats.popleft() if link is not None and link.formats else 0

    def drained(self, link_name: str, credit: int) -> bytes:
        """The answer to a drain that found no credit: a flow with the link's delivery count.

        Args:
            link_name: the client's receiver.
            credit: what Proton says is left; below 0 by the deliveries that are on their way.

        Returns:
            A frame; nothing when the link is not known.
        """
        consumer = self._consumers.get(link_name)
        if consumer is None or consumer.channel is None:
            return b""
        session = self._session(consumer.channel)
        fields = [
            wire.uint(session.next_incoming_id),
            wire.uint(_WINDOW),
            wire.uint(session.next_outgoing_id),
            wire.uint(_WINDOW),
            wire.uint(consumer.handle),
            wire.uint((consumer.delivery_count - credit) % _IDS),
            wire.uint(0),
            wire.uint(0),
            wire.boolean(value=True),
        ]
        return _frame(consumer.channel, _FLOW, fields)

    def incoming(self, data: bytes) -> bytes:
        """The client's bytes as Proton is to get them; frames that are not whole yet wait."""
        return b"".join(map(self._read_incoming, self._in.feed(data)))

    def outgoing(self, data: bytes) -> bytes:
        """Proton's bytes as the client is to get them."""
        return b"".join(map(self._read_outgoing, self._out.feed(data)))

    def _read_incoming(self, frame: bytes) -> bytes:
        performative = _performative(frame)
        if performative not in {_BEGIN, _ATTACH, _FLOW, _TRANSFER}:
            return frame
        try:
            fields = _fields(frame)
            channel = _channel(frame)
            if performative == _TRANSFER:
                return self._transfer(frame, channel, fields)
            if performative == _FLOW:
                return self._flow(frame, channel, fields)
            if performative == _ATTACH:
                self._attach(channel, fields)
            else:
                first = _number(fields, _BEGIN_NEXT_OUTGOING_ID) or 0
                self._sessions[channel] = _Session(next_incoming_id=first)
        except wire.WireError:
            pass  # Proton refuses it and closes the connection
        return frame

    def _attach(self, channel: int, fields: list[object]) -> None:
        name, handle = _at(fields, _ATTACH_NAME), _number(fields, _ATTACH_HANDLE)
        if not isinstance(name, str) or handle is None:
            return
        if _at(fields, _ATTACH_ROLE):
            self._consumers[name] = self._consumers_by_handle[channel, handle] = _Consumer()
        else:
            link = _IncomingLink()
            self._links[channel, handle] = self._links_by_name[name] = link

    def _flow(self, frame: bytes, channel: int, fields: list[object]) -> bytes:
        handle = _number(fields, _FLOW_HANDLE)
        if handle is None:
            return frame
        consumer = self._consumers_by_handle.get((channel, handle))
        if consumer is not None:
            consumer.delivery_count = _number(fields, _FLOW_DELIVERY_COUNT) or 0
        if (_number(fields, _FLOW_CREDIT) or 0) <= _LARGEST_CREDIT:
            return frame
        return _changed(frame, {_FLOW_CREDIT: wire.uint(_LARGEST_CREDIT)})

    def _transfer(self, frame: bytes, channel: int, fields: list[object]) -> bytes:
        session = self._sessions.get(channel)
        link = self._links.get((channel, _number(fields, _TRANSFER_HANDLE) or 0))
        if session is None or link is None:
            return frame
        session.next_incoming_id = (session.next_incoming_id + 1) % _IDS
        given = _number(fields, _TRANSFER_ID)
        if not link.in_delivery:
            link.formats.append(_number(fields, _TRANSFER_FORMAT) or 0)
            link.delivery_id = _next_delivery_id(session, given or 0)
        link.in_delivery = bool(_at(fields, _TRANSFER_MORE))
        if given is None or given == link.delivery_id:
            return frame
        return _changed(frame, {_TRANSFER_ID: wire.uint(link.delivery_id)})

    def _read_outgoing(self, frame: bytes) -> bytes:
        performative = _performative(frame)
        channel = _channel(frame)
        if performative == _TRANSFER:
            session = self._session(channel)
            session.next_outgoing_id = (session.next_outgoing_id + 1) % _IDS
        elif performative == _DISPOSITION:
            return self._disposition(frame, self._session(channel))
        elif performative == _BEGIN:
            fields = _fields(frame)
            self._channels[channel] = _number(fields, _BEGIN_REMOTE_CHANNEL) or 0
            first = _number(fields, _BEGIN_NEXT_OUTGOING_ID) or 0
            self._session(channel).next_outgoing_id = first
        elif performative == _ATTACH:
            fields = _fields(frame)
            consumer = self._consumers.get(str(_at(fields, _ATTACH_NAME)))
            if consumer is not None and not _at(fields, _ATTACH_ROLE):
                consumer.channel = channel
                consumer.handle = _number(fields, _ATTACH_HANDLE) or 0
        return frame

    def _session(self, channel: int) -> _Session:
        return self._sessions.setdefault(self._channels.get(channel, channel), _Session())

    def _disposition(self, frame: bytes, session: _Session) -> bytes:
        """Tell the client of its deliveries by its own IDs, one by one if they are others."""
        fields = _fields(frame) if session.given else []
        first = _number(fields, _DISPOSITION_FIRST)
        if first is None or not _at(fields, _DISPOSITION_ROLE):
            return frame
        last = _number(fields, _DISPOSITION_LAST)
        ids = [(first + i) % _IDS for i in range(((last or first) - first) % _IDS + 1)]
        if session.given.keys().isdisjoint(ids):
            return frame
        told = [wire.uint(session.given.pop(each, each)) for each in ids]
        return b"".join(
            _changed(frame, {_DISPOSITION_FIRST: each, _DISPOSITION_LAST: each}) for each in told
        )


def _next_delivery_id(session: _Session, given: int) -> int:
    """The ID under which Proton is to know a delivery: the one after the last."""
    expected = given if session.next_delivery_id is None else session.next_delivery_id
    session.next_delivery_id = (expected + 1) % _IDS
    if expected != given:
        session.given[expected] = given
    return expected


def _performative(frame: bytes) -> int | None:
    """The code of a frame's performative: a described list, its descriptor a small ulong."""
    start = frame[4] * 4
    if frame.startswith(_PROTOCOL_HEADER) or frame[5] != _AMQP_FRAME or len(frame) < start + 3:
        return None
    return frame[start + 2] if frame[start + 1] == _SMALL_ULONG else None


def _channel(frame: bytes) -> int:
    return int.from_bytes(frame[6:8])


def _fields(frame: bytes) -> list[object]:
    fields, _ = wire.decode(frame, frame[4] * 4 + 3)
    return fields if isinstance(fields, list) else []


def _at(fields: list[object], position: int) -> object:
    return fields[position] if len(fields) > position else None


def _number(fields: list[object], position: int) -> int | None:
    value = _at(fields, position)
    return value if isinstance(value, int) else None


def _changed(frame: bytes, updates: dict[int, bytes]) -> bytes:
    """A frame with fields of its performative replaced, its payload untouched."""
    start = frame[4] * 4 + 3
    items = wire.raw_items(frame[start:])
    fields = [updates.get(position, item) for position, item in enumerate(items)]
    return _frame(_channel(frame), frame[start - 1], fields, frame[wire.end_of(frame, start) :])


def _frame(channel: int, performative: int, fields: list[bytes], payload: bytes = b"") -> bytes:
    body = wire.described(performative, wire.listing(fields)) + payload
    return (_PREFIX + len(body)).to_bytes(4) + bytes((2, _AMQP_FRAME)) + channel.to_bytes(2) + body
