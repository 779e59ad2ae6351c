"""ARM as the domain needs it: read a VM, begin an assessment, follow it.

The port is a Protocol, so that tests can answer without a network; the one implementation that
ships is in compute.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from assessor.arm.hold import Hold
from assessor.arm.result import AssessmentResult
from assessor.arm.virtual_machine import VirtualMachine
from assessor.resource_id import VirtualMachineId


@dataclass(frozen=True, slots=True)
class OperationEnd:
    """An operation that ended well, whatever its result says.

    Attributes:
        result: what the assessment found.
        started_at: when the operation began, by ARM's clock; None where ARM did not tell.
        ended_at: when it ended, likewise.
    """

    result: AssessmentResult
    started_at: datetime | None
    ended_at: datetime | None


class Operation(Protocol):
    """An assessment that runs in ARM."""

    @property
    def activity_id(self) -> str:
        """The assessment's activity ID, known from the 202 on."""
        ...

    @property
    def token(self) -> str:
        """What another worker needs to follow this operation."""
        ...

    @property
    def remaining(self) -> Mapping[str, int]:
        """How many calls ARM's policies have left, as the begin's answer said; else empty."""
        ...

    async def follow(self, hold: Hold, next_poll: Callable[[], float]) -> OperationEnd:
        """Looks at the operation, again and again, until it ends.

        One that was just begun is first looked at when that is due, any other one at once.

        Args:
            hold: how long to wait in all.
            next_poll: tells the seconds until the next look. ARM's Retry-After is the least.

        Raises:
            HoldOver: the next look falls after the hold.
            ArmError: ARM did not answer as it should, or the operation itself failed.
        """
        ...


class Arm(Protocol):
    """What the app asks of ARM. Each method makes its calls once: who waits is not decided here."""

    async def read(self, vm_id: VirtualMachineId) -> VirtualMachine:
        """Returns the VM with its instance view; raises ArmError."""
        ...

    async def begin(self, vm_id: VirtualMachineId, client_request_id: str) -> Operation:
        """Begins an assessment; raises ArmError.

        Args:
            vm_id: what to assess.
            client_request_id: the same for each try of one request: ARM's logs keep it.
        """
        ...

    async def resume(self, vm_id: VirtualMachineId, activity_id: str, token: str) -> Operation:
        """Returns the operation that `token` continues.

        Raises:
            TokenRefusedError: the token leads anywhere but to ARM and the VM's subscription.
        """
        ...

    async def adopt(self, vm: VirtualMachine, activity_id: str) -> Operation:
        """Returns the operation of that activity ID, begun by whomever."""
        ...
