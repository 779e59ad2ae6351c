"""One client's connection: an asyncio protocol around the engine, and the links on it."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from proton import Endpoint, Event, Terminus, TransportException

from localcloud.servicebus.amqp import cbs, deliveries, terms
from localcloud.servicebus.amqp.engine import Engine
from localcloud.servicebus.amqp.frames import Frames
from localcloud.servicebus.amqp.links import BrowseLink, ConsumeLink, LinkHandler, PublishLink
from localcloud.servicebus.amqp.management import SUFFIX, ManagementNode
from localcloud.servicebus.amqp.requests import ReplyLink, RequestLink, Responder
from localcloud.servicebus.amqp.sasl import Handshake
from localcloud.servicebus.broker import entity_path
from localcloud.servicebus.errors import BusError, ErrorCondition
from localcloud.servicebus.hub import Hub

_log = logging.getLogger(__name__)
_CONTAINER = "local-service-bus"


class AmqpConnection(asyncio.Protocol):
    """Everything between one client and the bus.

    Args:
        hub: what connections share.
        on_lost: called once, when the connection is gone.
    """

    def __init__(self, hub: Hub, on_lost: Callable[["AmqpConnection"], None]) -> None:
        self._hub = hub
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = self._loop.create_future()
        """Done when the connection is gone."""
        self._socket: asyncio.Transport | None = None
        self._engine = Engine(_CONTAINER)
        self._handshake = Handshake()
        self._frames = Frames()
        self._unanswered_drains: list[Any] = []
        self._handlers: dict[Any, LinkHandler] = {}
        self._reply_links: dict[tuple[Any, str], ReplyLink] = {}
        self._flush_soon: asyncio.Handle | None = None
        self._heartbeat: asyncio.TimerHandle | None = None
        self._on_event: dict[int, Callable[[Any], None]] = {
            Event.CONNECTION_REMOTE_OPEN.number: lambda connection: connection.open(),
            Event.CONNECTION_REMOTE_CLOSE.number: lambda connection: connection.close(),
            Event.SESSION_REMOTE_OPEN.number: lambda session: session.open(),
            Event.SESSION_REMOTE_CLOSE.number: self._session_closed,
            Event.LINK_REMOTE_OPEN.number: self._link_opened,
            Event.LINK_REMOTE_CLOSE.number: self._link_closed,
            Event.LINK_REMOTE_DETACH.number: self._link_closed,
            Event.LINK_FLOW.number: self._flow,
            Event.DELIVERY.number: self._delivery,
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        if isinstance(transport, asyncio.Transport):
            self._socket = transport
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Do what the client asks for."""
        step = self._handshake.feed(data)
        if self._socket is not None and step.reply:
            self._socket.write(step.reply)
        if self._socket is not None and step.refused:
            self._socket.close()
            return
        data = self._frames.incoming(step.rest)
        while data:
            try:
                data = self._engine.receive(data)
            except TransportException as error:
                _log.warning("A client broke the protocol: %s", error)
                self.drop()
                return
            self._handle_events()
        self._hub.touch()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Let go of everything; locks stay until they expire."""
        for timer in (self._flush_soon, self._heartbeat):
            if timer is not None:
                timer.cancel()
        self._socket = None
        for handler in list(self._handlers.values()):
            handler.on_closed()
        self._handlers.clear()
        self._reply_links.clear()
        self._unanswered_drains.clear()
        self._on_event.clear()
        self._engine.free()
        self._on_lost(self)
        if not self.lost.done():
            self.lost.set_result(None)

    def drop(self) -> None:
        """Cut the connection without a word."""
        if self._socket is not None:
            self._socket.abort()

    def close(self, error: ErrorCondition) -> None:
        """Close the connection with an error that tells the client why."""
        if self._socket is not None:
            self._engine.connection.condition = deliveries.proton_condition(error)
            self._engine.connection.close()
            self._flush()
            self._socket.close()

    def soon(self) -> None:
        """Send soon what was written from outside of this connection's own turn."""
        if self._flush_soon is None and self._socket is not None:
            self._flush_soon = self._loop.call_soon(self._flush)

    def drained(self, link: Any) -> None:  # noqa: ANN401 - Proton has no types
        """Answer, behind everything that is to be sent, a drain that found no credit."""
        self._unanswered_drains.append(link)

    def _flush(self) -> None:
        if self._flush_soon is not None:
            self._flush_soon.cancel()
            self._flush_soon = None
        if self._socket is None:
            return
        self._tick()
        while output := self._engine.output():
            self._socket.write(self._frames.outgoing(output))
        for link in self._unanswered_drains:
            self._socket.write(self._frames.drained(link.name, link.credit))
        self._unanswered_drains.clear()
        if self._engine.is_closed():
            if (error := self._engine.error()) is not None:
                _log.info("A connection ended because its client broke the protocol: %s", error)
            self._socket.close()

    def _tick(self) -> None:
        """Keep the connection alive for a client that closes idle ones."""
        if self._heartbeat is None and (deadline := self._engine.tick(self._loop.time())):
            self._heartbeat = self._loop.call_at(deadline, self._beat)

    def _beat(self) -> None:
        self._heartbeat = None
        self._flush()

    def _handle_events(self) -> None:
        for kind, subject in self._engine.events():
            handle = self._on_event.get(kind)
            if handle is not None:
                handle(subject)

    def _session_closed(self, session: Any) -> None:  # noqa: ANN401 - Proton has no types
        for link in [link for link in self._handlers if link.session == session]:
            self._forget(link)
        session.close()

    def _link_opened(self, link: Any) -> None:  # noqa: ANN401 - Proton has no types
        terms.reply(link)
        try:
            self._handlers[link] = self._handler_for(link)
        except BusError as error:
            self._refuse(link, error.as_condition())
        else:
            link.open()

    def _refuse(self, link: Any, error: ErrorCondition) -> None:  # noqa: ANN401 - Proton has no types
        # AMQP 1.0, part 2, section 2.6.3: a link without termini, and then why there is none.
        link.source.type = Terminus.UNSPECIFIED
        link.target.type = Terminus.UNSPECIFIED
        link.open()
        link.condition = deliveries.proton_condition(error)
        link.close()

    def _handler_for(self, link: Any) -> LinkHandler:  # noqa: ANN401 - Proton has no types
        address = terms.address(link)
        path = entity_path(address)
        if path == cbs.ADDRESS:
            return self._node(link, path, lambda: cbs.respond)
        if path.endswith(SUFFIX):
            entity = path.removesuffix(SUFFIX)
            return self._node(link, path, lambda: ManagementNode(entity, self._hub).respond)
        if not link.is_sender:
            take_format = partial(self._frames.take_format, link.name)
            return PublishLink(link, address, self._hub, take_format)
        terms.check_filters(link, address)
        kind = BrowseLink if terms.is_browser(link) else ConsumeLink
        return kind(link, address, self._hub, self)

    def _node(self, link: Any, path: str, responder: Callable[[], Responder]) -> LinkHandler:  # noqa: ANN401
        key = (link.session, path)
        if not link.is_sender:
            return RequestLink(link, responder(), partial(self._reply_links.get, key))
        responder()  # refuses the link if there is no such entity

        def forget() -> None:
            self._reply_links.pop(key, None)

        self._reply_links[key] = ReplyLink(link, forget)
        return self._reply_links[key]

    def _link_closed(self, link: Any) -> None:  # noqa: ANN401 - Proton has no types
        self._forget(link)
        if link.state & Endpoint.LOCAL_ACTIVE:
            link.close()
        link.free()

    def _forget(self, link: Any) -> None:  # noqa: ANN401 - Proton has no types
        # Behind the reply to a detach, no frame may name the link any more.
        self._unanswered_drains = [each for each in self._unanswered_drains if each != link]
        handler = self._handlers.pop(link, None)
        if handler is not None:
            handler.on_closed()

    def _flow(self, link: Any) -> None:  # noqa: ANN401 - Proton has no types
        handler = self._handlers.get(link)
        if handler is not None:
            handler.on_flow()

    def _delivery(self, delivery: Any) -> None:  # noqa: ANN401 - Proton has no types
        handler = self._handlers.get(delivery.link)
        if handler is not None:
            handler.on_delivery(delivery)
