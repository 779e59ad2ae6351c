"""Links between a client and an entity: one to publish, one to consume."""

from collections.abc import Callable
from typing import Any, Protocol

from proton import Delivery as ProtonDelivery
from proton import Link

from localcloud.servicebus.amqp import deliveries
from localcloud.servicebus.broker import entity_path
from localcloud.servicebus.entry import Delivery
from localcloud.servicebus.errors import BusError, MessageTooLargeError
from localcloud.servicebus.faults import Operation
from localcloud.servicebus.hub import Hub
from localcloud.servicebus.message import BATCH_FORMAT, parse, split_batch

MAX_MESSAGE_SIZE = 256 * 1024
"""Bytes, on the Standard tier; of a batch as a whole too."""

_SENDER_CREDIT = 1000
_RECEIVED_TAG_SIZE = 16


class LinkHandler(Protocol):
    """What a connection tells about one of its links."""

    def on_delivery(self, delivery: Any) -> None:  # noqa: ANN401 - Proton has no types
        """A delivery came, grew, or was settled by the client."""
        ...

    def on_flow(self) -> None:
        """The client changed the link's credit."""
        ...

    def on_closed(self) -> None:
        """The link is gone, or its connection."""
        ...


class PublishLink:
    """A client's sender: its messages go into an entity.

    Args:
        link: Proton's receiver.
        address: the entity's.
        hub: what connections share.
        take_format: the message-format of the delivery at hand.

    Raises:
        BusError: there is no such entity, or it can't be sent to.
    """

    def __init__(self, link: Any, address: str, hub: Hub, take_format: Callable[[], int]) -> None:  # noqa: ANN401
        self._link = link
        self._path = entity_path(address)
        self._ingress = hub.broker.ingress(address)
        self._hub = hub
        self._take_format = take_format
        link.max_message_size = MAX_MESSAGE_SIZE
        link.flow(_SENDER_CREDIT)

    def on_delivery(self, delivery: Any) -> None:  # noqa: ANN401 - Proton has no types
        """Publish a message or a batch once it is complete, and say how that went."""
        if delivery.partial or not delivery.readable:
            return
        payload = deliveries.read(self._link, delivery)
        message_format = self._take_format()
        try:
            self._publish(payload, is_batch=message_format == BATCH_FORMAT)
        except BusError as error:
            deliveries.reject(delivery, error.as_condition())
        else:
            deliveries.accept(delivery)
        if self._link.credit <= _SENDER_CREDIT // 2:
            self._link.flow(_SENDER_CREDIT - self._link.credit)

    def _publish(self, payload: bytes, *, is_batch: bool) -> None:
        if len(payload) > MAX_MESSAGE_SIZE:
            raise MessageTooLargeError(
                f"The received message (size: {len(payload)} bytes) exceeds the limit "
                f"({MAX_MESSAGE_SIZE} bytes) currently allowed on the link."
            )
        self._hub.faults.check(self._path, Operation.SEND)
        # All of a batch is parsed before any of it is published: it succeeds or fails as a whole.
        for message in [parse(each) for each in (split_batch(payload) if is_batch else [payload])]:
            self._ingress.send(message)

    def on_flow(self) -> None:
        """Nothing: credit is the bus's to give here."""

    def on_closed(self) -> None:
        """Nothing to let go of."""


class ConsumeLink:
    """A client's receiver: it competes for an entity's messages, and settles them.

    Args:
        link: Proton's sender.
        address: the entity's.
        hub: what connections share.
        wake: tells the connection that it has something to send.

    Raises:
        BusError: there is no such entity, or it can't be received from.
    """

    def __init__(self, link: Any, address: str, hub: Hub, wake: Callable[[], None]) -> None:  # noqa: ANN401
        self.deletes = link.remote_snd_settle_mode == Link.SND_SETTLED
        self._link = link
        self._path = entity_path(address)
        self._store = hub.broker.store(address)
        self._hub = hub
        self._wake = wake
        self._deleted = 0
        link.max_message_size = MAX_MESSAGE_SIZE
        hub.subscribe(self._store, self)

    def is_willing(self) -> bool:
        """Whether there is credit; a fault for receiving shows here, by detaching the link."""
        if self._link.credit <= 0:
            return False
        try:
            self._hub.faults.check(self._path, Operation.RECEIVE)
        except BusError as error:
            self.on_closed()
            self._link.condition = deliveries.proton_condition(error.as_condition())
            self._link.close()
            self._wake()
            return False
        return True

    def deliver(self, delivery: Delivery) -> None:
        """Send a message; its delivery tag is its lock token."""
        if delivery.lock is None:
            self._deleted += 1
            tag = self._deleted.to_bytes(8)
        else:
            tag = delivery.lock.token.bytes_le
        deliveries.send(self._link, tag, delivery.encode(), settled=self.deletes)
        self._wake()

    def on_delivery(self, delivery: Any) -> None:  # noqa: ANN401 - Proton has no types
        """Apply the client's outcome, and confirm it if it waits for that."""
        if not delivery.updated:
            return
        try:
            self._settle(delivery)
        except BusError as error:
            if delivery.settled:
                delivery.settle()
            else:
                deliveries.reject(delivery, error.as_condition())
        else:
            if delivery.settled:
                delivery.settle()
            else:
                deliveries.echo(delivery)

    def _settle(self, delivery: Any) -> None:  # noqa: ANN401 - Proton has no types
        self._hub.faults.check(self._path, Operation.SETTLE)
        token = deliveries.lock_token(delivery)
        match delivery.remote_state:
            case ProtonDelivery.ACCEPTED:
                self._store.complete(token)
            case ProtonDelivery.RELEASED:
                self._store.release(token)
            case ProtonDelivery.REJECTED:
                self._store.dead_letter(token, *_dead_letter_info(delivery.remote.condition))
            case ProtonDelivery.MODIFIED if delivery.remote.undeliverable:
                self._store.defer(token)
            case ProtonDelivery.MODIFIED if delivery.remote.failed:
                self._store.abandon(token)
            case ProtonDelivery.MODIFIED:
                self._store.release(token)
            case _:
                pass  # settled without an outcome: the lock stays until it expires

    def on_flow(self) -> None:
        """Compete with the new credit; drained, return what of it there are no messages for."""
        self._hub.wanted(self._store)
        if self._link.drain_mode:
            self._hub.run()
            self._link.drained()

    def on_closed(self) -> None:
        """Compete no more; its locks stay until they expire."""
        self._hub.unsubscribe(self._store, self)


def _dead_letter_info(condition: Any) -> tuple[str | None, str | None]:  # noqa: ANN401
    if condition is None:
        return None, None
    info = condition.info if isinstance(condition.info, dict) else {}
    values = {str(key): str(value) for key, value in info.items() if value is not None}
    return values.get("DeadLetterReason"), values.get("DeadLetterErrorDescription")
