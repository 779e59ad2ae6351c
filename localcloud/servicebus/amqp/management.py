"""`$management` of an entity: scheduling, lock renewal, peeking, deferred messages, settlement.

Requests and replies as the service documents them ("AMQP 1.0 in Azure Service Bus:
request-response-based operations"). Left out: sessions. Rules that are added or removed last until
the bus stops; then those of the config are in force again.
"""

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from localcloud.servicebus import wire
from localcloud.servicebus.amqp.links import MAX_MESSAGE_SIZE
from localcloud.servicebus.amqp.requests import Reply
from localcloud.servicebus.amqp.rules import encode_rule, read_rule
from localcloud.servicebus.broker import entity_path
from localcloud.servicebus.entry import Delivery
from localcloud.servicebus.errors import (
    BusError,
    InvalidRequestError,
    MessageTooLargeError,
    NotImplementedByBusError,
)
from localcloud.servicebus.faults import Operation
from localcloud.servicebus.hub import Hub
from localcloud.servicebus.message import Message, accept
from localcloud.servicebus.store import MessageStore, Properties

SUFFIX = "/$management"

_OK = 200
_NO_CONTENT = 204
_RECEIVE_AND_DELETE = 0
_EMPTY = wire.mapping([])


class ManagementNode:
    """The management node of one entity.

    Args:
        address: the entity's.
        hub: what connections share.

    Raises:
        EntityNotFoundError: there is no such entity.
    """

    def __init__(self, address: str, hub: Hub) -> None:
        hub.broker.check(address)
        self._path = entity_path(address)
        self._hub = hub
        self._operations: Mapping[str, Callable[[_Arguments], Reply]] = {
            "com.microsoft:schedule-message": self._schedule,
            "com.microsoft:cancel-scheduled-message": self._cancel,
            "com.microsoft:renew-lock": self._renew,
            "com.microsoft:peek-message": self._peek,
            "com.microsoft:receive-by-sequence-number": self._receive,
            "com.microsoft:update-disposition": self._settle,
            "com.microsoft:enumerate-rules": self._list_rules,
            "com.microsoft:add-rule": self._add_rule,
            "com.microsoft:remove-rule": self._remove_rule,
        }

    def respond(self, request: Message) -> Reply:
        """Do what a request asks for."""
        try:
            name = str(request.application.get("operation"))
            operation = self._operations.get(name)
            if operation is None:
                raise NotImplementedByBusError(f"The operation '{name}' is not supported.")
            return operation(_arguments(request))
        except BusError as error:
            return _reply(error.status_code, _EMPTY, error.description, error.condition)

    def _store(self) -> MessageStore:
        return self._hub.broker.store(self._path)

    def _schedule(self, arguments: "_Arguments") -> Reply:
        self._hub.faults.check(self._path, Operation.SEND)
        ingress = self._hub.broker.ingress(self._path)
        messages = [accept(payload) for payload in arguments.payloads()]
        numbers = [wire.long(ingress.schedule(message)) for message in messages]
        return _ok("sequence-numbers", wire.array(numbers))

    def _cancel(self, arguments: "_Arguments") -> Reply:
        self._hub.broker.ingress(self._path).cancel(arguments.numbers("sequence-numbers"))
        return _reply(_OK, _EMPTY)

    def _renew(self, arguments: "_Arguments") -> Reply:
        store = self._store()
        ends = [wire.timestamp(store.renew(token)) for token in arguments.lock_tokens()]
        return _ok("expirations", wire.array(ends))

    def _peek(self, arguments: "_Arguments") -> Reply:
        start = arguments.number("from-sequence-number")
        count = arguments.number("message-count")
        found = self._hub.broker.peek(self._path, start, count)
        return _messages(found) if found else _reply(_NO_CONTENT, _EMPTY)

    def _receive(self, arguments: "_Arguments") -> Reply:
        numbers = arguments.numbers("sequence-numbers")
        delete = arguments.number("receiver-settle-mode") == _RECEIVE_AND_DELETE
        return _messages(self._store().receive_deferred(numbers, delete=delete))

    def _settle(self, arguments: "_Arguments") -> Reply:
        self._hub.faults.check(self._path, Operation.SETTLE)
        status = arguments.text("disposition-status")
        for token in arguments.lock_tokens():
            self._settle_one(token, status or "", arguments)
        return _reply(_OK, _EMPTY)

    def _settle_one(self, token: UUID, status: str, arguments: "_Arguments") -> None:
        store = self._store()
        properties = arguments.properties()
        match status:
            case "completed":
                store.complete(token)
            case "abandoned":
                store.abandon(token, properties)
            case "defered":
                store.defer(token, properties)
            case "suspended":
                reason = arguments.text("deadletter-reason")
                description = arguments.text("deadletter-description")
                store.dead_letter(token, reason, description, properties)
            case _:
                raise InvalidRequestError(f"'{status}' is no disposition status.")

    def _list_rules(self, arguments: "_Arguments") -> Reply:
        skip, top = arguments.number("skip"), arguments.number("top")
        found = list(self._hub.broker.rules(self._path))[skip : skip + top]
        if not found:
            return _reply(_NO_CONTENT, _EMPTY)
        key = wire.string("rule-description")
        return _ok("rules", wire.listing([wire.mapping([(key, encode_rule(r))]) for r in found]))

    def _add_rule(self, arguments: "_Arguments") -> Reply:
        rule = read_rule(arguments.name("rule-name"), arguments.map("rule-description"))
        self._hub.broker.rules(self._path).add(rule)
        return _reply(_OK, _EMPTY)

    def _remove_rule(self, arguments: "_Arguments") -> Reply:
        self._hub.broker.rules(self._path).remove(arguments.name("rule-name"))
        return _reply(_OK, _EMPTY)


class _Arguments:
    """The values in a request's body.

    Args:
        values: decoded.
        encoded: the same, by key.
    """

    def __init__(self, values: Mapping[str, object], encoded: Mapping[str, bytes]) -> None:
        self._values = values
        self._encoded = encoded

    def properties(self) -> Properties:
        """What to set on messages, as encoded by the client: its types are kept."""
        key = "properties-to-modify"
        if not isinstance(self._values.get(key), dict):
            return []
        items = wire.raw_items(self._encoded[key])
        return list(zip(items[::2], items[1::2], strict=True))

    def map(self, key: str) -> Mapping[str, object]:
        value = self._values.get(key)
        if not isinstance(value, dict):
            raise InvalidRequestError(f"'{key}' must be a map.")
        return {str(name): each for name, each in value.items()}

    def name(self, key: str) -> str:
        value = self._values.get(key)
        if not isinstance(value, str) or not value:
            raise InvalidRequestError(f"'{key}' must be a name.")
        return value

    def text(self, key: str) -> str | None:
        value = self._values.get(key)
        return None if value is None else str(value)

    def number(self, key: str) -> int:
        value = self._values.get(key)
        if not isinstance(value, int):
            raise InvalidRequestError(f"'{key}' must be a number.")
        return value

    def numbers(self, key: str) -> list[int]:
        numbers = [value for value in self._list(key) if isinstance(value, int)]
        if len(numbers) != len(self._list(key)):
            raise InvalidRequestError(f"'{key}' must hold numbers.")
        return numbers

    def lock_tokens(self) -> list[UUID]:
        tokens = [value for value in self._list("lock-tokens") if isinstance(value, UUID)]
        if len(tokens) != len(self._list("lock-tokens")):
            raise InvalidRequestError("'lock-tokens' must hold UUIDs.")
        return tokens

    def payloads(self) -> list[bytes]:
        payloads = []
        for item in self._list("messages"):
            payload = item.get("message") if isinstance(item, dict) else None
            if not isinstance(payload, bytes):
                raise InvalidRequestError("'messages' must hold encoded messages.")
            if len(payload) > MAX_MESSAGE_SIZE:
                raise MessageTooLargeError(
                    f"A message of {len(payload)} bytes exceeds the limit of {MAX_MESSAGE_SIZE}."
                )
            payloads.append(payload)
        return payloads

    def _list(self, key: str) -> Sequence[object]:
        value = self._values.get(key)
        if not isinstance(value, list):
            raise InvalidRequestError(f"'{key}' must be a list.")
        return value


def _arguments(request: Message) -> _Arguments:
    try:
        section, _ = wire.decode(request.body)
        value = section.value if isinstance(section, wire.Described) else None
        if not isinstance(value, dict):
            raise InvalidRequestError("The request's body must be a map.")
        items = wire.raw_items(request.body[wire.end_of(request.body, 1) :])
    except wire.WireError as error:
        raise InvalidRequestError("The request's body can't be decoded.") from error
    values = {str(key): each for key, each in value.items()}
    pairs = zip(items[::2], items[1::2], strict=True)
    return _Arguments(values, {str(wire.decode(key)[0]): each for key, each in pairs})


def _reply(
    status: int, body: bytes, description: str = "OK", condition: str | None = None
) -> Reply:
    properties = [
        (wire.string("statusCode"), wire.integer(status)),
        (wire.string("statusDescription"), wire.string(description)),
    ]
    if condition is not None:
        properties.append((wire.string("errorCondition"), wire.symbol(condition)))
    return Reply(tuple(properties), body)


def _ok(key: str, value: bytes) -> Reply:
    return _reply(_OK, wire.mapping([(wire.string(key), value)]))


def _messages(found: Sequence[Delivery]) -> Reply:
    return _ok("messages", wire.listing([_message(each) for each in found]))


def _message(delivery: Delivery) -> bytes:
    pairs = [(wire.string("message"), wire.binary(delivery.encode()))]
    if delivery.lock is not None:
        pairs.append((wire.string("lock-token"), wire.uuid(delivery.lock.token)))
    return wire.mapping(pairs)
