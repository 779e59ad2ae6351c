"""How long assessments take: what is learned of it, and what to expect of a VM's by the best known.

Best first: its own earlier assessments, which are remembered with its posture; the last assessment
that its instance view tells, whoever asked for it; those of its operating system that this worker
has seen; what is known of the operating system. A setting takes the place of the last two.

What is learned, one assessment after the other, is three numbers. Durations multiply rather than
add (a slow disk makes each assessment longer by the same share), so it is their logarithms that are
averaged. The newest ones count most, so that a VM that has changed is known again after a few
assessments.
"""

import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

from assessor.arm.virtual_machine import VirtualMachine
from assessor.clock import from_text
from assessor.errors import UnavailableError
from assessor.expectation import WIDEST, Expectation
from assessor.resource_id import VirtualMachineId

_LOG: Final = logging.getLogger(__name__)
PRIOR_SPREAD: Final = 0.125
"""How far apart the durations of one VM are taken to be until there are some."""
_PRIOR_WEIGHT: Final = 2
"""How many durations that assumption is worth."""
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
class Learned:
    """The durations of one VM, or of one kind of VM.

    Attributes:
        count: how many it was learned from; counted up to the memory that `after` is given.
        log_mean: the mean of the durations' natural logarithms, in seconds.
        log_variance: their variance around it.
    """

    count: Annotated[int, Field(ge=1, le=1_000_000)]
    log_mean: Annotated[float, Field(ge=-20, le=20)]
    log_variance: Annotated[float, Field(ge=0, le=100)]

    @classmethod
    def first(cls, seconds: float) -> "Learned":
        """Returns what one duration tells."""
        return cls(1, math.log(seconds), 0.0)

    def after(self, seconds: float, memory: int) -> "Learned":
        """Returns what is known after one more duration.

        Args:
            seconds: the duration, above zero.
            memory: about how many durations are remembered: a new one has one part in so many.
        """
        count = min(self.count + 1, memory)
        share = 1 / count
        off = math.log(seconds) - self.log_mean
        return Learned(
            count=count,
            log_mean=self.log_mean + share * off,
            log_variance=(1 - share) * (self.log_variance + share * off * off),
        )

    def of_one_vm(self) -> Expectation:
        """Returns what to expect of the next assessment of the VM that this was learned of.

        Few durations say little of how far they lie apart: an assumption counts among them.
        """
        variance = (_PRIOR_WEIGHT * PRIOR_SPREAD**2 + self.count * self.log_variance) / (
            _PRIOR_WEIGHT + self.count
        )
        # The mean of a few is itself off by its share of the spread.
        return self._with_spread(math.sqrt(variance * (1 + 1 / self.count)))

    def of_any_vm(self) -> Expectation:
        """Returns what to expect of a VM of the kind that this was learned of."""
        return self._with_spread(math.sqrt(self.log_variance))

    def _with_spread(self, spread: float) -> Expectation:
        return Expectation(math.exp(self.log_mean), min(spread, WIDEST))


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
"""Returns what was learned of one VM, None if nothing was; raises UnavailableError."""


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
        except UnavailableError as error:
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
