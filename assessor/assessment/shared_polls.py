"""SharedPolls: requests that follow one operation share what ARM answers to one poll.

Requests for one VM at the same time adopt one operation, with equal continuation tokens. By itself
each of them would poll it: a thousand requests, a thousand polls for one answer.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from assessor.arm.errors import ArmError
from assessor.arm.operation import Ended, Running
from assessor.ports import Arm, Clock
from assessor.resource_id import VirtualMachineId

_OPERATIONS: Final = 64
"""How many operations' last answers a worker keeps: those of the last moments, for an end may hold
thousands of patches."""


@dataclass(slots=True)
class _Operation:
    """One operation, as far as this worker knows it.

    Attributes:
        answer: what the last poll has shown, or how ARM refused it.
        polls: how many polls have begun; the answer is the last one's.
        ask_again_at: until then ARM wishes not to be asked; an end is an end for ever.
        turn: held by the one who polls.
    """

    answer: Running | Ended | ArmError | None = None
    polls: int = 0
    ask_again_at: datetime | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class SharedPolls:
    """Polls ARM once where several requests ask for one operation."""

    def __init__(self, arm: Arm, clock: Clock) -> None:
        self._arm = arm
        self._clock = clock
        self._known: OrderedDict[tuple[str, str, str], _Operation] = OrderedDict()

    async def poll(self, vm_id: VirtualMachineId, token: str, activity_id: str) -> Running | Ended:
        """Returns what the operation's last poll has shown, if that will do, else polls it once.

        It will do if the operation has ended, if ARM has asked to wait longer, or if the poll began
        after this call did: then a refusal is shared as well.

        Args:
            vm_id: whose operation it is.
            token: continues the operation; only equal ones of one VM share, for each is checked
                against its VM when it is used.
            activity_id: the operation's name.

        Raises:
            TokenRefusedError: as `Arm.poll`.
            ArmError: as `Arm.poll`.
        """
        operation = self._operation((vm_id.key, token, activity_id))
        polls_before = operation.polls
        async with operation.turn:
            if operation.polls == polls_before and not self._is_current(operation):
                await self._poll(operation, vm_id, token, activity_id)
            answer = operation.answer
        if answer is None:  # whoever polled was cancelled, or was refused by a check of its own
            return await self._arm.poll(vm_id, token, activity_id)
        if isinstance(answer, ArmError):
            raise answer.with_traceback(None)
        return answer

    async def _poll(
        self, operation: _Operation, vm_id: VirtualMachineId, token: str, activity_id: str
    ) -> None:
        """Polls, and notes the answer or the refusal; raises TokenRefusedError."""
        operation.answer = operation.ask_again_at = None
        operation.polls += 1
        try:
            answer = await self._arm.poll(vm_id, token, activity_id)
        except ArmError as refused:
            operation.answer = refused
            return
        operation.answer = answer
        if isinstance(answer, Running):
            operation.ask_again_at = self._clock.now() + timedelta(seconds=answer.retry_after)

    def _is_current(self, operation: _Operation) -> bool:
        if isinstance(operation.answer, Ended):
            return True
        until = operation.ask_again_at
        return until is not None and self._clock.now() < until

    def _operation(self, key: tuple[str, str, str]) -> _Operation:
        operation = self._known.setdefault(key, _Operation())
        self._known.move_to_end(key)
        if len(self._known) > _OPERATIONS:
            self._known.popitem(last=False)
        return operation
