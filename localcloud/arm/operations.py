"""Long-running operations: begun, running for a while, ended, and in time forgotten.

An operation's state follows from the time alone; there is no task behind it. It works on the VM
as it was at the begin. Left out: cancellation, and an operation that ends early because its VM
was stopped or deleted meanwhile.
"""

from dataclasses import dataclass
from enum import Enum

from localcloud.arm.clock import Ticks
from localcloud.arm.model import ApiError, Verbatim, Vm


class State(Enum):
    """States of an operation, in ARM's words."""

    IN_PROGRESS = "InProgress"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELED = "Canceled"


@dataclass(frozen=True)
class Operation:
    """One assessPatches.

    Attributes:
        name: the operation's name, which is also the assessment's activity ID.
        vm: the VM as it was at the begin.
        started: when it began.
        ends: when it ends.
        expires: when ARM forgets it.
        verbatim: the recording that it answers word for word, if it is the recorded one.
    """

    name: str
    vm: Vm
    started: Ticks
    ends: Ticks
    expires: Ticks
    verbatim: Verbatim | None = None

    def state(self, now: Ticks) -> State:
        """Returns the state at a point in time."""
        if now < self.ends:
            return State.IN_PROGRESS
        return State(self.vm.assessment.operation_status)

    def error(self) -> ApiError:
        """Returns the error of an operation that did not succeed."""
        return self.vm.assessment.error or ApiError(
            "InternalExecutionError",
            "An internal execution error occurred. Please retry later.",
        )
