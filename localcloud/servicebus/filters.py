"""Rules that decide which messages of a topic a subscription gets.

Correlation filters, as the service has them: every named property must be equal, strings compared
case-sensitively. SQL filters are in `sql`. Left out: rule actions.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from localcloud.servicebus.errors import EntityExistsError, EntityNotFoundError
from localcloud.servicebus.message import Message

DEFAULT_RULE: Final = "$Default"
"""The name of the rule that a subscription has when it is given none."""

SYSTEM_PROPERTIES: Final = {
    "ContentType": "content_type",
    "CorrelationId": "correlation_id",
    "Label": "subject",
    "MessageId": "message_id",
    "ReplyTo": "reply_to",
    "ReplyToSessionId": "reply_to_group_id",
    "SessionId": "group_id",
    "To": "to",
}
"""The standard properties that a filter can name, and AMQP's names of them."""


class Filter(Protocol):
    """Decides about one message."""

    def matches(self, message: Message) -> bool:
        """Whether the subscription gets it."""
        ...


@dataclass(frozen=True, slots=True)
class TrueFilter:
    """Every message: what a subscription without rules has."""

    def matches(self, message: Message) -> bool:  # noqa: ARG002 - every message
        """Always True."""
        return True


@dataclass(frozen=True, slots=True)
class CorrelationFilter:
    """Equality of standard properties and application properties, all of them at once.

    Attributes:
        system: AMQP's names of standard properties (`correlation_id`, `subject`…) and their text.
        application: application properties and their values.
    """

    system: Mapping[str, str] = field(default_factory=dict)
    application: Mapping[str, object] = field(default_factory=dict)

    def matches(self, message: Message) -> bool:
        """Whether the message has every named property with exactly that value."""
        return all(
            message.system_property(name) == expected for name, expected in self.system.items()
        ) and all(
            _equal(message.application.get(name), expected)
            for name, expected in self.application.items()
        )


def _equal(value: object, expected: object) -> bool:
    # In Python True == 1; in AMQP a boolean is never a number.
    return isinstance(value, bool) == isinstance(expected, bool) and value == expected


@dataclass(frozen=True, slots=True)
class FalseFilter:
    """No message."""

    def matches(self, message: Message) -> bool:  # noqa: ARG002 - no message
        """Always False."""
        return False


@dataclass(frozen=True, slots=True)
class Rule:
    """A filter under the name by which a subscription's rules are told apart."""

    name: str
    filter: Filter


class RuleSet:
    """The rules of one subscription; clients may change them while the bus runs.

    Args:
        rules: what it begins with.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = {rule.name.lower(): rule for rule in rules}

    def __iter__(self) -> Iterator[Rule]:
        """The rules in the order in which they were added."""
        return iter(tuple(self._rules.values()))

    def add(self, rule: Rule) -> None:
        """Add a rule.

        Raises:
            EntityExistsError: there is one of this name.
        """
        if rule.name.lower() in self._rules:
            raise EntityExistsError(f"The rule '{rule.name}' exists already.")
        self._rules[rule.name.lower()] = rule

    def remove(self, name: str) -> None:
        """Remove a rule.

        Raises:
            EntityNotFoundError: there is none of this name.
        """
        if self._rules.pop(name.lower(), None) is None:
            raise EntityNotFoundError(f"The rule '{name}' could not be found.")

    def let_in(self, message: Message) -> bool:
        """Whether at least one of the rules matches."""
        return any(rule.filter.matches(message) for rule in self._rules.values())
