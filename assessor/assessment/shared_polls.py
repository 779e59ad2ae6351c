"""SharedPolls: requests that follow one operation share what ARM answers to one poll.

Requests for one VM at the same time adopt one operation. By itself each of them would poll it: a
thousand requests, a thousand polls for one answer. Here whoever comes first polls, and until the
next poll is due the others are told what it was told.
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from assessor.arm.errors import ArmError
from assessor.arm.operation import Ended, Running
from assessor.clock import seconds_between
from assessor.ports import Arm, Clock
from assessor.resource_id import VirtualMachineId

_OPERATIONS: Final = 64
"""How many operations' last answers a worker keeps: those of the last moments, for an end may hold
thousands of patches."""
_MOST_FOLLOWERS: Final = 1024
"""How many of an operation's requests are told apart: more would change hardly anything."""

Gap = Callable[[Running], float]
"""Returns in how many seconds an operation is to be polled again, that was just shown to run."""


@dataclass(frozen=True, slots=True)
class Polled:
    """What a poll has shown.

    Attributes:
        answer: the operation, running or ended.
        seconds: in how many seconds the next poll is due; 0.0 for an end.
        crowd: how many times dearer than its own a poll of this request is, for it would be shown
            what others were shown: 1.0 where it has polled itself, or follows alone.
        is_shared: whether another request has polled.
    """

    answer: Running | Ended
    seconds: float = 0.0
    crowd: float = 1.0
    is_shared: bool = False


@dataclass(slots=True)
class _Operation:
    """One operation, as far as this worker knows it.

    Attributes:
        answer: what the last poll has shown, or how ARM refused it.
        polls: how many polls have begun; the answer is the last one's.
        arm_asks: until when ARM wishes not to be asked again.
        due: when the next poll is due by the schedule too.
        seconds: how many seconds after the answer that is.
        by: the request that polled last.
        turn: held by the one who polls.
        followers: the requests that follow it.
    """

    answer: Running | Ended | ArmError | None = None
    polls: int = 0
    arm_asks: datetime | None = None
    due: datetime | None = None
    seconds: float = 0.0
    by: str = ""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    followers: set[str] = field(default_factory=set)

    @property
    def crowd(self) -> float:
        """How much dearer a poll is to each: 1.0 to two, and by 1.0 for each doubling."""
        return max(1.0, math.log2(len(self.followers) or 1))


class SharedPolls:
    """Polls ARM once where several requests ask for one operation."""

    def __init__(self, arm: Arm, clock: Clock) -> None:
        self._arm = arm
        self._clock = clock
        self._known: OrderedDict[tuple[str, str, str], _Operation] = OrderedDict()

    def is_known(self, vm_id: VirtualMachineId, token: str, activity_id: str) -> bool:
        """Returns whether `poll` would return what is known already, without a call of ARM."""
        operation = self._known.get((vm_id.key, token, activity_id))
        return operation is not None and self._is_current(operation, operation.due)

    async def poll(  # noqa: PLR0913 - the operation, who asks, and for when
        self,
        vm_id: VirtualMachineId,
        token: str,
        activity_id: str,
        follower: str,
        gap: Gap,
        *,
        is_last: bool = False,
    ) -> Polled:
        """Returns what the operation's last poll has shown, if that will do, else polls it once.

        It will do if the operation has ended, if another request polled and the next poll is not
        due yet, if ARM has asked to wait longer, or if the poll began after this call did: then a
        refusal is shared as well.

        Args:
            vm_id: whose operation it is.
            token: continues the operation; only equal ones of one VM share, for each is checked
                against its VM when it is used.
            activity_id: the operation's name.
            follower: the request that asks.
            gap: says when the next poll is due.
            is_last: whether the request won't ask again: then nothing but an end is old news.

        Raises:
            TokenRefusedError: as `Arm.poll`.
            ArmError: as `Arm.poll`.
        """
        operation = self._operation((vm_id.key, token, activity_id))
        if len(operation.followers) < _MOST_FOLLOWERS:
            operation.followers.add(follower)
        polls_before = operation.polls
        is_shared = True
        async with operation.turn:
            # Its own answer, or the last one it can get, is only kept from it by ARM's own wish.
            until = operation.arm_asks if is_last or operation.by == follower else operation.due
            if operation.polls == polls_before and not self._is_current(operation, until):
                is_shared = False
                operation.by = follower
                await self._poll(operation, vm_id, token, activity_id, gap)
            answer = operation.answer
            seconds = operation.seconds
        if answer is None:  # whoever polled was cancelled, or was refused by a check of its own
            answer, is_shared = await self._arm.poll(vm_id, token, activity_id), False
            if isinstance(answer, Running):
                seconds = _gap_after(answer, gap)
        if isinstance(answer, ArmError):
            raise answer.with_traceback(None)
        if isinstance(answer, Ended):
            return Polled(answer, is_shared=is_shared)
        if not is_shared:
            return Polled(answer, seconds)
        return Polled(answer, self._left(operation), operation.crowd, is_shared=True)

    async def _poll(
        self,
        operation: _Operation,
        vm_id: VirtualMachineId,
        token: str,
        activity_id: str,
        gap: Gap,
    ) -> None:
        """Polls, and notes the answer or the refusal; raises TokenRefusedError."""
        operation.answer = operation.arm_asks = operation.due = None
        operation.polls += 1
        try:
            answer = await self._arm.poll(vm_id, token, activity_id)
        except ArmError as refused:
            operation.answer = refused
            return
        operation.answer = answer
        if isinstance(answer, Running):
            now = self._clock.now()
            operation.seconds = _gap_after(answer, gap)
            operation.arm_asks = now + timedelta(seconds=answer.retry_after)
            operation.due = now + timedelta(seconds=operation.seconds)

    def _left(self, operation: _Operation) -> float:
        """Returns the seconds until the next poll is due."""
        now = self._clock.now()
        return seconds_between(now, operation.due or now)

    def _is_current(self, operation: _Operation, until: datetime | None) -> bool:
        """Whether the last answer will do until then; an end is an end for ever."""
        if isinstance(operation.answer, Ended):
            return True
        return until is not None and self._clock.now() < until

    def _operation(self, key: tuple[str, str, str]) -> _Operation:
        operation = self._known.setdefault(key, _Operation())
        self._known.move_to_end(key)
        if len(self._known) > _OPERATIONS:
            self._known.popitem(last=False)
        return operation


def _gap_after(answer: Running, gap: Gap) -> float:
    """Returns in how many seconds the next poll is due: by the schedule, and by ARM's wish."""
    return max(answer.retry_after, gap(answer))
