"""What the bus saves when it stops and loads when it starts again, as plain data.

Written on a graceful stop alone: this is a restart, not durability. The real service has every
accepted message on three disks before it answers; a bus that is killed here loses them all.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from uuid import UUID

from pydantic import Base64Encoder, EncodedBytes, TypeAdapter

from localcloud.servicebus.clock import Milliseconds

_Base64 = Annotated[bytes, EncodedBytes(encoder=Base64Encoder)]


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message in a queue, a subscription or a dead-letter queue.

    Attributes:
        sequence_number: its number in the entity.
        payload: the encoded message.
        enqueued_at: when it arrived.
        expires_at: when it expires; None for never.
        delivery_count: how often it was delivered and came back.
        deferred: whether it is received by its sequence number alone.
        enqueued_sequence_number: its number in the topic that it came through.
        lock_token: who holds it, if anyone.
        locked_until: until when.
    """

    sequence_number: int
    payload: _Base64
    enqueued_at: Milliseconds
    expires_at: Milliseconds | None
    delivery_count: int
    deferred: bool
    enqueued_sequence_number: int | None
    lock_token: UUID | None
    locked_until: Milliseconds | None


@dataclass(frozen=True, slots=True)
class StoreState:
    """A queue or subscription; `total` counts what was ever enqueued."""

    next_sequence_number: int
    total: int
    messages: tuple[StoredMessage, ...]
    dead_letters: "StoreState | None" = None


@dataclass(frozen=True, slots=True)
class ScheduledMessage:
    """A message that waits for its time."""

    sequence_number: int
    due: Milliseconds
    payload: _Base64


@dataclass(frozen=True, slots=True)
class IngressState:
    """The sending side of a queue or topic."""

    next_sequence_number: int
    scheduled: tuple[ScheduledMessage, ...]
    accepted_ids: tuple[tuple[str, Milliseconds], ...]


@dataclass(frozen=True, slots=True)
class BusState:
    """Everything, by address; what is missing here starts empty."""

    ingresses: dict[str, IngressState]
    stores: dict[str, StoreState]


_ADAPTER = TypeAdapter(BusState)


def save_state(state: BusState, path: Path) -> None:
    """Write the state, replacing the file as a whole."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(_ADAPTER.dump_json(state))
    partial.replace(path)


def load_state(path: Path) -> BusState:
    """Read a state that `save_state` wrote.

    Returns:
        The state; an empty one when there is no such file.

    Raises:
        pydantic.ValidationError: the file holds something else.
    """
    if not path.exists():
        return BusState({}, {})
    return _ADAPTER.validate_json(path.read_bytes())
