"""A console over a made-up memory, as a process: `python -m tests.browser.console_rig 10000`.

Prints its address as JSON when it serves, and ends when its stdin is closed.
"""

import asyncio
import json
import random
import sys
from datetime import UTC, datetime, timedelta

import aiohttp

from patch_assessor_cli.client import Connection
from patch_assessor_console.memory import Memory, Source
from patch_assessor_console.model.flow import Bucket, Entity, InProgress, Stage, Underway
from patch_assessor_console.model.patch import Patch
from patch_assessor_console.model.vm import PATCHES_RULE, REBOOT_RULE, Vm
from patch_assessor_console.page.shell import Context
from patch_assessor_console.server import serve_pages
from patch_assessor_console.target import Target

MARKUP = "<img src=x onerror=\"document.title='owned'\"><b>bold</b>{{ 7*7 }}"
"""What a stranger may write into a name or a tag."""
_SYSTEMS = ("Windows Server 2022", "Windows Server 2019", "Ubuntu 22.04", "Red Hat 9", "SLES 15")
_CLASSES = ("Critical", "Security", "Other", "Updates", "Definition Updates")


def made_up_fleet(count: int, now: datetime) -> list[Vm]:
    """Returns so many VMs of every state; the first one's tags are markup."""
    draw = random.Random(24)
    pool = [
        Patch(
            key=f"KB50{number:05}",
            name=f"Update {number} for something (KB50{number:05})",
            kb=f"KB50{number:05}",
            version="",
            classifications=(_CLASSES[number % 5],),
            reboot="CanRequestReboot",
            published="2026-10-13",
            is_grave=number % 5 in {0, 1},
        )
        for number in range(120)
    ]
    return [_vm(number, draw, pool, now) for number in range(count)]


def _vm(number: int, draw: random.Random, pool: list[Patch], now: datetime) -> Vm:
    patches = tuple(draw.sample(pool, draw.choice((0, 0, 3, 8))))
    critical = sum(each.is_grave for each in patches)
    is_assessed, reboots = draw.random() > 0.05, draw.random() < 0.2
    at = now - timedelta(hours=draw.choice((1, 5, 20, 60)), seconds=number)
    alerts = {PATCHES_RULE: at} if critical else {}
    return Vm(
        vm_id=f"/subscriptions/{draw.choice('abcd') * 8}-0000-4000-8000-000000000000/resourceGroups"
        f"/rg-{draw.randrange(40):02}/providers/Microsoft.Compute/virtualMachines/vm-{number:05}",
        system=draw.choice(_SYSTEMS),
        os_type="Linux",
        location="westeurope",
        tags={
            "env": draw.choice(("prod", "test", "dev")),
            "owner": MARKUP if number == 0 else draw.choice(("team-a", "team-b")),
        },
        critical=critical if is_assessed else None,
        other=len(patches) - critical if is_assessed else None,
        reboot_pending=reboots if is_assessed else None,
        status="Succeeded" if is_assessed else "",
        assessed_at=at if is_assessed else None,
        attempted_at=None if is_assessed and draw.random() > 0.05 else now,
        attempt_reason="VmNotRunning",
        alerts=alerts | ({REBOOT_RULE: at - timedelta(days=draw.randrange(40))} if reboots else {}),
        activity_id=f"68f8b292-dfc2-4646-9781-{number:012}",
        seconds=draw.uniform(60, 900),
        patches=patches if is_assessed else None,
    )


def made_up_memory(count: int, *, is_away: bool) -> Memory:
    """Returns a memory of a fleet with everything that pages show."""
    now = datetime.now(UTC)
    memory = Memory(lambda: datetime.now(UTC), timedelta(hours=48))
    if count:
        fleet = made_up_fleet(count, now)
        memory.take_table(fleet, now)
        memory.take_counts(
            Entity(name, number, 1, 2, number % 2)
            for number, name in enumerate(
                ("assessment-requests", "assessments-in-progress", "patch-alerts/all")
            )
        )
        memory.take_in_progress(
            InProgress(
                tuple(
                    Underway(vm.vm_id, "r-1", vm.activity_id, stage, "TooManyRequests", now, now, 3)
                    for vm, stage in zip(fleet, Stage, strict=False)
                )
            )
        )
        memory.take_buckets([Bucket("GetOperation3Min", "s/westeurope", 15000, 9000, 5000)])
        memory.outcomes.update({"Completed": 120, "Failed": 4, "Skipped": 9})
    if is_away:
        memory.is_away(Source.TOPICS, f"ServiceBusConnectionError: {MARKUP}")
    return memory


async def _serve(count: int, *, is_away: bool) -> None:
    memory = made_up_memory(count, is_away=is_away)
    async with aiohttp.ClientSession() as http:
        context = Context(
            memory, Target(Connection(namespace="example.servicebus.windows.net")), http
        )
        serving = asyncio.create_task(serve_pages(context, port=0, ready=_tell))
        await asyncio.to_thread(sys.stdin.read)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


def _tell(address: str) -> None:
    sys.stdout.write(json.dumps({"address": address}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), is_away="away" in sys.argv))
