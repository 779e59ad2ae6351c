"""Workers: the app as `build_app` makes it, each with slots for messages.

What the simulation stands in for are the ports, the time, and storage, which here is one memory for
all workers. Telemetry goes nowhere.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Final

from opentelemetry.sdk.trace.sampling import DEFAULT_ON
from opentelemetry.trace import INVALID_SPAN, NoOpTracer, Span
from opentelemetry.util.types import AttributeValue

from assessor.app import build_app
from assessor.messages.in_progress import parse_in_progress
from assessor.messages.request import IncomingMessage
from assessor.ports import Arm, Ports, ScanStore, VmLister
from assessor.posture.store import MemoryPosture
from assessor.settings import Settings
from assessor.telemetry.context import AssessmentIdGenerator, Delivery
from assessor.telemetry.records import Records
from assessor.telemetry.telemetry import Telemetry
from tests.simulation.bus import Delivered, SimulatedBus
from tests.simulation.clock import SimulatedClock
from tests.support.app import no_metrics

SLOTS: Final = 64
"""How many messages of each queue a worker handles at once: maxConcurrentCalls in host.json."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all workers share.

    Attributes:
        settings: the app's.
        arm: ARM.
        fleet: its lists.
        bus: where messages go.
        clock: tells the time.
        postures: remembers VMs.
        accounts: remembers scans.
    """

    settings: Settings
    arm: Arm
    fleet: VmLister
    bus: SimulatedBus
    clock: SimulatedClock
    postures: MemoryPosture
    accounts: ScanStore


class Worker:
    """One instance of the app."""

    def __init__(self, around: Surroundings, random: Random) -> None:
        """Puts the app together.

        Args:
            around: what it works with.
            random: where its jitter comes from.
        """
        self._around = around
        self._app = build_app(
            around.settings,
            Ports(
                clock=around.clock,
                bus=around.bus,
                arm=around.arm,
                lister=around.fleet,
                postures=around.postures,
                scans=around.accounts,
                telemetry=_Silence(
                    NoOpTracer(), AssessmentIdGenerator(), DEFAULT_ON, no_metrics(), Records()
                ),
                random=random,
                monotonic=around.clock.seconds,
            ),
        )

    def start(self, tasks: asyncio.TaskGroup) -> Sequence[asyncio.Task[None]]:
        """Starts the slots; returns their tasks, which end with the first error in a handler."""
        settings = self._around.settings
        return [
            tasks.create_task(self._serve(queue))
            for queue in (settings.requests_queue, settings.in_progress_queue)
            for _ in range(SLOTS)
        ]

    async def _serve(self, queue: str) -> None:
        bus = self._around.bus
        handle = self._start if queue == self._around.settings.requests_queue else self._resume
        while True:
            await handle(await bus.receive(queue))
            bus.complete()

    async def _start(self, delivered: Delivered) -> None:
        """Does what `handlers.requests` does."""
        message = delivered.message
        await self._app.requests.receive(
            IncomingMessage(
                body=message.body,
                message_id=message.message_id,
                content_type=message.content_type,
                application_properties=message.application_properties,
                enqueued_at=delivered.enqueued_at,
            )
        )

    async def _resume(self, delivered: Delivered) -> None:
        """Does what `handlers.in_progress` does."""
        await self._app.resume(parse_in_progress(delivered.message.body))


class _Silence(Telemetry):
    """Telemetry that goes nowhere, and does not get ready to: that was a seventh of a round."""

    @contextmanager
    def processing(self, delivery: Delivery, now: datetime) -> Iterator[None]:
        """Lets the invocation run."""
        del delivery, now
        yield

    def begun(self, activity_id: str, root_span_id: str, *, adopted: bool) -> None:
        """Tells nobody."""

    @contextmanager
    def sending(self, entity: str, attributes: Mapping[str, AttributeValue]) -> Iterator[Span]:
        """Lets the transfer happen."""
        del entity, attributes
        yield INVALID_SPAN

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Lets the wait last."""
        yield
