"""From the worker's function metadata to what the host listens to.

The worker reports each function with its raw bindings, the JSON that function.json would hold.
Left out, each with a clear error for a function that the host would otherwise serve wrongly:
batches (`cardinality: many`), sessions, and every binding beside the trigger.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from localcloud.host.errors import ConfigurationError
from localcloud.host.settings import AppSettings, Connection
from localcloud.host.wire import IndexedFunction


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue to receive from."""

    name: str

    @property
    def path(self) -> str:
        """The entity's path in the namespace."""
        return self.name


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic's subscription to receive from."""

    topic: str
    name: str

    @property
    def path(self) -> str:
        """The entity's path in the namespace."""
        return f"{self.topic}/Subscriptions/{self.name}"


_DEFERRED = "supportsdeferredbinding"
BodyForm: TypeAlias = Literal["text", "bytes", "message"]
"""What a function gets: the body in one of two forms, or, by a deferred binding, all of it."""


@dataclass(frozen=True, slots=True)
class ServiceBusTrigger:
    """A serviceBusTrigger binding with every name resolved.

    Attributes:
        parameter: The handler's parameter that takes the message.
        entity: Where messages come from.
        connection: How to get there.
        form: What goes over; as text, what isn't UTF-8 is lost.
    """

    parameter: str
    entity: Queue | Subscription
    connection: Connection
    form: BodyForm


@dataclass(frozen=True, slots=True)
class OtherTrigger:
    """A trigger that some other listener may serve.

    Attributes:
        kind: The binding type, such as `timerTrigger`.
        parameter: The handler's parameter.
        binding: The binding as the app declared it, placeholders unresolved.
    """

    kind: str
    parameter: str
    binding: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the app.

    Attributes:
        name: Its name.
        function_id: How the worker knows it; stable over worker restarts.
        trigger: What starts it.
    """

    name: str
    function_id: str
    trigger: ServiceBusTrigger | OtherTrigger


def read_function(indexed: IndexedFunction, settings: AppSettings) -> Function:
    """Understand one function's bindings.

    Args:
        indexed: What the worker reported.
        settings: Where placeholders and connections are looked up.

    Returns:
        The function with its resolved trigger.

    Raises:
        ConfigurationError: A setting is missing, or the host can't serve the binding.
    """
    where = f"function {indexed.name}"
    bindings = [_binding(raw, where) for raw in indexed.raw_bindings]
    triggers = [each for each in bindings if _text(each, "type").lower().endswith("trigger")]
    if len(triggers) != 1:
        raise ConfigurationError(where, expected="one trigger", actual=f"{len(triggers)}")
    trigger = triggers[0]
    kind = _text(trigger, "type")
    if kind.lower() != "servicebustrigger":
        return Function(
            indexed.name, indexed.function_id, OtherTrigger(kind, _text(trigger, "name"), trigger)
        )
    for other in bindings:
        if other is not trigger:
            raise ConfigurationError(
                where,
                expected="no binding but its trigger: the local host serves no others",
                actual=_text(other, "type"),
            )
    return Function(indexed.name, indexed.function_id, _service_bus(trigger, settings, where))


def _binding(raw: str, where: str) -> Mapping[str, object]:
    binding = json.loads(raw)
    if not isinstance(binding, dict):
        raise ConfigurationError(where, expected="a binding as a JSON object", actual=raw)
    return binding


def _text(binding: Mapping[str, object], key: str) -> str:
    value = binding.get(key)
    return value if isinstance(value, str) else ""


def _service_bus(
    binding: Mapping[str, object], settings: AppSettings, where: str
) -> ServiceBusTrigger:
    if _text(binding, "cardinality").lower() == "many":
        raise ConfigurationError(where, expected="cardinality one", actual="many")
    if binding.get("isSessionsEnabled") in (True, "true", "True"):
        raise ConfigurationError(where, expected="no sessions", actual="isSessionsEnabled")
    return ServiceBusTrigger(
        parameter=_text(binding, "name"),
        entity=_entity(binding, settings, where),
        connection=settings.connection(_text(binding, "connection"), where=where),
        form=_form(binding),
    )


def _form(binding: Mapping[str, object]) -> BodyForm:
    """What GeneralScriptBindingProvider asks the extension for; a deferred binding goes first."""
    properties = binding.get("properties")
    deferred = properties.items() if isinstance(properties, dict) else ()
    if any(
        name.lower() == _DEFERRED and str(value).strip().lower() == "true"
        for name, value in deferred
    ):
        return "message"
    return "bytes" if _text(binding, "dataType").lower() == "binary" else "text"


def _entity(
    binding: Mapping[str, object], settings: AppSettings, where: str
) -> Queue | Subscription:
    queue, topic, subscription = (
        settings.resolve(_text(binding, key), where=where)
        for key in ("queueName", "topicName", "subscriptionName")
    )
    if queue:
        return Queue(queue)
    if topic and subscription:
        return Subscription(topic, subscription)
    raise ConfigurationError(
        where, expected="queueName, or topicName and subscriptionName", actual="neither"
    )
