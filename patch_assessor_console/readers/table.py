"""The posture table: every VM that is not gone. All that is known of its columns is here."""

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables.aio import TableClient
from azure.identity.aio import DefaultAzureCredential

from patch_assessor_cli.fleet_patches import LACKS_COLUMNS, LackedPatch, RowReader
from patch_assessor_cli.fleet_posture import VmPosture, read_rows
from patch_assessor_cli.table_rows import Decode, as_is, real
from patch_assessor_console.model.patch import Patch
from patch_assessor_console.model.vm import Vm
from patch_assessor_console.target import Target
from plain_text import one_line

_MORE: Final[Mapping[str, Decode]] = {
    "OsType": as_is,
    "Location": as_is,
    "AssessmentActivityId": as_is,
    "DurationSeconds": real,
    **LACKS_COLUMNS,
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


class TableReader:
    """Reads the whole table again and again; a patch that it has met is the same object then."""

    def __init__(self) -> None:
        self._rows = RowReader()
        self._patches: dict[LackedPatch, Patch] = {}

    async def read(self, table: TableClient) -> list[Vm]:
        """Returns the VMs of the table; none before the app has made it."""
        vms: list[Vm] = []
        try:
            async for page in read_rows(table, more=_MORE):
                # In a thread, so that whoever looks at a page is answered meanwhile.
                vms += await asyncio.to_thread(lambda rows: list(map(self.vm_of, rows)), page)
        except ResourceNotFoundError:
            return []
        return vms

    def vm_of(self, row: Mapping[str, Any]) -> Vm:
        """Returns the VM of a row."""
        vm, lacking = vm_of(row), self._rows.read(row)
        if lacking.patches is None:
            return vm
        patches = tuple(map(self._patch, lacking.patches))
        return replace(vm, patches=patches, patches_left_out=lacking.omitted)

    def _patch(self, lacked: LackedPatch) -> Patch:
        found = self._patches.get(lacked)
        if found is None:
            found = self._patches[lacked] = Patch.remembered(
                name=lacked.name,
                kb=lacked.kb,
                version=lacked.version,
                classification=lacked.classification,
                is_grave=lacked.is_important,
            )
        return found


def vm_of(row: Mapping[str, Any]) -> Vm:
    """Returns the VM of a row, without what it lacks."""
    posture = VmPosture.of(row)
    os_type, seconds = one_line(str(row.get("OsType") or "")), row.get("DurationSeconds")
    return Vm(
        tags={
            one_line(str(name)): one_line(str(value))
            for name, value in (posture.tags or {}).items()
        },
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
