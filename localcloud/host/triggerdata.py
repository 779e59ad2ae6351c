"""What an invocation by a Service Bus message gets: the input and the trigger metadata.

Follows the Service Bus extension's ServiceBusTriggerBindingStrategy (names and values), the
host's GrpcMessageConversionExtensions (text stays text, everything else is JSON, nulls are left
out) and Utility.ApplyBindingData: when the body is text and a JSON object, its top-level
properties overwrite metadata of the same name, so a body with a `subject` hides the message's own.
A binding with `dataType: binary` is spared that.

As there, `EnqueuedTimeUtc` and `ExpiresAtUtc` carry no offset (DateTimeOffset.DateTime), so that
azure.functions decodes them to naive datetimes; what its ServiceBusMessage offers beyond these
names (`locked_until`, `state`, `time_to_live`, …) stays None, as it does in Azure.

Left out: the objects that only .NET functions can use (MessageReceiver, Client, …), of which the
real host sends meaningless JSON; the reformatting of date-like texts in JSON bodies.
"""

import base64
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from localcloud.host.datum import Datum
from localcloud.host.messages import BusMessage

_NEVER = "9999-12-31T23:59:59.9999999"


def input_datum(message: BusMessage, *, binary: bool) -> Datum:
    """Make the trigger parameter's value.

    Args:
        message: The message.
        binary: Whether the binding's dataType is binary.

    Returns:
        The body as bytes, or as text in which bytes that are not UTF-8 are replaced.
    """
    if binary:
        return Datum.binary(message.body)
    return Datum.string(message.body.decode("utf-8", errors="replace"))


def trigger_metadata(message: BusMessage, body: Datum) -> dict[str, Datum]:
    """Make the trigger metadata.

    Args:
        message: The message.
        body: Its input datum; text may overwrite metadata.

    Returns:
        The metadata by name.
    """
    properties = {name: _plain(value) for name, value in message.application_properties.items()}
    texts = {
        "DeadLetterSource": message.dead_letter_source,
        "LockToken": message.lock_token,
        "MessageId": message.message_id,
        "ContentType": message.content_type,
        "ReplyTo": message.reply_to,
        "To": message.to,
        "Subject": message.subject,
        "Label": message.subject,
        "CorrelationId": message.correlation_id,
        "SessionId": message.session_id,
        "ReplyToSessionId": message.reply_to_session_id,
        "PartitionKey": message.partition_key,
    }
    expires = _NEVER if message.expires_at is None else _dotnet(message.expires_at)
    enqueued = _dotnet(message.enqueued_at)
    values = {
        "DeliveryCount": message.delivery_count,
        "SequenceNumber": message.sequence_number,
        "ExpiresAtUtc": expires,
        "ExpiresAt": f"{expires}+00:00",
        "EnqueuedTimeUtc": enqueued,
        "EnqueuedTime": f"{enqueued}+00:00",
        "ApplicationProperties": properties,
        "UserProperties": properties,
    }
    metadata = {name: Datum.string(text) for name, text in texts.items() if text is not None}
    metadata.update((name, Datum.json(value)) for name, value in values.items())
    return _overwritten(metadata, body)


def _overwritten(metadata: dict[str, Datum], body: Datum) -> dict[str, Datum]:
    """Let a JSON object's top-level properties overwrite metadata, names without case."""
    if body.kind != "string" or not isinstance(body.value, str):
        return metadata
    text = body.value.strip()
    if not (text.startswith("{") and text.endswith("}")):
        return metadata
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        return metadata  # not JSON after all; the real host ignores it too
    names = {name.lower(): name for name in metadata}
    for name, value in members.items():
        datum = _member(value)
        if datum is not None:
            metadata[names.setdefault(name.lower(), name)] = datum
    return metadata


def _member(value: object) -> Datum | None:
    match value:
        case None | list():
            return None
        case dict():
            return Datum.json(value)
        case _:
            return Datum.string(str(value))  # a boolean becomes "True", as in .NET


def _dotnet(moment: datetime) -> str:
    """Write a time as .NET's JSON does: UTC, no trailing zeros in the fraction, no offset."""
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    return text.rstrip("0").rstrip(".")


def _plain(value: object) -> object:
    """Make an AMQP property value fit for JSON, in the form that .NET's serialiser gives it."""
    match value:
        case Mapping():
            return {str(name): _plain(member) for name, member in value.items()}
        case list() | tuple():
            return [_plain(member) for member in value]
        case _:
            return _plain_scalar(value)


def _plain_scalar(value: object) -> object:
    match value:
        case bytes():
            return base64.b64encode(value).decode("ascii")
        case datetime():
            return f"{_dotnet(value)}Z"
        case Decimal():
            return float(value)
        case float() if not math.isfinite(value):
            return str(value)
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)
