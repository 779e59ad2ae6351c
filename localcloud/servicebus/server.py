"""A running bus: its port, its connections, and what a test may do to it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from localcloud.servicebus.amqp.connection import AmqpConnection
from localcloud.servicebus.broker import Broker, EntityCounts
from localcloud.servicebus.clock import Clock, system_clock
from localcloud.servicebus.entities import Entities
from localcloud.servicebus.errors import ErrorCondition
from localcloud.servicebus.faults import Faults
from localcloud.servicebus.hub import Hub
from localcloud.servicebus.state import load_state, save_state

_HOST = "127.0.0.1"
_CLOSE_TIMEOUT_SECONDS = 2.0
_STOPPING = ErrorCondition("amqp:connection:forced", "The service is stopping.")


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """How to listen for TLS.

    Attributes:
        context: the server's side, with its certificate.
        port: where; 0 for a free one. The service's is 5671, and some clients know no other.
    """

    context: ssl.SSLContext
    port: int = 0


class ServiceBus:
    """A Service Bus namespace on a local port; made by `start`.

    Attributes:
        port: where it listens.
        tls_port: where it listens for TLS; 0 when it doesn't.
        faults: makes operations fail.
    """

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self.port = 0
        self.tls_port = 0
        self.faults = Faults(clock)
        self._broker = broker
        self._hub = Hub(broker, self.faults, clock)
        self._connections: set[AmqpConnection] = set()

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        entities: Entities,
        *,
        port: int = 0,
        clock: Clock = system_clock,
        state: Path | None = None,
        tls: TlsOptions | None = None,
    ) -> AsyncIterator["ServiceBus"]:
        """Run a bus for as long as the context lasts.

        Args:
            entities: its queues and topics.
            port: where to listen; 0 for a free one.
            clock: tells the time; after moving another clock than the system's, call `tick`.
            state: loaded at the start if it exists, saved at the end; None to keep nothing.
            tls: for a second port, which speaks AMQP over TLS; None for none.

        Yields:
            The bus, ready for clients.

        Raises:
            OSError: the port is taken.
            pydantic.ValidationError: the state file holds something else.
        """
        broker = Broker(entities, clock)
        if state is not None:
            broker.restore(load_state(state))
        bus = cls(broker, clock)
        loop = asyncio.get_running_loop()
        servers = [await loop.create_server(bus._connect, _HOST, port)]
        bus.port = servers[0].sockets[0].getsockname()[1]
        if tls is not None:
            secure = await loop.create_server(bus._connect, _HOST, tls.port, ssl=tls.context)
            servers.append(secure)
            bus.tls_port = secure.sockets[0].getsockname()[1]
        bus.tick()
        try:
            yield bus
        finally:
            for server in servers:
                server.close()
            await bus._stop()
            await asyncio.gather(*(server.wait_closed() for server in servers))
            if state is not None:
                save_state(broker.snapshot(), state)

    def _connect(self) -> AmqpConnection:
        connection = AmqpConnection(self._hub, self._connections.discard)
        self._connections.add(connection)
        return connection

    async def _stop(self) -> None:
        connections = list(self._connections)
        for connection in connections:
            connection.close(_STOPPING)
        if connections:
            # A client that doesn't read is not waited for.
            lost = [connection.lost for connection in connections]
            await asyncio.wait(lost, timeout=_CLOSE_TIMEOUT_SECONDS)
        for connection in list(self._connections):
            connection.drop()
        self._hub.close()

    @property
    def connection_string(self) -> str:
        """What clients connect with; the key is a placeholder that nobody checks."""
        return (
            f"Endpoint=sb://localhost:{self.port};SharedAccessKeyName=RootManageSharedAccessKey;"
            "SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;"
        )

    def counts(self) -> dict[str, EntityCounts]:
        """How many messages of every queue and subscription are where, by name."""
        return self._broker.counts()

    def tick(self) -> None:
        """Do now what time has made due, and hand out what is ready."""
        self._hub.run()

    def expire_locks(self, entity: str) -> int:
        """End all locks on the messages of a queue or subscription.

        Returns:
            How many there were.

        Raises:
            EntityNotFoundError: there is no such entity.
            NotAllowedError: it is a topic.
        """
        expired = self._broker.store(entity).expire_locks()
        self._hub.touch()
        return expired

    def duplicate_next(self, entity: str, count: int) -> None:
        """Let the next deliveries of an entity lose their locks at once, and be delivered again.

        Raises:
            EntityNotFoundError: there is no such entity.
            NotAllowedError: it is a topic.
        """
        self._broker.store(entity).lose_next_locks(count)

    def drop_connections(self) -> int:
        """Cut all connections without a word.

        Returns:
            How many there were.
        """
        dropped = list(self._connections)
        for connection in dropped:
            connection.drop()
        return len(dropped)
