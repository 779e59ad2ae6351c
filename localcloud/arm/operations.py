"""Long-running operations: begun, running for a while, ended, and in time forgotten.

An operation's state follows from the time alone; there is no task behind it. It works on the VM
as it was at the begin. Left out: cancellation, and an operation that ends early because its VM
was stopped or deleted meanwhile.

Two more things write what a VM's instance view tells of its last assessment. An installation
(installPatches) assesses before and after: its own activity ID stands there, and its operation's
result is an installation's (azure-powershell's recording of Invoke-AzVMInstallPatch). The VM's
periodic assessment makes an ID in the guest, of which ARM has no operation; one that was broken off
leaves `InProgress` there for ever (LinuxPatchExtension #74, #75, #183). Left out of installations:
what they install, reboots, and that they fail; the patches afterwards are those before.
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


class Purpose(Enum):
    """What an operation does."""

    ASSESSMENT = "assessPatches"
    INSTALLATION = "installPatches"


@dataclass(frozen=True)
class GuestAssessment:
    """What a VM told of an assessment of its own, which ARM has no operation of.

    Attributes:
        activity_id: made in the VM.
        status: what the summary says, `InProgress` among it; nothing changes it by itself.
        vm: the VM as it was then.
        started: when it began.
        modified: when the summary was written.
    """

    activity_id: str
    status: str
    vm: Vm
    started: Ticks
    modified: Ticks


@dataclass(frozen=True)
class Operation:
    """One assessPatches or installPatches.

    Attributes:
        name: the operation's name, which is also its activity ID.
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
    purpose: Purpose = Purpose.ASSESSMENT

    def state(self, now: Ticks) -> State:
        """Returns the state at a point in time."""
        if now < self.ends:
            return State.IN_PROGRESS
        if self.purpose is Purpose.INSTALLATION:
            return State.SUCCEEDED
        return State(self.vm.assessment.operation_status)

    def error(self) -> ApiError:
        """Returns the error of an operation that did not succeed."""
        return self.vm.assessment.error or ApiError(
            "InternalExecutionError",
            "An internal execution error occurred. Please retry later.",
        )
