"""The trigger of the requests queue."""

from datetime import UTC, datetime

import azure.functions as func

from assessor.messages.request import IncomingMessage, identity_of, identity_without_id
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

    A sender may leave the message ID out. The sequence number stands for it then, with the time at
    which the queue took the message: both stay the same over all deliveries.
    """
    message = received.message
    enqueued_at = utc(message.enqueued_time_utc)
    return IncomingMessage(
        body=received.body.content,
        body_problem=received.body.problem,
        message_id=message.message_id or f"sequence-number-{message.sequence_number}",
        content_type=message.content_type,
        application_properties=message.application_properties or {},
        enqueued_at=enqueued_at,
        delivery_count=message.delivery_count,
        identity=(
            identity_of(message.message_id)
            if message.message_id
            else identity_without_id(message.sequence_number, enqueued_at)
        ),
    )


def utc(moment: datetime | None) -> datetime:
    """Returns the moment in UTC; now where none is told."""
    if moment is None:  # every Service Bus sets it; without it, now is what is known
        return datetime.now(UTC)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
