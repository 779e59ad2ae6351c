"""What the commands share as clients of a namespace: where it is, sending, following the topics."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any, Final
from uuid import UUID

import certifi
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender
from azure.servicebus.exceptions import MessageSizeExceededError

from patch_assessor_cli.arrivals import Arrival
from patch_assessor_cli.errors import CommandError, ExitCode
from patch_assessor_cli.local import read_local_cloud
from patch_assessor_cli.raw_messages import keep_octets, payload_of

REQUESTS_QUEUE: Final = "assessment-requests"
IN_PROGRESS_QUEUE: Final = "assessments-in-progress"
RESULTS_TOPIC: Final = "assessment-results"
ALERTS_TOPIC: Final = "patch-alerts"
_BATCH: Final = 50
_WAIT_SECONDS: Final = 1.0
"""How long a receive waits: the SDK can lose a cancellation, so the loop looks by itself too."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the namespace is: a connection string, or a host name to go to with an identity."""

    connection_string: str | None = field(default=None, repr=False)
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue of the namespace."""

    name: str

    def __str__(self) -> str:
        """Returns the name by which commands take it."""
        return self.name


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription of one of the namespace's topics."""

    topic: str
    name: str

    def __str__(self) -> str:
        """Returns the name by which commands take it."""
        return f"{self.topic}/{self.name}"


Source = Queue | Subscription


@dataclass(frozen=True, slots=True)
class Message:
    """A message to send.

    Attributes:
        body: The bytes.
        message_id: What duplicate detection looks at.
        content_type: The body's media type.
        application_properties: What goes beside the body.
    """

    body: bytes
    message_id: str
    content_type: str = "application/json"
    application_properties: Mapping[str, str] = field(default_factory=dict)


def choose_connection(connection_string: str | None, namespace: str | None) -> Connection:
    """Returns the connection that a command was given, else that of the running local cloud.

    Raises:
        CommandError: Both were given, or neither and no local cloud runs.
    """
    if connection_string and namespace:
        raise CommandError(
            "Give a connection string or a namespace, not both.", ExitCode.WRONG_USAGE
        )
    if namespace:
        return Connection(namespace=namespace)
    return Connection(connection_string or read_local_cloud().connection_string)


def parse_source(text: str) -> Source:
    """Returns the queue or subscription of a name: `queue` or `topic/subscription`.

    Raises:
        CommandError: The name has another form.
    """
    match [part.strip() for part in text.split("/")]:
        case [queue] if queue:
            return Queue(queue)
        case [topic, subscription] if topic and subscription:
            return Subscription(topic, subscription)
        case _:
            raise CommandError(
                f"{text!r} is not an entity: give a queue's name, or topic/subscription.",
                ExitCode.WRONG_USAGE,
            )


@asynccontextmanager
async def open_client(connection: Connection) -> AsyncIterator[ServiceBusClient]:
    """Yields a client of the namespace; with an identity, whichever the machine has.

    Raises:
        CommandError: The connection string is none.
    """
    keep_octets()
    async with AsyncExitStack() as stack:
        if connection.connection_string is not None:
            client = _client_from(connection.connection_string)
        else:
            # Takes a while to import, which a connection string need not wait for.
            from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415

            credential = await stack.enter_async_context(DefaultAzureCredential())
            client = ServiceBusClient(
                connection.namespace or "", credential, ssl_context=_tls_context()
            )
        yield await stack.enter_async_context(client)


def _tls_context() -> ssl.SSLContext:
    """Returns what the SDK else makes anew for each sender and receiver, 70 ms at a time."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certifi.where())
    return context


def _client_from(connection_string: str) -> ServiceBusClient:
    try:
        return ServiceBusClient.from_connection_string(
            connection_string, ssl_context=_tls_context()
        )
    except ValueError as error:  # the SDK's sentence does not repeat the string, which is a secret
        raise CommandError(
            f"The connection string can't be used: {error}", ExitCode.WRONG_USAGE
        ) from error


def receiver(
    client: ServiceBusClient, source: Source, sub_queue: ServiceBusSubQueue | None = None
) -> ServiceBusReceiver:
    """Returns a receiver for a queue, a subscription, or the dead letters of one."""
    match source:
        case Queue(name):
            return client.get_queue_receiver(name, sub_queue=sub_queue)
        case Subscription(topic, name):
            return client.get_subscription_receiver(topic, name, sub_queue=sub_queue)


def sender(client: ServiceBusClient, source: Source) -> ServiceBusSender:
    """Returns a sender for what `source` gets its messages from: the queue, or the topic."""
    match source:
        case Queue(name):
            return client.get_queue_sender(name)
        case Subscription(topic, _):
            return client.get_topic_sender(topic)


async def send(client: ServiceBusClient, queue: str, messages: Sequence[Message]) -> None:
    """Sends the messages to a queue, in as few transfers as they fit in."""
    async with client.get_queue_sender(queue) as queue_sender:
        batch = await queue_sender.create_message_batch()
        for message in map(_to_sdk, messages):
            try:
                batch.add_message(message)
            except MessageSizeExceededError:
                await queue_sender.send_messages(batch)
                batch = await queue_sender.create_message_batch()
                batch.add_message(message)
        if len(batch) > 0:
            await queue_sender.send_messages(batch)


async def follow(
    client: ServiceBusClient,
    subscriptions: Sequence[Subscription],
    handle: Callable[[Arrival], bool],
    at_most: Callable[[], int] = lambda: _BATCH,
) -> None:
    """Receives from the subscriptions until `handle` says that it is enough.

    A message is completed after it was handled, so that one is rather handled twice than lost.
    What is received and not wanted stays locked for others until its lock ends, even where it is
    abandoned: it comes back to the same link. So no more is asked for than is wanted.

    Args:
        client: Of the namespace.
        subscriptions: What to receive from.
        handle: Gets each message; returns whether to go on.
        at_most: Tells how many more are wanted.
    """
    enough = asyncio.Event()

    async def follow_one(subscription: Subscription) -> None:
        async with receiver(client, subscription) as messages:
            while not enough.is_set():
                for message in await messages.receive_messages(
                    max(1, min(_BATCH, at_most())), _WAIT_SECONDS
                ):
                    if enough.is_set():
                        await messages.abandon_message(message)
                        continue
                    if not handle(to_arrival(subscription.topic, message)):
                        enough.set()
                    await messages.complete_message(message)

    following = [asyncio.create_task(follow_one(each)) for each in subscriptions]
    try:
        ended, _ = await asyncio.wait(following, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()
    finally:
        enough.set()
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


def to_arrival(topic: str, message: ServiceBusReceivedMessage) -> Arrival:
    """Returns a received message as data."""
    enqueued = message.enqueued_time_utc
    said = payload_of(message)
    return Arrival(
        topic=topic,
        message_id=said.message_id or None,
        correlation_id=said.correlation_id,
        subject=said.subject,
        content_type=said.content_type,
        enqueued_time=enqueued.replace(tzinfo=UTC) if enqueued else None,
        application_properties=said.application_properties,
        body=_json_or_text(said.body),
    )


def _to_sdk(message: Message) -> ServiceBusMessage:
    properties: dict[str | bytes, str | bytes | int | float | bool | UUID] = {}
    properties.update(message.application_properties.items())
    return ServiceBusMessage(
        message.body,
        message_id=message.message_id,
        content_type=message.content_type,
        application_properties=properties,
    )


def _json_or_text(body: bytes) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", errors="replace")
