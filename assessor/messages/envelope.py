"""The envelope of a message: CloudEvents in and out, and what else a request's JSON comes in.

CloudEvents 1.0 over AMQP, through the CloudEvents project's own SDK. Source: CloudEvents 1.0.2, its
JSON format and its AMQP protocol binding.
"""

import codecs
import json
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
from assessor.messages.request import FieldError, IncomingMessage
from assessor.telemetry.context import traceparent_in
from dotnet_datacontract import read_string

_TIMES: Final = frozenset({f"{CE_PREFIX_UNDERSCORE}time", f"{CE_PREFIX_COLON}time"})
_NEVER_UNSET: Final = frozenset({"data", "specversion", "id", "source", "type"})
_MOST_STRINGS: Final = 3
"""How many JSON strings within one another are opened."""
_SHOWN_CHARACTERS: Final = 256
"""How much of a wrong value an error repeats: enough to find it in the sender's log."""
CONTENT_TYPE: Final = "application/cloudevents+json"
SOURCE: Final = "urn:patch-assessor"
"""`source` of every event that this app makes."""


class NotUnderstoodError(Exception):
    """The message is not JSON, or not a CloudEvent although it says so."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__(errors)
        self.errors = errors


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


def payload_of(message: IncomingMessage) -> tuple[Mapping[str, Any], str | None]:
    """Returns the request's JSON object, out of its envelope, and the trace it came with."""
    if message.body_problem is not None:
        raise NotUnderstoodError(FieldError("body", message.body_problem))
    body, properties = _unwrapped(message.body), message.application_properties
    traceparents = [properties.get("traceparent"), properties.get("Diagnostic-Id")]
    payload: object
    try:
        event = find(body, message.content_type, properties)
        if event is None:
            payload = _json(body)
        else:
            payload = _json(event.data) if isinstance(event.data, bytes | str) else event.data
            traceparents.append(event.traceparent)
    except CloudEventError as error:
        raise NotUnderstoodError(
            *(FieldError(name, problem) for name, problem in error.problems)
        ) from error
    if isinstance(payload, str):
        payload = _within(payload)
    if not isinstance(payload, Mapping):
        raise NotUnderstoodError(FieldError("body", "must be a JSON object", shown(payload)))
    return payload, next(filter(None, map(traceparent_in, traceparents)), None)


def _unwrapped(body: bytes) -> bytes:
    """Returns the JSON that a body holds which is no JSON object or list, but a text of one.

    `new BrokeredMessage(text)` of .NET's retired Service Bus package serialises the text. A client
    that makes JSON of what it is given, and was given JSON, sends a JSON string, an envelope's too.
    """
    text = read_string(body)
    if text is not None:
        body = text.encode()
    for _ in range(_MOST_STRINGS):
        within = _json_string(body)
        if within is None:
            break
        body = within
    return body


def _json_string(body: bytes) -> bytes | None:
    """Returns what a JSON string holds that looks like JSON; None for any other body."""
    if body.removeprefix(codecs.BOM_UTF8).lstrip()[:1] != b'"':
        return None
    try:
        text = from_json(body.removeprefix(codecs.BOM_UTF8), allow_inf_nan=False)
    except ValueError:
        return None
    if not isinstance(text, str) or text.lstrip("\ufeff \t\r\n")[:1] not in {"{", "[", '"'}:
        return None
    return text.encode(errors="surrogatepass")


def _json(data: bytes | str) -> object:
    try:
        text = data.removeprefix(codecs.BOM_UTF8) if isinstance(data, bytes) else data
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise NotUnderstoodError(FieldError("body", f"must be JSON in UTF-8: {error}")) from error


def _within(text: str) -> object:
    """Returns the JSON that a JSON string holds; the string if it holds none.

    A client that makes JSON of what it is given, and was given JSON, sends it so.
    """
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        return text


def shown(value: object) -> str | None:
    """Returns a wrong value as JSON, cut to what finds it in its sender's log; None for none."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


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
