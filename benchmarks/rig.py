"""One local cloud with one crew at work on it: what figures do to it, and read off it.

Everything is read where it can't be argued away: what was done from the bus and from ARM, what it
took from the kernel. Waiting is always for a condition with a description. Telemetry is off: no
OTEL variable of the shell reaches the app, unless the figure sets one.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import aiohttp
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from benchmarks.crew import ROOT, Crew, start_crew
from benchmarks.errors import NotReachedError, SpoiledError
from benchmarks.fleet import Fleet, request
from benchmarks.snapshot import ALERTS, IN_PROGRESS, OUTCOMES, REQUESTS, Snapshot
from benchmarks.usage import Usage, read_usage, reset_peak
from localcloud.cloud import CloudOptions, LocalCloud
from localcloud.control import Control, Counts
from localcloud.processes import Part

_BOUND_SECONDS: Final = 300.0
_LOOK_SECONDS: Final = 0.1
_BATCH: Final = 100


@dataclass(frozen=True, slots=True)
class RigOptions:
    """What to run.

    Attributes:
        crew: Who does the work.
        fleet: The VMs.
        time_scale: How many times faster than real assessments run.
        tables: Whether there is an Azurite.
        settings: More app settings; they win over the crew's and the local cloud's.
        drain_seconds: How long the host may take for what is in flight at the end.
    """

    crew: Crew
    fleet: Fleet
    time_scale: float = 1.0
    tables: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    drain_seconds: float = 5.0


class Rig:
    """A local cloud, its crew, and the controls of both."""

    def __init__(
        self,
        cloud: LocalCloud,
        crew: Part,
        http: aiohttp.ClientSession,
        client: ServiceBusClient,
    ) -> None:
        self.cloud = cloud
        self._crew = crew
        self._control = Control(http, cloud.control_addresses)
        self._client = client

    # What is asked of the crew.

    async def ask(self, vms: Sequence[int]) -> None:
        """Sends a request for each VM."""
        await self.send([request(vm) for vm in vms])

    async def send(self, requests: Sequence[ServiceBusMessage]) -> None:
        """Sends requests, many in one transfer."""
        async with self._client.get_queue_sender(REQUESTS) as sender:
            for start in range(0, len(requests), _BATCH):
                await sender.send_messages(list(requests[start : start + _BATCH]))

    # What is waited for.

    async def until(
        self,
        condition: Callable[[], Awaitable[bool]],
        what: str,
        within: float = _BOUND_SECONDS,
    ) -> None:
        """Waits until a condition holds.

        Args:
            condition: Whether it does.
            what: What is waited for, in words.
            within: For how many seconds at the most.

        Raises:
            NotReachedError: It does not in time.
            PartError: A part of the cloud, or the crew, ended.
        """

        async def hold() -> None:
            end = time.monotonic() + within
            while not await condition():
                if self._crew.ended.done():
                    raise self._crew.ended_early()
                if time.monotonic() >= end:
                    raise NotReachedError(what, within, await self.counts(), self._crew.options.log)
                await asyncio.sleep(_LOOK_SECONDS)

        await self.cloud.guard(hold())

    async def until_done(self, outcomes: int, within: float = _BOUND_SECONDS) -> None:
        """Waits until so many outcomes are there and all that led to them is settled.

        Raises:
            NotReachedError: They are not in time.
            SpoiledError: Something failed on the way.
        """

        async def done() -> bool:
            counts = await self.counts()
            left = counts[REQUESTS].left + counts[IN_PROGRESS].left
            return counts[OUTCOMES].total >= outcomes and left == 0

        await self.until(done, f"{outcomes} outcomes and nothing left in the queues", within)
        await self.check()

    # What is read off.

    async def check(self) -> None:
        """Makes sure that all went well so far; raises SpoiledError."""
        counts = await self.counts()
        failures = {
            "failed outcomes": counts["assessment-results/Subscriptions/failures"].total,
            "rejected requests": counts["assessment-results/Subscriptions/rejected"].total,
            "dead letters": counts[REQUESTS].dead_letter + counts[IN_PROGRESS].dead_letter,
        }
        if self._is_host:
            failures["failed invocations"] = (await self.host_status())["invocations"]["failed"]
        found = {what: often for what, often in failures.items() if often}
        if found:
            raise SpoiledError(found, self._crew.options.log)

    async def counts(self) -> Mapping[str, Counts]:
        """Returns the counts of every queue and subscription, by the bus's names."""
        return await self._control.counts()

    async def calls(self) -> Mapping[str, int]:
        """Returns how often each of ARM's operations was called."""
        counted: Mapping[str, int] = (await self._control.calls())["byOperation"]
        return counted

    async def host_status(self) -> Mapping[str, Any]:
        """Returns what the Functions host says of itself."""
        return await self._control.host_status(str(self._crew.ready["controlUrl"]))

    async def worker_pid(self) -> int:
        """Returns the process that does the assessments."""
        said = await self.host_status() if self._is_host else self._crew.ready
        return int(said["workerPid"])

    async def worker_usage(self) -> Usage:
        """Returns what the worker has used."""
        return read_usage(await self.worker_pid())

    async def reset_peak(self) -> None:
        """Begins the worker's peak memory anew."""
        reset_peak(await self.worker_pid())

    async def snapshot(self) -> Snapshot:
        """Returns what was used and done by now."""
        counts, calls = await self.counts(), await self.calls()
        sends = sum(counts[entity].total for entity in (IN_PROGRESS, OUTCOMES, ALERTS))
        return Snapshot(
            at=time.monotonic(),
            worker=await self.worker_usage(),
            host=read_usage(self._crew.pid),
            bus=read_usage(self.cloud.bus.pid),
            arm=read_usage(self.cloud.arm.pid),
            calls=calls,
            sends=sends,
        )

    @property
    def _is_host(self) -> bool:
        return "controlUrl" in self._crew.ready


@asynccontextmanager
async def running(options: RigOptions) -> AsyncIterator[Rig]:
    """Runs a crew on a local cloud of its own; everything that is written goes with it.

    Args:
        options: What to run.

    Yields:
        The rig, when the crew is ready.

    Raises:
        PartError: A part does not start.
    """
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="bench-")))
        cloud = await stack.enter_async_context(LocalCloud(_cloud_options(options, directory)))
        crew = await start_crew(options.crew, cloud, directory, options.drain_seconds)
        stack.push_async_callback(crew.stop)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        client = ServiceBusClient.from_connection_string(cloud.connection_string)
        yield Rig(cloud, crew, http, await stack.enter_async_context(client))


def _cloud_options(options: RigOptions, directory: Path) -> CloudOptions:
    scenario = directory / "fleet.json"
    scenario.write_text(json.dumps(options.fleet.scenario()))
    untold = {name: "" for name in os.environ if name.startswith("OTEL_")}
    return CloudOptions(
        logs=directory / "logs",
        entities=ROOT / "infra" / "servicebus.json",
        scenario=scenario,
        time_scale=options.time_scale,
        tables=options.tables,
        hosts=0,
        settings={**untold, **options.crew.settings, **options.settings},
    )
