"""SharedStarts: of the requests for one VM that a worker has in hand one starts on it at a time.

By itself each of a thousand requests would read the VM and begin an assessment, to be told by a
429 or a 409 that it came too late. Here the first one does so, and the others go by what it found.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from assessor.arm.errors import ArmError
from assessor.arm.operation import Begun
from assessor.arm.virtual_machine import VirtualMachine
from assessor.expectation import Expectation
from assessor.resource_id import VirtualMachineId


@dataclass(frozen=True, slots=True)
class Start:
    """What ARM has told to a request that started on a VM.

    Attributes:
        vm: the VM as it was read; None where ARM refused that.
        expected: how long its assessment is expected to take; None where that was not asked.
        refusal: how ARM refused the read or the begin.
        begun: the operation that was begun.
        begun_at: when that was.
        held_back: for how many seconds the VM's region is held back, so that nothing was begun.
    """

    vm: VirtualMachine | None = None
    expected: Expectation | None = None
    refusal: ArmError | None = None
    begun: Begun | None = None
    begun_at: datetime | None = None
    held_back: float = 0.0


@dataclass(slots=True)
class _Vm:
    """A VM that requests start on now.

    Attributes:
        turn: held by the one that does.
        asking: how many requests wait for it, or have it.
        made: how many have had it; the last one's start is `last`.
        last: None where that one failed.
    """

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    asking: int = 0
    made: int = 0
    last: Start | None = None


class SharedStarts:
    """Lets one request of those for one VM start on it, and shares what it is told."""

    def __init__(self) -> None:
        self._vms: dict[str, _Vm] = {}

    async def start(
        self, vm_id: VirtualMachineId, make: Callable[[], Awaitable[Start]]
    ) -> tuple[Start, bool]:
        """Returns what ARM told, and whether it was another request that it told it.

        Another's is shared if it was made while this one waited. One that was under way already
        may have read what is older than this request, and is shared only if it has begun what runs
        now.

        What `make`, which starts by itself, raises is not shared.
        """
        vm = self._vms.setdefault(vm_id.key, _Vm())
        under_way = vm.made
        vm.asking += 1
        try:
            async with vm.turn:
                last = vm.last
                if last is not None and (
                    vm.made > under_way or (vm.made == under_way and _runs(last))
                ):
                    return last, True
                vm.last = None
                vm.made += 1
                vm.last = await make()
                return vm.last, False
        finally:
            vm.asking -= 1
            if not vm.asking:
                del self._vms[vm_id.key]


def _runs(start: Start) -> bool:
    return start.begun is not None and start.begun.ended is None
