"""Postures in memory, the twin of the table, and what goes wrong with either.

Whoever saves says which version it has read; if another one was saved since, the save is refused,
and both cannot have decided on the same ground.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from assessor.errors import UnavailableError
from assessor.posture.durations import Learned
from assessor.posture.model import Posture
from assessor.posture.outline import Outline, OutlinePage, Place
from assessor.resource_id import VirtualMachineId


class PostureError(UnavailableError):
    """The store did not do what it was asked.

    `vm_id` is None where it was about several.
    """

    def __init__(self, vm_id: VirtualMachineId | None, reason: str) -> None:
        super().__init__(f"the posture of {vm_id or 'several VMs'}: {reason}")
        self.vm_id = vm_id
        self.reason = reason


class PostureConflictError(PostureError):
    """Somebody else saved the VM's posture since it was read."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """A posture and the version of it that was read.

    The etag names this version; an opaque text of the store.
    """

    posture: Posture
    etag: str


class MemoryPosture:
    """Remembers in this process only.

    What an app without storage does, and what the tests of everything else use: alerts speak once
    for as long as the process lives, and each process has a memory of its own. Several workers, or
    one that starts again, need the table.
    """

    def __init__(self) -> None:
        self._remembered: dict[VirtualMachineId, Remembered] = {}
        self._saves = 0

    async def load(self, vm_id: VirtualMachineId) -> Remembered | None:
        """Returns what is remembered of a VM; None if nothing is."""
        return self._remembered.get(vm_id)

    async def durations(self, vm_id: VirtualMachineId) -> Learned | None:
        """Returns how long the VM's assessments took; None if nothing is remembered of it."""
        remembered = self._remembered.get(vm_id)
        return remembered.posture.durations if remembered else None

    async def outlines(self, after: Place) -> OutlinePage:
        """Returns what is remembered of all VMs that are not gone, in one page."""
        del after
        kept = (each.posture for each in self._remembered.values())
        return OutlinePage(
            tuple(
                Outline(each, bool(each.unpublished)) for each in kept if each.retired_at is None
            ),
            None,
        )

    async def sight(self, found: Sequence[Posture]) -> None:
        """Remembers each posture of whose VM nothing is remembered yet."""
        for each in found:
            if each.vm_id not in self._remembered:
                await self.save(each, None)

    async def save(self, posture: Posture, etag: str | None) -> str:
        """Remembers `posture`; raises PostureConflictError if `etag` is not the current one."""
        current = self._remembered.get(posture.vm_id)
        if (current.etag if current else None) != etag:
            raise PostureConflictError(posture.vm_id, "was saved by another one since it was read")
        self._saves += 1
        saved = Remembered(posture, str(self._saves))
        self._remembered[posture.vm_id] = saved
        return saved.etag
