"""A Service Bus message with its body as it was sent, by what the worker calls a deferred binding.

Bound as bytes, a body that is an AMQP value, as a JMS TextMessage is, fails in the Functions host
before the app is called; bound as text, the host lets a JSON body's properties take the place of
the message's own. A function whose parameter is an `SdkType` gets the whole message instead, as the
Service Bus extension encodes it: the sixteen bytes of the lock token, then AMQP 1.0. The host looks
into neither.

The message's own properties come from the trigger metadata, as .NET read them, by azure-functions'
own converter; only the body is read here. Azure's package of this kind,
azurefunctions-extensions-bindings-servicebus, exists as a beta that needs the retired uamqp, so
this is made of what it is made of: azurefunctions-extensions-base.

Sources: ServiceBusExtensionConfigProvider.ConvertReceivedMessageToBindingData (azure-sdk-for-net),
GeneralScriptBindingProvider and Utility.ApplyBindingData (azure-functions-host).
"""

from collections.abc import Mapping
from typing import Any, Final

import azure.functions as func
from azure.functions.meta import Datum
from azure.functions.servicebus import ServiceBusMessageInConverter
from azurefunctions.extensions.base import InConverter, SdkType

from assessor.bus.amqp_body import AmqpBody, read_body

_TRIGGER: Final = "serviceBusTrigger"
_LOCK_TOKEN_BYTES: Final = 16


class ReceivedMessage(SdkType):
    """A message as a function gets it; annotating a trigger's parameter with it defers the binding.

    Attributes:
        message: the message's own properties. Its `get_body` is the body's `content`.
        body: what it says, or why that can't be read.
    """

    def __init__(self, message: func.ServiceBusMessage, body: AmqpBody) -> None:
        super().__init__()
        self.message = message
        self.body = body

    def get_sdk_type(self) -> "ReceivedMessage":
        """Returns itself: it is made whole by the converter."""
        return self


class ReceivedMessageConverter(InConverter, binding=_TRIGGER, trigger=_TRIGGER):
    """Makes a `ReceivedMessage` of what the worker got; registered by being defined."""

    @classmethod
    def check_input_type_annotation(cls, pytype: object) -> bool:
        """Returns whether this makes what a parameter is annotated with."""
        return isinstance(pytype, type) and issubclass(pytype, ReceivedMessage)

    @classmethod
    def decode(
        cls,
        data: Any,  # noqa: ANN401 - the worker's Datum, which has no types
        *,
        trigger_metadata: Mapping[str, Any],
        pytype: type | None = None,  # noqa: ARG003 - the worker says it again
    ) -> ReceivedMessage:
        """Returns the message.

        A host that does not defer the binding sends what `data_type` asks for. That is read too.

        Raises:
            NotImplementedError: it is nothing that a Service Bus trigger sends.
        """
        if getattr(data, "type", None) == "model_binding_data":
            body = read_body(bytes(data.value.content)[_LOCK_TOKEN_BYTES:])
            data = Datum(body.content, "bytes")
            message = _message(data, trigger_metadata)
        else:
            message = _message(data, trigger_metadata)
            body = AmqpBody(message.get_body())
        return ReceivedMessage(message, body)


def _message(data: Any, trigger_metadata: Mapping[str, Any]) -> func.ServiceBusMessage:  # noqa: ANN401 - as above
    message = ServiceBusMessageInConverter.decode(data, trigger_metadata=trigger_metadata)
    if isinstance(message, list):
        raise NotImplementedError("a batch of messages; the trigger's cardinality is one")
    return message
