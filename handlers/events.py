"""The trigger of Event Grid, in either schema."""

import azure.functions as func

from assessor.events.event import read_event
from assessor.worker import Worker
from handlers.event_grid import EventText, hand_events_over_as_text


def blueprint(worker: Worker) -> func.Blueprint:
    """Returns the function that takes events.

    Args:
        worker: what the function works with.
    """
    hand_events_over_as_text()
    functions = func.Blueprint()

    @functions.function_name("resource_events")
    @functions.event_grid_trigger(arg_name="event")
    async def resource_events(event: EventText) -> None:
        """Takes one event; where it fails, Event Grid delivers it again."""
        async with worker.invocation() as app:
            await app.events.receive(read_event(event))

    return functions
