"""Sweeper: looks at every VM that something is remembered of, for what time alone brings.

A timer asks for a look by a message on the in-progress queue, whose ID is that of the timer's hour.
The look goes through the posture table page by page, one subscription after the other, and decides
from columns which VMs may have an alert now; of those alone the whole posture is read. What does
not fit into one invocation goes on from the last page in another one, and so does what a worker did
not live to finish: what it published is remembered with each VM, and not published again.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Final

from assessor import backoff
from assessor.alerts.outbox import AlertOutbox
from assessor.alerts.rule import AlertPolicy
from assessor.alerts.rules import RULES
from assessor.assessment.rescheduler import Rescheduler
from assessor.clock import PollingWindow
from assessor.errors import UnavailableError
from assessor.messages.progress import Later, OverdueSweep
from assessor.messages.request import name_based_id
from assessor.ports import Clock, PostureStore
from assessor.posture.outline import Outline, Place
from assessor.resource_id import VirtualMachineId
from assessor.telemetry.metrics import Metrics
from assessor.telemetry.unforeseen import note_unforeseen

_LOG: Final = logging.getLogger(__name__)
_AT_ONCE: Final = 32
"""How many VMs are checked at a time: each waits for storage and the bus nearly all of its time."""
_MAX_ATTEMPTS: Final = 10
"""After so many tries in a row that brought nothing the next hour's look takes its place."""
WINDOW_SECONDS: Final = 240.0
"""How long one invocation looks: well within the ten minutes that one may last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweeper:
    """Publishes the alerts that time alone brings."""

    store: PostureStore
    outbox: AlertOutbox
    rescheduler: Rescheduler
    clock: Clock
    random: Random
    metrics: Metrics
    new_window: Callable[[], PollingWindow]
    policy: AlertPolicy

    async def start(self) -> None:
        """Asks for the look of this hour, however often it is called; raises PublishError."""
        if not self.policy.overdue:
            return
        now = self.clock.now()
        hour = now.replace(minute=0, second=0, microsecond=0)
        sweep = OverdueSweep(name_based_id("overdue", hour.isoformat()))
        await self.rescheduler.reschedule(Later(sweep, now, "the timer fired"))

    async def resume(self, sweep: OverdueSweep) -> None:
        """Looks on from where another invocation has let go of it; raises PublishError."""
        step, window = sweep, self.new_window()
        while True:
            try:
                page = await self.store.outlines(Place(step.partition, step.row))
                fired = await self._check(page.outlines, step.id)
            except UnavailableError as error:
                await self._again(step, error)
                return
            step = replace(
                step, looked=step.looked + len(page.outlines), fired=step.fired + fired, attempt=0
            )
            if page.next is None:
                _LOG.info("%d VMs were looked at: %d alerts by time", step.looked, step.fired)
                return
            step = replace(step, partition=page.next.partition, row=page.next.row)
            if window.is_over:
                step = replace(step, reschedules=step.reschedules + 1)
                later = Later(step, self.clock.now(), "there are more VMs")
                await self.rescheduler.reschedule(later)
                return

    async def _check(self, outlines: Sequence[Outline], sweep_id: str) -> int:
        """Returns how many alerts were published for VMs of a page; raises UnavailableError."""
        now = self.clock.now()
        due = [each.posture.vm_id for each in outlines if self._may_speak(each, now)]
        fired = 0
        for first in range(0, len(due), _AT_ONCE):
            some = due[first : first + _AT_ONCE]
            found = await asyncio.gather(
                *(self._check_one(vm_id, sweep_id) for vm_id in some), return_exceptions=True
            )
            for each in found:  # the others of them have come to their end by now
                if isinstance(each, BaseException):
                    raise each
                fired += each
        return fired

    async def _check_one(self, vm_id: VirtualMachineId, sweep_id: str) -> int:
        try:
            return len(await self.outbox.check(vm_id, sweep_id))
        except UnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - one VM must not keep the others from being heard
            note_unforeseen(error, self.metrics, f"the look at {vm_id}")
            return 0

    def _may_speak(self, outline: Outline, now: datetime) -> bool:
        """Whether something may be to publish of a VM, as far as its columns tell."""
        posture = outline.posture
        return outline.has_unpublished or any(
            rule.by_time is not None
            and rule.by_time(posture, now, self.policy)
            and (posture.open_alert(rule.name) is None or bool(self.policy.reminder))
            for rule in RULES
        )

    async def _again(self, step: OverdueSweep, error: UnavailableError) -> None:
        if step.attempt >= _MAX_ATTEMPTS:
            _LOG.error("the look at overdue VMs is left to the next timer: %s", error)
            return
        delay = backoff.delay(step.attempt, None, self.random)
        _LOG.warning("the look at overdue VMs goes on in %.0f s: %s", delay, error)
        step = replace(step, reschedules=step.reschedules + 1, attempt=step.attempt + 1)
        later = Later(step, self.clock.now() + timedelta(seconds=delay), str(error))
        await self.rescheduler.reschedule(later)
