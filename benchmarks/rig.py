"""One local cloud with one function app at work on it: what figures do to it, and read off it.

Everything is read where it can't be argued away: what was done from the bus and from ARM, what it
took from the kernel. Waiting is always for a condition with a description. Telemetry is off: no
OTEL variable of the shell reaches the app, unless the figure sets one.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import aiohttp
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from benchmarks.fleet import Fleet
from benchmarks.usage import Usage, read_usage, reset_peak
from localcloud.cloud import CloudOptions, LocalCloud
from localcloud.control import Control

ROOT: Final = Path(__file__).resolve().parents[1]
_REQUESTS: Final = "assessment-requests"
_IN_PROGRESS: Final = "assessments-in-progress"
_OUTCOMES: Final = "assessment-results/Subscriptions/all"
_ALERTS: Final = "patch-alerts/Subscriptions/all"
_LOOK_SECONDS: Final = 0.1
_BATCH: Final = 100
_TAIL_LINES: Final = 15


class RigError(Exception):
    """A benchmark could not be carried through; the host's log goes with it, so its end is told."""

    def __init__(self, problem: str, log: Path) -> None:
        lines = log.read_text("utf-8", errors="replace").splitlines() if log.exists() else []
        said = "\n".join(f"  {line}" for line in lines[-_TAIL_LINES:])
        super().__init__(f"{problem}. The last lines of the host's log:\n{said}")


@dataclass(frozen=True, slots=True)
class RigOptions:
    """What to run.

    Attributes:
        app: The directory of the function app that does the work.
        fleet: The VMs.
        time_scale: How many times faster than real assessments run.
        tables: Whether there is an Azurite.
        settings: More app settings; they win over the local cloud's.
    """

    app: Path
    fleet: Fleet
    time_scale: float = 1.0
    tables: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was used and done by a moment.

    Attributes:
        worker: The process that does the assessments.
        host: The one that receives and settles for it.
        calls: ARM's calls by operation.
        sends: How many messages the app has sent.
    """

    worker: Usage
    host: Usage
    calls: Mapping[str, int]
    sends: int


class Rig:
    """A local cloud, its one host, and the controls of both."""

    def __init__(self, cloud: LocalCloud, control: Control, client: ServiceBusClient) -> None:
        self.cloud = cloud
        self._host = cloud.hosts[0]
        self._control = control
        self._client = client

    async def send(self, requests: Sequence[ServiceBusMessage]) -> None:
        """Sends requests, many in one transfer."""
        async with self._client.get_queue_sender(_REQUESTS) as sender:
            for start in range(0, len(requests), _BATCH):
                await sender.send_messages(list(requests[start : start + _BATCH]))

    async def until_done(self, outcomes: int, within: float) -> None:
        """Waits until so many outcomes are there and all that led to them is settled.

        Raises:
            RigError: They are not in time, or something failed on the way: then the numbers are
                not those of the work.
            PartError: A part of the cloud ended.
        """
        await self.cloud.guard(self._until_done(outcomes, within))
        counts = await self._control.counts()
        status = await self._control.host_status(str(self._host.ready["controlUrl"]))
        failures = {
            "failed outcomes": counts["assessment-results/Subscriptions/failures"].total,
            "rejected requests": counts["assessment-results/Subscriptions/rejected"].total,
            "dead letters": counts[_REQUESTS].dead_letter + counts[_IN_PROGRESS].dead_letter,
            "failed invocations": status["invocations"]["failed"],
        }
        if any(failures.values()):
            raise RigError(f"The run is spoiled: {failures}", self._host.options.log)

    async def reset_peak(self) -> None:
        """Begins the worker's peak memory anew."""
        reset_peak(await self._worker_pid())

    async def snapshot(self) -> Snapshot:
        """Returns what was used and done by now."""
        counts = await self._control.counts()
        return Snapshot(
            worker=read_usage(await self._worker_pid()),
            host=read_usage(self._host.pid),
            calls=(await self._control.calls())["byOperation"],
            sends=sum(counts[entity].total for entity in (_IN_PROGRESS, _OUTCOMES, _ALERTS)),
        )

    async def _until_done(self, outcomes: int, within: float) -> None:
        end = time.monotonic() + within
        while True:
            counts = await self._control.counts()
            if counts[_OUTCOMES].total >= outcomes and not (
                counts[_REQUESTS].left + counts[_IN_PROGRESS].left
            ):
                return
            if time.monotonic() >= end:
                problem = f"Not within {within:g} s: {outcomes} outcomes and nothing left; {counts}"
                raise RigError(problem, self._host.options.log)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _worker_pid(self) -> int:
        status = await self._control.host_status(str(self._host.ready["controlUrl"]))
        return int(status["workerPid"])


@asynccontextmanager
async def running(options: RigOptions) -> AsyncIterator[Rig]:
    """Runs an app on a local cloud of its own; everything that is written goes with it.

    Args:
        options: What to run.

    Yields:
        The rig, when the app serves.

    Raises:
        PartError: A part does not start.
    """
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="bench-")))
        scenario = directory / "fleet.json"
        scenario.write_text(json.dumps(options.fleet.scenario()))
        untold = {name: "" for name in os.environ if name.startswith("OTEL_")}
        made = CloudOptions(
            logs=directory / "logs",
            app=options.app,
            scenario=scenario,
            time_scale=options.time_scale,
            tables=options.tables,
            drain_seconds=5.0,
            settings={**untold, **options.settings},
        )
        cloud = await stack.enter_async_context(LocalCloud(made))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        client = ServiceBusClient.from_connection_string(cloud.connection_string)
        control = Control(http, cloud.control_addresses)
        yield Rig(cloud, control, await stack.enter_async_context(client))
