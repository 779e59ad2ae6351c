"""The local bus under random operations and passing time, held against a small model of it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
)

from localcloud.servicebus.broker import Broker
from localcloud.servicebus.entities import parse_entities
from localcloud.servicebus.entry import Delivery, MessageState
from localcloud.servicebus.errors import (
    EntityExistsError,
    EntityNotFoundError,
    MessageLockLostError,
    MessageNotFoundError,
)
from localcloud.servicebus.filters import Rule
from localcloud.servicebus.message import Message
from localcloud.servicebus.store import MessageStore
from localcloud.tests.unit.servicebus_messages import ManualClock, message
from localcloud.tests.unit.servicebus_model import (
    BURIES_EXPIRED,
    LOCK,
    MAX_DELIVERIES,
    ONCE,
    PLACES,
    PLAIN,
    RULES,
    RULES_AT_START,
    TOPIC,
    Copy,
    Model,
    Sent,
)

_DETECTING = {"RequiresDuplicateDetection": True, "DuplicateDetectionHistoryTimeWindow": "PT1M"}
_SECONDS = st.integers(0, 90) | st.sampled_from([59, 60, 61, 600])
_PLACES = st.sampled_from(PLACES)


def _kept(place: str) -> dict[str, object]:
    return {
        "LockDuration": "PT1M",
        "MaxDeliveryCount": MAX_DELIVERIES,
        "DefaultMessageTimeToLive": "PT10M",
        "DeadLetteringOnMessageExpiration": place in BURIES_EXPIRED,
    }


def _namespace() -> dict[str, object]:
    """The model's entities; each subscription begins with the one rule that lets everything in."""
    subscriptions = [
        {"Name": place.rpartition("/")[2], "Properties": _kept(place)} for place in RULES_AT_START
    ]
    return {
        "Name": "sbemulatorns",
        "Queues": [
            {"Name": ONCE, "Properties": {**_kept(ONCE), **_DETECTING}},
            {"Name": PLAIN, "Properties": _kept(PLAIN)},
        ],
        "Topics": [{"Name": TOPIC, "Properties": _DETECTING, "Subscriptions": subscriptions}],
    }


_ENTITIES = parse_entities({"UserConfig": {"Namespaces": [_namespace()]}})


_KINDS = [
    Sent(0, *each)
    for each in product(
        (None, "a", "b"), (None, "red", "blue", "green"), (None, 0, 1, 5, 6, 7), (None, 5, 70, 900)
    )
]
_DRAFTS = st.integers(0, len(_KINDS) - 1).map(_KINDS.__getitem__)


def _encoded(sent: Sent, due: int | None) -> Message:
    properties: dict[str | bytes, int] = {"serial": sent.serial}
    if sent.size is not None:
        properties["size"] = sent.size
    return message(
        message_id=sent.message_id,
        subject=sent.colour,
        application_properties=properties,
        time_to_live=None if sent.seconds is None else timedelta(seconds=sent.seconds),
        scheduled_enqueue_time_utc=None if due is None else datetime.fromtimestamp(due / 1000, UTC),
    )


def _serial(delivery: Delivery) -> int:
    serial = delivery.message.application["serial"]
    assert isinstance(serial, int)
    return serial


class BusMachine(RuleBasedStateMachine):
    """Senders, receivers and administrators do as they like; the model does the same."""

    tokens = Bundle("tokens")
    numbers = Bundle("numbers")

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.model = Model(self.clock.now)
        self.bus = self._started()
        self.sent = 0

    def _started(self) -> Broker:
        bus = Broker(_ENTITIES, self.clock)
        for place, names in RULES_AT_START.items():
            bus.rules(place).remove("$Default")
            for name in names:
                bus.rules(place).add(Rule(name, RULES[name][0]))
        return bus

    def _numbered(self, drawn: Sent) -> Sent:
        self.sent += 1
        return replace(drawn, serial=self.sent)

    @rule(entity=st.sampled_from([ONCE, PLAIN, TOPIC]), drawn=_DRAFTS, again=st.booleans())
    def send(self, entity: str, drawn: Sent, again: bool) -> None:  # noqa: FBT001 - drawn
        """Somebody sends a message, perhaps one with the same ID right behind it."""
        for _ in range(1 + again):
            sent = self._numbered(drawn)
            self.bus.ingress(entity).send(_encoded(sent, None))
            if self.model.admits(entity, sent):
                self.model.enqueue(entity, sent)

    @rule(
        target=numbers,
        entity=st.sampled_from([ONCE, PLAIN, TOPIC]),
        drawn=_DRAFTS,
        seconds=st.integers(-5, 90) | st.just(600),
    )
    def schedule(self, entity: str, drawn: Sent, seconds: int) -> tuple[str, int]:
        """Somebody schedules a message, perhaps a duplicate, perhaps for a time that is over."""
        sent, due = self._numbered(drawn), self.clock.now + 1000 * seconds
        number = self.bus.ingress(entity).schedule(_encoded(sent, due))
        assert (entity, number) not in self.model.scheduled
        if self.model.admits(entity, sent):
            self.model.scheduled[entity, number] = due, sent
            self.model.pass_time(self.clock.now)
        return entity, number

    @rule(chosen=st.lists(numbers, min_size=1, max_size=3), twice=st.booleans())
    def cancel(self, chosen: list[tuple[str, int]], twice: bool) -> None:  # noqa: FBT001 - drawn
        """Somebody cancels messages of one entity: all of them, or none if one is not scheduled."""
        entity = chosen[0][0]
        numbers = [number for name, number in chosen if name == entity]
        for _ in range(1 + twice):
            keys = {(entity, number) for number in numbers}
            if keys <= self.model.scheduled.keys():
                self.bus.ingress(entity).cancel(numbers)
                for key in keys:
                    del self.model.scheduled[key]
            else:
                with pytest.raises(MessageNotFoundError):
                    self.bus.ingress(entity).cancel(numbers)

    @rule(target=tokens, place=_PLACES, dead=st.booleans(), lost=st.booleans())
    def receive(self, place: str, dead: bool, lost: bool) -> object:  # noqa: FBT001 - drawn
        """Somebody receives, from the dead letters too; the lock may be lost on the way."""
        store = self._dead_letters(place) if dead else self.bus.store(place)
        expected = self.model.dead(place) if dead else self.model.ready(place)
        if lost and expected is not None:
            store.lose_next_locks(1)
        delivery = store.receive()
        if delivery is None or expected is None:
            assert (delivery, expected) == (None, None)
            return multiple()
        token = self._hold(expected, delivery)
        if lost:
            expected.back()
        return token

    def _hold(self, expected: Copy, delivery: Delivery) -> UUID:
        assert _serial(delivery) == expected.sent.serial
        assert delivery.delivery_count == expected.deliveries
        assert delivery.lock is not None
        assert delivery.lock.until == self.clock.now + LOCK
        expected.token, expected.locked_until = delivery.lock.token, delivery.lock.until
        return delivery.lock.token

    def _dead_letters(self, place: str) -> MessageStore:
        return self.bus.store(f"{place}/$DeadLetterQueue")

    @rule(place=_PLACES)
    def receive_and_delete(self, place: str) -> None:
        """Somebody receives without a lock: what they get is gone."""
        delivery, expected = self.bus.store(place).take(), self.model.ready(place)
        if delivery is None or expected is None:
            assert (delivery, expected) == (None, None)
            return
        assert _serial(delivery) == expected.sent.serial
        expected.state = "gone"

    @rule(target=tokens, place=_PLACES, data=st.data())
    def receive_deferred(self, place: str, data: st.DataObject) -> object:
        """Somebody asks for a message that was set aside, which may be locked or expired."""
        deferred = {each.sent.serial: each for each in self.model.at(place, "deferred")}
        if not deferred:
            return multiple()
        expected = data.draw(st.sampled_from(list(deferred.values())))
        number = {_serial(each): each.sequence_number for each in self.bus.store(place).peek(0)}
        asked = [number[expected.sent.serial]]
        if expected.token is None and expected.expires_at > self.clock.now:
            (delivery,) = self.bus.store(place).receive_deferred(asked, delete=False)
            return self._hold(expected, delivery)
        with pytest.raises(MessageNotFoundError):
            self.bus.store(place).receive_deferred(asked, delete=False)
        if expected.token is None:
            expected.expire()
        return multiple()

    @rule(
        token=tokens,
        how=st.sampled_from(["complete", "abandon", "release", "defer", "dead_letter"]),
    )
    def settle(self, token: UUID, how: str) -> None:
        """Somebody settles; it works exactly if they hold the lock."""
        held = self.model.holder_of(token)
        store = self._store_of(held)
        if held is not None and held.state == "dead" and how in {"defer", "dead_letter"}:
            return  # a dead letter can't be buried again; see the tests of the store
        arguments = ("Random", None) if how == "dead_letter" else ()
        if held is None:
            with pytest.raises(MessageLockLostError):
                getattr(store, how)(token, *arguments)
            return
        getattr(store, how)(token, *arguments)
        if how == "abandon":
            held.back()
        held.token = None
        match how:
            case "complete":
                held.state = "gone"
            case "defer":
                held.state, held.deliveries = "deferred", held.deliveries + 1
            case "dead_letter":
                held.bury("Random")
        self.model.pass_time(self.clock.now)
        self.bus.advance()

    def _store_of(self, held: Copy | None) -> MessageStore:
        place = ONCE if held is None else held.place
        dead = held is not None and held.state == "dead"
        return self._dead_letters(place) if dead else self.bus.store(place)

    @rule(token=tokens, late=st.booleans())
    def renew(self, token: UUID, late: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
        """Somebody renews, perhaps at the last moment; it works exactly if they hold the lock."""
        held = self.model.holder_of(token)
        if held is None:
            with pytest.raises(MessageLockLostError):
                self.bus.store(ONCE).renew(token)
            return
        if late:
            self._sleep_until(held.locked_until - 1)
        held.locked_until = self.clock.now + LOCK
        assert self._store_of(held).renew(token) == held.locked_until

    @rule(place=_PLACES)
    def expire_locks(self, place: str) -> None:
        """All locks of a queue or subscription are lost at once, those of its dead letters too."""
        held = [each for each in self.model.copies if each.place == place and each.token]
        assert self.bus.store(place).expire_locks() == len(held)
        for each in held:
            each.back()
        self.model.pass_time(self.clock.now)
        self.bus.advance()

    @rule(place=st.sampled_from(list(RULES_AT_START)), name=st.sampled_from(list(RULES)))
    def change_rules(self, place: str, name: str) -> None:
        """Somebody adds a rule, or removes it where it is; each can be done once."""
        rules = self.bus.rules(place)
        if name in self.model.rules[place]:
            with pytest.raises(EntityExistsError):
                rules.add(Rule(name.upper(), RULES[name][0]))
            rules.remove(name)
            self.model.rules[place].remove(name)
        else:
            with pytest.raises(EntityNotFoundError):
                rules.remove(name)
            rules.add(Rule(name, RULES[name][0]))
            self.model.rules[place].add(name)

    @rule(seconds=_SECONDS)
    def sleep(self, seconds: int) -> None:
        """Time passes."""
        self._sleep_until(self.clock.now + 1000 * seconds)

    def _sleep_until(self, moment: int) -> None:
        """The bus is woken when it asked to be, as its timer does; the model at each change."""
        while (due := self.bus.next_due()) is not None and due <= moment:
            self.clock.now = due
            self.bus.advance()
        self.clock.now = moment
        while (change := self.model.next_moment()) is not None and change <= moment:
            self.model.pass_time(change)
        self.model.now = moment

    @rule()
    def restart(self) -> None:
        """The bus stops and starts again; what clients did to the rules is gone."""
        state, self.bus = self.bus.snapshot(), self._started()
        self.bus.restore(state)
        self.model.__post_init__()

    @invariant()
    def every_message_is_where_the_model_has_it(self) -> None:
        """In the same order, with the same count of deliveries, in the same state."""
        for place in PLACES:
            kept = list(self.model.at(place, "waiting", "deferred"))
            assert [
                (_serial(each), each.delivery_count, each.state is MessageState.DEFERRED)
                for each in self.bus.store(place).peek(0)
            ] == [(each.sent.serial, each.deliveries, each.state == "deferred") for each in kept]
            dead = list(self.model.at(place, "dead"))
            assert [
                (_serial(each), each.message.application.get("DeadLetterReason"))
                for each in self._dead_letters(place).peek(0)
            ] == [(each.sent.serial, each.why) for each in dead]
            self._counts_add_up(place, kept, dead)

    def _counts_add_up(self, place: str, kept: Sequence[Copy], dead: Sequence[Copy]) -> None:
        own = self.bus.store(place).counts()
        free = [each.state for each in kept if each.token is None]
        assert own.active == free.count("waiting")
        assert own.deferred == free.count("deferred")
        assert own.locked == len(kept) - len(free)
        assert own.total == sum(each.place == place for each in self.model.copies)
        assert self.bus.store(place).has_ready() == (own.active > 0)
        assert self._dead_letters(place).counts().locked == sum(bool(each.token) for each in dead)

    @invariant()
    def every_scheduled_message_waits_under_its_number(self) -> None:
        """Until it is due; nothing else does."""
        for entity in (ONCE, PLAIN, TOPIC):
            assert {
                each.sequence_number: (_serial(each), each.enqueued_at, each.state)
                for each in self.bus.ingress(entity).peek(0)
            } == {
                number: (sent.serial, due, MessageState.SCHEDULED)
                for (name, number), (due, sent) in self.model.scheduled.items()
                if name == entity
            }

    @invariant()
    def it_knows_when_to_look_again(self) -> None:
        """Something that time will change is never forgotten, and nothing is overdue."""
        due, change = self.bus.next_due(), self.model.next_moment()
        assert due is None or due > self.clock.now
        assert change is None or (due is not None and due <= change)


BusMachine.TestCase.settings = settings(stateful_step_count=40, deadline=None)
TestBus = BusMachine.TestCase
