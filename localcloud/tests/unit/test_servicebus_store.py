"""A queue's store: peek-lock, returns, expiry, dead letters, deferral."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from localcloud.servicebus.entry import Delivery, MessageState
from localcloud.servicebus.errors import (
    MessageLockLostError,
    MessageNotFoundError,
    NotAllowedError,
)
from localcloud.servicebus.sequence import SequenceNumbers
from localcloud.servicebus.store import MessageStore, StorePolicy
from localcloud.tests.unit.servicebus_messages import MINUTE, ManualClock, message

_POLICY = StorePolicy(MINUTE, 3, 60 * MINUTE, dead_letter_on_expiration=True)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that the test moves."""
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> MessageStore:
    """An empty queue: locks of a minute, three deliveries, an hour to live."""
    return _store(clock)


def _store(clock: ManualClock, policy: StorePolicy = _POLICY) -> MessageStore:
    numbers = SequenceNumbers()
    graveyard = StorePolicy(MINUTE, None, None, dead_letter_on_expiration=False)
    return MessageStore(policy, clock, numbers, MessageStore(graveyard, clock, numbers))


def _receive(store: MessageStore) -> tuple[Delivery, UUID]:
    delivery = store.receive()
    assert delivery is not None
    assert delivery.lock is not None
    return delivery, delivery.lock.token


def _dead(store: MessageStore) -> Delivery:
    assert store.dead_letters is not None
    return _receive(store.dead_letters)[0]


def test_messages_come_in_the_order_they_were_put(store: MessageStore) -> None:
    """Sequence numbers rise, and receivers see that order."""
    numbers = [store.put(message(str(i))) for i in range(5)]
    assert numbers == sorted(numbers)
    assert [_receive(store)[0].sequence_number for _ in range(5)] == numbers
    assert store.receive() is None


def test_a_locked_message_is_nobody_elses_until_its_lock_ends(
    store: MessageStore, clock: ManualClock
) -> None:
    """One moment before the end it is locked, at the end it is back, with one delivery more."""
    store.put(message())
    first, token = _receive(store)
    assert first.delivery_count == 0
    clock.sleep(MINUTE - 1)
    assert store.receive() is None
    clock.sleep(1)
    second, _ = _receive(store)
    assert second.delivery_count == 1
    with pytest.raises(MessageLockLostError):
        store.complete(token)


def test_a_renewed_lock_lasts_from_the_renewal(store: MessageStore, clock: ManualClock) -> None:
    """Renewing gives another whole lock duration, and no more than that."""
    store.put(message())
    store.put(message())
    _, token = _receive(store)
    _, neglected = _receive(store)
    clock.sleep(MINUTE - 1)
    for each in (token, neglected):
        assert store.renew(each) == clock.now + MINUTE
    clock.sleep(MINUTE - 1)
    assert store.receive() is None
    store.complete(token)
    clock.sleep(1)
    assert store.counts().active == 1
    with pytest.raises(MessageLockLostError):
        store.complete(neglected)


def test_an_abandoned_message_is_the_next_one_again(store: MessageStore) -> None:
    """It comes back at once, at its old place, with its count one higher."""
    store.put(message("first"))
    store.put(message("second"))
    delivery, token = _receive(store)
    store.abandon(token)
    again, _ = _receive(store)
    assert again.sequence_number == delivery.sequence_number
    assert again.delivery_count == 1


def test_a_released_message_comes_back_uncounted(store: MessageStore) -> None:
    """Releasing is as if it had not been delivered."""
    store.put(message())
    store.release(_receive(store)[1])
    assert _receive(store)[0].delivery_count == 0


@pytest.mark.parametrize("how", ["abandon", "lock expiry"])
def test_after_the_last_delivery_it_is_dead_lettered(
    store: MessageStore, clock: ManualClock, how: str
) -> None:
    """Abandoned or held too long, a message has so many chances and no more."""
    store.put(message(application_properties={"mine": 1}))
    for _ in range(3):
        _, token = _receive(store)
        if how == "abandon":
            store.abandon(token)
        else:
            clock.sleep(MINUTE)
    assert store.receive() is None
    dead = _dead(store)
    assert dead.delivery_count == 3
    assert dead.message.application == {
        "mine": 1,
        "DeadLetterReason": "MaxDeliveryCountExceeded",
        "DeadLetterErrorDescription": "Message could not be consumed after 3 delivery attempts.",
    }


def test_dead_lettering_keeps_the_number_and_says_why(store: MessageStore) -> None:
    """The reason and the description that were given, and nothing that wasn't."""
    number = store.put(message())
    store.dead_letter(_receive(store)[1], "Bad", None)
    dead = _dead(store)
    assert dead.sequence_number == number
    assert dead.message.application == {"DeadLetterReason": "Bad"}


def test_dead_letters_stay(store: MessageStore, clock: ManualClock) -> None:
    """They don't expire, however often they are delivered, and can't be dead-lettered again."""
    store.put(message(time_to_live=timedelta(seconds=5)))
    store.dead_letter(_receive(store)[1], "Bad", "It is")
    dead_letters = store.dead_letters
    assert dead_letters is not None
    for _ in range(20):
        clock.sleep(60 * MINUTE)
        _, token = _receive(dead_letters)
        dead_letters.abandon(token)
    with pytest.raises(NotAllowedError):
        dead_letters.dead_letter(_receive(dead_letters)[1], "Again", None)


@pytest.mark.parametrize(
    ("time_to_live", "lifetime"),
    [(None, 60 * MINUTE), (timedelta(seconds=5), 5_000), (timedelta(hours=9), 60 * MINUTE)],
)
def test_a_message_lives_as_long_as_it_and_the_entity_allow(
    store: MessageStore, clock: ManualClock, time_to_live: timedelta | None, lifetime: int
) -> None:
    """The shorter of its own time and the entity's default."""
    store.put(message(time_to_live=time_to_live))
    clock.sleep(lifetime - 1)
    assert store.counts().active == 1
    clock.sleep(1)
    assert store.counts().active == 0
    assert _dead(store).message.application["DeadLetterReason"] == "TTLExpiredException"


def test_an_expired_message_is_dropped_where_the_entity_says_so(clock: ManualClock) -> None:
    """Without dead-lettering on expiration nothing is left of it."""
    store = _store(clock, StorePolicy(MINUTE, 3, MINUTE, dead_letter_on_expiration=False))
    store.put(message())
    clock.sleep(MINUTE)
    assert store.receive() is None
    assert store.dead_letters is not None
    assert store.dead_letters.receive() is None


def test_a_locked_message_does_not_expire(store: MessageStore, clock: ManualClock) -> None:
    """Its receiver may still complete it; only when the lock ends does its age count."""
    store.put(message(time_to_live=timedelta(seconds=5)))
    store.put(message(time_to_live=timedelta(seconds=5)))
    _, completed = _receive(store)
    _receive(store)
    clock.sleep(10_000)
    store.complete(completed)
    assert store.counts().locked == 1
    clock.sleep(MINUTE)
    assert store.receive() is None
    assert _dead(store).message.application["DeadLetterReason"] == "TTLExpiredException"


def test_a_deferred_message_is_had_by_its_number_alone(store: MessageStore) -> None:
    """It is in nobody's way until it is asked for; then it is locked like any other."""
    number = store.put(message())
    store.defer(_receive(store)[1])
    assert store.receive() is None
    (deferred,) = store.receive_deferred([number], delete=False)
    assert deferred.state is MessageState.DEFERRED
    assert deferred.delivery_count == 1
    with pytest.raises(MessageNotFoundError):
        store.receive_deferred([number], delete=False)
    assert deferred.lock is not None
    store.abandon(deferred.lock.token)
    assert store.receive() is None, "an abandoned deferred message stays deferred"
    assert store.receive_deferred([number], delete=True)
    assert store.counts().deferred == 0


def test_deferred_messages_are_received_all_or_none(store: MessageStore) -> None:
    """One unknown number leaves the others unlocked."""
    number = store.put(message())
    store.defer(_receive(store)[1])
    with pytest.raises(MessageNotFoundError):
        store.receive_deferred([number, 99], delete=False)
    assert store.receive_deferred([number], delete=False)


def test_an_expired_deferred_message_goes_when_it_is_asked_for(
    store: MessageStore, clock: ManualClock
) -> None:
    """The service keeps it until then."""
    number = store.put(message(time_to_live=timedelta(seconds=5)))
    store.defer(_receive(store)[1])
    clock.sleep(MINUTE)
    assert store.counts().deferred == 1
    with pytest.raises(MessageNotFoundError):
        store.receive_deferred([number], delete=False)
    assert _dead(store).message.application["DeadLetterReason"] == "TTLExpiredException"


def test_receive_and_delete_leaves_nothing(store: MessageStore) -> None:
    """What is taken has no lock and is gone."""
    store.put(message())
    taken = store.take()
    assert taken is not None
    assert taken.lock is None
    assert store.take() is None


def test_peeking_shows_everything_and_changes_nothing(store: MessageStore) -> None:
    """Ready, locked and deferred messages, from a number on, without their locks."""
    numbers = [store.put(message(str(i))) for i in range(3)]
    store.defer(_receive(store)[1])
    _receive(store)
    peeked = list(store.peek(0))
    assert [each.sequence_number for each in peeked] == numbers
    assert [each.lock for each in peeked] == [None, None, None]
    assert [each.state for each in peeked] == [
        MessageState.DEFERRED,
        MessageState.ACTIVE,
        MessageState.ACTIVE,
    ]
    assert [each.sequence_number for each in store.peek(numbers[1])] == numbers[1:]
    assert store.counts().locked == 1


def test_no_outcome_counts_twice(store: MessageStore) -> None:
    """A settled message's token is worth nothing, whatever is tried with it."""
    store.put(message())
    _, token = _receive(store)
    store.complete(token)
    for settle in (store.complete, store.abandon, store.release, store.defer, store.renew):
        with pytest.raises(MessageLockLostError):
            settle(token)
    with pytest.raises(MessageLockLostError):
        store.complete(uuid4())


def test_expiring_the_locks_gives_everything_back(store: MessageStore) -> None:
    """All holders have lost; their messages are available again."""
    store.put(message())
    store.put(message())
    _, token = _receive(store)
    _receive(store)
    assert store.expire_locks() == 2
    assert store.counts().active == 2
    with pytest.raises(MessageLockLostError):
        store.complete(token)


def test_a_lost_lock_makes_a_second_delivery_beside_the_first(store: MessageStore) -> None:
    """The same message for two receivers; only the second one can settle it."""
    store.put(message())
    store.lose_next_locks(1)
    first, first_token = _receive(store)
    second, second_token = _receive(store)
    assert first.sequence_number == second.sequence_number
    with pytest.raises(MessageLockLostError):
        store.complete(first_token)
    store.complete(second_token)
    assert store.counts().active == 0


def test_it_says_when_to_look_again(store: MessageStore, clock: ManualClock) -> None:
    """The next due moment is the first of its expiries and lock ends."""
    assert store.next_due() is None
    store.put(message(time_to_live=timedelta(minutes=30)))
    assert store.next_due() == clock.now + 30 * MINUTE
    _receive(store)
    assert store.next_due() == clock.now + MINUTE


def test_a_saved_store_is_the_same_after_loading(store: MessageStore, clock: ManualClock) -> None:
    """Numbers, counts, locks, deferral and dead letters survive; time has gone on meanwhile."""
    for i in range(4):
        store.put(message(str(i)))
    store.dead_letter(_receive(store)[1], "Bad", None)
    deferred, token = _receive(store)
    store.defer(token)
    _, held = _receive(store)
    loaded = _store(clock)
    loaded.restore(store.snapshot())
    assert loaded.counts() == store.counts()
    assert [(each.sequence_number, each.delivery_count) for each in loaded.peek(0)] == [
        (each.sequence_number, each.delivery_count) for each in store.peek(0)
    ]
    assert loaded.put(message("new")) == 5
    loaded.complete(held)
    assert loaded.receive_deferred([deferred.sequence_number], delete=True)
    assert _dead(loaded).message.application == {"DeadLetterReason": "Bad"}
