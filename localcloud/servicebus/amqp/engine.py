"""Proton without its I/O: bytes in, events and bytes out.

Proton's own event objects wrap five handles each before anybody looks at them, which costs more
than everything else the bus does with a message; so events are read from the C binding, and only
what an event is about is wrapped.
"""

from collections.abc import Iterator
from typing import Any

import cproton
from proton import (
    Collector,
    Connection,
    Delivery,
    Event,
    Link,
    Session,
    Transport,
    TransportException,
)

MAX_FRAME_SIZE = 65_536

_LINK_EVENTS = frozenset(
    kind.number
    for kind in (
        Event.LINK_REMOTE_OPEN,
        Event.LINK_REMOTE_CLOSE,
        Event.LINK_REMOTE_DETACH,
        Event.LINK_FLOW,
    )
)
_SESSION_EVENTS = frozenset(
    kind.number for kind in (Event.SESSION_REMOTE_OPEN, Event.SESSION_REMOTE_CLOSE)
)
_CONNECTION_EVENTS = frozenset(
    kind.number for kind in (Event.CONNECTION_REMOTE_OPEN, Event.CONNECTION_REMOTE_CLOSE)
)


class Engine:
    """The protocol state of one incoming connection.

    Args:
        container: the bus's name for itself.
    """

    def __init__(self, container: str) -> None:
        self._transport = Transport(Transport.SERVER)
        self._transport.max_frame_size = MAX_FRAME_SIZE
        self.connection = Connection()
        self.connection.container = container
        self._collector = Collector()
        self.connection.collect(self._collector)
        self._transport.bind(self.connection)

    def receive(self, data: bytes) -> bytes:
        """Take in bytes.

        Returns:
            What it has no room for until its events are read; nothing once input is over.

        Raises:
            proton.TransportException: the bytes can't be taken in.
        """
        room = self._transport.capacity()
        if room < 0:
            return b""
        if room == 0:
            raise TransportException("there is no room for more input")
        self._transport.push(data[:room])
        return data[room:]

    def events(self) -> Iterator[tuple[int, Any]]:
        """What happened: the number of a Proton event and what it is about, until there is none."""
        queue = self._collector._impl  # noqa: SLF001 - the C handle; see the module's docstring
        while not cproton.isnull(event := cproton.pn_collector_peek(queue)):
            kind = cproton.pn_event_type(event)
            subject: Any = None
            if kind == Event.DELIVERY.number:
                subject = Delivery.wrap(cproton.pn_event_delivery(event))
            elif kind in _LINK_EVENTS:
                subject = Link.wrap(cproton.pn_event_link(event))
            elif kind in _SESSION_EVENTS:
                subject = Session.wrap(cproton.pn_event_session(event))
            elif kind in _CONNECTION_EVENTS:
                subject = self.connection
            cproton.pn_collector_pop(queue)
            if subject is not None:
                yield kind, subject

    def output(self) -> bytes:
        """The bytes to be sent now; nothing when there are none or output is over."""
        pending = self._transport.pending()
        if pending <= 0:
            return b""
        data = self._transport.peek(pending)
        self._transport.pop(pending)
        return bytes(data or b"")

    def error(self) -> str | None:
        """Why the engine ended the connection; None when it didn't."""
        condition = self._transport.condition
        return None if condition is None else f"{condition.name}: {condition.description}"

    def is_closed(self) -> bool:
        """Whether there is nothing more to send, ever."""
        return bool(self._transport.pending() < 0)

    def tick(self, now: float) -> float:
        """Do what the peer's idle time-out demands.

        Args:
            now: monotonic seconds.

        Returns:
            When to call again; 0 for not.
        """
        return float(self._transport.tick(now))

    def free(self) -> None:
        """Let go of everything now; Proton's objects refer to each other in circles."""
        self._transport.unbind()
        self._collector.release()
        self.connection.free()
