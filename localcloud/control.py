"""The client of the local cloud's control surfaces: counts and faults of the bus, ARM's VMs, hosts.

The demo, the tests and the benchmarks all ask by it. What can be asked stands in
`localcloud.servicebus.control`, `localcloud.arm.control` and `localcloud.host.control`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import aiohttp

_TIMEOUT: Final = aiohttp.ClientTimeout(total=30)


class ControlError(Exception):
    """A control surface does not answer, or refuses.

    Attributes:
        url: Who was asked.
        problem: What it answered, or why nobody did.
    """

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(f"The local cloud does not do it at {url}: {problem}")
        self.url = url
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Counts:
    """How many messages of a queue or subscription are where; `total` ever arrived."""

    active: int
    locked: int
    scheduled: int
    dead_letter: int
    total: int

    @property
    def left(self) -> int:
        """The messages that are still to be worked on."""
        return self.active + self.locked + self.scheduled

    @classmethod
    def parse(cls, document: Mapping[str, int]) -> Self:
        """Returns the counts of one entity of `GET /entities`."""
        return cls(
            active=document["active"],
            locked=document["locked"],
            scheduled=document["scheduled"],
            dead_letter=document["deadLetter"],
            total=document["total"],
        )


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the control surfaces are: URLs without a path."""

    bus: str
    arm: str


class Control:
    """Asks the control surfaces of one local cloud; every method raises ControlError."""

    def __init__(self, http: aiohttp.ClientSession, addresses: Addresses) -> None:
        """Asks by `http`, which whoever opened it closes."""
        self._http = http
        self._addresses = addresses

    # The bus.

    async def counts(self) -> Mapping[str, Counts]:
        """Returns the counts of every queue and subscription, by the bus's names."""
        entities = await self._ask("GET", f"{self._addresses.bus}/entities")
        return {name: Counts.parse(each) for name, each in entities.items()}

    async def ask_bus(self, path: str, **body: object) -> Any:  # noqa: ANN401 - any JSON
        """Returns what the bus answers to one of its controls, as `/faults` or `/locks/expire`."""
        return await self._ask("POST", f"{self._addresses.bus}{path}", body)

    async def mend_bus(self) -> None:
        """Ends the bus's faults."""
        await self._ask("DELETE", f"{self._addresses.bus}/faults")

    # ARM.

    async def calls(self) -> Mapping[str, Any]:
        """Returns what ARM counted."""
        calls: Mapping[str, Any] = await self._ask("GET", f"{self._addresses.arm}/calls")
        return calls

    async def vms(self) -> Sequence[Mapping[str, Any]]:
        """Returns what ARM knows of its VMs."""
        vms: Sequence[Mapping[str, Any]] = (await self._fleet())["vms"]
        return vms

    async def vm_ids(self) -> list[str]:
        """Returns the resource IDs of the fleet's VMs, and of those that are only talked about."""
        fleet = await self._fleet()
        return [str(vm["id"]) for vm in (*fleet["vms"], *fleet["missing"])]

    async def change_vm(self, vm_id: str, fields: Mapping[str, object]) -> None:
        """Changes a VM, in the words of `localcloud.arm.scenario`."""
        await self._ask("POST", f"{self._addresses.arm}/vms{vm_id}/patches", fields)

    async def install_patches(self, vm_id: str, duration_seconds: float) -> str:
        """Begins an installation on a VM, of so many seconds of ARM's time; returns its ID."""
        url = f"{self._addresses.arm}/vms{vm_id}/installations"
        return str(
            (await self._ask("POST", url, {"durationSeconds": duration_seconds}))["activityId"]
        )

    async def tell_from_guest(self, vm_id: str, status: str, seconds_ago: float = 0.0) -> str:
        """Has a VM tell of an assessment of its own, with any status; returns its ID."""
        url = f"{self._addresses.arm}/vms{vm_id}/guest-assessments"
        told = await self._ask("POST", url, {"status": status, "secondsAgo": seconds_ago})
        return str(told["activityId"])

    async def break_arm(self, *rules: Mapping[str, object]) -> None:
        """Adds fault rules to ARM."""
        await self._ask("POST", f"{self._addresses.arm}/faults", list(rules))

    async def mend_arm(self) -> None:
        """Ends ARM's faults."""
        await self._ask("DELETE", f"{self._addresses.arm}/faults")

    async def faults_used(self) -> list[int]:
        """Returns how often each of ARM's fault rules was used."""
        used: list[int] = (await self._ask("GET", f"{self._addresses.arm}/faults"))["used"]
        return used

    # The hosts.

    async def host_status(self, host_url: str) -> Mapping[str, Any]:
        """Returns what the host with that control surface says of itself."""
        status: Mapping[str, Any] = await self._ask("GET", f"{host_url}/admin/host/status")
        return status

    async def _fleet(self) -> Mapping[str, Any]:
        fleet: Mapping[str, Any] = await self._ask("GET", f"{self._addresses.arm}/fleet")
        return fleet

    async def _ask(self, method: str, url: str, body: object = None) -> Any:  # noqa: ANN401 - any JSON
        try:
            async with self._http.request(method, url, json=body, timeout=_TIMEOUT) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ControlError(url, repr(error)) from error
        if not response.ok:
            raise ControlError(url, f"{response.status}, {text}")
        return json.loads(text) if text else None
