"""A store under random operations and passing time, held against a simple model of it."""

from datetime import timedelta
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
)

from localcloud.servicebus.entry import Delivery
from localcloud.servicebus.errors import MessageLockLostError, MessageNotFoundError
from localcloud.servicebus.sequence import SequenceNumbers
from localcloud.servicebus.store import MessageStore, StorePolicy
from localcloud.tests.unit.servicebus_messages import MINUTE, ManualClock, message

_MAX_DELIVERIES = 3


class StoreMachine(RuleBasedStateMachine):
    """Senders and receivers do as they like; the model knows who holds what until when."""

    tokens = Bundle("tokens")

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        numbers = SequenceNumbers()
        policy = StorePolicy(MINUTE, _MAX_DELIVERIES, 10 * MINUTE, dead_letter_on_expiration=True)
        graveyard = StorePolicy(MINUTE, None, None, dead_letter_on_expiration=False)
        self.dead = MessageStore(graveyard, self.clock, numbers)
        self.store = MessageStore(policy, self.clock, numbers, self.dead)
        self.put_numbers: set[int] = set()
        self.completed: set[int] = set()
        self.deferred: set[int] = set()
        self.held: dict[UUID, tuple[int, int]] = {}  # token: (sequence number, until)

    def _holds(self, token: UUID) -> bool:
        return token in self.held and self.held[token][1] > self.clock.now

    def _hold(self, delivery: Delivery) -> UUID:
        assert delivery.lock is not None
        number = delivery.sequence_number
        holders = [
            token for token, (held, _) in self.held.items() if held == number and self._holds(token)
        ]
        assert not holders, "a message was delivered while somebody else's lock on it was valid"
        assert delivery.delivery_count < _MAX_DELIVERIES
        self.held[delivery.lock.token] = (number, delivery.lock.until)
        return delivery.lock.token

    @rule(seconds=st.none() | st.integers(1, 900))
    def put(self, seconds: int | None) -> None:
        """Somebody sends a message, perhaps with a time to live of its own."""
        lifetime = None if seconds is None else timedelta(seconds=seconds)
        self.put_numbers.add(self.store.put(message(time_to_live=lifetime)))

    @rule(target=tokens)
    def receive(self) -> object:
        """Somebody receives, if there is anything."""
        delivery = self.store.receive()
        if delivery is None:
            return multiple()
        assert delivery.sequence_number not in self.completed | self.deferred
        return self._hold(delivery)

    @rule(target=tokens, data=st.data())
    def receive_deferred(self, data: st.DataObject) -> object:
        """Somebody asks for a deferred message, which may have gone meanwhile."""
        if not self.deferred:
            return multiple()
        number = data.draw(st.sampled_from(sorted(self.deferred)))
        try:
            (delivery,) = self.store.receive_deferred([number], delete=False)
        except MessageNotFoundError:
            return multiple()
        return self._hold(delivery)

    @rule(token=tokens, how=st.sampled_from(["complete", "abandon", "release", "defer", "bury"]))
    def settle(self, token: UUID, how: str) -> None:
        """Somebody settles; it works exactly if they hold the lock."""
        holds = self._holds(token)
        try:
            if how == "bury":
                self.store.dead_letter(token, "Random", None)
            else:
                getattr(self.store, how)(token)
        except MessageLockLostError:
            assert not holds, "the holder of a valid lock was refused"
            return
        assert holds, "a lock that was lost was good for settling"
        number, _ = self.held.pop(token)
        if how == "complete":
            self.completed.add(number)
        if how in {"complete", "bury"}:
            self.deferred.discard(number)
        if how == "defer":
            self.deferred.add(number)

    @rule(token=consumes(tokens), again=st.booleans())
    def settle_twice(self, token: UUID, again: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
        """Somebody completes a message, and perhaps once more."""
        self.settle(token, "complete")
        if again:
            assert not self._holds(token)
            self.settle(token, "complete")

    @rule(token=tokens, late=st.booleans())
    def renew(self, token: UUID, late: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
        """Somebody renews, perhaps at the last moment; it works exactly if they hold the lock."""
        holds = self._holds(token)
        if holds and late:
            self.clock.now = self.held[token][1] - 1
        try:
            until = self.store.renew(token)
        except MessageLockLostError:
            assert not holds
            return
        assert holds
        assert until == self.clock.now + MINUTE
        self.held[token] = (self.held[token][0], until)
        if late:
            self.clock.sleep(1)  # the lock would have ended now

    @rule()
    def expire_locks(self) -> None:
        """All locks are lost at once."""
        valid = sum(self._holds(token) for token in self.held)
        assert self.store.expire_locks() == valid
        self.held.clear()

    @rule(seconds=st.integers(1, 59) | st.sampled_from([60, 61, 600]))
    def sleep(self, seconds: int) -> None:
        """Time passes."""
        self.clock.sleep(seconds * 1000)

    @rule()
    def restart(self) -> None:
        """The bus stops and starts again."""
        numbers = SequenceNumbers()
        dead = MessageStore(self.dead._policy, self.clock, numbers)
        store = MessageStore(self.store._policy, self.clock, numbers, dead)
        store.restore(self.store.snapshot())
        self.store, self.dead = store, dead

    @invariant()
    def nothing_is_lost_and_the_counts_add_up(self) -> None:
        """Every message is in one place: ready, locked, deferred, dead, or completed."""
        counts = self.store.counts()
        dead = [each.sequence_number for each in self.dead.peek(0)]
        kept = [each.sequence_number for each in self.store.peek(0)]
        assert counts.active + counts.locked + counts.deferred == len(kept)
        assert len(dead) == len(set(dead))
        assert sorted([*kept, *dead, *self.completed]) == sorted(self.put_numbers)
        assert counts.locked == sum(self._holds(token) for token in self.held)
        assert counts.total == len(self.put_numbers)
        assert self.store.has_ready() == (counts.active > 0)

    @invariant()
    def it_knows_when_to_look_again(self) -> None:
        """Something that time will change is never forgotten."""
        counts = self.store.counts()
        due = self.store.next_due()
        if counts.active:
            assert due is not None
        assert due is None or due > self.clock.now
        for _, until in self.held.values():
            if until > self.clock.now:
                assert due is not None
                assert due <= until


StoreMachine.TestCase.settings = settings(stateful_step_count=40, deadline=None)
TestStore = StoreMachine.TestCase
