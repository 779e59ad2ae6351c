"""Messages as the real SDK encodes them, and a clock that tests move."""

from typing import Any

from azure.servicebus import ServiceBusMessage
from azure.servicebus._pyamqp._encode import encode_payload
from azure.servicebus._transport._pyamqp_transport import PyamqpTransport

from localcloud.servicebus.message import Message, parse

MINUTE = 60_000


class ManualClock:
    """Milliseconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now

    def sleep(self, milliseconds: int) -> None:
        self.now += milliseconds


def encoded(body: str = "hello", **options: Any) -> bytes:  # noqa: ANN401 - the SDK's own arguments
    """The bytes that the SDK puts on the wire for a message."""
    outgoing = PyamqpTransport.to_outgoing_amqp_message(
        ServiceBusMessage(body, **options).raw_amqp_message
    )
    output = bytearray()
    encode_payload(output, outgoing)
    return bytes(output)


def message(body: str = "hello", **options: Any) -> Message:  # noqa: ANN401 - the SDK's own arguments
    """A message as the bus reads it."""
    return parse(encoded(body, **options))
