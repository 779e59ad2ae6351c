"""An hour of mixed load on the local cloud, with faults that come and go: `make soak`.

`make soak ARGS='--minutes 10'` is shorter. It ends with a table of what was held, and fails where
memory or connections of the app grow, a message is left, or a request is not accounted for. Left
out: the memory of the local cloud itself, which keeps every outcome.
"""
# ruff: noqa: T201 - a command that prints

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from localcloud.control import ControlError
from tests.soak.load import VMS, Load, account, serving
from tests.support.cloud_harness import IN_PROGRESS, REQUESTS, Harness, Plan, fleet, running
from tests.support.waiting import eventually

_CALM, _TROUBLE = 20.0, 20.0
"""Seconds between two faults, and that one lasts."""
_SAMPLE_EVERY: Final = 5.0
_GROWTH: Final = 1.15
"""More memory in the last third than in the one before is a leak."""
_MORE_FILES: Final = 20
_FINISH_SECONDS: Final = 600.0
_ARM_FAULTS: Final = (
    {"answer": {"status": 429, "retryAfter": 2}, "probability": 0.2},
    {"answer": 500, "probability": 0.1},
    {"answer": 503, "probability": 0.1},
    {"answer": "reset", "probability": 0.05},
    {"answer": "reset-after", "probability": 0.05},
    {"answer": {"slow": 1.0}, "probability": 0.1},
)


@dataclass
class Troubles:
    """Breaks something, and mends it, in turn.

    Attributes:
        kills_until: workers are killed until then, by the clock of time.monotonic, so that what is
            measured after is of one process.
        dealt: how often each was done.
    """

    harness: Harness
    kills_until: float
    dealt: Counter[str] = field(default_factory=Counter)

    async def run(self) -> None:
        """Goes on until it is cancelled, and leaves everything mended."""
        turns: Sequence[Callable[[], Awaitable[None]]] = (
            self._arm,
            self._bus,
            self._connections,
            self._locks,
            self._worker,
        )
        turn = 0
        try:
            while True:
                await asyncio.sleep(_CALM)
                each = turns[turn % len(turns)]
                turn += 1
                await each()
        finally:
            await self.harness.mend_arm()
            await self.harness.mend_bus()

    async def _arm(self) -> None:
        await self.harness.break_arm(*_ARM_FAULTS)
        await asyncio.sleep(_TROUBLE)
        self.dealt["calls of ARM refused, broken or slow"] += sum(await self.harness.faults_used())
        await self.harness.mend_arm()

    async def _bus(self) -> None:
        await self.harness.break_bus(
            entity="assessment-results",
            operation="send",
            condition="com.microsoft:server-busy",
            seconds=5,
        )
        await asyncio.sleep(_TROUBLE)
        await self.harness.mend_bus()
        self.dealt["the results topic busy for 5 s"] += 1

    async def _connections(self) -> None:
        await self.harness.bus_control("/connections/drop")
        self.dealt["all connections of the bus cut"] += 1

    async def _locks(self) -> None:
        for queue in (REQUESTS, IN_PROGRESS):
            lost = await self.harness.bus_control("/locks/expire", entity=queue)
            self.dealt["locks lost"] += lost["expired"]

    async def _worker(self) -> None:
        if time.monotonic() < self.kills_until:
            host = await serving(self.harness)
            self.dealt["workers killed"] += await self.harness.kill_worker(host)


async def replace_hosts(harness: Harness, replaced: Counter[str]) -> None:
    """Starts another host where one has ended, as the platform does, until it is cancelled.

    A host ends when its worker has gone three times.
    """
    while True:
        (host,) = harness.cloud.hosts
        await asyncio.wait({host.ended})
        await harness.cloud.add_host()
        await harness.cloud.kill_host(host)
        replaced["hosts replaced"] += 1


@dataclass(frozen=True)
class Sample:
    """What the worker holds at one moment: kilobytes of memory, open files and connections."""

    at: float
    pid: int
    kilobytes: int
    files: int


async def watch(harness: Harness, samples: list[Sample]) -> None:
    """Samples the worker until it is cancelled."""
    while True:
        host = await serving(harness)
        try:
            pid = (await harness.host_status(host))["workerPid"]
            samples += _sample(int(pid)) if pid is not None else []
        except (ControlError, OSError):
            pass  # one of both ended just now
        await asyncio.sleep(_SAMPLE_EVERY)


def _sample(pid: int) -> list[Sample]:
    """Returns what the process holds; nothing of one that was killed and has no memory any more."""
    process = Path(f"/proc/{pid}")
    status = (process / "status").read_text().splitlines()
    files = sum(1 for _ in (process / "fd").iterdir())
    held = [int(each.split()[1]) for each in status if each.startswith("VmRSS:")]
    return [Sample(time.monotonic(), pid, kilobytes, files) for kilobytes in held]


async def soak(minutes: float, requests_a_second: float, folder: Path) -> bool:
    """Runs it; prints what came of it, and returns whether all was held."""
    seconds, random = minutes * 60, Random(1)  # the same load each time
    settings = {"ALERT_OVERDUE_HOURS": "1", "SCAN_PACE_PER_MINUTE": "200"}
    plan = Plan(fleet(VMS, random), tables=True, calls=32, lock="PT30S", settings=settings)
    samples: list[Sample] = []
    async with running(folder, plan) as harness:
        load, began = Load(harness, random), time.monotonic()
        troubles = Troubles(harness, began + seconds / 3)
        async with asyncio.TaskGroup() as beside:
            watching = beside.create_task(watch(harness, samples))
            replacing = beside.create_task(replace_hosts(harness, troubles.dealt))
            troubling = beside.create_task(troubles.run())
            await load.run(seconds, requests_a_second)
            sent_in = time.monotonic() - began
            troubling.cancel()
            await asyncio.wait({troubling})
            replacing.cancel()
            # Not harness.until_told: a host that ended and was replaced is no failure here.
            owed = load.owed.total()
            what = f"{owed} outcomes and nothing left in the queues"
            try:
                await eventually(lambda: harness.is_told(owed), what, _FINISH_SECONDS)
            except AssertionError as error:
                print(error)  # the account says which are missing
            watching.cancel()
        told = account(load.owed, await harness.outcomes())
        dead = [(await harness.counts(each)).dead_letter for each in (REQUESTS, IN_PROGRESS)]
        left = await harness.left()
    before, after = _thirds(samples, began, sent_in)
    checks = {
        f"of {load.owed.total()} outcomes {sum(told.missing.values())} missing": not told.missing,
        f"beyond these: {told.beyond or 'none'}": not told.beyond,
        f"dead letters: {sum(dead)}": not any(dead),
        f"messages left: {left}": not left,
        _said("memory, MB", before, after, lambda each: each.kilobytes / 1024): _median(
            after, lambda each: each.kilobytes
        )
        <= _GROWTH * _median(before, lambda each: each.kilobytes),
        _said("open files and connections", before, after, lambda each: each.files): _median(
            after, lambda each: each.files
        )
        <= _median(before, lambda each: each.files) + _MORE_FILES,
    }
    print(f"{sent_in / 60:.1f} minutes; sent: {dict(load.sent)}; came: {told.types}")
    print(f"faults: {dict(troubles.dealt)}")
    for text, held in checks.items():
        print(f"{'held  ' if held else 'BROKEN'}  {text}")
    return all(checks.values())


def _thirds(
    samples: Sequence[Sample], began: float, seconds: float
) -> tuple[list[Sample], list[Sample]]:
    """Returns the samples of the second third and of the last one, of the last worker."""
    mine = [each for each in samples if each.pid == samples[-1].pid]
    ends = began + seconds / 3, began + 2 * seconds / 3, began + seconds
    return (
        [each for each in mine if ends[0] < each.at <= ends[1]],
        [each for each in mine if ends[1] < each.at <= ends[2]],
    )


def _median(samples: Sequence[Sample], of: Callable[[Sample], float]) -> float:
    return statistics.median(map(of, samples)) if samples else 0.0


def _said(
    what: str,
    before: Sequence[Sample],
    after: Sequence[Sample],
    of: Callable[[Sample], float],
) -> str:
    return f"{what}: {_median(before, of):.0f} in the second third, {_median(after, of):.0f} after"


def main() -> None:
    """Runs what the command line says."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--requests-a-second", type=float, default=2.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        held = asyncio.run(soak(options.minutes, options.requests_a_second, Path(folder)))
    sys.exit(not held)


if __name__ == "__main__":
    main()
