"""Rules that decide which messages of a topic a subscription gets.

Correlation filters, as the service has them: every named property must be equal, strings compared
case-sensitively. SQL filters are in `sql`. A rule is anything with `matches`. Left out: rule
actions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from localcloud.servicebus.message import Message

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


def any_matches(rules: Sequence[Filter], message: Message) -> bool:
    """Whether at least one of a subscription's rules lets the message in."""
    return any(rule.matches(message) for rule in rules)
