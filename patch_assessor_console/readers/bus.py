"""The namespace: both topics, the in-progress queue, and requests that are sent."""

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from typing import Final

from azure.servicebus import ServiceBusMessageState, ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient

from patch_assessor_cli.arrivals import Arrival
from patch_assessor_cli.client import (
    Message,
    Queue,
    follow,
    open_client,
    receiver,
    send,
    to_arrival,
)
from patch_assessor_cli.send import request_body
from patch_assessor_console.model.flow import InProgress, Scan, Underway, read_in_progress
from patch_assessor_console.target import Target

_LOG: Final = logging.getLogger(__name__)
_PAGE: Final = 100
_MOST: Final = 500
"""In-progress messages that are looked at; a scan of a fleet has thousands, all alike."""
_RECEIVED_AT_ONCE: Final = 50


async def follow_topics(
    target: Target,
    outcome: Callable[[Arrival], None],
    alert: Callable[[Arrival], None],
    well: Callable[[], None],
) -> None:
    """Receives from both topics until something goes wrong.

    Args:
        target: Where to.
        outcome: Takes a message of the results topic.
        alert: Takes one of the alerts topic.
        well: Called whenever it can receive.
    """

    def handle(arrival: Arrival) -> bool:
        take = alert if arrival.topic == target.alerts.topic else outcome
        try:
            take(arrival)
        except Exception:  # noqa: BLE001 - it would stop this, and each try after it
            _LOG.exception("A message of %s can't be taken in", arrival.topic)
        return True

    def at_most() -> int:
        well()
        return _RECEIVED_AT_ONCE

    async with open_client(target.connection) as client:
        await follow(client, (target.results, target.alerts), handle, at_most)


async def peek_in_progress(client: ServiceBusClient, queue: str) -> InProgress:
    """Returns what waits in the in-progress queue, and leaves it there."""
    found: list[Underway | Scan] = []
    looked_at = last = 0
    async with receiver(client, Queue(queue)) as messages:
        while looked_at < _MOST and (
            page := await messages.peek_messages(_PAGE, sequence_number=last + 1)
        ):
            looked_at += len(page)
            last = page[-1].sequence_number or last + len(page)
            found += [each for each in map(_read, page) if each is not None]
    return InProgress(
        underway=tuple(each for each in found if isinstance(each, Underway)),
        scans=tuple(each for each in found if isinstance(each, Scan)),
        is_cut=looked_at >= _MOST,
    )


async def ask(
    target: Target, vm_ids: Sequence[str], scope: Mapping[str, object] | None = None
) -> str:
    """Asks for assessments, as `patch-assessor send` does.

    Args:
        target: Where to.
        vm_ids: The VMs; none where `scope` names them.
        scope: The fields that name the VMs of a scope.

    Returns:
        The message's ID, which is the request's.
    """
    body = request_body(list(vm_ids), None, "console", None, scope)
    message = Message(body, str(uuid.uuid4()))
    async with open_client(target.connection) as client:
        await send(client, target.requests_queue, [message])
    return message.message_id


def _read(message: ServiceBusReceivedMessage) -> Underway | Scan | None:
    scheduled = message.scheduled_enqueue_time_utc
    is_later = message.state is ServiceBusMessageState.SCHEDULED and scheduled is not None
    when = scheduled.replace(tzinfo=UTC) if is_later and scheduled else None
    arrival = to_arrival("", message)
    return read_in_progress(arrival.subject or "", arrival.body, when)
