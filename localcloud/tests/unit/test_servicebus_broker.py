"""The namespace: addresses, duplicates, schedules, topics, faults, turns, and saving it all."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.servicebus.broker import Broker
from localcloud.servicebus.dispatch import Dispatcher
from localcloud.servicebus.duplicates import DuplicateWindow
from localcloud.servicebus.entities import parse_entities
from localcloud.servicebus.entry import Delivery, MessageState
from localcloud.servicebus.errors import (
    BusError,
    EntityNotFoundError,
    InjectedError,
    MessageNotFoundError,
    NotAllowedError,
)
from localcloud.servicebus.faults import Faults, Operation
from localcloud.servicebus.message import Message
from localcloud.servicebus.state import BusState, load_state, save_state
from localcloud.tests.unit.servicebus_messages import MINUTE, ManualClock, message

_DETECTING = {"RequiresDuplicateDetection": True, "DuplicateDetectionHistoryTimeWindow": "PT1M"}
_ENTITIES = parse_entities(
    {
        "UserConfig": {
            "Namespaces": [
                {
                    "Name": "sbemulatorns",
                    "Queues": [
                        {"Name": "Orders", "Properties": _DETECTING},
                        {"Name": "plain"},
                    ],
                    "Topics": [
                        {
                            "Name": "events",
                            "Properties": _DETECTING,
                            "Subscriptions": [
                                {"Name": "all"},
                                {
                                    "Name": "only-a",
                                    "Rules": [
                                        {
                                            "Name": "a",
                                            "Properties": {
                                                "FilterType": "Correlation",
                                                "CorrelationFilter": {"Properties": {"type": "A"}},
                                            },
                                        }
                                    ],
                                },
                            ],
                        }
                    ],
                }
            ]
        }
    }
)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that the test moves."""
    return ManualClock()


@pytest.fixture
def broker(clock: ManualClock) -> Broker:
    """An empty namespace."""
    return Broker(_ENTITIES, clock)


def _at(clock: ManualClock, milliseconds: int, message_id: str | None = None) -> Message:
    """A message scheduled for so long from now."""
    moment = datetime.fromtimestamp((clock.now + milliseconds) / 1000, UTC)
    return message(scheduled_enqueue_time_utc=moment, message_id=message_id)


@pytest.mark.parametrize(
    "address",
    ["orders", "ORDERS", "amqps://localhost:5671/Orders", "sb://h/orders/"],
)
def test_an_address_may_be_written_in_any_way_the_sdks_do(broker: Broker, address: str) -> None:
    """With or without scheme and host, in any case."""
    broker.ingress(address).send(message())
    assert broker.store(address).receive() is not None


def test_what_an_entity_cannot_do_is_refused(broker: Broker) -> None:
    """Unknown names, receiving from topics, sending to subscriptions and dead letters."""
    for refused in (broker.ingress, broker.store, broker.check):
        with pytest.raises(EntityNotFoundError):
            refused("nothing")
    with pytest.raises(EntityNotFoundError):
        broker.store("events/subscriptions/nobody")
    with pytest.raises(NotAllowedError):
        broker.store("events")
    for address in ("events/subscriptions/all", "orders/$DeadLetterQueue"):
        with pytest.raises(NotAllowedError):
            broker.ingress(address)


def test_a_repeated_id_is_accepted_and_forgotten(broker: Broker, clock: ManualClock) -> None:
    """Inside the window it is one message; after it, counted from the first, a new one."""
    orders = broker.ingress("orders")
    orders.send(message(message_id="1"))
    clock.sleep(MINUTE - 1)
    orders.send(message(message_id="1"))
    orders.send(message(message_id="2"))
    assert broker.counts()["Orders"].total == 2
    clock.sleep(1)
    orders.send(message(message_id="1"))
    assert broker.counts()["Orders"].total == 3


def test_without_an_id_or_detection_nothing_is_a_duplicate(broker: Broker) -> None:
    """Both a message without an ID and an entity without detection take everything."""
    for _ in range(2):
        broker.ingress("orders").send(message())
        broker.ingress("plain").send(message(message_id="1"))
    assert broker.counts()["Orders"].active == 2
    assert broker.counts()["plain"].active == 2


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40_000)), max_size=40))
def test_an_id_is_admitted_exactly_once_in_its_window(arrivals: list[tuple[str, int]]) -> None:
    """Whatever arrives when: admitted if and only if its last admission is a window ago."""
    clock = ManualClock()
    window = DuplicateWindow(MINUTE, clock)
    admitted: dict[str, int] = {}
    for message_id, pause in arrivals:
        clock.sleep(pause)
        is_new = message_id not in admitted or clock.now - admitted[message_id] >= MINUTE
        assert window.admits(message_id) == is_new
        if is_new:
            admitted[message_id] = clock.now


def test_a_scheduled_message_comes_at_its_time_under_a_new_number(
    broker: Broker, clock: ManualClock
) -> None:
    """Before that it is counted and peeked as scheduled, and nobody can receive it."""
    number = broker.ingress("orders").schedule(_at(clock, 5000, message_id="1"))
    assert broker.counts()["Orders"].scheduled == 1
    (peeked,) = broker.peek("orders", 0, 10)
    assert peeked.state is MessageState.SCHEDULED
    assert peeked.sequence_number == number
    clock.sleep(4999)
    broker.advance()
    assert broker.store("orders").receive() is None
    clock.sleep(1)
    broker.advance()
    delivery = broker.store("orders").receive()
    assert delivery is not None
    assert delivery.sequence_number > number
    assert delivery.enqueued_at == clock.now
    assert broker.counts()["Orders"].scheduled == 0


def test_scheduled_messages_come_in_the_order_of_their_times(
    broker: Broker, clock: ManualClock
) -> None:
    """Not in the order in which they were sent, however late somebody looks."""
    for delay in (3000, 1000, 2000):
        broker.ingress("orders").send(_at(clock, delay, message_id=str(delay)))
    clock.sleep(MINUTE)
    broker.advance()
    ids = [each.message.message_id for each in broker.peek("orders", 0, 10)]
    assert ids == ["1000", "2000", "3000"]


def test_a_time_in_the_past_means_now(broker: Broker, clock: ManualClock) -> None:
    """Sent or scheduled, it can be received at once."""
    broker.ingress("orders").send(_at(clock, -1000))
    broker.ingress("orders").schedule(_at(clock, -1000))
    assert broker.counts()["Orders"].active == 2


def test_a_cancelled_message_never_comes(broker: Broker, clock: ManualClock) -> None:
    """Cancelling works once, before its time, and for all of the numbers or none."""
    orders = broker.ingress("orders")
    one, two = (orders.schedule(_at(clock, 5000, message_id=each)) for each in "12")
    orders.cancel([one])
    with pytest.raises(MessageNotFoundError):
        orders.cancel([two, one])
    clock.sleep(5000)
    with pytest.raises(MessageNotFoundError):
        orders.cancel([two])
    assert [each.message.message_id for each in broker.peek("orders", 0, 10)] == ["2"]


def test_duplicates_are_found_when_they_are_scheduled(broker: Broker, clock: ManualClock) -> None:
    """The same ID, scheduled twice and sent once, comes once."""
    orders = broker.ingress("orders")
    orders.schedule(_at(clock, 5000, message_id="1"))
    orders.schedule(_at(clock, 6000, message_id="1"))
    orders.send(message(message_id="1"))
    clock.sleep(MINUTE)
    assert broker.counts()["Orders"].total == 1


def test_a_topic_copies_to_the_subscriptions_whose_rules_match(broker: Broker) -> None:
    """Each has its own copy, its own numbers, and the topic's number beside them."""
    for kind in ("B", "A"):
        broker.ingress("events").send(message(application_properties={"type": kind}))
    everything = broker.peek("events/Subscriptions/all", 0, 10)
    assert [each.message.application["type"] for each in everything] == ["B", "A"]
    (only,) = broker.peek("events/Subscriptions/only-a", 0, 10)
    assert only.sequence_number == 1
    assert only.enqueued_sequence_number == everything[1].enqueued_sequence_number
    lock = (broker.store("events/subscriptions/only-a").receive() or only).lock
    assert lock is not None
    broker.store("events/subscriptions/only-a").complete(lock.token)
    assert broker.counts()["events/Subscriptions/all"].active == 2


def test_a_topic_holds_scheduled_messages_and_knows_duplicates(
    broker: Broker, clock: ManualClock
) -> None:
    """Both happen before the message is copied."""
    broker.ingress("events").send(_at(clock, 5000, message_id="1"))
    broker.ingress("events").send(message(message_id="1"))
    assert broker.counts()["events/Subscriptions/all"].active == 0
    assert broker.next_due() == clock.now + 5000
    clock.sleep(5000)
    broker.advance()
    assert broker.counts()["events/Subscriptions/all"].active == 1


def test_a_saved_namespace_is_the_same_after_loading(
    broker: Broker, clock: ManualClock, tmp_path: Path
) -> None:
    """Through the file: messages, schedules, duplicate history and numbers."""
    orders = broker.ingress("orders")
    orders.send(message("kept", message_id="1", application_properties={"n": 1}))
    scheduled = orders.schedule(_at(clock, 5000, message_id="2"))
    broker.ingress("events").send(message(message_id="e"))
    path = tmp_path / "state.json"
    save_state(broker.snapshot(), path)
    loaded = Broker(_ENTITIES, clock)
    loaded.restore(load_state(path))
    assert loaded.counts() == broker.counts()
    loaded.ingress("orders").send(message(message_id="1"))
    loaded.ingress("events").send(message(message_id="e"))
    assert loaded.counts() == broker.counts(), "the duplicates of before are duplicates still"
    first = loaded.peek("orders", 0, 1)[0]
    assert first.message.encode() == broker.peek("orders", 0, 1)[0].message.encode()
    loaded.ingress("orders").cancel([scheduled])
    assert loaded.ingress("orders").schedule(_at(clock, 1)) == scheduled + 1


def test_no_file_is_an_empty_state(tmp_path: Path) -> None:
    """The first start has nothing to load."""
    assert load_state(tmp_path / "none.json") == BusState({}, {})


def test_a_fault_fails_its_operation_so_many_times(clock: ManualClock) -> None:
    """Only that operation on that entity, and then no more."""
    faults = Faults(clock)
    faults.add("Orders", Operation.SEND, "com.microsoft:server-busy", count=2)
    faults.check("orders", Operation.RECEIVE)
    faults.check("plain", Operation.SEND)
    for _ in range(2):
        with pytest.raises(InjectedError) as raised:
            faults.check("orders", Operation.SEND)
        assert raised.value.as_condition().name == "com.microsoft:server-busy"
    faults.check("orders", Operation.SEND)


def test_a_fault_lasts_so_long_or_until_it_is_cleared(clock: ManualClock) -> None:
    """Time ends it, or the test does."""
    faults = Faults(clock)
    faults.add("orders", Operation.SEND, "amqp:internal-error", duration=1000)
    clock.sleep(999)
    with pytest.raises(BusError):
        faults.check("orders", Operation.SEND)
    clock.sleep(1)
    faults.check("orders", Operation.SEND)
    faults.add("orders", Operation.SEND, "amqp:internal-error")
    faults.clear()
    faults.check("orders", Operation.SEND)


class _Receiver:
    """A consumer with so much credit."""

    def __init__(self, credit: int, *, deletes: bool = False) -> None:
        self.deletes = deletes
        self.credit = credit
        self.received: list[Delivery] = []

    def is_willing(self) -> bool:
        return self.credit > 0

    def deliver(self, delivery: Delivery) -> None:
        self.credit -= 1
        self.received.append(delivery)


def test_competing_receivers_take_turns(broker: Broker) -> None:
    """One message each, in turn, and each message to one of them."""
    for i in range(6):
        broker.ingress("plain").send(message(str(i)))
    dispatcher = Dispatcher(broker.store("plain"))
    receivers = [_Receiver(10), _Receiver(10), _Receiver(10)]
    for receiver in receivers:
        dispatcher.add(receiver)
    dispatcher.run()
    assert [[each.sequence_number for each in receiver.received] for receiver in receivers] == [
        [1, 4],
        [2, 5],
        [3, 6],
    ]


def test_a_receiver_without_credit_gets_nothing(broker: Broker) -> None:
    """The others take its turns; with nobody willing, messages stay unlocked."""
    for i in range(4):
        broker.ingress("plain").send(message(str(i)))
    dispatcher = Dispatcher(broker.store("plain"))
    idle, eager, leaving = _Receiver(0), _Receiver(3), _Receiver(9)
    for receiver in (idle, eager, leaving):
        dispatcher.add(receiver)
    dispatcher.remove(leaving)
    dispatcher.run()
    assert (len(idle.received), len(eager.received), len(leaving.received)) == (0, 3, 0)
    assert broker.counts()["plain"].active == 1


def test_a_deleting_receiver_gets_messages_without_locks(broker: Broker) -> None:
    """Receive-and-delete beside peek-lock on the same queue."""
    broker.ingress("plain").send(message())
    dispatcher = Dispatcher(broker.store("plain"))
    receiver = _Receiver(1, deletes=True)
    dispatcher.add(receiver)
    dispatcher.run()
    assert receiver.received[0].lock is None
    assert broker.counts()["plain"].locked == 0


def test_the_entitys_lifetime_bounds_a_topics_messages(broker: Broker, clock: ManualClock) -> None:
    """The emulator's default of an hour, for messages that ask for more."""
    broker.ingress("events").send(message(time_to_live=timedelta(days=1)))
    clock.sleep(60 * MINUTE)
    assert broker.counts()["events/Subscriptions/all"].active == 0
