"""Where messages wait and are handed out: a queue's or subscription's store, and its dead letters.

Peek-lock as the service has it. A message is handed to one receiver at a time and comes back when
its lock is abandoned or ends, at its old place and with its delivery count one higher; at the
maximum it is dead-lettered. An expired message is dead-lettered or dropped, never while it is
locked. Left out: sessions, and the service's limit on an entity's total size.

No I/O, no clock of its own: time passes when `advance` is called, as every operation does first.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID, uuid4

from localcloud.servicebus.clock import Clock, Milliseconds
from localcloud.servicebus.entry import Delivery, Entry, Lock
from localcloud.servicebus.errors import (
    MessageLockLostError,
    MessageNotFoundError,
    NotAllowedError,
)
from localcloud.servicebus.message import Message, parse, text_properties
from localcloud.servicebus.sequence import SequenceNumbers
from localcloud.servicebus.state import StoredMessage, StoreState

_REASON = "DeadLetterReason"
_DESCRIPTION = "DeadLetterErrorDescription"

Properties: TypeAlias = Sequence[tuple[bytes, bytes]]
"""Encoded keys and values that a receiver sets on a message as it settles it."""


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class StorePolicy:
    """The rules of one store.

    Attributes:
        lock_duration: how long a received message stays locked.
        max_delivery_count: deliveries after which it is dead-lettered; None for no limit.
        default_time_to_live: the longest that a message stays; None for ever.
        dead_letter_on_expiration: whether an expired message is dead-lettered or dropped.
        source: of a dead-letter queue: the entity whose dead letters it keeps.
    """

    lock_duration: Milliseconds
    max_delivery_count: int | None
    default_time_to_live: Milliseconds | None
    dead_letter_on_expiration: bool
    source: str | None = None


@dataclass(frozen=True, slots=True)
class StoreCounts:
    """How many messages are where; `total` were ever enqueued."""

    active: int
    locked: int
    deferred: int
    total: int


class MessageStore:
    """The messages of a queue, a subscription or a dead-letter queue.

    Args:
        policy: its rules.
        clock: tells the time.
        sequence_numbers: where new messages get theirs.
        dead_letters: where undeliverable messages go; None makes this a dead-letter queue.
        new_token: makes lock tokens.
    """

    def __init__(
        self,
        policy: StorePolicy,
        clock: Clock,
        sequence_numbers: SequenceNumbers,
        dead_letters: "MessageStore | None" = None,
        new_token: Callable[[], UUID] = uuid4,
    ) -> None:
        self.dead_letters = dead_letters
        self.on_ready: Callable[[], None] = _nothing
        """Called when a message has become ready for a receiver."""
        self._policy = policy
        self._clock = clock
        self._sequence_numbers = sequence_numbers
        self._new_token = new_token
        self._entries: dict[int, Entry] = {}
        self._ready: list[int] = []  # heap; may name entries that have gone
        self._locked: dict[UUID, Entry] = {}
        self._agenda: list[tuple[Milliseconds, int]] = []  # heap of looks to take, some in vain
        self._locks_to_lose = 0
        self._total = 0

    def put(self, message: Message, enqueued_sequence_number: int | None = None) -> int:
        """Enqueue a message.

        Returns:
            Its sequence number.
        """
        now = self._clock()
        lifetimes = (message.time_to_live, self._policy.default_time_to_live)
        lifetime = min((each for each in lifetimes if each is not None), default=None)
        entry = Entry(
            sequence_number=self._sequence_numbers.take(),
            message=message.with_time_to_live(lifetime),
            enqueued_at=now,
            expires_at=None if lifetime is None else now + lifetime,
            enqueued_sequence_number=enqueued_sequence_number,
        )
        self._add(entry)
        return entry.sequence_number

    def _add(self, entry: Entry) -> None:
        self._total += 1
        entry.dead_letter_source = self._policy.source
        self._entries[entry.sequence_number] = entry
        self._offer(entry)

    def _offer(self, entry: Entry) -> None:
        """Make an unlocked entry available, unless it has to be asked for by its number."""
        self._watch(entry)
        if entry.is_ready():
            heapq.heappush(self._ready, entry.sequence_number)
            self.on_ready()

    def _watch(self, entry: Entry) -> None:
        change = entry.next_change()
        if change is not None:
            heapq.heappush(self._agenda, (change, entry.sequence_number))

    def advance(self) -> None:
        """Do what time has made due: end locks, expire messages."""
        if not self._agenda:
            return
        now = self._clock()
        while self._agenda and self._agenda[0][0] <= now:
            entry = self._entries.get(heapq.heappop(self._agenda)[1])
            change = entry.next_change() if entry else None
            if entry is None or change is None or change > now:
                continue  # settled, renewed or received since
            if entry.lock is not None:
                self._return(entry, entry.lock)
            else:
                self._expire(entry)

    def next_due(self) -> Milliseconds | None:
        """When `advance` may have something to do next; None for never."""
        return self._agenda[0][0] if self._agenda else None

    def has_ready(self) -> bool:
        """Whether a receiver would get a message now."""
        return self._first_ready() is not None

    def _first_ready(self) -> Entry | None:
        while self._ready:
            entry = self._entries.get(self._ready[0])
            if entry is not None and entry.is_ready():
                return entry
            heapq.heappop(self._ready)
        return None

    def receive(self) -> Delivery | None:
        """Lock the first ready message.

        Returns:
            The message with its lock; None when nothing is ready.
        """
        self.advance()
        entry = self._first_ready()
        if entry is None:
            return None
        heapq.heappop(self._ready)
        delivery = self._lock(entry)
        if self._locks_to_lose:
            self._locks_to_lose -= 1
            self._return(entry, entry.lock)
        return delivery

    def take(self) -> Delivery | None:
        """Remove the first ready message: receive-and-delete.

        Returns:
            The message, which nobody will get again; None when nothing is ready.
        """
        self.advance()
        entry = self._first_ready()
        if entry is None:
            return None
        heapq.heappop(self._ready)
        del self._entries[entry.sequence_number]
        return entry.snapshot()

    def receive_deferred(self, sequence_numbers: Iterable[int], *, delete: bool) -> list[Delivery]:
        """Receive deferred messages by their numbers, all or none.

        Args:
            sequence_numbers: of messages that were deferred.
            delete: whether to remove them at once instead of locking them.

        Raises:
            MessageNotFoundError: one of them is not there, not deferred, or locked.
        """
        self.advance()
        wanted = [self._deferred(number) for number in sequence_numbers]
        if delete:
            for entry in wanted:
                del self._entries[entry.sequence_number]
            return [entry.snapshot() for entry in wanted]
        return [self._lock(entry) for entry in wanted]

    def _deferred(self, sequence_number: int) -> Entry:
        entry = self._entries.get(sequence_number)
        if entry is not None and entry.deferred and entry.lock is None:
            if entry.expires_at is None or entry.expires_at > self._clock():
                return entry
            self._expire(entry)
        raise MessageNotFoundError(f"No deferred message has sequence number {sequence_number}.")

    def peek(self, from_sequence_number: int) -> Iterator[Delivery]:
        """Messages in the order of their numbers, without receiving them; locked ones too."""
        self.advance()
        for number in sorted(self._entries):
            if number >= from_sequence_number:
                yield self._entries[number].snapshot(with_lock=False)

    def browse(self, from_sequence_number: int) -> Iterator[Delivery]:
        """What a receiver could get, in the order of the numbers, without receiving it."""
        for number in sorted(self._entries):
            entry = self._entries.get(number)
            if number >= from_sequence_number and entry is not None and entry.is_ready():
                yield entry.snapshot()

    def complete(self, token: UUID) -> None:
        """Settle a message: it is gone.

        Raises:
            MessageLockLostError: the lock is no longer held.
        """
        entry = self._unlock(token)
        del self._entries[entry.sequence_number]

    def release(self, token: UUID) -> None:
        """Give a message back as if it had not been delivered.

        Raises:
            MessageLockLostError: the lock is no longer held.
        """
        self._offer(self._unlock(token))

    def abandon(self, token: UUID, properties: Properties = ()) -> None:
        """Give a message back for another delivery, which counts.

        Raises:
            MessageLockLostError: the lock is no longer held.
        """
        entry = self._held(token)
        entry.message = entry.message.with_application_properties(properties)
        self._return(entry, entry.lock)

    def defer(self, token: UUID, properties: Properties = ()) -> None:
        """Set a message aside until it is asked for by its sequence number.

        Raises:
            MessageLockLostError: the lock is no longer held.
        """
        entry = self._unlock(token)
        entry.message = entry.message.with_application_properties(properties)
        entry.delivery_count += 1
        entry.deferred = True

    def dead_letter(
        self,
        token: UUID,
        reason: str | None,
        description: str | None,
        properties: Properties = (),
    ) -> None:
        """Move a message to the dead-letter queue.

        Raises:
            MessageLockLostError: the lock is no longer held.
            NotAllowedError: this is the dead-letter queue.
        """
        if self.dead_letters is None:
            raise NotAllowedError("A message in a dead-letter queue can't be dead-lettered.")
        entry = self._unlock(token)
        entry.message = entry.message.with_application_properties(properties)
        self._bury(entry, {_REASON: reason, _DESCRIPTION: description})

    def renew(self, token: UUID) -> Milliseconds:
        """Hold a lock for another lock duration from now.

        Returns:
            When it ends.

        Raises:
            MessageLockLostError: the lock is no longer held.
        """
        entry = self._held(token)
        entry.lock = Lock(token, self._clock() + self._policy.lock_duration)
        self._watch(entry)
        return entry.lock.until

    def expire_locks(self) -> int:
        """End every lock now, those of the dead letters too.

        Returns:
            How many there were.
        """
        self.advance()
        dead = 0 if self.dead_letters is None else self.dead_letters.expire_locks()
        held = list(self._locked.values())
        for entry in held:
            self._return(entry, entry.lock)
        return len(held) + dead

    def lose_next_locks(self, count: int) -> None:
        """Let the locks of the next deliveries end as they are delivered.

        Their messages are available to a second receiver while the first works on them: what
        happens when a receiver is slower than its lock, without the wait.
        """
        self._locks_to_lose += count

    def counts(self) -> StoreCounts:
        """How many messages are where."""
        self.advance()
        entries = self._entries.values()
        return StoreCounts(
            active=sum(entry.is_ready() for entry in entries),
            locked=len(self._locked),
            deferred=sum(entry.deferred and entry.lock is None for entry in entries),
            total=self._total,
        )

    def _lock(self, entry: Entry) -> Delivery:
        entry.lock = Lock(self._new_token(), self._clock() + self._policy.lock_duration)
        self._locked[entry.lock.token] = entry
        self._watch(entry)
        return entry.snapshot()

    def _held(self, token: UUID) -> Entry:
        self.advance()
        entry = self._locked.get(token)
        if entry is None:
            raise MessageLockLostError(
                "The lock supplied is invalid. Either the lock expired, "
                "or the message has already been removed from the queue."
            )
        return entry

    def _unlock(self, token: UUID) -> Entry:
        entry = self._held(token)
        del self._locked[token]
        entry.lock = None
        return entry

    def _return(self, entry: Entry, lock: Lock | None) -> None:
        """Take a delivered message back: one delivery more, and perhaps one too many."""
        if lock is not None:
            del self._locked[lock.token]
        entry.lock = None
        entry.delivery_count += 1
        limit = self._policy.max_delivery_count
        if limit is not None and entry.delivery_count >= limit:
            self._bury(
                entry,
                {
                    _REASON: "MaxDeliveryCountExceeded",
                    _DESCRIPTION: f"Message could not be consumed after {limit} delivery attempts.",
                },
            )
        else:
            self._offer(entry)

    def _expire(self, entry: Entry) -> None:
        if self._policy.dead_letter_on_expiration:
            self._bury(
                entry,
                {
                    _REASON: "TTLExpiredException",
                    _DESCRIPTION: "The message expired and was dead lettered.",
                },
            )
        else:
            del self._entries[entry.sequence_number]

    def _bury(self, entry: Entry, properties: dict[str, str | None]) -> None:
        if self.dead_letters is None:
            raise NotAllowedError("A dead-letter queue has no dead-letter queue.")
        del self._entries[entry.sequence_number]
        entry.message = entry.message.with_application_properties(text_properties(properties))
        entry.expires_at = None
        entry.deferred = False
        self.dead_letters._add(entry)  # noqa: SLF001 - the same class: an entry changes stores

    def snapshot(self) -> StoreState:
        """Everything in it, to be saved."""
        self.advance()
        return StoreState(
            next_sequence_number=self._sequence_numbers.next,
            total=self._total,
            messages=tuple(_stored(entry) for entry in self._entries.values()),
            dead_letters=None if self.dead_letters is None else self.dead_letters.snapshot(),
        )

    def restore(self, state: StoreState) -> None:
        """Take over what was saved, into an empty store."""
        self._sequence_numbers.skip_to(state.next_sequence_number)
        for stored in state.messages:
            self._restore(stored)
        self._total = state.total
        if self.dead_letters is not None and state.dead_letters is not None:
            self.dead_letters.restore(state.dead_letters)

    def _restore(self, stored: StoredMessage) -> None:
        entry = Entry(
            sequence_number=stored.sequence_number,
            message=parse(stored.payload),
            enqueued_at=stored.enqueued_at,
            expires_at=stored.expires_at,
            delivery_count=stored.delivery_count,
            deferred=stored.deferred,
            enqueued_sequence_number=stored.enqueued_sequence_number,
        )
        if stored.lock_token is not None and stored.locked_until is not None:
            entry.lock = Lock(stored.lock_token, stored.locked_until)
            self._locked[stored.lock_token] = entry
        self._add(entry)


def _stored(entry: Entry) -> StoredMessage:
    return StoredMessage(
        sequence_number=entry.sequence_number,
        payload=entry.message.encode(),
        enqueued_at=entry.enqueued_at,
        expires_at=entry.expires_at,
        delivery_count=entry.delivery_count,
        deferred=entry.deferred,
        enqueued_sequence_number=entry.enqueued_sequence_number,
        lock_token=None if entry.lock is None else entry.lock.token,
        locked_until=None if entry.lock is None else entry.lock.until,
    )
