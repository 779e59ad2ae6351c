"""The trigger of the requests queue."""

from datetime import UTC, datetime

import azure.functions as func

from assessor.messages.request import (
    FirstEnqueued,
    IncomingMessage,
    content_id,
    first_enqueued,
    identity_of,
    identity_without_id,
)
from assessor.settings import Settings
from assessor.worker import Worker
from handlers.received_message import ReceivedMessage


def blueprint(worker: Worker, settings: Settings) -> func.Blueprint:
    """Returns the function that takes requests.

    Args:
        worker: what the function works with.
        settings: name the queue.
    """
    functions = func.Blueprint()

    @functions.function_name("start_assessment")
    @functions.service_bus_queue_trigger(
        arg_name="message",
        queue_name=settings.requests_queue,
        connection="ServiceBus",
        data_type=func.DataType.BINARY,  # from a host that does not defer the binding
    )
    async def start_assessment(message: ReceivedMessage) -> None:
        """Receives one message of the requests queue, whatever its body is."""
        async with worker.invocation() as app:
            await app.requests.receive(incoming(message))

    return functions


def incoming(received: ReceivedMessage) -> IncomingMessage:
    """Returns the message without the Functions worker's types.

    A sender may leave the message ID out. Its place in the queue stands for it then, which stays
    the same over all deliveries, and which a resubmitted dead letter says.
    """
    message = received.message
    enqueued_at = utc(message.enqueued_time_utc)
    body = received.body.content
    properties = message.application_properties or {}
    first = first_enqueued(FirstEnqueued(enqueued_at, message.sequence_number), properties)
    return IncomingMessage(
        body=body,
        body_problem=received.body.problem,
        message_id=message.message_id or f"sequence-number-{first.sequence_number}",
        content_type=message.content_type,
        application_properties=properties,
        enqueued_at=enqueued_at,
        delivery_count=message.delivery_count,
        first_enqueued_at=first.at,
        identity=(
            identity_of(message.message_id)
            if message.message_id
            else identity_without_id(first, content_id(body, message.content_type, properties))
        ),
    )


def utc(moment: datetime | None) -> datetime:
    """Returns the moment in UTC; now where none is told."""
    if moment is None:  # every Service Bus sets it; without it, now is what is known
        return datetime.now(UTC)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
