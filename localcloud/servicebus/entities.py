"""The entities of a namespace, read from the official Service Bus emulator's config format.

Names, defaults and limits are those of the emulator's JSON schema, and like it the file may hold
comments. Refused with an error that
names the place: sessions, rule actions and auto-forwarding, which this bus hasn't.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from localcloud.servicebus.clock import Milliseconds
from localcloud.servicebus.filters import (
    DEFAULT_RULE,
    SYSTEM_PROPERTIES,
    CorrelationFilter,
    Filter,
    Rule,
    TrueFilter,
)
from localcloud.servicebus.sql import SqlFilter, SqlFilterError

_DURATION = re.compile(
    r"P(?!$)(?:(?P<days>\d+)D)?"
    r"(?:T(?!$)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)
# The emulator reads its config with comments in it; a text may hold what looks like one.
_COMMENT = re.compile(r'(?P<text>"(?:[^"\\]|\\.)*")|//[^\r\n]*|/\*.*?\*/', re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9](?:[\w\-./]*[A-Za-z0-9])?")


class EntityConfigError(ValueError):
    """The config can't be used.

    Attributes:
        place: where in the config, such as `Queues[0].Properties.LockDuration`.
        problem: what is wrong there.
    """

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.place = place
        self.problem = problem


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """How a queue or a subscription keeps and hands out its messages.

    Attributes:
        lock_duration: how long a received message stays locked.
        max_delivery_count: deliveries after which a message is dead-lettered.
        default_time_to_live: the longest that a message stays.
        dead_letter_on_expiration: whether an expired message is dead-lettered or dropped.
    """

    lock_duration: Milliseconds
    max_delivery_count: int
    default_time_to_live: Milliseconds
    dead_letter_on_expiration: bool


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """A queue.

    Attributes:
        name: as written in the config.
        store: how it keeps its messages.
        duplicate_window: how long message IDs are remembered; None without duplicate detection.
    """

    name: str
    store: StoreConfig
    duplicate_window: Milliseconds | None


@dataclass(frozen=True, slots=True)
class SubscriptionConfig:
    """A topic's subscription; a message that any of its rules matches is copied into it."""

    name: str
    store: StoreConfig
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class TopicConfig:
    """A topic.

    Attributes:
        name: as written in the config.
        default_time_to_live: the longest that a message stays in any subscription.
        duplicate_window: how long message IDs are remembered; None without duplicate detection.
        subscriptions: where its messages go.
    """

    name: str
    default_time_to_live: Milliseconds
    duplicate_window: Milliseconds | None
    subscriptions: tuple[SubscriptionConfig, ...]


@dataclass(frozen=True, slots=True)
class Entities:
    """Everything in a namespace."""

    queues: tuple[QueueConfig, ...]
    topics: tuple[TopicConfig, ...]


def parse_duration(text: str) -> timedelta:
    """Read an ISO 8601 duration of days and smaller units, such as `PT1M30S`.

    Raises:
        ValueError: the text is none, or uses years or months, which have no fixed length.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an ISO 8601 duration of days, hours, minutes, seconds")
    return timedelta(**{unit: float(value) for unit, value in match.groupdict("0").items()})


@dataclass(frozen=True, slots=True)
class _Node:
    """A JSON object and its place, so that every error can say where it is."""

    place: str
    values: Mapping[str, object]

    def error(self, key: str, problem: str) -> EntityConfigError:
        return EntityConfigError(f"{self.place}.{key}".lstrip("."), problem)

    def child(self, key: str) -> "_Node":
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise self.error(key, "must be an object")
        return _Node(f"{self.place}.{key}".lstrip("."), value)

    def children(self, key: str) -> Iterable["_Node"]:
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.error(key, "must be a list of objects")
        return [_Node(f"{self.place}.{key}[{i}]".lstrip("."), item) for i, item in enumerate(value)]

    def name(self) -> str:
        value = self.values.get("Name")
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            raise self.error("Name", f"must be an entity name, not {value!r}")
        return value

    def flag(self, key: str) -> bool:
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            raise self.error(key, f"must be true or false, not {value!r}")
        return value

    def duration(self, key: str, default: str) -> Milliseconds:
        value = self.values.get(key, default)
        try:
            duration = parse_duration(str(value))
        except ValueError as error:
            raise self.error(key, str(error)) from error
        if duration <= timedelta(0):
            raise self.error(key, "must be longer than nothing")
        return duration // timedelta(milliseconds=1)

    def number(self, key: str, default: int) -> int:
        value = self.values.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.error(key, f"must be a positive whole number, not {value!r}")
        return value

    def refuse(self, key: str, why: str) -> None:
        if self.values.get(key):
            raise self.error(key, why)


def _store(properties: _Node) -> StoreConfig:
    properties.refuse("RequiresSession", "sessions are not supported by the local bus")
    properties.refuse("ForwardTo", "auto-forwarding is not supported by the local bus")
    properties.refuse(
        "ForwardDeadLetteredMessagesTo", "auto-forwarding is not supported by the local bus"
    )
    return StoreConfig(
        lock_duration=properties.duration("LockDuration", "PT1M"),
        max_delivery_count=properties.number("MaxDeliveryCount", 3),
        default_time_to_live=properties.duration("DefaultMessageTimeToLive", "PT1H"),
        dead_letter_on_expiration=properties.flag("DeadLetteringOnMessageExpiration"),
    )


def _duplicate_window(properties: _Node) -> Milliseconds | None:
    window = properties.duration("DuplicateDetectionHistoryTimeWindow", "PT20S")
    return window if properties.flag("RequiresDuplicateDetection") else None


def _rule(node: _Node) -> Rule:
    return Rule(node.name(), _filter(node))


def _filter(node: _Node) -> Filter:
    properties = node.child("Properties")
    properties.refuse("Action", "rule actions are not supported by the local bus")
    kind = properties.values.get("FilterType")
    if kind == "Sql":
        return _sql_filter(properties.child("SqlFilter"))
    if kind != "Correlation":
        raise properties.error("FilterType", f"must be 'Correlation' or 'Sql', not {kind!r}")
    correlation = properties.child("CorrelationFilter")
    unknown = correlation.values.keys() - SYSTEM_PROPERTIES.keys() - {"Properties"}
    if unknown:
        raise correlation.error(min(unknown), "is not a property that a filter can name")
    system = {
        SYSTEM_PROPERTIES[key]: str(value)
        for key, value in correlation.values.items()
        if key in SYSTEM_PROPERTIES
    }
    application = dict(correlation.child("Properties").values)
    if not system and not application:
        raise properties.error("CorrelationFilter", "must name at least one property")
    return CorrelationFilter(system, application)


def _sql_filter(node: _Node) -> SqlFilter:
    expression = node.values.get("SqlExpression")
    if not isinstance(expression, str):
        raise node.error("SqlExpression", "must be a text")
    try:
        return SqlFilter.parse(expression)
    except SqlFilterError as error:
        raise node.error("SqlExpression", str(error)) from error


def _subscription(node: _Node) -> SubscriptionConfig:
    rules = tuple(_rule(rule) for rule in node.children("Rules"))
    _check_unique(f"{node.place}.Rules", (each.name for each in rules))
    everything = (Rule(DEFAULT_RULE, TrueFilter()),)
    return SubscriptionConfig(node.name(), _store(node.child("Properties")), rules or everything)


def _queue(node: _Node) -> QueueConfig:
    properties = node.child("Properties")
    return QueueConfig(node.name(), _store(properties), _duplicate_window(properties))


def _topic(node: _Node) -> TopicConfig:
    properties = node.child("Properties")
    subscriptions = tuple(_subscription(child) for child in node.children("Subscriptions"))
    _check_unique(f"{node.place}.Subscriptions", (each.name for each in subscriptions))
    return TopicConfig(
        name=node.name(),
        default_time_to_live=properties.duration("DefaultMessageTimeToLive", "PT1H"),
        duplicate_window=_duplicate_window(properties),
        subscriptions=subscriptions,
    )


def _check_unique(place: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            raise EntityConfigError(place, f"{name!r} is there twice; names ignore case")
        seen.add(name.lower())


def parse_entities(config: Mapping[str, object]) -> Entities:
    """Read the emulator's config.

    Args:
        config: the decoded JSON, `UserConfig` at its root.

    Raises:
        EntityConfigError: something in it is wrong, or not supported here.
    """
    namespaces = list(_Node("", config).child("UserConfig").children("Namespaces"))
    if len(namespaces) != 1:
        raise EntityConfigError("UserConfig.Namespaces", "must be a list with one namespace")
    namespace = namespaces[0]
    queues = tuple(_queue(node) for node in namespace.children("Queues"))
    topics = tuple(_topic(node) for node in namespace.children("Topics"))
    _check_unique(namespace.place, [*(q.name for q in queues), *(t.name for t in topics)])
    return Entities(queues, topics)


def load_entities(path: Path) -> Entities:
    """Read the emulator's config from a file.

    Raises:
        EntityConfigError: the file is no JSON object, or something in it is wrong.
        OSError: the file can't be read.
    """
    text = path.read_text(encoding="utf-8-sig")
    try:
        config = json.loads(_COMMENT.sub(lambda match: match["text"] or " ", text))
    except json.JSONDecodeError as error:
        raise EntityConfigError(path.name, f"is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise EntityConfigError(path.name, "must be a JSON object")
    return parse_entities(config)
