"""The trigger of Event Grid, in either schema."""

from datetime import UTC, datetime

import azure.functions as func

from assessor.events.event import Event, without_personal_data
from assessor.worker import Worker


def blueprint(worker: Worker) -> func.Blueprint:
    """Returns the function that takes events.

    Args:
        worker: what the function works with.
    """
    functions = func.Blueprint()

    @functions.function_name("resource_events")
    @functions.event_grid_trigger(arg_name="event")
    async def resource_events(event: func.EventGridEvent) -> None:
        """Takes one event; where it fails, Event Grid delivers it again."""
        async with worker.invocation() as app:
            await app.events.take(decoded(event))

    return functions


def decoded(event: func.EventGridEvent | func.CloudEvent) -> Event:
    """Returns the event without its schema, without the worker's types, and without who did it.

    A body that has `specversion` comes as a CloudEvent, whatever the function asks for.
    """
    if isinstance(event, func.CloudEvent):
        kind, source, time = event.type, event.source, event.time
    else:
        kind, source, time = event.event_type, event.topic, event.event_time
    return Event(
        id=_text(event.id),
        type=_text(kind),
        source=_text(source),
        subject=_text(event.subject),
        time=_utc(time),
        data=without_personal_data(event.get_json()),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _utc(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
