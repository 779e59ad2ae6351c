"""The posture table: every VM that is not gone. All that is known of its columns is here."""

import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables.aio import TableClient
from azure.identity.aio import DefaultAzureCredential

from patch_assessor_cli.fleet_posture import VmPosture, read_rows
from patch_assessor_cli.table_rows import Decode, as_is, real
from patch_assessor_console.model.vm import Vm
from patch_assessor_console.target import Target
from plain_text import one_line

_MORE: Final[Mapping[str, Decode]] = {
    "OsType": as_is,
    "Location": as_is,
    "AssessmentActivityId": as_is,
    "DurationSeconds": real,
}


@asynccontextmanager
async def open_table(target: Target) -> AsyncIterator[TableClient]:
    """Yields a client of the table, with whichever identity the machine has if none is given."""
    if target.storage:
        async with TableClient.from_connection_string(target.storage, target.table) as client:
            yield client
        return
    async with (
        DefaultAzureCredential() as credential,
        TableClient(target.table_endpoint or "", target.table, credential=credential) as client,
    ):
        yield client


async def read_vms(table: TableClient) -> list[Vm]:
    """Returns the VMs of the table; none before the app has made it."""
    try:
        return [vm_of(row) async for page in read_rows(table, more=_MORE) for row in page]
    except ResourceNotFoundError:
        return []


def vm_of(row: Mapping[str, Any]) -> Vm:
    """Returns the VM of a row."""
    posture = VmPosture.of(row)
    os_type, seconds = one_line(str(row.get("OsType") or "")), row.get("DurationSeconds")
    return Vm(
        vm_id=one_line(posture.vm_id),
        system=os_type,
        os_type=os_type,
        location=one_line(str(row.get("Location") or "")),
        critical=posture.critical_and_security_count,
        other=posture.other_count,
        reboot_pending=posture.reboot_pending,
        status=one_line(posture.status or ""),
        assessed_at=posture.assessed_at,
        attempted_at=posture.attempted_at,
        attempt_reason=one_line(posture.attempt_reason or ""),
        alerts=dict(posture.open_alerts),
        activity_id=one_line(str(row.get("AssessmentActivityId") or "")),
        seconds=seconds if isinstance(seconds, float) and math.isfinite(seconds) else None,
    )
