"""How long questions and sweeps over a fleet's posture table take, on Azurite.

`python -m benchmarks.posture` fills a table with the app's own rows and prints the table of
docs/performance.md: `patches` as a user types it, imports included, beside a plain scan that reads
all columns by the SDK's objects and compares every patch; and the look at overdue VMs, which is run
in a process of its own so that its memory can be told.
"""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from random import Random
from typing import Annotated, Any, Final

import typer
from azure.data.tables.aio import TableClient

from assessor.alerts.rules import ALERT_COLUMNS
from assessor.posture.finding import Assessment
from assessor.posture.lacking import LackedPatch
from assessor.posture.model import Posture
from assessor.posture.row import from_row, to_row
from assessor.resource_id import VirtualMachineId
from benchmarks.overdue import NOW, OVERDUE, TABLE
from localcloud.azurite import run_azurite

_SUBSCRIPTIONS: Final = 10
_BATCH: Final = 100
_POOL: Final = 2000
_ALIKE: Final = 200
_COMMAND: Final = ("patch_assessor_cli", "patches", "--json")
_PART: Final = "KB5000012"


class DisagreementError(Exception):
    """What was measured did not do what it is measured at."""


def fleet(count: int, overdue_share: float) -> Iterator[Posture]:
    """Yields the postures of a fleet, as many in each subscription.

    A third lacks one of 200 lists of Windows' updates, the others 5 to 60 of 2,000 packages each;
    so few lists are alike, which is what is hard to read fast.
    """
    draw = Random(1)
    packages = [
        LackedPatch(
            f"package-{number}-{draw.randrange(10**6)}",
            f"{draw.randrange(9)}.{draw.randrange(99)}-{draw.randrange(9)}ubuntu",
            "",
            draw.choice(("Security", "Other", "Critical")),
            number % 3 == 0,
        )
        for number in range(_POOL)
    ]
    updates = [
        LackedPatch(
            f"2026-06 Cumulative Update for Windows Server (KB50{number:05})",
            "",
            f"50{number:05}",
            "Security",
            is_important=True,
        )
        for number in range(60)
    ]
    alike = [tuple(draw.sample(updates, draw.randrange(1, 8))) for _ in range(_ALIKE)]
    for number in range(count):
        subscription = f"{number * _SUBSCRIPTIONS // count:08}-1111-4222-8333-444444444444"
        vm_id = VirtualMachineId(subscription, f"group-{number % 40}", f"vm-{number:05}")
        is_overdue = draw.random() < overdue_share
        at = NOW - (OVERDUE * 2 if is_overdue else timedelta(hours=draw.randrange(24)))
        if number % 3 == 0:
            lacks = alike[draw.randrange(_ALIKE)]
        else:
            lacks = tuple(draw.sample(packages, draw.randrange(5, 60)))
        yield Posture(
            vm_id,
            location="westeurope",
            os_type="Windows" if number % 3 == 0 else "Linux",
            assessment=Assessment(
                activity_id=f"68f8b292-dfc2-4646-9781-{number:012}",
                status="Succeeded",
                started_at=at,
                completed_at=at,
                critical_and_security_count=sum(each.is_important for each in lacks),
                other_count=sum(not each.is_important for each in lacks),
                reboot_pending=False,
            ),
            tags={"owner": f"team-{number % 20}"},
            lacks=lacks,
        )


async def fill(table: TableClient, count: int, overdue_share: float) -> None:
    """Writes the rows of a fleet, as the app writes them."""
    await table.create_table()
    batches: dict[str, list[dict[str, Any]]] = {}
    for posture in fleet(count, overdue_share):
        row = to_row(posture, ALERT_COLUMNS)
        batch = batches.setdefault(str(row["PartitionKey"]), [])
        batch.append(row)
        if len(batch) == _BATCH:
            await table.submit_transaction([("create", each) for each in batch])
            batch.clear()
    for batch in filter(None, batches.values()):
        await table.submit_transaction([("create", each) for each in batch])


async def plain_scan(table: TableClient) -> tuple[Counter[str], int]:
    """Returns how many VMs lack each patch, and how many lack one: the obvious way to find out."""
    counts: Counter[str] = Counter()
    found = 0
    async for row in table.list_entities():
        posture = from_row(row, ALERT_COLUMNS)
        counts.update({f"{each.name} {each.version}" for each in posture.lacks or ()})
        found += any(_PART in each.name for each in posture.lacks or ())
    return counts, found


async def run(*arguments: str, connection_string: str) -> tuple[float, list[dict[str, Any]]]:
    """Runs a module as a command; returns its seconds, imports included, and its lines of JSON."""
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        env=os.environ | {"PostureStorage": connection_string, "POSTURE_TABLE": TABLE},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    seconds = time.monotonic() - began
    if process.returncode:
        raise DisagreementError(f"{' '.join(arguments)} ended with {process.returncode}")
    return seconds, [json.loads(each) for each in output.splitlines()]


async def measure(vms: int, overdue_share: float) -> None:
    """Prints what was measured, line by line."""
    async with run_azurite() as azurite:
        storage = azurite.connection_string
        async with TableClient.from_connection_string(storage, TABLE) as table:
            await fill(table, vms, overdue_share)
            began = time.monotonic()
            counts, found = await plain_scan(table)
        scanned = time.monotonic() - began
        print(f"a plain scan of {vms:,} VMs: {scanned:.1f} s")
        seconds, rows = await run(*_COMMAND, connection_string=storage)
        if Counter({f"{row['name']} {row['version']}": row["vms"] for row in rows}) != counts:
            raise DisagreementError("the command counts other patches than the scan")
        print(f"patches: {seconds:.1f} s, {scanned / seconds:.1f} times as fast")
        seconds, rows = await run(*_COMMAND, _PART, connection_string=storage)
        if len(rows) != found:
            raise DisagreementError("the command finds other VMs than the scan")
        print(f"patches {_PART}: {seconds:.1f} s, {scanned / seconds:.1f} times as fast")
        for again in ("the first look", "the next one"):
            _, (told,) = await run("benchmarks.overdue", connection_string=storage)
            print(
                f"{again} at overdue VMs: {told['seconds']:.1f} s, {told['invocations']} "
                f"invocations, {told['alerts']:,} alerts, {told['megabytes']:.0f} MB at the most"
            )


def main(
    vms: Annotated[int, typer.Option(help="How many VMs the table has.")] = 25_000,
    overdue: Annotated[float, typer.Option(help="Which share of them is overdue.")] = 0.02,
) -> None:
    """Measures the questions and the sweeps over a fleet's posture table."""
    asyncio.run(measure(vms, overdue))


if __name__ == "__main__":
    typer.run(main)
