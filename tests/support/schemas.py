"""The schemas of the contract, and the check that every message in and out is held against them."""

import json
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

from azure.servicebus import ServiceBusReceivedMessage
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

from assessor.bus.message import OutgoingMessage
from assessor.messages.envelope import CONTENT_TYPE

SCHEMAS: Final = Path(__file__).parents[2] / "schemas"
EVENT_SCHEMAS: Final[Mapping[str, str]] = {
    "PatchAssessor.AssessmentCompleted": "assessment-completed",
    "PatchAssessor.AssessmentFailed": "assessment-failed",
    "PatchAssessor.AssessmentSkipped": "assessment-skipped",
    "PatchAssessor.RequestRejected": "request-rejected",
    "PatchAssessor.ScanCompleted": "scan-completed",
    "PatchAssessor.AlertFired": "alert",
    "PatchAssessor.AlertResolved": "alert",
}
"""The schema of each type of event that the app publishes."""


def names() -> list[str]:
    """Returns the names of all schemas."""
    return sorted(path.name.removesuffix(".schema.json") for path in SCHEMAS.glob("*.schema.json"))


def schema(name: str) -> dict[str, Any]:
    """Returns one of the schemas."""
    found: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_text("utf-8"))
    return found


def examples(name: str) -> dict[str, Any]:
    """Returns the examples whose file names begin with `name`, by file name."""
    paths = sorted(SCHEMAS.glob(f"{name}*.example.json"))
    return {path.name: json.loads(path.read_text("utf-8")) for path in paths}


@cache
def registry() -> Registry[Any]:
    """Returns all schemas by their `$id`s, those within others included."""
    found: Registry[Any] = Registry().with_resources(
        (each["$id"], Resource.from_contents(each)) for each in map(schema, names())
    )
    return found.crawl()


@cache
def validator(name: str) -> Draft202012Validator:
    """Returns a validator for one of the schemas."""
    return Draft202012Validator(schema(name), registry=registry(), format_checker=FormatChecker())


def assert_event(event: Mapping[str, Any]) -> None:
    """The event is one that the contract knows, and as its schema says."""
    assert event.get("type") in EVENT_SCHEMAS, f"no schema for {event.get('type')}"
    validator(EVENT_SCHEMAS[event["type"]]).validate(event)


def assert_published(message: OutgoingMessage) -> None:
    """An event of the app is one of the contract, and its properties say what its body says.

    Messages to the app itself, from one invocation to the next, are nobody else's business.
    """
    if message.content_type == CONTENT_TYPE:
        event = _valid_event(message.body)
        assert event["id"] == message.message_id
        assert event.get("subject") == message.subject
        assert event["type"] == message.application_properties["type"]
        assert message.application_properties["requestId"] == message.correlation_id


def assert_received(message: ServiceBusReceivedMessage) -> dict[str, Any]:
    """Returns the event of a message from a topic, once it is as the contract says."""
    event = _valid_event(b"".join(message.body))
    properties = {
        name.decode() if isinstance(name, bytes) else name: value
        for name, value in (message.application_properties or {}).items()
    }
    assert message.content_type == CONTENT_TYPE
    assert event["id"] == message.message_id
    assert event.get("subject") == message.subject
    assert event["type"] == _text(properties["type"])
    assert _text(properties["requestId"]) == message.correlation_id
    return event


def _valid_event(body: bytes) -> dict[str, Any]:
    """Returns the event that a body states, of the caller's own, once it is as its schema says.

    The same body is held against its schema once: that takes longer than all else does with it, and
    a world that is run again for each place to die says the same each time.
    """
    _assert_valid(body)
    event: dict[str, Any] = json.loads(body)
    return event


@lru_cache(maxsize=1024)
def _assert_valid(body: bytes) -> None:
    assert_event(json.loads(body))


def _text(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value
