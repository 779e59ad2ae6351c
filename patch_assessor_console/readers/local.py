"""The local cloud's control surfaces: what Azure has not, and what people try things with."""

import json
import os
import signal
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from yarl import URL

from patch_assessor_cli.errors import CommandError
from patch_assessor_console.model.flow import Bucket, buckets_of
from patch_assessor_console.target import LocalParts
from plain_text import one_line

_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
_NEW_PATCHES: Final = (
    {
        "name": "2026-11 Cumulative Update (KB5099999)",
        "kbId": "5099999",
        "classifications": ["Security"],
        "rebootBehavior": "AlwaysRequiresReboot",
    },
    {"name": "openssl", "version": "3.0.13-1", "classifications": ["Critical"]},
)


class LocalCloud:
    """Asks the control surfaces; every method raises CommandError with a sentence."""

    def __init__(self, http: aiohttp.ClientSession, parts: LocalParts) -> None:
        """Asks by `http`, which whoever opened it closes."""
        self._http = http
        self._parts = parts

    async def entities(self) -> Mapping[str, Mapping[str, int]]:
        """Returns the counts of the bus's queues and subscriptions."""
        entities: Mapping[str, Mapping[str, int]] = await self._ask(
            "GET", f"{self._parts.bus}/entities"
        )
        return entities

    async def buckets(self) -> tuple[Bucket, ...]:
        """Returns ARM's buckets, the emptiest first."""
        return buckets_of(await self._ask("GET", f"{self._parts.arm}/buckets"))

    async def stop_vm(self, vm_id: str) -> None:
        """Has a VM stopped and deallocated."""
        await self._change(vm_id, {"power": "deallocated"})

    async def start_vm(self, vm_id: str) -> None:
        """Has a VM running."""
        await self._change(vm_id, {"power": "running"})

    async def add_patches(self, vm_id: str) -> None:
        """Has a VM lack one critical and one security patch more, and its reboot pending."""
        await self._change(vm_id, {"availablePatches": list(_NEW_PATCHES), "rebootPending": True})

    async def throttle(self, vm_id: str) -> None:
        """Has ARM answer 429 to the next three calls about a VM."""
        rule = {
            "match": {"vm": vm_id},
            "answer": {"status": 429, "code": "TooManyRequests", "retryAfter": 5},
            "count": 3,
        }
        await self._ask("POST", f"{self._parts.arm}/faults", [rule])

    async def kill_worker(self) -> int:
        """Kills a host's worker, as Azure takes a machine away.

        Returns:
            How many workers were killed: one, or none where none was up.
        """
        for host in self._parts.hosts:
            pid = (await self._ask("GET", f"{host}/admin/host/status")).get("workerPid")
            if isinstance(pid, int) and pid > 1:
                os.kill(pid, signal.SIGKILL)
                return 1
        return 0

    async def _change(self, vm_id: str, fields: Mapping[str, object]) -> None:
        await self._ask("POST", f"{self._parts.arm}/vms{vm_id}/patches", fields)

    async def _ask(self, method: str, url: str, body: object = None) -> Any:  # noqa: ANN401 - any JSON
        try:
            async with self._http.request(method, url, json=body, timeout=_TIMEOUT) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise CommandError(f"{URL(url).origin()} does not answer.") from error
        if not response.ok:
            raise CommandError(f"The local cloud refuses: {response.status}, {one_line(text)}")
        return json.loads(text) if text else None
