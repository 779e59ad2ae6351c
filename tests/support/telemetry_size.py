"""How much one assessment sends to Application Insights: `python -m tests.support.telemetry_size`.

A first scan of Windows VMs that take eleven minutes each, as the recorded one did, all traces kept:
the whole app with a worker's telemetry and the real exporters, in virtual time, with metrics as
often as a worker sends them. The host's own share is not in it.
"""

import asyncio
import json
import logging
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from assessor.arm.errors import Phase
from assessor.arm.operation import Begun, Ended, Running
from assessor.arm.virtual_machine import VirtualMachine
from assessor.resource_id import VirtualMachineId
from assessor.telemetry.logs import OtlpHandler
from assessor.telemetry.setup import TelemetryPipeline, exporters_of
from tests.support.fakes import FakeClock
from tests.support.ingestion import INSTRUMENTATION_KEY, Ingestion, ingestion
from tests.support.mixed_fleet import FleetArm, Host, Night, found, stamped_by

VMS: Final = 30
TOOK: Final = timedelta(minutes=11, seconds=5)
QUIET: Final = {
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED": "true",
    "APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED": "true",
}
"""What infra/ sets beside the connection string."""


@dataclass(frozen=True)
class Size:
    """What one assessment sends.

    Attributes:
        items: rows.
        kilobytes: as JSON on the wire, uncompressed.
        kinds: rows by their kind and name.
        parts: kilobytes by what Azure Monitor calls the rows' kind.
        invocations: how often the app was called.
    """

    items: float
    kilobytes: float
    kinds: Mapping[str, float]
    parts: Mapping[str, float]
    invocations: float


class LongArm(FleetArm):
    """ARM whose assessments take TOOK, and which tells of its policies."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self._begun: dict[str, datetime] = {}

    async def read(self, vm_id: VirtualMachineId) -> VirtualMachine:
        """Reads a Windows VM."""
        self._draw("LowCostGetVM3Min", "LowCostGetVM30Min")
        return replace(await super().read(vm_id), os_type="Windows")

    async def begin(self, vm_id: VirtualMachineId, client_request_id: str) -> Begun:
        """Begins one."""
        self._draw("UpdateVM3Min", "UpdateVM30Min")
        self._begun[vm_id.name] = self._clock.now()
        return await super().begin(vm_id, client_request_id)

    async def poll(self, vm_id: VirtualMachineId, token: str, activity_id: str) -> Running | Ended:
        """Ends once the time is over."""
        self._draw("GetOperation3Min", "GetOperation30Min")
        if self._clock.now() < self._begun[vm_id.name] + TOOK:
            self._answer(vm_id, Phase.POLL, "GET locations/operations", 200)
            return Running()
        self._polls[f"{vm_id.name}{self.night}"] += 1
        return await super().poll(vm_id, token, activity_id)

    def _night(self, name: str) -> Night:
        del name
        return found(3)

    def _draw(self, *policies: str) -> None:
        for policy in policies:
            if "/" not in policy:  # its own, by kind of call; not the one that stands for all
                super()._draw(f"Microsoft.Compute/{policy}")


async def measure() -> Size:
    """Runs the scan, and returns what its assessments sent."""
    async with ingestion() as (taken, endpoint):
        environment = {
            "APPLICATIONINSIGHTS_CONNECTION_STRING": (
                f"InstrumentationKey={INSTRUMENTATION_KEY};IngestionEndpoint={endpoint}"
            )
        }
        pipeline = TelemetryPipeline(environment, exporters_of(environment))
        clock = FakeClock(datetime.now(UTC) - timedelta(hours=2))
        names = [f"windows-{number:02}" for number in range(VMS)]
        host = Host(pipeline, clock, LongArm(clock), names)
        host.tick = lambda: asyncio.to_thread(pipeline.meters.force_flush)
        with heard(pipeline), stamped_by(clock):
            await host.start()
            await host.app.schedule.fire()
            await host.run()
        await asyncio.to_thread(pipeline.shutdown)
    return _size(taken)


def _size(taken: Ingestion) -> Size:
    kinds = Counter(_kind(item) for item in taken.items)
    parts: Counter[str] = Counter()
    for item in taken.items:
        parts[item["data"]["baseType"]] += len(json.dumps(item, separators=(",", ":")))
    invocations = sum(each["data"]["baseType"] == "RequestData" for each in taken.items)
    return Size(
        items=len(taken.items) / VMS,
        kilobytes=taken.bytes / VMS / 1_000,
        kinds={kind: number / VMS for kind, number in kinds.most_common()},
        parts={part: number / VMS / 1_000 for part, number in parts.most_common()},
        invocations=invocations / VMS,
    )


def _kind(item: Mapping[str, Any]) -> str:
    data = item["data"]["baseData"]
    name = data.get("name") or data.get("message") or ""
    name = name or next((each["name"] for each in data.get("metrics") or ()), "")
    return f"{item['data']['baseType']} {str(name)[:48]}"


@contextmanager
def heard(pipeline: TelemetryPipeline) -> Iterator[None]:
    """Has what the app logs go into the pipeline, as it does in a worker."""
    logger, handler = logging.getLogger("assessor"), OtlpHandler(pipeline.loggers)
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def main() -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(QUIET, TMPDIR=folder)
        size = asyncio.run(measure())
    print(f"{size.items:.1f} items and {size.kilobytes:.1f} KB an assessment, of {VMS}")  # noqa: T201 - a command
    print(f"{size.invocations:.1f} invocations")  # noqa: T201 - a command
    for part, number in size.parts.items():
        print(f"{number:8.2f} KB  {part}")  # noqa: T201 - a command
    for kind, number in size.kinds.items():
        print(f"{number:8.2f}  {kind}")  # noqa: T201 - a command


if __name__ == "__main__":
    main()
