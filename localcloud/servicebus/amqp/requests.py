"""Request/response nodes: a link that brings requests, and one that takes the replies back.

`$cbs` and every entity's `$management` work this way. A reply goes to the link that the same
session attached to the same address.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from localcloud.servicebus import wire
from localcloud.servicebus.amqp import deliveries
from localcloud.servicebus.errors import BusError, InvalidRequestError
from localcloud.servicebus.message import Message, parse

_CREDIT = 100


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a request.

    Attributes:
        application_properties: encoded keys and values: status code, description, error.
        body: an encoded value.
    """

    application_properties: tuple[tuple[bytes, bytes], ...]
    body: bytes


Responder: TypeAlias = Callable[[Message], Reply]
"""Answers one request; it never raises."""


class ReplyLink:
    """Takes replies to the client.

    Args:
        link: Proton's sender.
        on_closed: called when the link is gone.
    """

    def __init__(self, link: Any, on_closed: Callable[[], None]) -> None:  # noqa: ANN401
        self._link = link
        self._sent = 0
        self._on_closed = on_closed

    def send(self, request: Message, reply: Reply) -> None:
        """Send a reply with the request's message ID as its correlation ID, type and all."""
        fields = wire.raw_items(request.properties)
        message_id = fields[0] if fields else wire.NULL
        message = Message(
            header=b"",
            annotations=b"",
            properties=wire.listing([*[wire.NULL] * 5, message_id]),
            application_properties=wire.mapping(reply.application_properties),
            body=wire.described(0x77, reply.body),
        )
        self._sent += 1
        deliveries.send(self._link, self._sent.to_bytes(8), message.encode(), settled=True)

    def on_delivery(self, delivery: Any) -> None:  # noqa: ANN401 - Proton has no types
        """Nothing: replies are sent settled."""

    def on_flow(self) -> None:
        """Nothing: Proton holds replies back until there is credit."""

    def on_closed(self) -> None:
        """No more replies through it."""
        self._on_closed()


class RequestLink:
    """Brings requests.

    Args:
        link: Proton's receiver.
        respond: answers them.
        find_reply_link: the link for the answers; None when the client has none.
    """

    def __init__(
        self,
        link: Any,  # noqa: ANN401 - Proton has no types
        respond: Responder,
        find_reply_link: Callable[[], ReplyLink | None],
    ) -> None:
        self._link = link
        self._respond = respond
        self._find_reply_link = find_reply_link
        link.flow(_CREDIT)

    def on_delivery(self, delivery: Any) -> None:  # noqa: ANN401 - Proton has no types
        """Answer a request once it is complete."""
        if delivery.partial or not delivery.readable:
            return
        payload = deliveries.read(self._link, delivery)
        try:
            self._answer(payload)
        except BusError as error:
            deliveries.reject(delivery, error.as_condition())
        else:
            deliveries.accept(delivery)
        self._link.flow(1)

    def _answer(self, payload: bytes) -> None:
        request = parse(payload)
        reply_link = self._find_reply_link()
        if reply_link is None:
            raise InvalidRequestError("There is no link to take the reply.")
        reply_link.send(request, self._respond(request))

    def on_flow(self) -> None:
        """Nothing: credit is the bus's to give here."""

    def on_closed(self) -> None:
        """Nothing to let go of."""
