"""The ports of the trigger loop on the real client, azure-servicebus.

One client per connection; every receiver has an AMQP connection of its own (the SDK's way). Left
out: WebSockets, proxies, host.json's `clientRetryOptions`, and credentials other than a managed
identity for an identity-based connection (which needs TLS, so a real namespace).
"""

import asyncio
import ssl
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Self, TypeVar, assert_never

import certifi
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

from localcloud.host.bindings import Queue, ServiceBusTrigger, Subscription
from localcloud.host.errors import BusUnavailableError
from localcloud.host.messages import BusMessage
from localcloud.host.payloads import keep_payloads, read
from localcloud.host.ports import Delivery, Inbox, OpenInbox
from localcloud.host.settings import Connection, ConnectionString, IdentityConnection

_WAIT_SECONDS = 30.0
_CLOSE_SECONDS = 5.0
_READ_SECONDS = 1.0
"""How long the SDK reads before it looks around.

By itself it looks five times a second, for each of a host's receivers, of which there are as many
as calls at a time: a tenth of a core, for nothing.
"""
# The loop above has its own back-off; these retries only carry a settlement over a reconnect.
_RETRY_TOTAL = 3
_RETRY_BACKOFF_FACTOR = 0.1
_RETRY_BACKOFF_MAX = 1.0

T = TypeVar("T")


class BusClients:
    """The clients of all connections in use; an async context manager that closes them."""

    def __init__(self) -> None:
        self._clients: dict[Connection, ServiceBusClient] = {}
        # What the SDK else makes anew for each receiver, 70 ms at a time.
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._tls.load_verify_locations(certifi.where())
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Open nothing yet: clients are made when first used."""
        keep_payloads()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every client and credential."""
        await self._stack.aclose()

    async def opener(self, trigger: ServiceBusTrigger) -> OpenInbox:
        """Prepare receivers for a trigger.

        Returns:
            What opens one receiver per call.
        """
        client = await self._client(trigger.connection)

        async def open_inbox() -> Inbox:
            receiver = _receiver(client, trigger.entity)
            entity = trigger.entity.path
            try:
                await _translated(entity, receiver.__aenter__())
            except BusUnavailableError:
                await SdkInbox(receiver, entity).close()
                raise
            return SdkInbox(receiver, entity)

        return open_inbox

    async def _client(self, connection: Connection) -> ServiceBusClient:
        client = self._clients.get(connection)
        if client is None:
            client = await self._stack.enter_async_context(await self._make(connection))
            self._clients[connection] = client
        return client

    async def _make(self, connection: Connection) -> ServiceBusClient:
        match connection:
            case ConnectionString(value):
                return ServiceBusClient.from_connection_string(
                    value,
                    retry_total=_RETRY_TOTAL,
                    retry_backoff_factor=_RETRY_BACKOFF_FACTOR,
                    retry_backoff_max=_RETRY_BACKOFF_MAX,
                    ssl_context=self._tls,
                    socket_timeout=_READ_SECONDS,
                )
            case IdentityConnection(namespace, client_id):
                # A quarter of the host's start, and the local cloud connects without it.
                from azure.identity.aio import ManagedIdentityCredential  # noqa: PLC0415

                credential = await self._stack.enter_async_context(
                    ManagedIdentityCredential(client_id=client_id)
                )
                return ServiceBusClient(
                    namespace,
                    credential,
                    retry_total=_RETRY_TOTAL,
                    retry_backoff_factor=_RETRY_BACKOFF_FACTOR,
                    retry_backoff_max=_RETRY_BACKOFF_MAX,
                    ssl_context=self._tls,
                    socket_timeout=_READ_SECONDS,
                )
            case never:
                assert_never(never)


class SdkInbox:
    """An `Inbox` on the client's receiver."""

    def __init__(self, receiver: ServiceBusReceiver, entity: str) -> None:
        self._receiver = receiver
        self._entity = entity

    async def receive(self) -> Delivery | None:
        """Wait for one message."""
        batch = await _translated(
            self._entity,
            self._receiver.receive_messages(max_message_count=1, max_wait_time=_WAIT_SECONDS),
        )
        return SdkDelivery(self._receiver, self._entity, batch[0]) if batch else None

    async def close(self) -> None:
        """Close the receiver; a message that arrives meanwhile is released by the client."""
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await _translated(self._entity, self._receiver.close())
        except (BusUnavailableError, TimeoutError):
            return  # the connection is gone, which is what was wanted


class SdkDelivery:
    """A `Delivery` of the client."""

    def __init__(
        self, receiver: ServiceBusReceiver, entity: str, received: ServiceBusReceivedMessage
    ) -> None:
        self._receiver = receiver
        self._entity = entity
        self._received = received
        self.message = to_bus_message(received)

    @property
    def locked_until(self) -> datetime:
        """When the lock ends."""
        return self._received.locked_until_utc or datetime.now(UTC)

    async def complete(self) -> None:
        """Complete the message."""
        await _translated(self._entity, self._receiver.complete_message(self._received))

    async def abandon(self) -> None:
        """Abandon the message."""
        await _translated(self._entity, self._receiver.abandon_message(self._received))

    async def renew_lock(self) -> datetime:
        """Renew the lock."""
        return await _translated(self._entity, self._receiver.renew_message_lock(self._received))


def to_bus_message(received: ServiceBusReceivedMessage) -> BusMessage:
    """Copy what the trigger needs out of the client's message.

    Returns:
        The message, independent of the client. It must have been received by `BusClients`.
    """
    content = read(received)
    return BusMessage(
        body=content.body,
        lock_token=str(received.lock_token or ""),
        sequence_number=received.sequence_number or 0,
        delivery_count=(received.delivery_count or 0) + 1,
        enqueued_at=received.enqueued_time_utc or datetime.fromtimestamp(0, UTC),
        expires_at=received.expires_at_utc,
        message_id=content.texts.get("message_id"),
        content_type=content.texts.get("content_type"),
        correlation_id=content.texts.get("correlation_id"),
        subject=content.texts.get("subject"),
        reply_to=content.texts.get("reply_to"),
        to=content.texts.get("to"),
        session_id=content.texts.get("session_id"),
        reply_to_session_id=content.texts.get("reply_to_session_id"),
        partition_key=received.partition_key,
        dead_letter_source=received.dead_letter_source,
        application_properties=content.application_properties,
        encoded=content.encoded,
    )


def _receiver(client: ServiceBusClient, entity: Queue | Subscription) -> ServiceBusReceiver:
    match entity:
        case Queue(name):
            return client.get_queue_receiver(name)
        case Subscription(topic, name):
            return client.get_subscription_receiver(topic, name)
        case never:
            assert_never(never)


async def _translated(entity: str, call: Awaitable[T]) -> T:
    try:
        return await call
    except Exception as error:  # a connection lost under the client raises anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise BusUnavailableError(entity, reason) from error
