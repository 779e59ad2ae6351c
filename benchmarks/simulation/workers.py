"""Workers: the app, put together as `assessor.worker` does it, each with slots for messages.

What differs is what the simulation stands in for: the ports, the time, and storage, which here is
one memory for all workers. Telemetry goes nowhere.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final

from opentelemetry.trace import NoOpTracer

from assessor.alerts.outbox import AlertOutbox
from assessor.arm.hold import Hold
from assessor.arm.port import Arm
from assessor.arm.rate_limiter import POLLS_PER_MINUTE, RateLimiter
from assessor.assessment.assessor import Assessor, Entities
from assessor.assessment.state_machine import Steps
from assessor.messages.request import IncomingMessage
from assessor.posture.durations import Durations
from assessor.posture.store import MemoryPosture
from assessor.scans.expansion import Expander
from assessor.scans.listing import Fleet
from assessor.scans.progress import read_in_progress
from assessor.scans.scans import Scans
from assessor.scans.store import ScanStore
from assessor.scans.watch import Watcher
from assessor.settings import Settings
from assessor.telemetry.telemetry import AssessmentIdGenerator, Delivery, Telemetry
from benchmarks.simulation.bus import Delivered, SimulatedBus
from benchmarks.simulation.clock import SimulatedClock

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
    fleet: Fleet
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
        self._assessor = _make_assessor(around, random)

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
        await self._assessor.take_request(
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
        await self._assessor.take_over(read_in_progress(delivered.message.body))


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
    def waiting(self) -> Iterator[None]:
        """Lets the wait last."""
        yield


def _make_assessor(around: Surroundings, random: Random) -> Assessor:
    settings = around.settings
    telemetry = _Silence(NoOpTracer(), AssessmentIdGenerator())
    stopping = asyncio.Event()
    durations = Durations(around.postures, settings.expected_minutes * 60)
    steps = Steps(
        arm=around.arm,
        gate=RateLimiter(settings.pace_per_minute),
        poll_limiter=RateLimiter(POLLS_PER_MINUTE),
        durations=durations,
        telemetry=telemetry,
        clock=around.clock,
        random=random,
        new_hold=lambda: Hold(
            settings.hold_seconds, around.clock.seconds, stopping, telemetry.waiting
        ),
        deadline=timedelta(minutes=settings.deadline_minutes),
    )
    alerts = AlertOutbox(
        store=around.postures,
        bus=around.bus,
        alerts_topic=settings.alerts_topic,
        clock=around.clock,
        reminder=timedelta(hours=settings.reminder_hours),
    )
    return Assessor(
        steps=steps,
        bus=around.bus,
        alerts=alerts,
        durations=durations,
        scans=_make_scans(around, random, stopping),
        telemetry=telemetry,
        clock=around.clock,
        random=random,
        entities=Entities(
            requests_queue=settings.requests_queue,
            in_progress_queue=settings.in_progress_queue,
            results_topic=settings.results_topic,
        ),
        allowed_scopes=settings.allowed_scopes,
    )


def _make_scans(around: Surroundings, random: Random, stopping: asyncio.Event) -> Scans:
    """Returns what `assessor.fleets.parts` makes, whose holds read the machine's clock."""
    settings = around.settings
    deadline = timedelta(minutes=settings.deadline_minutes)
    return Scans(
        expander=Expander(
            fleet=around.fleet,
            bus=around.bus,
            store=around.accounts,
            clock=around.clock,
            random=random,
            new_hold=lambda: Hold(settings.hold_seconds, around.clock.seconds, stopping),
            requests_queue=settings.requests_queue,
            pace_per_minute=settings.pace_per_minute,
            deadline=deadline,
        ),
        watcher=Watcher(
            store=around.accounts,
            bus=around.bus,
            clock=around.clock,
            random=random,
            results_topic=settings.results_topic,
            deadline=deadline,
        ),
        store=around.accounts,
        bus=around.bus,
        clock=around.clock,
        in_progress_queue=settings.in_progress_queue,
    )
