"""The trigger of the in-progress queue: resumes what another invocation has rescheduled."""

import azure.functions as func

from assessor.messages.in_progress import parse_in_progress
from assessor.settings import Settings
from assessor.telemetry.context import Delivery
from assessor.worker import Worker
from handlers.requests import utc


def blueprint(worker: Worker, settings: Settings) -> func.Blueprint:
    """Returns the function that resumes assessments and scans.

    Args:
        worker: what the function works with.
        settings: name the queue.
    """
    functions = func.Blueprint()

    @functions.function_name("resume_assessment")
    @functions.service_bus_queue_trigger(
        arg_name="message",
        queue_name=settings.in_progress_queue,
        connection="ServiceBus",
        data_type=func.DataType.BINARY,
    )
    async def resume_assessment(message: func.ServiceBusMessage) -> None:
        """Resumes one assessment, or one scan.

        A message that this app did not write raises InProgressError, and so ends in the dead-letter
        queue: only the app may send here.
        """
        progress = parse_in_progress(message.get_body())
        delivery = Delivery(
            settings.in_progress_queue,
            message.message_id,
            delivery_count=message.delivery_count,
        )
        async with worker.invocation() as app:
            await app.resume(progress, utc(message.enqueued_time_utc), delivery)

    return functions
