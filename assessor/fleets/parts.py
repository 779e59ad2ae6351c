"""What the app does with whole fleets, put together."""

import time
from asyncio import Event
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from assessor.arm.hold import Hold
from assessor.bus.port import Bus
from assessor.clock import Clock
from assessor.events.intake import EventMetrics, FleetEvents, Retirement
from assessor.scans.expansion import Expander
from assessor.scans.listing import Fleet
from assessor.scans.scans import Scans
from assessor.scans.schedule import FleetSchedule
from assessor.scans.store import ScanStore
from assessor.scans.watch import Watcher
from assessor.settings import Settings


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What everything here works with.

    Attributes:
        settings: the app's.
        bus: where messages go.
        clock: tells the time.
        random: where jitter comes from.
        stopping: set when the worker is told to go.
    """

    settings: Settings
    bus: Bus
    clock: Clock
    random: Random
    stopping: Event


def make_scans(around: Surroundings, fleet: Fleet, store: ScanStore) -> Scans:
    """Returns what turns scopes into requests, and sums up what became of them."""
    settings = around.settings
    deadline = timedelta(minutes=settings.deadline_minutes)
    expander = Expander(
        fleet=fleet,
        bus=around.bus,
        store=store,
        clock=around.clock,
        random=around.random,
        new_hold=lambda: Hold(settings.hold_seconds, time.monotonic, around.stopping),
        requests_queue=settings.requests_queue,
        pace_per_minute=settings.pace_per_minute,
        deadline=deadline,
    )
    watcher = Watcher(
        store=store,
        bus=around.bus,
        clock=around.clock,
        random=around.random,
        results_topic=settings.results_topic,
        deadline=deadline,
    )
    return Scans(
        expander=expander,
        watcher=watcher,
        store=store,
        bus=around.bus,
        clock=around.clock,
        in_progress_queue=settings.in_progress_queue,
    )


def make_events(around: Surroundings, alerts: Retirement, metrics: EventMetrics) -> FleetEvents:
    """Returns what takes events."""
    settings = around.settings
    return FleetEvents(
        bus=around.bus,
        alerts=alerts,
        metrics=metrics,
        clock=around.clock,
        requests_queue=settings.requests_queue,
        results_topic=settings.results_topic,
        settle=timedelta(seconds=settings.event_settle_seconds),
        allowed_scopes=settings.allowed_scopes,
    )


def make_schedule(around: Surroundings) -> FleetSchedule:
    """Returns what asks for the scheduled scans."""
    settings = around.settings
    return FleetSchedule(
        bus=around.bus,
        clock=around.clock,
        requests_queue=settings.requests_queue,
        schedule=settings.scan_schedule,
        scopes=settings.scan_scopes,
        tags=settings.scan_tags,
    )
