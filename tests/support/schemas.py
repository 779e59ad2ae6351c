"""The schemas of the contract, and the check that every message in and out is held against them."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

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


def assert_published(
    body: bytes,
    *,
    message_id: str | None,
    correlation_id: str | None,
    subject: str | None,
    properties: Mapping[str, object],
) -> None:
    """The message is one event of the contract, and its properties say what its body says."""
    event = json.loads(body)
    assert_event(event)
    assert event["id"] == message_id
    assert event.get("subject") == subject
    assert properties["type"] == event["type"]
    assert properties["requestId"] == correlation_id
