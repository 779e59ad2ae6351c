"""Links between a client and an entity: one to publish, one to consume, one to browse."""

from collections.abc import Callable
from typing import Any, Protocol
from uuid import UUID

from proton import Delivery as ProtonDelivery
from proton import Link

from localcloud.servicebus import wire
from localcloud.servicebus.amqp import deliveries
from localcloud.servicebus.broker import entity_path
from localcloud.servicebus.entry import Delivery
from localcloud.servicebus.errors import BusError, MessageTooLargeError
from localcloud.servicebus.faults import Operation
from localcloud.servicebus.hub import Hub
from localcloud.servicebus.message import BATCH_FORMAT, accept, split_batch
from localcloud.servicebus.store import Properties

MAX_MESSAGE_SIZE = 256 * 1024
"""Bytes, on the Standard tier; of a batch as a whole too."""

_SENDER_CREDIT = 1000
_REASON, _DESCRIPTION = "DeadLetterReason", "DeadLetterErrorDescription"


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


class Wake(Protocol):
    """How a link tells its connection that there is something to do."""

    def soon(self) -> None:
        """There is something to send."""
        ...

    def drained(self, link: Any) -> None:  # noqa: ANN401 - Proton has no types
        """A drain is to be answered that found no credit."""
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
        payloads = split_batch(payload) if is_batch else [payload]
        for message in [accept(each) for each in payloads]:
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
        wake: what to call when there is something to send, or a drain to be answered.

    Raises:
        BusError: there is no such entity, or it can't be received from.
    """

    def __init__(self, link: Any, address: str, hub: Hub, wake: Wake) -> None:  # noqa: ANN401
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
            self._wake.soon()
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
        self._wake.soon()

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
                self._dead_letter(token, deliveries.error_properties(delivery))
            case ProtonDelivery.MODIFIED if delivery.remote.undeliverable:
                self._store.defer(token, deliveries.modified_properties(delivery))
            case ProtonDelivery.MODIFIED:
                # It counts with `delivery-failed` and without: most clients abandon without.
                self._store.abandon(token, deliveries.modified_properties(delivery))
            case _:
                pass  # settled without an outcome: the lock stays until it expires

    def _dead_letter(self, token: UUID, info: Properties) -> None:
        told = {wire.decode(key)[0]: wire.decode(value)[0] for key, value in info}
        reason, description = (told.get(key) for key in (_REASON, _DESCRIPTION))
        others = [
            (key, value)
            for key, value in info
            if wire.decode(key)[0] not in {_REASON, _DESCRIPTION}
        ]
        self._store.dead_letter(token, _text(reason), _text(description), others)

    def on_flow(self) -> None:
        """Compete with the new credit; drained, return what of it there are no messages for."""
        self._hub.wanted(self._store)
        _drain(self._link, self._hub, self._wake)

    def on_closed(self) -> None:
        """Compete no more; its locks stay until they expire."""
        self._hub.unsubscribe(self._store, self)


class BrowseLink:
    """A client's browser: it is shown an entity's messages, once each, and takes none of them.

    What JMS calls a QueueBrowser: a receiver whose source has the distribution mode `copy`.

    Args:
        link: Proton's sender.
        address: the entity's.
        hub: what connections share.
        wake: what to call when there is something to send, or a drain to be answered.

    Raises:
        BusError: there is no such entity, or it can't be received from.
    """

    def __init__(self, link: Any, address: str, hub: Hub, wake: Wake) -> None:  # noqa: ANN401
        self._link = link
        self._store = hub.broker.store(address)
        self._hub = hub
        self._wake = wake
        self._next = 0  # the first sequence number that it was not shown
        link.max_message_size = MAX_MESSAGE_SIZE
        hub.subscribe_browser(self._store, self)

    def show(self) -> None:
        """Send what it has credit for and has not seen."""
        if self._link.credit <= 0:
            return
        for delivery in self._store.browse(self._next):
            self._next = delivery.sequence_number + 1
            tag = delivery.sequence_number.to_bytes(8)
            deliveries.send(self._link, tag, delivery.encode(), settled=True)
            self._wake.soon()
            if self._link.credit <= 0:
                return

    def on_delivery(self, delivery: Any) -> None:  # noqa: ANN401 - Proton has no types
        """Nothing: what it is shown is settled, and can't be settled by it."""

    def on_flow(self) -> None:
        """Show more with the new credit; drained, return what of it there are no messages for."""
        self._hub.wanted(self._store)
        _drain(self._link, self._hub, self._wake)

    def on_closed(self) -> None:
        """Show no more."""
        self._hub.unsubscribe_browser(self._store, self)


def _drain(link: Any, hub: Hub, wake: Wake) -> None:  # noqa: ANN401 - Proton has no types
    """If the client drains its link, hand out what there is, and answer."""
    if not link.drain_mode:
        return
    hub.run()
    if link.credit > 0:
        link.drained()
    else:
        wake.drained(link)  # Proton would not answer
    wake.soon()


def _text(value: object) -> str | None:
    return None if value is None else str(value)
