"""What the local bus is held against: a bus that is small, slow and obvious.

Every message is a record in a list, and every question is answered by walking the list. There are
two queues and a topic, whose subscriptions begin with the rules in RULES_AT_START.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from uuid import UUID

from localcloud.servicebus.filters import CorrelationFilter, Filter, TrueFilter
from localcloud.servicebus.sql import SqlFilter
from localcloud.tests.unit.servicebus_messages import MINUTE

LOCK: Final = MINUTE
WINDOW: Final = MINUTE
LIFETIME: Final = 10 * MINUTE
MAX_DELIVERIES: Final = 3

ONCE, PLAIN, TOPIC = "once", "plain", "events"
"""A queue with duplicate detection, one without, and a topic with it."""
RULES_AT_START: Final[Mapping[str, Collection[str]]] = {
    "events/subscriptions/all": ["everything"],
    "events/subscriptions/red": ["red"],
    "events/subscriptions/some": ["big", "unsized"],
    "events/subscriptions/none": ["nothing"],
}
PLACES: Final = (ONCE, PLAIN, *RULES_AT_START)
"""What can be received from."""
BURIES_EXPIRED: Final = frozenset([ONCE, "events/subscriptions/red"])
"""Where an expired message becomes a dead letter; elsewhere it is dropped."""


@dataclass(frozen=True)
class Sent:
    """A message as its sender wrote it.

    Attributes:
        serial: tells it from all others.
        message_id: its ID, which need not be its own.
        colour: its subject.
        size: an application property.
        seconds: its time to live.
    """

    serial: int
    message_id: str | None
    colour: str | None
    size: int | None
    seconds: int | None


RULES: Final[Mapping[str, tuple[Filter, Callable[[Sent], bool]]]] = {
    "everything": (TrueFilter(), lambda _: True),
    "nothing": (SqlFilter.parse("1 = 0"), lambda _: False),
    "red": (CorrelationFilter({"subject": "red"}), lambda sent: sent.colour == "red"),
    "seven": (CorrelationFilter({}, {"size": 7}), lambda sent: sent.size == 7),
    "small and red": (
        CorrelationFilter({"subject": "red"}, {"size": 1}),
        lambda sent: (sent.colour, sent.size) == ("red", 1),
    ),
    "big": (SqlFilter.parse("size > 5"), lambda sent: sent.size is not None and sent.size > 5),
    "not big": (
        SqlFilter.parse("NOT (size > 5)"),
        lambda sent: sent.size is not None and sent.size <= 5,
    ),
    "unsized": (SqlFilter.parse("size IS NULL"), lambda sent: sent.size is None),
    "coloured": (
        SqlFilter.parse("sys.Label IN ('red', 'blue') OR NOT EXISTS(size)"),
        lambda sent: sent.colour in {"red", "blue"} or sent.size is None,
    ),
    "like": (
        SqlFilter.parse("sys.Label LIKE '_e%' AND size % 2 = 1"),
        lambda sent: sent.colour == "red" and sent.size is not None and sent.size % 2 == 1,
    ),
}
"""By name: what the bus is given, and what it means."""


@dataclass
class Copy:
    """A message in one queue or subscription."""

    sent: Sent
    place: str
    expires_at: int
    deliveries: int = 0
    state: Literal["waiting", "deferred", "dead", "gone"] = "waiting"
    why: str | None = None
    token: UUID | None = None
    locked_until: int = 0

    def back(self) -> None:
        """It was delivered and not settled: once more, or never."""
        self.token = None
        self.deliveries += 1
        if self.deliveries >= MAX_DELIVERIES and self.state != "dead":
            self.bury("MaxDeliveryCountExceeded")

    def bury(self, why: str | None) -> None:
        """It becomes a dead letter, for ever."""
        self.token, self.state, self.why = None, "dead", why

    def pass_time(self, now: int) -> None:
        """Its lock ends, and what nobody holds or has set aside expires."""
        if self.token is not None and self.locked_until <= now:
            self.back()
        if self.token is None and self.state == "waiting" and self.expires_at <= now:
            self.expire()

    def expire(self) -> None:
        """Nobody will get it any more."""
        if self.place in BURIES_EXPIRED:
            self.bury("TTLExpiredException")
        else:
            self.state = "gone"


@dataclass
class Model:
    """The model; `now` is in milliseconds."""

    now: int
    copies: list[Copy] = field(default_factory=list)
    scheduled: dict[tuple[str, int], tuple[int, Sent]] = field(default_factory=dict)
    accepted: dict[tuple[str, str], int] = field(default_factory=dict)
    rules: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begins with the rules of the config, as the bus does at each start."""
        self.rules = {place: set(names) for place, names in RULES_AT_START.items()}

    def admits(self, entity: str, sent: Sent) -> bool:
        """Whether it is no duplicate; what is admitted is remembered for the window."""
        if entity == PLAIN or sent.message_id is None:
            return True
        key = entity, sent.message_id
        if self.now < self.accepted.get(key, self.now - WINDOW) + WINDOW:
            return False
        self.accepted[key] = self.now
        return True

    def enqueue(self, entity: str, sent: Sent) -> None:
        """A copy for the queue, or for each subscription of which any rule matches."""
        for place in PLACES:
            rules = self.rules.get(place, ())
            if place == entity or (entity == TOPIC and any(RULES[name][1](sent) for name in rules)):
                lifetime = LIFETIME if sent.seconds is None else min(1000 * sent.seconds, LIFETIME)
                self.copies.append(Copy(sent, place, self.now + lifetime))

    def pass_time(self, now: int) -> None:
        """Everything that time changes up to this moment, which is the next one of all."""
        self.now = now
        for key, (due, sent) in sorted(self.scheduled.items(), key=lambda item: item[1][0]):
            if due <= now:
                del self.scheduled[key]
                self.enqueue(key[0], sent)
        for each in self.copies:
            each.pass_time(now)

    def next_moment(self) -> int | None:
        """When time will change something."""
        moments = [due for due, _ in self.scheduled.values()]
        for each in self.copies:
            if each.token is not None:
                moments.append(each.locked_until)
            elif each.state == "waiting":
                moments.append(each.expires_at)
        return min(moments, default=None)

    def at(self, place: str, *states: str) -> Iterable[Copy]:
        """The copies of one place in these states, in the order of their enqueuing."""
        return [each for each in self.copies if each.place == place and each.state in states]

    def ready(self, place: str) -> Copy | None:
        """What the next receiver gets."""
        return next((each for each in self.at(place, "waiting") if each.token is None), None)

    def dead(self, place: str) -> Copy | None:
        """What the next receiver of the dead letters gets."""
        return next((each for each in self.at(place, "dead") if each.token is None), None)

    def holder_of(self, token: UUID) -> Copy | None:
        """What the holder of this lock may settle; None when the lock is lost."""
        return next((each for each in self.copies if each.token == token), None)
