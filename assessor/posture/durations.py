"""What to expect of a VM: by its own assessments, else by those of its operating system.

A VM's own are remembered with its posture. Those of an operating system are learned in each worker
anew, from a setting on: a scan of a fleet that nobody has assessed before teaches them within
minutes, and after it each VM has its own.
"""

import logging
import math
from collections.abc import Awaitable, Callable
from typing import Final

from assessor.arm.virtual_machine import VirtualMachine
from assessor.expectation import Expectation
from assessor.posture.learned import Learned
from assessor.posture.store import PostureError
from assessor.resource_id import VirtualMachineId

_LOG: Final = logging.getLogger(__name__)
_FIRST_SPREAD: Final = 0.35
"""How far apart the durations of different VMs are taken to be, until they are known."""
_FIRST_WEIGHT: Final = 100
"""How many durations the setting is worth: the first to end are the short ones, and teach that all
are short until the others have ended too."""
_MEMORY: Final = 500
"""How many durations of an operating system are remembered."""


Recall = Callable[[VirtualMachineId], Awaitable[Learned | None]]
"""Returns what was learned of one VM, None if nothing was; raises PostureError."""


class Durations:
    """Knows how long assessments take."""

    def __init__(self, recall: Recall, expected_seconds: float) -> None:
        """Starts with what is expected where nothing is known: `expected_seconds`."""
        self._recall = recall
        self._unknown = Learned(_FIRST_WEIGHT, math.log(expected_seconds), _FIRST_SPREAD**2)
        self._by_os: dict[str, Learned] = {}

    @property
    def unknown(self) -> Expectation:
        """What to expect of a VM of which not even the operating system is known."""
        return self._unknown.of_any_vm()

    async def expect(self, vm: VirtualMachine) -> Expectation:
        """Returns how long the VM's assessment is expected to take.

        A store that does not answer is told of and done without: it would only say when to look.
        """
        try:
            own = await self._recall(vm.id)
        except PostureError as error:
            _LOG.warning("durations are expected by operating system: %s", error)
            own = None
        return own.of_one_vm() if own is not None else self._of(vm.os_type).of_any_vm()

    def learn(self, os_type: str | None, seconds: float) -> None:
        """Takes note of how long an assessment took."""
        if seconds > 0:
            self._by_os[_key(os_type)] = self._of(os_type).after(seconds, _MEMORY)

    def _of(self, os_type: str | None) -> Learned:
        return self._by_os.get(_key(os_type), self._unknown)


def _key(os_type: str | None) -> str:
    return (os_type or "").lower()
