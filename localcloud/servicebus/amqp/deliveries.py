"""Deliveries and errors in Proton's terms: reading, sending, refusing."""

from typing import Any
from uuid import UUID

import cproton
from proton import Condition, Data, Delivery, symbol

from localcloud.servicebus import wire
from localcloud.servicebus.errors import ErrorCondition


def lock_token(delivery: Any) -> UUID:  # noqa: ANN401 - Proton has no types
    """The lock token in a delivery's tag.

    Proton would decode the tag as UTF-8, which a UUID is not.
    """
    tag = cproton.bytes2pybytes(cproton.lib.pn_delivery_tag(delivery._impl))  # noqa: SLF001
    return UUID(bytes_le=tag)


def read(link: Any, delivery: Any) -> bytes:  # noqa: ANN401 - Proton has no types
    """The whole content of a complete incoming delivery."""
    content = link.recv(delivery.pending) if delivery.pending else b""
    link.advance()
    return bytes(content or b"")


def send(link: Any, tag: bytes, payload: bytes, *, settled: bool) -> None:  # noqa: ANN401
    """Send one delivery."""
    delivery = link.delivery(tag)
    link.stream(payload)
    link.advance()
    if settled:
        delivery.settle()


def accept(delivery: Any) -> None:  # noqa: ANN401 - Proton has no types
    """Settle an incoming delivery as accepted."""
    delivery.update(Delivery.ACCEPTED)
    delivery.settle()


def reject(delivery: Any, error: ErrorCondition) -> None:  # noqa: ANN401 - Proton has no types
    """Settle a delivery, in either direction, as rejected with an error."""
    delivery.local.condition = proton_condition(error)
    delivery.update(Delivery.REJECTED)
    delivery.settle()


def echo(delivery: Any) -> None:  # noqa: ANN401 - Proton has no types
    """Confirm a settlement: the receiver's own outcome, settled, without its error."""
    state = delivery.remote_state
    if state == Delivery.MODIFIED:
        delivery.local.failed = delivery.remote.failed
        delivery.local.undeliverable = delivery.remote.undeliverable
    delivery.update(state)
    delivery.settle()


def modified_properties(delivery: Any) -> list[tuple[bytes, bytes]]:  # noqa: ANN401
    """The properties that a `modified` outcome of the client sets, encoded."""
    return _properties(cproton.pn_disposition_annotations(delivery.remote._impl))  # noqa: SLF001


def error_properties(delivery: Any) -> list[tuple[bytes, bytes]]:  # noqa: ANN401
    """What a `rejected` outcome of the client tells beside its error, encoded."""
    condition = cproton.pn_disposition_condition(delivery.remote._impl)  # noqa: SLF001
    return _properties(cproton.pn_condition_info(condition))


def _properties(map_of_symbols: Any) -> list[tuple[bytes, bytes]]:  # noqa: ANN401
    """An encoded property for each entry; Proton's Python types would lose some of AMQP's."""
    data = Data(map_of_symbols)
    data.rewind()
    if data.next() != Data.MAP:
        return []
    data.rewind()
    items = wire.raw_items(data.encode())
    return [
        (wire.string(str(wire.decode(key)[0])), value)
        for key, value in zip(items[::2], items[1::2], strict=True)
    ]


def proton_condition(error: ErrorCondition) -> Any:  # noqa: ANN401 - Proton has no types
    """The error as Proton takes it.

    Its info map is never empty, because Proton leaves an empty one out: the service's Python client
    reads the third field of every error, and waits for ever when there are only two.
    """
    return Condition(symbol(error.name), error.description, {symbol("service"): "local"})
