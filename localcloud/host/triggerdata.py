"""What an invocation by a Service Bus message gets: the input and the trigger metadata.

Follows the Service Bus extension's ServiceBusTriggerBindingStrategy (names and values), the
host's GrpcMessageConversionExtensions (text stays text, everything else is JSON, nulls are left
out) and Utility.ApplyBindingData: when the body is text and a JSON object, its top-level
properties overwrite metadata of the same name, so a body with a `subject` hides the message's own.
A binding with `dataType: binary` is spared that, and one that is deferred, which gets the whole
message as ConvertReceivedMessageToBindingData encodes it, whatever its body is.

Bound otherwise, of a body that is no data MessageToByteArrayConverter takes none, and
MessageToStringConverter values that are text; data that are not UTF-8 it tries as what .NET's old
package serialised (`dotnet_datacontract`), then takes them with the wrong bytes replaced. What they
refuse fails the invocation before the function is called.

As there, `EnqueuedTimeUtc` and `ExpiresAtUtc` carry no offset (DateTimeOffset.DateTime), so that
azure.functions decodes them to naive datetimes; what its ServiceBusMessage offers beyond these
names (`locked_until`, `state`, `time_to_live`, …) stays None, as it does in Azure.

Left out: the objects that only .NET functions can use (MessageReceiver, Client, …), of which the
real host sends meaningless JSON; the reformatting of date-like texts in JSON bodies.
"""

import base64
import codecs
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, assert_never
from uuid import UUID

from dotnet_datacontract import read_string
from localcloud.host.bindings import BodyForm
from localcloud.host.datum import Datum, ModelBindingData
from localcloud.host.errors import BindingError
from localcloud.host.messages import BusMessage, SequenceBody, UnreadableBody, ValueBody

# UTF-32's little-endian mark begins with UTF-16's, so it is looked for first.
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SOURCE: Final = "AzureServiceBusReceivedMessage"
_NEVER = "9999-12-31T23:59:59.9999999"


def input_datum(message: BusMessage, form: BodyForm) -> Datum:
    """Make the trigger parameter's value.

    Args:
        message: The message.
        form: What the binding asks for.

    Returns:
        The body as bytes, or as text in which bytes that are not UTF-8 are replaced; or the lock
        token and the encoded message.

    Raises:
        BindingError: The real extension can't make it either.
    """
    if form == "message" and not isinstance(message.body, UnreadableBody):
        token = UUID(message.lock_token).bytes_le  # as Guid.ToByteArray has it
        return Datum.model(ModelBindingData(token + message.encoded, source=_SOURCE))
    binary = form == "bytes"
    match message.body:
        case bytes() as data:
            return Datum.binary(data) if binary else Datum.string(_decoded(data))
        case ValueBody(value=str() as text) if not binary:
            return Datum.string(text)
        case ValueBody() if binary:
            raise BindingError("Value cannot be retrieved using the Body property.")
        case ValueBody(value=value):
            kind = type(value).__name__
            raise BindingError(f"A message with a body of type {kind} cannot be bound to a string.")
        case SequenceBody() if binary:
            raise BindingError("Sequence cannot be retrieved using the Body property.")
        case SequenceBody():
            raise BindingError("A sequence body message cannot be bound to a string.")
        case UnreadableBody(reason):
            raise BindingError(f"The message can't be read: {reason}.")
        case never:
            assert_never(never)


def _decoded(data: bytes) -> str:
    """Data as StreamReader reads them: a byte order mark decides, and is left out."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        text = read_string(data)
        return data.decode("utf-8", errors="replace") if text is None else text


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


def _timespan(span: timedelta) -> str:
    """Write a TimeSpan as .NET does: `[-][d.]hh:mm:ss[.fffffff]`."""
    seconds, micros = divmod(abs(span) // timedelta(microseconds=1), 1_000_000)
    days, seconds = divmod(seconds, 86_400)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    sign = "-" if span < timedelta(0) else ""
    return f"{sign}{f'{days}.' if days else ''}{clock}{f'.{micros:06}0' if micros else ''}"


def _plain(value: object) -> object:
    """Make an AMQP property value fit for JSON, in the form that .NET's serialiser gives it."""
    match value:
        case Mapping():
            return {str(name): _plain(member) for name, member in value.items()}
        case list() | tuple():
            return [_plain(member) for member in value]
        case timedelta():
            return _timespan(value)
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
