"""What identifies a request is its message's own ID: no body can put another in its place."""

import json
from datetime import UTC, datetime
from typing import cast

import azure.functions as func
import pytest
from azure.functions.meta import Datum
from azure.functions.servicebus import ServiceBusMessageInConverter

from assessor.worker import Worker
from handlers import requests
from localcloud.host.messages import BusMessage
from localcloud.host.triggerdata import input_datum, trigger_metadata
from tests.support.app import settings

NO_WORKER = cast(Worker, None)
"""What a function that is only looked at works with."""
SENT_AT = datetime(2026, 1, 5, 12, tzinfo=UTC)


def _is_binary() -> bool:
    app = func.FunctionApp()
    app.register_functions(requests.blueprint(NO_WORKER, settings()))
    (function,) = app.get_functions()
    trigger = function.get_trigger()
    assert trigger is not None
    return bool(trigger.get_dict_repr()["dataType"] == func.DataType.BINARY)


@pytest.mark.parametrize("name", ["MessageId", "messageId", "MESSAGEID"])
def test_no_body_names_its_messages_id(name: str) -> None:
    """Bound as bytes, which the host does not look into; as text the ID would be the body's."""
    sent = BusMessage(
        body=json.dumps({name: "forged", "EnqueuedTimeUtc": "2000-01-01T00:00:00"}).encode(),
        message_id="its own",
        lock_token="00000000-0000-0000-0000-000000000000",
        sequence_number=7,
        delivery_count=1,
        enqueued_at=SENT_AT,
    )
    body = input_datum(sent, binary=_is_binary())
    message = ServiceBusMessageInConverter.decode(
        Datum(body.value, body.kind),
        trigger_metadata={
            key: Datum(each.value, each.kind) for key, each in trigger_metadata(sent, body).items()
        },
    )
    assert isinstance(message, func.ServiceBusMessage)
    received = requests.incoming(message)
    assert (received.message_id, received.enqueued_at) == ("its own", SENT_AT)
