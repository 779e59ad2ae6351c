"""A bare AMQP client: Proton's own, sending the very bytes that a test gives it.

The service's Python client can't send what others do: a null body, a char, a `modified` outcome
without `delivery-failed`. Blocking, so it runs in a thread beside the bus's event loop.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import uuid4

from proton import Delivery, Message
from proton.utils import BlockingConnection, BlockingReceiver

from localcloud.servicebus.server import ServiceBus

T = TypeVar("T")
_SECONDS = 10


class Peer:
    """A connection of it.

    Args:
        connection: Proton's.
    """

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 - Proton has no types
        self.connection = connection

    def send(self, entity: str, payload: bytes) -> int:
        """Send one encoded message.

        Returns:
            The outcome: one of Proton's delivery states.
        """
        sender = self.connection.create_sender(entity, name=str(uuid4()))
        delivery = sender.link.delivery("tag")
        sender.link.stream(payload)
        sender.link.advance()
        self.connection.wait(lambda: delivery.remote_state != 0, timeout=_SECONDS)
        state: int = delivery.remote_state
        delivery.settle()
        sender.close()
        return state

    def receiver(self, entity: str, credit: int = 1, options: Any = None) -> BlockingReceiver:  # noqa: ANN401
        """Attach a receiver."""
        name = str(uuid4())
        receiver: BlockingReceiver = self.connection.create_receiver(
            entity, credit, name=name, options=options
        )
        return receiver

    def settle(self, receiver: BlockingReceiver, state: int, **fields: Any) -> Message:  # noqa: ANN401
        """Receive a message, and settle it with an outcome whose fields are given."""
        message = receiver.receive(timeout=_SECONDS)
        assert receiver.fetcher is not None
        delivery = receiver.fetcher.unsettled.popleft()
        for name, value in fields.items():
            setattr(delivery.local, name, value)
        delivery.update(state)
        delivery.settle()
        self.connection.wait(lambda: True, timeout=_SECONDS)
        return message


@contextmanager
def _peer(bus: ServiceBus, **options: Any) -> Iterator[Peer]:  # noqa: ANN401 - Proton's own
    connection = BlockingConnection(
        f"amqp://localhost:{bus.port}", timeout=_SECONDS, allow_insecure_mechs=True, **options
    )
    try:
        yield Peer(connection)
    finally:
        connection.close()


async def with_peer(bus: ServiceBus, work: Callable[[Peer], T], **options: Any) -> T:  # noqa: ANN401
    """Do something with a client in a thread of its own."""

    def run() -> T:
        with _peer(bus, **options) as peer:
            return work(peer)

    return await asyncio.to_thread(run)


REJECTED = int(Delivery.REJECTED)
ACCEPTED = int(Delivery.ACCEPTED)
MODIFIED = int(Delivery.MODIFIED)
