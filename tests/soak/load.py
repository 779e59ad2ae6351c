"""What a soak sends, and what must come of it: requests, events, scans, looks for overdue VMs."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

from azure.servicebus import ServiceBusMessage

from assessor.messages.in_progress import in_progress_message
from assessor.messages.progress import Later, OverdueSweep
from assessor.messages.request import name_based_id
from localcloud.eventgrid import EventGrid, Habits, Schema
from localcloud.processes import Part
from tests.support.cloud_harness import (
    IN_PROGRESS,
    REQUESTS,
    SUBSCRIPTIONS,
    Harness,
    Published,
    Request,
    to_sdk,
    vm_id,
)
from tests.support.event_grid import requested
from tests.support.waiting import eventually

VMS: Final = 60
_SCANNED: Final = f"/subscriptions/{SUBSCRIPTIONS[0]}"
_SCANNED_VMS: Final = len(range(0, VMS, len(SUBSCRIPTIONS)))
_EVENT_EVERY, _SCAN_EVERY, _SWEEP_EVERY = 5, 90, 60
"""Seconds between two."""


@dataclass
class Load:
    """Sends a second's worth at a time, and knows what is owed for it.

    Attributes:
        owed: how many outcomes each request ID must get; a scan's are its VMs' and its own end.
        sent: how much of each kind was sent.
    """

    harness: Harness
    random: Random
    owed: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)

    async def run(self, seconds: float, requests_a_second: float) -> None:
        """Sends for so long, in real time; what can't be sent in its second is sent late."""
        began, second, due = time.monotonic(), 0, 0.0
        while second < seconds:
            due += requests_a_second
            await self._ask(int(due))
            due -= int(due)
            if second % _EVENT_EVERY == 0:
                await self._tell()
            if second % _SCAN_EVERY == 0:
                await self._scan()
            if second % _SWEEP_EVERY == 0:
                await self._sweep()
            second += 1
            await asyncio.sleep(max(0.0, began + second - time.monotonic()))

    async def _ask(self, number: int) -> None:
        asked = [
            Request(self._next("request"), vm_id(self.random.randrange(VMS))) for _ in range(number)
        ]
        if asked:
            await self.harness.ask(asked)
        self.owed.update(each.request_id for each in asked)

    async def _tell(self) -> None:
        name = self._next("event")
        data = {"vmId": vm_id(self.random.randrange(VMS)), "requestId": name}
        self.owed[name] += 1
        while not await self._delivered(requested(data, name), await serving(self.harness)):
            pass

    async def _delivered(self, event: Mapping[str, Any], host: Part) -> bool:
        """Returns whether the host took the event before it ended; the next has another port."""
        url = f"{host.ready['eventGridUrl']}?functionName=resource_events"
        habits = Habits(duplicates=0.2, time_scale=60.0, source=self.random)
        grid = EventGrid(self.harness.http, url, Schema.EVENT_GRID, habits)
        async with asyncio.TaskGroup() as group:
            publishing = group.create_task(grid.publish([event]))
            await asyncio.wait({publishing, host.ended}, return_when=asyncio.FIRST_COMPLETED)
            publishing.cancel()
        return not publishing.cancelled()

    async def _scan(self) -> None:
        name = self._next("scan")
        body = f'{{"scope": "{_SCANNED}", "requestId": "{name}"}}'
        await self.harness.send(REQUESTS, [ServiceBusMessage(body, message_id=name)])
        self.owed[name] += _SCANNED_VMS + 1

    async def _sweep(self) -> None:
        name = self._next("sweep")
        now = datetime.now(UTC)
        sweep = OverdueSweep(name_based_id("soak", name, now.isoformat()))
        await self.harness.send(
            IN_PROGRESS, [to_sdk(in_progress_message(Later(sweep, now, "a soak")))]
        )

    def _next(self, kind: str) -> str:
        self.sent[kind] += 1
        return f"{kind}-{self.sent[kind]}"


async def serving(harness: Harness) -> Part:
    """Returns a host that runs, as soon as there is one."""

    async def one_runs() -> bool:
        return any(not each.ended.done() for each in harness.cloud.hosts)

    await eventually(one_runs, "a host that runs")
    return next(each for each in harness.cloud.hosts if not each.ended.done())


@dataclass(frozen=True)
class Account:
    """What came of a load.

    Attributes:
        missing: outcomes that are owed and did not come, by request ID.
        beyond: those that came and are not owed.
        types: what came, by type.
    """

    missing: Mapping[str, int]
    beyond: Mapping[str, int]
    types: Mapping[str, int]


def account(owed: Counter[str], outcomes: Sequence[Published]) -> Account:
    """Returns how what came compares with what is owed; each message ID counts once."""
    came = {each.message_id: each for each in outcomes}
    told: Counter[Any] = Counter(each.request_id for each in came.values())
    return Account(
        missing=dict(owed - told),
        beyond=dict(told - owed) | {"twice": len(outcomes) - len(came)}
        if len(outcomes) > len(came)
        else dict(told - owed),
        types=dict(Counter(each.type for each in came.values())),
    )
