"""Whether a VM is gone: ARM is asked, for an event that says so may be anybody's."""

from collections.abc import Awaitable, Callable
from typing import Final

from assessor.arm.errors import GONE_CODES, ArmError, Verdict, judge
from assessor.arm.virtual_machine import SkipReason
from assessor.errors import UnavailableError
from assessor.ports import Arm
from assessor.resource_id import VirtualMachineId

_NOT_FOUND: Final = 404

IsGone = Callable[[VirtualMachineId], Awaitable[bool]]
"""Tells whether a VM is gone; raises DeletionUnclearError."""


class DeletionUnclearError(UnavailableError):
    """ARM does not tell now whether a VM is gone."""

    def __init__(self, vm: VirtualMachineId) -> None:
        super().__init__(f"ARM does not tell now whether {vm} is gone")
        self.vm = vm


def confirmed_by(arm: Arm) -> IsGone:
    """Returns what asks ARM: a VM is gone if ARM answers 404.

    Where the app may not read the VM, it is not known to be gone.
    """

    async def is_gone(vm: VirtualMachineId) -> bool:
        try:
            machine = await arm.read(vm)
        except ArmError as error:
            if error.status == _NOT_FOUND and error.error.code.lower() in GONE_CODES:
                return True
            if judge(error).verdict is Verdict.WAIT:
                raise DeletionUnclearError(vm) from error
            return False
        if machine.skip_reason() is SkipReason.BEING_DELETED:
            raise DeletionUnclearError(vm)
        return False

    return is_gone
