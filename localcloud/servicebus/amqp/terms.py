"""What a client asks of a link as it attaches it, and what of that the bus's reply may say.

The reply names what is in force and nothing else: a filter that isn't applied is left out, so
that a client that looks can tell. AMQP 1.0, part 2, section 2.6.3, and part 3, section 3.5.
"""

from typing import Any

from proton import Terminus

from localcloud.servicebus.broker import entity_path
from localcloud.servicebus.errors import NotAllowedError, NotImplementedByBusError

_SESSION_FILTER = "com.microsoft:session-filter"
_SELECTORS = frozenset({"apache.org:selector-filter:string", 0x0000_468C_0000_0004})
"""Descriptors of a JMS selector; its key in the map of filters is the client's own choice."""


def reply(link: Any) -> None:  # noqa: ANN401 - Proton has no types
    """Answer with the client's own termini and settle modes, without what isn't in force."""
    link.source.copy(link.remote_source)
    link.target.copy(link.remote_target)
    link.source.filter.clear()
    link.snd_settle_mode = link.remote_snd_settle_mode
    link.rcv_settle_mode = link.remote_rcv_settle_mode


def address(link: Any) -> str:  # noqa: ANN401 - Proton has no types
    """The address of the node that a client attaches to.

    Raises:
        NotImplementedByBusError: it asks for a transaction's coordinator, or for a node to be made.
    """
    if not link.is_sender and link.remote_target.type == Terminus.COORDINATOR:
        raise NotImplementedByBusError(
            "Transactions are not supported by the local bus (amqp:not-implemented)."
        )
    terminus = link.remote_source if link.is_sender else link.remote_target
    if terminus.dynamic:
        raise NotImplementedByBusError("Temporary queues are not supported by the local bus.")
    return terminus.address or ""


def is_browser(link: Any) -> bool:  # noqa: ANN401 - Proton has no types
    """Whether a receiver wants to look at messages without taking them."""
    return bool(link.remote_source.distribution_mode == Terminus.DIST_MODE_COPY)


def check_filters(link: Any, entity: str) -> None:  # noqa: ANN401 - Proton has no types
    """Refuse a receiver whose filter changes what it is to get.

    Raises:
        NotAllowedError: it wants a session; no entity here has them.
        NotImplementedByBusError: it wants messages that a JMS selector selects. It would be given
            all of them, and JMS doesn't look at what the reply leaves out.
    """
    filters = _filters(link.remote_source.filter)
    kinds = {_descriptor(each) for each in filters.values()}
    if _SESSION_FILTER in filters or _SESSION_FILTER in kinds:
        raise NotAllowedError(
            "A sessionful message receiver cannot be created on an entity that does not require "
            f"sessions: '{entity_path(entity)}'."
        )
    if not _SELECTORS.isdisjoint(kinds):
        raise NotImplementedByBusError("Message selectors are not supported by the local bus.")


def _filters(data: Any) -> dict[str, object]:  # noqa: ANN401 - Proton has no types
    data.rewind()
    if data.next() != data.MAP:
        return {}
    return {str(key): value for key, value in data.get_dict().items()}


def _descriptor(value: Any) -> str | int:  # noqa: ANN401 - Proton has no types
    descriptor = getattr(value, "descriptor", "")
    return int(descriptor) if isinstance(descriptor, int) else str(descriptor)
