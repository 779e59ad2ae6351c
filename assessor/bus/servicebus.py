"""The bus through azure-servicebus: one client, and one sender for each entity, for each worker."""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Final
from uuid import UUID

import certifi
from azure.core.exceptions import AzureError
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender
from azure.servicebus.exceptions import MessageSizeExceededError

from assessor.bus.message import OutgoingMessage, PublishError

_SEND_SECONDS: Final = 30.0


def tls_context() -> ssl.SSLContext:
    """Returns the TLS context that the SDK makes for itself, for a client to be given.

    Without it the SDK reads the certificate authorities again for every connection, and every
    sender and receiver has one: some 70 ms each in which the event loop stands still.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certifi.where())
    return context


@dataclass(slots=True)
class _Line:
    """A sender and its turn: the SDK's senders take one caller at a time.

    Attributes:
        sender: the SDK's.
        turn: held by who sends.
        refusals: how often the entity, after all of the SDK's tries, took nothing.
    """

    sender: ServiceBusSender
    turn: asyncio.Lock
    refusals: int = 0


class ServiceBus:
    """Sends through one client."""

    def __init__(self, client: ServiceBusClient, topics: Sequence[str]) -> None:
        self._client = client
        self._topics = frozenset(topics)
        self._lines: dict[str, _Line] = {}

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        """Sends the messages, several in one transfer where they fit; raises PublishError.

        The SDK tries for 11 seconds and more before it gives up. Whoever waited for the turn
        meanwhile fails with the one before: one after another, a worker's invocations would stand
        in line for longer than they may take.
        """
        line = self._line(entity)
        refusals = line.refusals
        async with line.turn:
            if line.refusals != refusals:
                raise PublishError(entity, "it did not take the message before this one either")
            try:
                if len(messages) == 1:
                    await line.sender.send_messages(_message(messages[0]), timeout=_SEND_SECONDS)
                else:
                    await _send_in_batches(line.sender, messages)
            except (AzureError, OSError, TimeoutError) as error:
                if not isinstance(error, MessageSizeExceededError):  # which is that message's own
                    line.refusals += 1
                raise PublishError(entity, f"{type(error).__name__}: {error}") from error

    def _line(self, entity: str) -> _Line:
        line = self._lines.get(entity)
        if line is None:
            sender = (
                self._client.get_topic_sender(entity)
                if entity in self._topics
                else self._client.get_queue_sender(entity)
            )
            line = self._lines[entity] = _Line(sender, asyncio.Lock())
        return line


async def _send_in_batches(sender: ServiceBusSender, messages: Sequence[OutgoingMessage]) -> None:
    batch = await sender.create_message_batch()
    for message in map(_message, messages):
        try:
            batch.add_message(message)
        except MessageSizeExceededError:
            await sender.send_messages(batch, timeout=_SEND_SECONDS)
            batch = await sender.create_message_batch()
            batch.add_message(message)
    if len(batch) > 0:
        await sender.send_messages(batch, timeout=_SEND_SECONDS)


def _message(message: OutgoingMessage) -> ServiceBusMessage:
    enqueue_at = message.enqueue_at
    properties: dict[str | bytes, str | bytes | int | float | bool | UUID] = {}
    properties.update(message.application_properties.items())
    return ServiceBusMessage(
        message.body,
        message_id=message.message_id,
        correlation_id=message.correlation_id,
        content_type=message.content_type,
        subject=message.subject,
        application_properties=properties,
        scheduled_enqueue_time_utc=enqueue_at.astimezone(UTC) if enqueue_at else None,
    )
