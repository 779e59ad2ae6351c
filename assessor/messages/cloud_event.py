"""CloudEvents 1.0 over AMQP, in and out, through the CloudEvents project's own SDK.

Source: CloudEvents 1.0.2, its JSON format and its AMQP protocol binding.
"""

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from cloudevents.core.bindings.amqp import (
    CE_PREFIX_COLON,
    CE_PREFIX_UNDERSCORE,
    CONTENT_TYPE_PROPERTY,
    AMQPMessage,
    from_binary_event,
    from_structured_event,
)
from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.v1.event import CloudEvent
from pydantic_core import from_json

from assessor.clock import from_text
from assessor.messages.contract import DATA_SCHEMAS
from assessor.messages.model import to_json

_TIMES: Final = frozenset({f"{CE_PREFIX_UNDERSCORE}time", f"{CE_PREFIX_COLON}time"})
_NEVER_UNSET: Final = frozenset({"data", "specversion", "id", "source", "type"})
CONTENT_TYPE: Final = "application/cloudevents+json"
SOURCE: Final = "urn:patch-assessor"
"""`source` of every event that this app makes."""


class CloudEventError(ValueError):
    """A message that says it is a CloudEvent and is none."""

    def __init__(self, problems: tuple[tuple[str, str], ...]) -> None:
        super().__init__("; ".join(f"{name}: {problem}" for name, problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class IncomingEvent:
    """What of a CloudEvent matters to a request: its data and its trace."""

    data: object
    """As JSON, or as the bytes or text of JSON that is still to be read."""
    traceparent: object


def find(
    body: bytes, content_type: str | None, properties: Mapping[str, Any]
) -> IncomingEvent | None:
    """Returns the event that a message holds, or None where the message is no CloudEvent.

    Binary mode is known by the attributes among the application properties, structured mode by the
    content type, or by `specversion` in a JSON body whose sender set no content type.

    Raises:
        CloudEventError: the message says that it is a CloudEvent, and is not a valid one.
    """
    body = body.removeprefix(codecs.BOM_UTF8)
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind.startswith("application/cloudevents-batch"):
        raise CloudEventError((("body", "must be one event, not a batch of them"),))
    message = AMQPMessage(
        properties={CONTENT_TYPE_PROPERTY: content_type} if content_type else {},
        application_properties={
            name: _timed(value) if name in _TIMES else value
            for name, value in properties.items()
            if value is not None
        },
        application_data=body,
    )
    try:
        if any(
            f"{prefix}specversion" in properties
            for prefix in (CE_PREFIX_UNDERSCORE, CE_PREFIX_COLON)
        ):
            event = from_binary_event(message)
            return IncomingEvent(body, event.get_extension("traceparent"))
        if kind.startswith("application/cloudevents") or _has_specversion(body):
            event = from_structured_event(replace(message, application_data=_without_nulls(body)))
            return IncomingEvent(event.get_data(), event.get_extension("traceparent"))
    except CloudEventError:
        raise
    except CloudEventValidationError as error:
        raise CloudEventError(
            tuple((name, str(found[0])) for name, found in error.errors.items())
        ) from error
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        OverflowError,
        OSError,
        RecursionError,
    ) as error:
        # What the SDK raises for a body that is not JSON, not an object, or a time that is none: an
        # OSError is the C library's for a year that it has no room for.
        raise CloudEventError((("body", f"must be a CloudEvent 1.0: {error}"),)) from error
    return None


def _without_nulls(body: bytes) -> bytes:
    """Returns the event without the attributes that are null, which count as unset.

    Source: CloudEvents' JSON format, section 2.2. A time without an offset is taken as UTC, as
    everywhere else. Raises CloudEventError for what is no time, and ValueError for what is no
    JSON, and for halves of surrogate pairs, which the SDK's reader would take.
    """
    fields = from_json(body, allow_inf_nan=False)
    if not isinstance(fields, dict):
        return body
    set_ones = {
        name: each for name, each in fields.items() if each is not None or name in _NEVER_UNSET
    }
    if "time" in set_ones:
        if from_text(set_ones["time"]) is None:
            raise CloudEventError((("time", "must be an RFC 3339 time, 2026-01-05T10:00:00Z"),))
        set_ones["time"] = _timed(set_ones["time"])
    return body if set_ones == fields else to_json(set_ones)


def _timed(value: object) -> object:
    """Returns a time with its offset; anything else as it is, for the SDK to refuse."""
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    moment = from_text(value)
    return value if moment is None else moment.isoformat().replace("+00:00", "Z")


def _has_specversion(body: bytes) -> bool:
    try:
        fields = from_json(body, allow_inf_nan=False)
    except ValueError:
        return False  # no JSON at all: not a CloudEvent, and whoever reads it next says so
    return isinstance(fields, dict) and fields.get("specversion") is not None


def structured(
    *, event_type: str, event_id: str, subject: str | None, time: datetime, data: dict[str, Any]
) -> bytes:
    """Returns the event in structured JSON mode, in UTF-8; its content type is CONTENT_TYPE.

    Types that DATA_SCHEMAS names carry their `dataschema`.
    """
    attributes: dict[str, Any] = {
        "type": event_type,
        "id": event_id,
        "source": SOURCE,
        "time": time.astimezone(UTC),
        "datacontenttype": "application/json",
    }
    if subject is not None:
        attributes["subject"] = subject
    if event_type in DATA_SCHEMAS:
        attributes["dataschema"] = DATA_SCHEMAS[event_type]
    event = CloudEvent(attributes, data)  # refuses what is none
    rendered = {name: _text(value) for name, value in event.get_attributes().items()}
    return to_json({**rendered, "data": data})


def _text(value: object) -> object:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
