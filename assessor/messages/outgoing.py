"""Outcomes as messages: a CloudEvent, the properties that filters see, and a size that fits."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final

from assessor.arm.result import parse_patch
from assessor.bus.message import OutgoingMessage, Property
from assessor.messages import envelope
from assessor.messages.model import to_json
from assessor.messages.outcome import Outcome
from assessor.messages.owner_tags import NO_TAGS, OwnerTags
from assessor.messages.patches import most_important_first
from assessor.messages.records import rejection_record
from assessor.telemetry.records import Record

MAX_BODY_BYTES: Final = 240 * 1024
"""256 KiB is the most that a Standard namespace takes, properties and AMQP framing included."""

_VM_PROPERTIES: Final = ("location", "osType")
_DATA_PROPERTIES: Final = (
    "status",
    "subscriptionId",
    "resourceGroupName",
    "vmName",
    "vmId",
    "criticalAndSecurityPatchCount",
    "otherPatchCount",
    "rebootPending",
    "assessmentActivityId",
)
_MAX_ERRORS: Final = 10
_LONG_TEXT: Final = 2048
_SHORT_TEXT: Final = 256
_AMQP_INTS: Final = range(-(2**31), 2**31)
"""What the Service Bus SDK can send: it writes every int as AMQP's 32-bit one."""


def outcome_message(
    outcome: Outcome,
    traceparent: str | None,
    max_body_bytes: int = MAX_BODY_BYTES,
    tags: OwnerTags = NO_TAGS,
) -> OutgoingMessage:
    """Returns the message that publishes `outcome`, cut to size where it has to be."""
    has = outcome.vm.tags if outcome.vm is not None else None
    carried = tags.of(has)
    data = outcome.data | {"customProperties": carried} if carried else outcome.data
    properties = properties_of(data) | tags.properties(has)
    whole = _outcome_event(outcome, data, properties, traceparent)
    if len(whole.body) <= max_body_bytes:
        return whole
    room = max_body_bytes - len(_outcome_event(outcome, {}, properties, None).body)
    return _outcome_event(outcome, fit(data, room), properties, traceparent)


def _outcome_event(
    outcome: Outcome,
    data: dict[str, Any],
    properties: Mapping[str, Property],
    traceparent: str | None,
) -> OutgoingMessage:
    return event_message(
        event_type=outcome.type,
        event_id=outcome.id,
        request_id=outcome.request_id,
        subject=str(outcome.vm_id) if outcome.vm_id else None,
        time=outcome.time,
        data=data,
        properties=properties,
        traceparent=traceparent,
        record=rejection_record(outcome),
    )


def event_message(  # noqa: PLR0913 - one for each attribute of the event that varies
    *,
    event_type: str,
    event_id: str,
    request_id: str,
    subject: str | None,
    time: datetime,
    data: dict[str, Any],
    properties: Mapping[str, Property],
    traceparent: str | None,
    record: Record | None = None,
) -> OutgoingMessage:
    """Returns a CloudEvent as a message whose ID is the event's."""
    stamped = {**properties, "type": event_type, "requestId": request_id}
    if traceparent is not None:
        stamped["traceparent"] = traceparent
    return OutgoingMessage(
        body=envelope.structured(
            event_type=event_type, event_id=event_id, subject=subject, time=time, data=data
        ),
        message_id=event_id,
        correlation_id=request_id,
        content_type=envelope.CONTENT_TYPE,
        application_properties=stamped,
        subject=subject,
        record=record,
    )


def properties_of(data: Mapping[str, Any]) -> dict[str, Property]:
    """Returns the application properties of an outcome's or alert's data; unknown ones are absent.

    An absent property is what a SQL filter calls NULL.
    """
    vm = data.get("vm")
    values = {name: data.get(name) for name in _DATA_PROPERTIES}
    if isinstance(vm, Mapping):
        values |= {name: vm.get(name) for name in _VM_PROPERTIES}
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, str | float) or (isinstance(value, int) and value in _AMQP_INTS)
    }


def fit(data: dict[str, Any], max_bytes: int) -> dict[str, Any]:
    """Returns `data` in at most `max_bytes` of JSON, giving up the least important first.

    First go patches, from the least important on (`availablePatchesOmitted` says how many), then
    the errors' many words, and all errors but ten (`errorsOmitted`), then the tags, then the end of
    a rejected message's body (`bodyOmittedCharacters`). What fits is returned as it is.
    """
    if _size(data) <= max_bytes:
        return data
    cut = _fewer_patches(data, max_bytes)
    for shorter in (
        partial(_shorter_errors, characters=_LONG_TEXT),
        _without_tags,
        partial(_shorter_errors, characters=_SHORT_TEXT),
        partial(_shorter_body, max_bytes=max_bytes),
    ):
        if _size(cut) > max_bytes:
            cut = shorter(cut)
    return cut


def _fewer_patches(data: dict[str, Any], max_bytes: int) -> dict[str, Any]:
    listed = data.get("availablePatches")
    patches = [each for each in listed or () if isinstance(each, Mapping)]
    if not isinstance(listed, list) or not patches:
        return data
    ranked = [each.raw for each in most_important_first(map(parse_patch, patches))]
    marked = data | {"availablePatches": [], "availablePatchesOmitted": len(ranked)}
    room = max_bytes - _size(marked)
    kept = 0
    for patch in ranked:
        room -= _size(patch) + len(b", ")
        if room < 0:
            break
        kept += 1
    return marked | {
        "availablePatches": ranked[:kept],
        "availablePatchesOmitted": len(ranked) - kept,
    }


def _shorter_errors(data: dict[str, Any], characters: int) -> dict[str, Any]:
    cut = {
        name: _shortened(data[name], characters)
        for name in ("error", "errors")
        if data.get(name) is not None
    }
    errors = data.get("errors")
    if isinstance(errors, list) and len(errors) > _MAX_ERRORS:
        cut["errorsOmitted"] = len(errors) - _MAX_ERRORS
    return data | cut


def _shortened(value: Any, characters: int) -> Any:  # noqa: ANN401 - any JSON
    match value:
        case str():
            return value[:characters]
        case list():
            return [_shortened(each, characters) for each in value[:_MAX_ERRORS]]
        case dict():
            return {name: _shortened(each, characters) for name, each in value.items()}
        case _:
            return value


def _without_tags(data: dict[str, Any]) -> dict[str, Any]:
    vm = data.get("vm")
    return data | {"vm": vm | {"tags": None}} if isinstance(vm, dict) else data


def _shorter_body(data: dict[str, Any], max_bytes: int) -> dict[str, Any]:
    body = data.get("body")
    if not isinstance(body, str):
        return data
    marked = data | {"body": "", "bodyOmittedCharacters": len(body)}
    room = max_bytes - _size(marked)
    low, high = 0, len(body)
    while low < high:  # a character takes 1 to 12 bytes of JSON: look for the longest start
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _size(body[:middle]) <= room else (low, middle - 1)
    return marked | {"body": body[:low], "bodyOmittedCharacters": len(body) - low}


def _size(value: object) -> int:
    """Returns the bytes that `value` takes as JSON."""
    return len(to_json(value))
