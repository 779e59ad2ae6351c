"""The look at overdue VMs over a posture table, as a process whose time and memory are told.

`python -m benchmarks.overdue` looks at the table that the settings PostureStorage and POSTURE_TABLE
name, and prints a line of JSON; benchmarks/posture.py starts it.
"""

import asyncio
import json
import os
import resource
import time
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

from azure.data.tables.aio import TableClient
from opentelemetry.metrics import NoOpMeterProvider

from assessor.alerts.outbox import AlertOutbox
from assessor.alerts.rule import AlertPolicy
from assessor.alerts.rules import ALERT_COLUMNS
from assessor.alerts.sweep import WINDOW_SECONDS, Sweeper
from assessor.assessment.rescheduler import Rescheduler
from assessor.clock import PollingWindow
from assessor.messages.in_progress import parse_in_progress
from assessor.messages.progress import OverdueSweep
from assessor.posture.tables import TablePosture
from assessor.telemetry.metrics import Metrics
from tests.support.memory_bus import MemoryBus

_STORAGE: Final = "PostureStorage"
TABLE: Final = "vmposture"
NOW: Final = datetime(2026, 7, 1, 2, 0, tzinfo=UTC)
OVERDUE: Final = timedelta(hours=50)


class _Night:
    """A clock that stands: the fleet's assessments are told apart by their age."""

    def now(self) -> datetime:
        return NOW


async def sweep(connection_string: str, table_name: str) -> dict[str, float]:
    """Looks at every VM as the timer has it done, message by message; returns what that took."""
    bus, clock = MemoryBus(), _Night()
    metrics = Metrics(NoOpMeterProvider().get_meter("benchmark"))
    policy = AlertPolicy(overdue=OVERDUE)
    async with TableClient.from_connection_string(connection_string, table_name) as table:
        store = TablePosture(table, ALERT_COLUMNS)
        sweeper = Sweeper(
            store=store,
            outbox=AlertOutbox(
                store=store, bus=bus, alerts_topic="alerts", clock=clock, policy=policy
            ),
            rescheduler=Rescheduler(bus, "in-progress", metrics, clock),
            clock=clock,
            random=Random(1),
            metrics=metrics,
            new_window=lambda: PollingWindow(WINDOW_SECONDS, time.monotonic, asyncio.Event()),
            policy=policy,
        )
        invocations, step = 0, OverdueSweep("benchmark")
        began = time.monotonic()
        while True:
            await sweeper.resume(step)
            invocations += 1
            later = bus.sent.pop("in-progress", [])
            if not later:
                break
            following = parse_in_progress(later[-1].body)
            if isinstance(following, OverdueSweep):
                step = following
        return {
            "seconds": time.monotonic() - began,
            "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "invocations": invocations,
            "alerts": len(bus.sent.get("alerts", [])),
        }


if __name__ == "__main__":
    told = asyncio.run(sweep(os.environ[_STORAGE], os.environ["POSTURE_TABLE"]))
    print(json.dumps(told))
