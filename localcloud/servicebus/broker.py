"""The namespace: addresses, queues, and topics that copy messages into their subscriptions.

Addresses are those of the service, without regard to case: `queue`, `topic`,
`topic/Subscriptions/name`, and `/$DeadLetterQueue` behind what can be received from. Left out:
the transfer dead-letter queue, and creating or changing entities while the bus runs.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from heapq import merge
from itertools import islice
from urllib.parse import urlsplit

from localcloud.servicebus.clock import Clock, Milliseconds
from localcloud.servicebus.duplicates import DuplicateWindow
from localcloud.servicebus.entities import (
    Entities,
    QueueConfig,
    StoreConfig,
    SubscriptionConfig,
    TopicConfig,
)
from localcloud.servicebus.entry import Delivery
from localcloud.servicebus.errors import EntityNotFoundError, NotAllowedError
from localcloud.servicebus.filters import RuleSet
from localcloud.servicebus.ingress import Ingress
from localcloud.servicebus.message import Message
from localcloud.servicebus.sequence import SequenceNumbers
from localcloud.servicebus.state import BusState
from localcloud.servicebus.store import MessageStore, StorePolicy

_DEAD_LETTERS = "/$deadletterqueue"


@dataclass(frozen=True, slots=True)
class EntityCounts:
    """How many messages of a queue or subscription are where; `total` were ever enqueued."""

    active: int
    locked: int
    scheduled: int
    deferred: int
    dead_letter: int
    total: int


@dataclass(frozen=True, slots=True)
class _Queue:
    ingress: Ingress
    store: MessageStore


@dataclass(frozen=True, slots=True)
class _Subscription:
    rules: RuleSet
    store: MessageStore


def entity_path(address: str) -> str:
    """The entity in an address: its path, in lower case, without scheme and host."""
    return urlsplit(address).path.strip("/").lower()


def _new_store(
    name: str, config: StoreConfig, clock: Clock, numbers: SequenceNumbers
) -> MessageStore:
    dead_letters = MessageStore(
        StorePolicy(config.lock_duration, None, None, dead_letter_on_expiration=False, source=name),
        clock,
        numbers,
    )
    return MessageStore(StorePolicy(**asdict(config)), clock, numbers, dead_letters)


def _duplicates(window: Milliseconds | None, clock: Clock) -> DuplicateWindow | None:
    return None if window is None else DuplicateWindow(window, clock)


class Broker:
    """All entities of a namespace.

    Args:
        entities: what there is.
        clock: tells the time.
    """

    def __init__(self, entities: Entities, clock: Clock) -> None:
        self._clock = clock
        self._names: dict[str, str] = {}  # by path: as the config writes them
        self._ingresses: dict[str, Ingress] = {}
        self._stores: dict[str, MessageStore] = {}
        self._rules: dict[str, RuleSet] = {}
        for queue in entities.queues:
            self._add_queue(queue)
        for topic in entities.topics:
            self._add_topic(topic)

    def _add_queue(self, config: QueueConfig) -> None:
        numbers = SequenceNumbers()
        store = _new_store(config.name, config.store, self._clock, numbers)

        def enqueue(message: Message) -> None:
            store.put(message)

        duplicates = _duplicates(config.duplicate_window, self._clock)
        path = config.name.lower()
        self._names[path] = config.name
        self._ingresses[path] = Ingress(self._clock, numbers, duplicates, enqueue)
        self._stores[path] = store

    def _add_topic(self, config: TopicConfig) -> None:
        numbers = SequenceNumbers()
        subscriptions = [self._add_subscription(config, each) for each in config.subscriptions]

        def fan_out(message: Message) -> None:
            number = numbers.take()
            for each in subscriptions:
                if each.rules.let_in(message):
                    each.store.put(message, number)

        duplicates = _duplicates(config.duplicate_window, self._clock)
        path = config.name.lower()
        self._names[path] = config.name
        self._ingresses[path] = Ingress(self._clock, numbers, duplicates, fan_out)

    def _add_subscription(self, topic: TopicConfig, config: SubscriptionConfig) -> _Subscription:
        lifetime = min(topic.default_time_to_live, config.store.default_time_to_live)
        kept = replace(config.store, default_time_to_live=lifetime)
        name = f"{topic.name}/Subscriptions/{config.name}"
        store = _new_store(name, kept, self._clock, SequenceNumbers())
        rules = RuleSet(config.rules)
        self._names[name.lower()] = name
        self._stores[name.lower()] = store
        self._rules[name.lower()] = rules
        return _Subscription(rules, store)

    def ingress(self, address: str) -> Ingress:
        """What a sender at this address sends to.

        Raises:
            EntityNotFoundError: there is no such entity.
            NotAllowedError: it is a subscription or a dead-letter queue.
        """
        path = entity_path(address)
        found = self._ingresses.get(path)
        if found is not None:
            return found
        self.store(address)
        raise NotAllowedError(f"Messages can't be sent to '{path}'.")

    def store(self, address: str) -> MessageStore:
        """What a receiver at this address receives from.

        Raises:
            EntityNotFoundError: there is no such entity.
            NotAllowedError: it is a topic.
        """
        path = entity_path(address)
        owner = path.removesuffix(_DEAD_LETTERS)
        store = self._stores.get(owner)
        found = store if owner == path or store is None else store.dead_letters
        if found is not None:
            return found
        if path in self._ingresses:
            raise NotAllowedError(f"Messages can't be received from the topic '{path}'.")
        raise EntityNotFoundError(f"The messaging entity '{path}' could not be found.")

    def rules(self, address: str) -> RuleSet:
        """The rules of the subscription at this address.

        Raises:
            EntityNotFoundError: there is no such entity.
            NotAllowedError: it is no subscription.
        """
        self.check(address)
        found = self._rules.get(entity_path(address))
        if found is None:
            raise NotAllowedError(f"'{entity_path(address)}' is no subscription and has no rules.")
        return found

    def check(self, address: str) -> None:
        """Make sure that there is such an entity.

        Raises:
            EntityNotFoundError: there is none.
        """
        if entity_path(address) not in self._ingresses:
            self.store(address)

    def peek(self, address: str, from_sequence_number: int, count: int) -> list[Delivery]:
        """Messages in the order of their numbers, scheduled ones included.

        Raises:
            EntityNotFoundError: there is no such entity.
            NotAllowedError: it is a topic.
        """
        sources: list[Iterator[Delivery]] = [self.store(address).peek(from_sequence_number)]
        ingress = self._ingresses.get(entity_path(address))
        if ingress is not None:
            sources.append(ingress.peek(from_sequence_number))
        return list(islice(merge(*sources, key=lambda each: each.sequence_number), count))

    def stores(self) -> Iterable[MessageStore]:
        """Everything that can be received from, dead-letter queues included."""
        for store in self._stores.values():
            yield store
            if store.dead_letters is not None:
                yield store.dead_letters

    def advance(self) -> None:
        """Do what time has made due, everywhere."""
        for ingress in self._ingresses.values():
            ingress.advance()
        for store in self._stores.values():
            store.advance()
            if store.dead_letters is not None:
                store.dead_letters.advance()

    def next_due(self) -> Milliseconds | None:
        """When `advance` may have something to do next; None for never."""
        dues = [
            *(ingress.next_due() for ingress in self._ingresses.values()),
            *(store.next_due() for store in self.stores()),
        ]
        return min((due for due in dues if due is not None), default=None)

    def counts(self) -> dict[str, EntityCounts]:
        """The counts of every queue and subscription, by name."""
        self.advance()
        return {self._names[path]: self._count(path) for path in self._stores}

    def _count(self, path: str) -> EntityCounts:
        store = self._stores[path]
        own = store.counts()
        dead = 0
        if store.dead_letters is not None:
            buried = store.dead_letters.counts()
            dead = buried.active + buried.locked + buried.deferred
        ingress = self._ingresses.get(path)
        return EntityCounts(
            active=own.active,
            locked=own.locked,
            scheduled=0 if ingress is None else ingress.scheduled_count(),
            deferred=own.deferred,
            dead_letter=dead,
            total=own.total,
        )

    def snapshot(self) -> BusState:
        """Everything, to be saved."""
        self.advance()
        return BusState(
            ingresses={path: each.snapshot() for path, each in self._ingresses.items()},
            stores={path: each.snapshot() for path, each in self._stores.items()},
        )

    def restore(self, state: BusState) -> None:
        """Take over what was saved, into an empty broker; entities that have gone are ignored."""
        for path, ingress in state.ingresses.items():
            if path in self._ingresses:
                self._ingresses[path].restore(ingress)
        for path, store in state.stores.items():
            if path in self._stores:
                self._stores[path].restore(store)
