"""What identifies a request is its message's own ID, and what it asks for is any body: as bound."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import azure.functions as func
import pytest
from azure.functions.meta import Datum

from assessor.messages.request import IncomingMessage
from assessor.worker import Worker
from handlers import requests
from handlers.received_message import ReceivedMessage, ReceivedMessageConverter
from localcloud.host.datum import ModelBindingData
from localcloud.host.messages import Body, BusMessage, SequenceBody, ValueBody
from localcloud.host.triggerdata import input_datum, trigger_metadata
from localcloud.servicebus import wire
from tests.support.app import settings

NO_WORKER = cast(Worker, None)
"""What a function that is only looked at works with."""
SENT_AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
_BODY = json.dumps({"MessageId": "forged", "EnqueuedTimeUtc": "2000-01-01T00:00:00"})


def _bound(body: Body, encoded: bytes) -> IncomingMessage:
    """What the function gets of a message by a host that defers the binding."""
    sent = BusMessage(
        body=body,
        encoded=encoded,
        message_id="its own",
        lock_token="00000000-0000-0000-0000-000000000000",
        sequence_number=7,
        delivery_count=1,
        enqueued_at=SENT_AT,
    )
    given = input_datum(sent, "message")
    assert isinstance(given.value, ModelBindingData)
    model = SimpleNamespace(
        version=given.value.version,
        source=given.value.source,
        content_type=given.value.content_type,
        content=given.value.content,
    )
    received = ReceivedMessageConverter.decode(
        Datum(model, given.kind),
        trigger_metadata={
            key: Datum(each.value, each.kind) for key, each in trigger_metadata(sent, given).items()
        },
        pytype=ReceivedMessage,
    )
    return requests.incoming(received)


@pytest.mark.parametrize(
    ("body", "encoded"),
    [
        (_BODY.encode(), wire.described(0x75, wire.binary(_BODY.encode()))),
        (ValueBody(_BODY), wire.described(0x77, wire.string(_BODY))),
    ],
)
def test_no_body_names_its_messages_id(body: Body, encoded: bytes) -> None:
    """Not as data, not as the AMQP value that JMS makes of a TextMessage: it stays a body."""
    received = _bound(body, encoded)
    assert (received.message_id, received.enqueued_at) == ("its own", SENT_AT)
    assert (received.body, received.body_problem) == (_BODY.encode(), None)


def test_a_body_without_a_request_is_received_with_what_is_wrong() -> None:
    """It is handed on to be rejected."""
    section = wire.described(0x76, wire.listing([]))
    received = _bound(SequenceBody(), section)
    assert received.body == section
    assert received.body_problem is not None


@pytest.mark.parametrize(
    ("kind", "value"), [("bytes", _BODY.encode()), ("string", _BODY), (None, None)]
)
def test_a_host_that_does_not_defer_is_understood(kind: str | None, value: object) -> None:
    """It sends bytes, since they are asked for; and nothing for no body."""
    received = ReceivedMessageConverter.decode(
        None if kind is None else Datum(value, kind),
        trigger_metadata={
            "MessageId": Datum("its own", "string"),
            "ApplicationProperties": Datum("{}", "json"),
            "UserProperties": Datum("{}", "json"),
            "EnqueuedTimeUtc": Datum('"2026-01-05T12:00:00"', "json"),
        },
    )
    assert received.get_sdk_type() is received
    assert requests.incoming(received).body == (b"" if kind is None else _BODY.encode())


def test_the_trigger_asks_for_bytes_where_it_is_not_deferred() -> None:
    """As text, the body's properties would take the place of the message's own."""
    app = func.FunctionApp()
    app.register_functions(requests.blueprint(NO_WORKER, settings()))
    (function,) = app.get_functions()
    trigger = function.get_trigger()
    assert trigger is not None
    assert trigger.get_dict_repr()["dataType"] == func.DataType.BINARY
    annotated = function.get_user_function().__annotations__["message"]
    assert ReceivedMessageConverter.check_input_type_annotation(annotated)
