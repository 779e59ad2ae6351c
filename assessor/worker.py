"""The worker's life: what a worker process opens once, uses, and closes.

The clients belong to the event loop that uses them, so they are opened by the first invocation,
not when the module is imported; each is opened once for each worker
(https://github.com/Azure/azure-sdk-for-python/issues/44384 tells what happens otherwise).
"""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import Final

from azure.core.pipeline.transport import AioHttpTransport
from azure.identity.aio import ManagedIdentityCredential
from azure.servicebus.aio import ServiceBusClient

from assessor.alerts.rules import ALERT_COLUMNS
from assessor.app import App, build_app
from assessor.arm.access_token import RenewableCredential
from assessor.arm.client import ArmClient
from assessor.arm.tracing import TracingPolicy
from assessor.arm.vm_lister import ArmVmLister
from assessor.bus.servicebus import ServiceBus, tls_context
from assessor.clock import SystemClock
from assessor.http import open_transport
from assessor.ports import Ports, PostureStore, ScanStore
from assessor.posture.store import MemoryPosture
from assessor.posture.tables import TablePosture
from assessor.scans.store import MemoryScans
from assessor.scans.tables import TableScans
from assessor.settings import Settings
from assessor.storage import open_tables, table_storage
from assessor.telemetry.dependencies import IDENTITY, TracedTransport, tables
from assessor.telemetry.setup import FLUSH_SECONDS, TelemetryPipeline
from assessor.telemetry.telemetry import Telemetry

_LOG: Final = logging.getLogger(__name__)


class Worker:
    """What lives as long as the worker process does."""

    def __init__(self, settings: Settings, pipeline: TelemetryPipeline) -> None:
        """Opens nothing yet; the pipeline is shut down with the worker."""
        self._settings = settings
        self._pipeline = pipeline
        self._opening = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._idle = asyncio.Event()
        self._in_flight = 0
        self._open = AsyncExitStack()
        self._app: App | None = None
        self._stop_task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def invocation(self) -> AsyncIterator[App]:
        """Gives one invocation the app, and keeps the worker from closing under it."""
        self._in_flight += 1
        self._idle.clear()
        try:
            yield await self._get()
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    async def aclose(self) -> None:
        """Ends all waiting, waits for what is in flight, and closes every client."""
        self._stopping.set()
        if self._in_flight:
            await self._idle.wait()
        await self._open.aclose()
        self._app = None
        await asyncio.to_thread(self._pipeline.shutdown, FLUSH_SECONDS)

    async def _get(self) -> App:
        async with self._opening:
            if self._app is None:
                async with AsyncExitStack() as opening:  # closes what was opened if a part fails
                    ports = await open_ports(
                        self._settings, self._pipeline.telemetry, self._stopping, opening
                    )
                    self._app = build_app(self._settings, ports)
                    self._open = opening.pop_all()
                self._close_on_sigterm()
            return self._app

    def _close_on_sigterm(self) -> None:
        """Lets SIGTERM end all waiting at once, then the worker as soon as nothing is in flight."""
        loop = asyncio.get_running_loop()

        def stop() -> None:
            loop.remove_signal_handler(signal.SIGTERM)
            self._stop_task = loop.create_task(self._stop())

        loop.add_signal_handler(signal.SIGTERM, stop)

    async def _stop(self) -> None:
        _LOG.info("the worker is told to go; %d invocations reschedule", self._in_flight)
        await self.aclose()
        signal.raise_signal(signal.SIGTERM)  # and now as if nobody had asked to wait


async def open_ports(
    settings: Settings, telemetry: Telemetry, stopping: asyncio.Event, opening: AsyncExitStack
) -> Ports:
    """Returns the adapters that the app works with in Azure, which `opening` closes."""
    credential = await opening.enter_async_context(
        RenewableCredential(lambda: _credential(settings.azure_client_id, telemetry))
    )
    arm = ArmClient(
        credential,
        settings.arm_cloud,
        await open_transport(settings.arm_cloud.endpoint, opening),
        (TracingPolicy(telemetry),),
    )
    postures, scans = await _open_stores(settings, telemetry, opening)
    return Ports(
        clock=SystemClock(),
        bus=ServiceBus(
            await opening.enter_async_context(
                await _service_bus_client(settings, telemetry, opening)
            ),
            topics=(settings.results_topic, settings.alerts_topic),
        ),
        arm=arm,
        lister=ArmVmLister(arm.client, settings.arm_cloud.endpoint),
        postures=postures,
        scans=scans,
        telemetry=telemetry,
        random=Random(),  # noqa: S311 - jitter, not a secret
        stopping=stopping,
    )


async def _open_stores(
    settings: Settings, telemetry: Telemetry, opening: AsyncExitStack
) -> tuple[PostureStore, ScanStore]:
    storage = table_storage(settings)
    if storage is None:
        _LOG.warning(
            "no storage is named: postures and scans are kept in this process only, so an "
            "alert that another worker fired will fire again, and a scan that another worker "
            "took part in ends as incomplete"
        )
        return MemoryPosture(), MemoryScans()

    async def transport(endpoint: str) -> TracedTransport:
        return TracedTransport(await open_transport(endpoint, opening), tables(endpoint), telemetry)

    client = await open_tables(
        storage, opening, transport, lambda client_id: _credential(client_id, telemetry)
    )
    return (
        TablePosture(
            client.get_table_client(settings.posture_table),
            ALERT_COLUMNS,
            lambda error: telemetry.metrics.unforeseen(type(error).__name__),
        ),
        TableScans(client.get_table_client(settings.scan_table)),
    )


async def _service_bus_client(
    settings: Settings, telemetry: Telemetry, opening: AsyncExitStack
) -> ServiceBusClient:
    tls = tls_context()
    if settings.service_bus_connection_string is not None:
        return ServiceBusClient.from_connection_string(
            settings.service_bus_connection_string, ssl_context=tls
        )
    credential = await opening.enter_async_context(
        _credential(settings.service_bus_client_id, telemetry)
    )
    return ServiceBusClient(settings.service_bus_namespace or "", credential, ssl_context=tls)


def _credential(client_id: str | None, telemetry: Telemetry) -> ManagedIdentityCredential:
    """Returns the managed identity: the user-assigned one of `client_id`, else the system's."""
    return ManagedIdentityCredential(
        client_id=client_id, transport=TracedTransport(AioHttpTransport(), IDENTITY, telemetry)
    )
