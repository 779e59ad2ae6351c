"""The trigger of the queue on which the app hands assessments over to itself."""

import azure.functions as func

from assessor.scans.progress import read_in_progress
from assessor.settings import Settings
from assessor.worker import Worker


def blueprint(worker: Worker, settings: Settings) -> func.Blueprint:
    """Returns the function that goes on with what another invocation handed over.

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
        """Takes one assessment, or one scan, a step further.

        A message that this app did not write raises ProgressError, and so ends in the dead-letter
        queue: only the app may send here.
        """
        progress = read_in_progress(message.get_body())
        async with worker.invocation() as app:
            await app.assessor.take_over(progress)

    return functions
