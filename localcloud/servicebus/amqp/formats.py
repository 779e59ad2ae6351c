"""The message-format of each incoming delivery, which Proton reads and doesn't tell.

The format says whether a transfer is one message or a batch of them, so it is read from the same
bytes that Proton is given: attach frames tell a link's name, transfer frames the format.
"""

from collections import deque
from dataclasses import dataclass, field

from localcloud.servicebus import wire

_PROTOCOL_HEADER = b"AMQP"
_PREFIX = 8
_AMQP_FRAME = 0
_ATTACH = 0x12
_TRANSFER = 0x14
# Positions of fields in the performatives' lists (AMQP 1.0, part 2, section 2.7).
_ATTACH_NAME, _ATTACH_HANDLE, _ATTACH_ROLE = 0, 1, 2
_TRANSFER_HANDLE, _TRANSFER_FORMAT, _TRANSFER_MORE = 0, 3, 5


@dataclass(slots=True)
class _IncomingLink:
    formats: deque[int] = field(default_factory=deque)
    in_delivery: bool = False


class MessageFormats:
    """Listens to one connection's incoming bytes."""

    def __init__(self) -> None:
        self._unread = bytearray()
        self._by_name: dict[str, _IncomingLink] = {}
        self._by_handle: dict[tuple[int, int], _IncomingLink] = {}

    def feed(self, data: bytes) -> None:
        """Listen to bytes, in any portions."""
        self._unread += data
        at = 0
        while len(self._unread) - at >= _PREFIX:
            if self._unread.startswith(_PROTOCOL_HEADER, at):
                at += _PREFIX
                continue
            size = int.from_bytes(self._unread[at : at + 4])
            if size < _PREFIX:
                break  # Proton refuses such a frame and closes the connection
            if len(self._unread) - at < size:
                break
            self._read(self._unread[at : at + size])
            at += size
        del self._unread[:at]

    def take(self, link_name: str) -> int:
        """The format of the oldest delivery on a link that was not asked for yet."""
        link = self._by_name.get(link_name)
        return link.formats.popleft() if link is not None and link.formats else 0

    def _read(self, frame: bytearray) -> None:
        start = frame[4] * 4
        # A performative is a described list whose descriptor is a small ulong.
        if frame[5] != _AMQP_FRAME or len(frame) < start + 3 or frame[start + 1] != 0x53:  # noqa: PLR2004
            return
        performative = frame[start + 2]
        if performative not in {_ATTACH, _TRANSFER}:
            return
        try:
            fields, _ = wire.decode(frame, start + 3)
        except wire.WireError:
            return  # Proton refuses it and closes the connection
        if not isinstance(fields, list):
            return
        channel = int.from_bytes(frame[6:8])
        if performative == _ATTACH:
            self._attach(channel, fields)
        else:
            self._transfer(channel, fields)

    def _attach(self, channel: int, fields: list[object]) -> None:
        is_receiver = fields[_ATTACH_ROLE]
        name, handle = fields[_ATTACH_NAME], fields[_ATTACH_HANDLE]
        if not is_receiver and isinstance(name, str) and isinstance(handle, int):
            link = _IncomingLink()
            self._by_name[name] = link
            self._by_handle[channel, handle] = link

    def _transfer(self, channel: int, fields: list[object]) -> None:
        handle = fields[_TRANSFER_HANDLE]
        link = self._by_handle.get((channel, handle)) if isinstance(handle, int) else None
        if link is None:
            return
        if not link.in_delivery:
            value = fields[_TRANSFER_FORMAT] if len(fields) > _TRANSFER_FORMAT else None
            link.formats.append(value if isinstance(value, int) else 0)
        link.in_delivery = len(fields) > _TRANSFER_MORE and bool(fields[_TRANSFER_MORE])
