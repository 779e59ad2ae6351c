"""The one place where the app is put together: what a worker opens once, uses, and closes.

The clients belong to the event loop that uses them, so they are opened by the first invocation,
not when the module is imported; each is opened once for each worker
(https://github.com/Azure/azure-sdk-for-python/issues/44384 tells what happens otherwise).
"""

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Final

from azure.identity.aio import ManagedIdentityCredential
from azure.servicebus.aio import ServiceBusClient

from assessor.alerts.outbox import AlertOutbox
from assessor.alerts.rules import ALERT_COLUMNS
from assessor.arm.client import ArmClient
from assessor.arm.hold import Hold
from assessor.arm.rate_limiter import POLLS_PER_MINUTE, RateLimiter
from assessor.arm.tracing import TracingPolicy
from assessor.assessment.assessor import Assessor, Entities
from assessor.assessment.state_machine import Steps
from assessor.bus.servicebus import ServiceBus
from assessor.bus.tracing import TracingBus
from assessor.clock import SystemClock
from assessor.events.intake import FleetEvents
from assessor.fleets.parts import Surroundings, make_events, make_scans, make_schedule
from assessor.http import open_transport
from assessor.posture.durations import Durations
from assessor.posture.store import MemoryPosture
from assessor.posture.tables import TablePosture
from assessor.scans.arm_listing import ComputeFleet
from assessor.scans.schedule import FleetSchedule
from assessor.scans.store import MemoryScans, ScanStore
from assessor.scans.tables import TableScans
from assessor.settings import Settings
from assessor.storage import open_tables, table_storage
from assessor.telemetry.setup import FLUSH_SECONDS, TelemetryPipeline

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class App:
    """The app, but for its triggers.

    Attributes:
        assessor: takes requests, and goes on with what was handed over.
        events: takes Event Grid's events.
        schedule: asks for the scheduled scans.
    """

    assessor: Assessor
    events: FleetEvents
    schedule: FleetSchedule


class Worker:
    """What lives as long as the worker process does."""

    def __init__(self, settings: Settings, pipeline: TelemetryPipeline) -> None:
        """Keeps the settings; opens nothing yet.

        Args:
            settings: the app's.
            pipeline: where telemetry goes; it is shut down with the worker.
        """
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
        """Ends the holds, waits for what is in flight, and closes every client."""
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
                    self._app = await self._put_together(opening)
                    self._open = opening.pop_all()
                self._close_on_sigterm()
            return self._app

    async def _put_together(self, opening: AsyncExitStack) -> App:
        settings = self._settings
        clock, random = SystemClock(), Random()  # noqa: S311 - jitter, not a secret
        telemetry = self._pipeline.telemetry
        credential = await opening.enter_async_context(_credential(settings.azure_client_id))
        bus = TracingBus(
            ServiceBus(
                await opening.enter_async_context(await self._service_bus_client(opening)),
                topics=(settings.results_topic, settings.alerts_topic),
            ),
            telemetry,
        )
        arm = ArmClient(
            credential,
            settings.arm_cloud,
            await open_transport(settings.arm_cloud.endpoint, opening),
            (TracingPolicy(telemetry),),
        )
        postures, accounts = await self._stores(opening)
        durations = Durations(postures, settings.expected_minutes * 60)
        steps = Steps(
            arm=arm,
            gate=RateLimiter(settings.pace_per_minute),
            poll_limiter=RateLimiter(POLLS_PER_MINUTE),
            durations=durations,
            telemetry=telemetry,
            clock=clock,
            random=random,
            new_hold=lambda: Hold(
                settings.hold_seconds, time.monotonic, self._stopping, telemetry.waiting
            ),
            deadline=timedelta(minutes=settings.deadline_minutes),
        )
        alerts = AlertOutbox(
            store=postures,
            bus=bus,
            alerts_topic=settings.alerts_topic,
            clock=clock,
            reminder=timedelta(hours=settings.reminder_hours),
        )
        around = Surroundings(settings, bus, clock, random, self._stopping)
        assessor = Assessor(
            steps=steps,
            bus=bus,
            alerts=alerts,
            durations=durations,
            scans=make_scans(
                around, ComputeFleet(arm.client, settings.arm_cloud.endpoint), accounts
            ),
            telemetry=telemetry,
            clock=clock,
            random=random,
            entities=Entities(
                requests_queue=settings.requests_queue,
                in_progress_queue=settings.in_progress_queue,
                results_topic=settings.results_topic,
            ),
            allowed_scopes=settings.allowed_scopes,
        )
        return App(
            assessor=assessor,
            events=make_events(around, alerts, telemetry.metrics),
            schedule=make_schedule(around),
        )

    async def _stores(
        self, opening: AsyncExitStack
    ) -> tuple[MemoryPosture | TablePosture, ScanStore]:
        storage = table_storage(self._settings)
        if storage is None:
            _LOG.warning(
                "no storage is named: postures and scans are kept in this process only, so an "
                "alert that another worker fired will fire again, and a scan that another worker "
                "took part in ends as incomplete"
            )
            return MemoryPosture(), MemoryScans()
        tables = await open_tables(storage, opening)
        return (
            TablePosture(tables.get_table_client(self._settings.posture_table), ALERT_COLUMNS),
            TableScans(tables.get_table_client(self._settings.scan_table)),
        )

    async def _service_bus_client(self, opening: AsyncExitStack) -> ServiceBusClient:
        settings = self._settings
        if settings.service_bus_connection_string is not None:
            return ServiceBusClient.from_connection_string(settings.service_bus_connection_string)
        credential = await opening.enter_async_context(_credential(settings.service_bus_client_id))
        return ServiceBusClient(settings.service_bus_namespace or "", credential)

    def _close_on_sigterm(self) -> None:
        """Lets SIGTERM end the holds at once, then the worker as soon as nothing is in flight."""
        loop = asyncio.get_running_loop()

        def stop() -> None:
            loop.remove_signal_handler(signal.SIGTERM)
            self._stop_task = loop.create_task(self._stop())

        loop.add_signal_handler(signal.SIGTERM, stop)

    async def _stop(self) -> None:
        _LOG.info("the worker is told to go; %d invocations hand over", self._in_flight)
        await self.aclose()
        signal.raise_signal(signal.SIGTERM)  # and now as if nobody had asked to wait


def _credential(client_id: str | None) -> ManagedIdentityCredential:
    """Returns the managed identity: the user-assigned one of `client_id`, else the system's."""
    return ManagedIdentityCredential(client_id=client_id)
