"""What to expect of a VM's assessment, by the best that is known of how long it takes.

Best first: its own earlier assessments, which are remembered with its posture; the last assessment
that its instance view tells, whoever asked for it; those of its operating system that this worker
has seen; what is known of the operating system. A setting takes the place of the last two.
"""

import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from assessor.arm.virtual_machine import VirtualMachine
from assessor.clock import from_text
from assessor.expectation import WIDEST, Expectation
from assessor.posture.learned import PRIOR_SPREAD, Learned
from assessor.posture.store import PostureError
from assessor.resource_id import VirtualMachineId

_LOG: Final = logging.getLogger(__name__)
_FIRST_WEIGHT: Final = 100
"""How many durations what is known of a system is worth: the first to end are the short ones, and
teach that all are short until the others have ended too."""
_MEMORY: Final = 500
"""How many durations of an operating system are remembered."""
_SET_SPREAD: Final = 0.35
"""How far apart the durations of different VMs are where the setting tells the median."""
_HINT_SPREAD: Final = 0.3
"""How far the next assessment's duration lies from the one that the instance view tells: that may
have been the VM's own, or part of an installation."""
_HINT_SECONDS: Final = (5.0, 7200.0)
"""What the instance view tells of shorter and longer ones is no assessment's duration."""


@dataclass(frozen=True, slots=True)
class _System:
    """What public recordings tell of an operating system.

    Attributes:
        seconds: the median.
        spread: the standard deviation of the logarithm.
        overhead: how many seconds later ARM tells the end than the guest has it.
    """

    seconds: float
    spread: float
    overhead: float


_SYSTEMS: Final = {
    # azure-sdk-for-net's recordings of Ubuntu: 60 s twice, ARM's end 20 s after the guest's;
    # LinuxPatchExtension: 191 s; microsoft/lisa: within 600 s on every distribution it tries.
    "linux": _System(120.0, 0.7, 20.0),
    # azure-sdk-for-net's and azure-powershell's recordings of 2008 R2 to 2016 and the REST
    # reference's example: 513 s to 1,116 s; ARM's end 46 s after the guest's.
    "windows": _System(720.0, 0.45, 46.0),
}
_ANY: Final = _System(290.0, WIDEST, 0.0)
"""Where the system is not told: the middle between the two, as wide as both together."""


Recall = Callable[[VirtualMachineId], Awaitable[Learned | None]]
"""Returns what was learned of one VM, None if nothing was; raises PostureError."""


class Durations:
    """Knows how long assessments take."""

    def __init__(self, recall: Recall, expected_seconds: float | None = None) -> None:
        """Starts with what is known of systems; with `expected_seconds` of any, if that is set."""
        self._recall = recall
        self._set = (
            _System(expected_seconds, _SET_SPREAD, 0.0) if expected_seconds is not None else None
        )
        self._by_os: dict[str, Learned] = {}

    @property
    def unknown(self) -> Expectation:
        """What to expect of a VM of which not even the operating system is known."""
        return self._of(None).of_any_vm()

    async def expect(self, vm: VirtualMachine) -> Expectation:
        """Returns how long the VM's assessment is expected to take.

        A store that does not answer is told of and done without: it would only say when to poll.
        """
        try:
            own = await self._recall(vm.id)
        except PostureError as error:
            _LOG.warning("durations are expected by operating system: %s", error)
            own = None
        if own is not None:
            return own.of_one_vm()
        others = self._of(vm.os_type)
        hint = _hint(vm)
        return others.of_any_vm() if hint is None else _after(others.of_any_vm(), hint)

    def learn(self, os_type: str | None, seconds: float) -> None:
        """Takes note of how long an assessment took."""
        if seconds > 0 and self._set is None:
            self._by_os[_key(os_type)] = self._of(os_type).after(seconds, _MEMORY)

    def _of(self, os_type: str | None) -> Learned:
        known = self._by_os.get(_key(os_type))
        if known is not None:
            return known
        system = self._set or _SYSTEMS.get(_key(os_type), _ANY)
        return Learned(_FIRST_WEIGHT, math.log(system.seconds), system.spread**2)


def _hint(vm: VirtualMachine) -> float | None:
    """Returns how long an operation like the last one of the VM's instance view takes, in seconds.

    None where it tells of none that has ended, or of a time that no assessment takes.
    """
    summary = vm.last_assessment
    if summary is None or summary.is_in_progress:
        return None
    began, ended = from_text(summary.start_time), from_text(summary.last_modified_time)
    if began is None or ended is None:
        return None
    seconds = (ended - began).total_seconds()
    least, most = _HINT_SECONDS
    return (
        seconds + _SYSTEMS.get(_key(vm.os_type), _ANY).overhead
        if least <= seconds <= most
        else None
    )


def _after(others: Expectation, hint: float) -> Expectation:
    """Returns what to expect after one duration that was not seen, weighed by their precisions."""
    ours, its = 1 / max(others.spread, 0.01) ** 2, 1 / _HINT_SPREAD**2
    log_seconds = (ours * math.log(others.seconds) + its * math.log(hint)) / (ours + its)
    return Expectation(
        math.exp(log_seconds), min(math.sqrt(1 / (ours + its) + PRIOR_SPREAD**2), WIDEST)
    )


def _key(os_type: str | None) -> str:
    return (os_type or "").lower()
