"""KnownAssessments: which operations this app knows to be assessments, whatever their ends show.

An assessment whose end has no list of patches can't prove to be one. The app has begun it itself,
and told its outcome: that is proof as well, for all the other requests for its VM.
"""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from assessor.posture.store import PostureError, Remembered
from assessor.resource_id import VirtualMachineId

_LOG: Final = logging.getLogger(__name__)
_MOST: Final = 4096
"""How many a worker remembers: those of its last hours."""

Load = Callable[[VirtualMachineId], Awaitable[Remembered | None]]
"""Returns what is remembered of a VM, None if nothing is; raises PostureError."""


class KnownAssessments:
    """Remembers what this worker has begun, and finds what others have published."""

    def __init__(self, load: Load) -> None:
        """Starts with none; `load` tells the VM's last assessment that any worker has published."""
        self._load = load
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def note(self, vm_id: VirtualMachineId, activity_id: str) -> None:
        """Takes note of an assessment that this app has begun, or that has proved to be one."""
        key = _key(vm_id, activity_id)
        self._known[key] = None
        self._known.move_to_end(key)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)

    def has_begun(self, vm_id: VirtualMachineId, activity_id: str) -> bool:
        """Returns whether this worker knows it; asks nobody."""
        return _key(vm_id, activity_id) in self._known

    async def includes(self, vm_id: VirtualMachineId, activity_id: str) -> bool:
        """Returns whether it is known, to this worker or by what is remembered of the VM.

        A store that does not answer knows of none: then one assessment more is begun.
        """
        if self.has_begun(vm_id, activity_id):
            return True
        try:
            remembered = await self._load(vm_id)
        except PostureError as error:
            _LOG.warning("an operation counts as no assessment: %s", error)
            return False
        last = remembered.posture.assessment if remembered else None
        if last is None or last.activity_id.lower() != activity_id.lower():
            return False
        self.note(vm_id, activity_id)
        return True


def _key(vm_id: VirtualMachineId, activity_id: str) -> tuple[str, str]:
    return vm_id.key, activity_id.lower()
