"""A subscription's rules as `$management` carries them.

A request describes a rule as a map, a reply as described lists ("AMQP 1.0 in Azure Service Bus:
request-response-based operations", rule operations). The codes are the service's own.
"""

from collections.abc import Mapping
from typing import Final

from localcloud.servicebus import wire
from localcloud.servicebus.errors import InvalidRequestError, NotImplementedByBusError
from localcloud.servicebus.filters import (
    CorrelationFilter,
    FalseFilter,
    Filter,
    Rule,
    TrueFilter,
)
from localcloud.servicebus.sql import SqlFilter, SqlFilterError

_RULE_DESCRIPTION: Final = 0x0000_0137_0000_0004
_EMPTY_ACTION: Final = 0x0000_0137_0000_0005
_SQL_FILTER: Final = 0x0000_0013_7000_0006
_TRUE_FILTER: Final = 0x0000_0013_7000_0007
_FALSE_FILTER: Final = 0x0000_0013_7000_0008
_CORRELATION_FILTER: Final = 0x0000_0013_7000_0009
_COMPATIBILITY_LEVEL: Final = 20
_REQUEST_KEYS: Final = {
    "correlation-id": "correlation_id",
    "message-id": "message_id",
    "to": "to",
    "reply-to": "reply_to",
    "label": "subject",
    "session-id": "group_id",
    "reply-to-session-id": "reply_to_group_id",
    "content-type": "content_type",
}
"""A correlation filter's keys in a request, in the order of its list in a reply."""


def read_rule(name: str, description: Mapping[str, object]) -> Rule:
    """The rule in a request.

    Raises:
        InvalidRequestError: it has no filter, or none that can be read.
        NotImplementedByBusError: it has an action.
    """
    if not _is_empty_action(description.get("sql-rule-action")):
        raise NotImplementedByBusError("Rule actions are not supported by the local bus.")
    return Rule(name, _read_filter(description))


def _is_empty_action(action: object) -> bool:
    return action is None or (isinstance(action, dict) and not action.get("expression"))


def _read_filter(description: Mapping[str, object]) -> Filter:
    match description:
        case {"sql-filter": dict(sql)}:
            return _read_sql(sql.get("expression"))
        case {"correlation-filter": dict(correlation)}:
            return _read_correlation({str(key): value for key, value in correlation.items()})
        case {"true-filter": _}:
            return TrueFilter()
        case {"false-filter": _}:
            return FalseFilter()
        case _:
            raise InvalidRequestError("'rule-description' must have a filter.")


def _read_sql(expression: object) -> Filter:
    try:
        return SqlFilter.parse(str(expression))
    except SqlFilterError as error:
        raise InvalidRequestError(f"The SQL filter can't be read: {error}.") from error


def _read_correlation(values: Mapping[str, object]) -> Filter:
    system = {
        _REQUEST_KEYS[key]: str(value)
        for key, value in values.items()
        if key in _REQUEST_KEYS and value is not None
    }
    properties = values.get("properties")
    application = properties if isinstance(properties, dict) else {}
    return CorrelationFilter(system, {str(key): value for key, value in application.items()})


def encode_rule(rule: Rule) -> bytes:
    """The rule in a reply."""
    action = _described(_EMPTY_ACTION, [])
    return _described(
        _RULE_DESCRIPTION, [_encode_filter(rule.filter), action, wire.string(rule.name)]
    )


def _encode_filter(rule_filter: Filter) -> bytes:
    match rule_filter:
        case SqlFilter(expression=text):
            return _described(_SQL_FILTER, [wire.string(text), wire.integer(_COMPATIBILITY_LEVEL)])
        case CorrelationFilter(system=system, application=application):
            fields = [_text(system.get(name)) for name in _REQUEST_KEYS.values()]
            pairs = [(wire.string(key), _scalar(value)) for key, value in application.items()]
            return _described(_CORRELATION_FILTER, [*fields, wire.mapping(pairs)])
        case FalseFilter():
            return _described(_FALSE_FILTER, [])
        case _:
            return _described(_TRUE_FILTER, [])


def _text(value: str | None) -> bytes:
    return wire.NULL if value is None else wire.string(value)


def _scalar(value: object) -> bytes:
    match value:
        case bool():
            return wire.boolean(value)
        case int():
            return wire.long(value)
        case float():
            return wire.double(value)
        case None:
            return wire.NULL
        case _:
            return wire.string(str(value))


def _described(code: int, items: list[bytes]) -> bytes:
    return b"\x00" + wire.ulong(code) + wire.listing(items)
