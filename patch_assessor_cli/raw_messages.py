"""Messages as bytes through azure-servicebus, which gives and takes them decoded only.

It has no decoder for some of AMQP's types, and an exception in decoding ends its receive loop or
fails a whole list; what it has decoded, it can't encode again with the same types. So, with the two
functions through which all messages go: decoding keeps the bytes, and sends nothing but what can be
read where the rest can't; encoding writes bytes that are given whole.
"""

from typing import Any, Final

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus._pyamqp._decode import decode_payload
from azure.servicebus._pyamqp._encode import encode_payload
from azure.servicebus._pyamqp.aio import _receiver_async, _sender_async
from azure.servicebus._pyamqp.message import Message
from azure.servicebus._transport import _pyamqp_transport
from azure.servicebus.amqp import AmqpAnnotatedMessage

from patch_assessor_cli.amqp_values import AmqpError
from patch_assessor_cli.payload import Payload, bare

_KEPT: Final = "patch-assessor-octets"


def keep_octets() -> None:
    """From now on, lets asynchronous clients keep the bytes of each message for `octets_of`."""
    # The modules' own names for it, which the client has no parameter for.
    setattr(_receiver_async, "decode_payload", _decode_and_keep)  # noqa: B010 - not exported
    setattr(_pyamqp_transport, "decode_payload", _decode_and_keep)  # noqa: B010 - not exported
    setattr(_sender_async, "encode_payload", _encode_whole)  # noqa: B010 - not exported


def octets_of(message: ServiceBusReceivedMessage) -> bytes | None:
    """Returns a received or peeked message as it came; None where it was not kept."""
    octets = (message.raw_amqp_message.delivery_annotations or {}).get(_KEPT)
    return octets if isinstance(octets, bytes) else None


def payload_of(message: ServiceBusReceivedMessage) -> Payload:
    """Returns what a message says; of one that is no AMQP message, its bytes as they are."""
    octets = octets_of(message) or b""
    try:
        return Payload.of(octets)
    except AmqpError:
        return Payload("", None, None, None, {}, octets, "unreadable")


def whole(octets: bytes) -> AmqpAnnotatedMessage:
    """Returns a message for the SDK's sender that goes out as exactly these bytes."""
    return AmqpAnnotatedMessage(data_body=octets, delivery_annotations={_KEPT: True})


def _decode_and_keep(buffer: memoryview) -> Message:
    octets = bytes(buffer)
    try:
        message: Message = decode_payload(memoryview(octets))
    except Exception:  # noqa: BLE001 - whatever a decoder says; the bytes are kept
        message = _decode_partly(octets)
    annotations = message.delivery_annotations or {}
    return message._replace(delivery_annotations={**annotations, _KEPT: octets})


def _decode_partly(octets: bytes) -> Message:
    """Returns what the client needs to tell the message and to settle it, if that can be read."""
    try:
        partly: Message = decode_payload(memoryview(bare(octets)))
    except (AmqpError, ValueError, TypeError, LookupError):
        return Message()
    return partly


def _encode_whole(output: bytearray, message: Any) -> bytes:  # noqa: ANN401 - the client's own type
    if not (message.delivery_annotations or {}).get(_KEPT):
        return bytes(encode_payload(output, message))
    output += b"".join(message.data)
    return bytes(output)
