"""What the local cloud tells beside what Azure would: counts of messages, and the fleet."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

from patch_assessor_cli.client import IN_PROGRESS_QUEUE, REQUESTS_QUEUE
from patch_assessor_cli.errors import CommandError

_TIMEOUT = aiohttp.ClientTimeout(total=30)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Where the requests are that have no outcome yet.

    Attributes:
        queued: Messages in the requests queue.
        held: Messages that a function works on.
        in_progress: Assessments that wait for their next look.
        unread: Messages that arrived on the topics and were not completed yet.
        dead: Messages in dead-letter queues.
    """

    queued: int
    held: int
    in_progress: int
    unread: int
    dead: int

    @property
    def is_over(self) -> bool:
        """Whether nothing is on its way any more."""
        return not (self.queued or self.held or self.in_progress or self.unread)

    @classmethod
    def of(cls, counts: dict[str, dict[str, int]]) -> Self:
        """Returns it from what the bus counts.

        Args:
            counts: For each queue and subscription the counts of `GET /entities`.
        """
        requests, progress = counts[REQUESTS_QUEUE], counts[IN_PROGRESS_QUEUE]
        topics = [each for name, each in counts.items() if name.endswith("/Subscriptions/all")]
        return cls(
            queued=requests["active"],
            held=requests["locked"] + progress["locked"],
            in_progress=progress["active"] + progress["scheduled"],
            unread=sum(each["active"] + each["locked"] for each in topics),
            dead=sum(each["deadLetter"] for each in counts.values()),
        )


@dataclass(frozen=True, slots=True)
class FleetVm:
    """A VM of the fleet: its resource ID, and its operating system, `Linux` or `Windows`."""

    vm_id: str
    os_type: str

    @property
    def name(self) -> str:
        """Its name."""
        return self.vm_id.rpartition("/")[2]


async def read_waiting(session: aiohttp.ClientSession, bus_control_url: str) -> Waiting:
    """Returns where the requests are; raises CommandError."""
    return Waiting.of(await _get(session, f"{bus_control_url}/entities"))


async def read_fleet(session: aiohttp.ClientSession, arm_control_url: str) -> list[str]:
    """Returns the resource IDs of the fleet's VMs, and of those that are only talked about.

    Raises:
        CommandError: The control surface does not answer.
    """
    fleet = await _get(session, f"{arm_control_url}/fleet")
    return [str(vm["id"]) for vm in (*fleet["vms"], *fleet["missing"])]


async def find_vm(
    session: aiohttp.ClientSession, arm_control_url: str, behaviour: str
) -> FleetVm | None:
    """Returns the fleet's first VM that behaves so when it is assessed; None if there is none.

    Raises:
        CommandError: The control surface does not answer.
    """
    for vm in (await _get(session, f"{arm_control_url}/fleet"))["vms"]:
        if vm["behaviour"] == behaviour:
            return FleetVm(str(vm["id"]), str(vm["osType"]))
    return None


async def change_vm(
    session: aiohttp.ClientSession, arm_control_url: str, vm_id: str, fields: Mapping[str, Any]
) -> None:
    """Changes what an assessment of a VM finds, in the words of `localcloud.arm.scenario`.

    Raises:
        CommandError: The control surface does not answer, or refuses.
    """
    url = f"{arm_control_url}/vms{vm_id}/patches"
    try:
        async with session.post(url, json=fields, timeout=_TIMEOUT, raise_for_status=True):
            pass
    except (aiohttp.ClientError, TimeoutError) as error:
        raise _unanswered(url, error) from error


async def _get(session: aiohttp.ClientSession, url: str) -> Any:  # noqa: ANN401 - any JSON
    try:
        async with session.get(url, timeout=_TIMEOUT, raise_for_status=True) as response:
            return await response.json()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise _unanswered(url, error) from error


def _unanswered(url: str, error: Exception) -> CommandError:
    return CommandError(f"The local cloud does not answer at {url}: {error!r}.")
