"""Alerts told: what an outcome changes is decided, published, and remembered as told.

An alert that is decided is saved with the posture, under the posture's ETag, before it goes out:
of two outcomes that come at once one decides, and the other looks at what was decided. If both
published first, the one that lost could have opened an alert that nobody closes. Whatever dies
after the decision, the next invocation for the VM finds the alert untold and publishes it, under
the same ID, so that duplicate detection sees a repeat.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from assessor.alerts.message import alert_message
from assessor.alerts.removal import attempt_of, attempted, retired
from assessor.alerts.rules import Transition, transition
from assessor.bus.port import Bus
from assessor.clock import Clock
from assessor.messages.outcome import Outcome
from assessor.posture.finding import finding_of
from assessor.posture.model import Alert, Posture
from assessor.posture.store import PostureConflictError, PostureError, PostureStore, Remembered
from assessor.resource_id import VirtualMachineId

_MAX_STEPS: Final = 16
"""Four do without conflicts; each conflict means that another invocation got on with it."""

Decision = Callable[[Posture | None], Transition | None]
"""What follows from a posture; None if nothing does."""


class Alerting:
    """Tells alerts once."""

    def __init__(
        self,
        *,
        store: PostureStore,
        bus: Bus,
        alerts_topic: str,
        clock: Clock,
        reminder: timedelta,
    ) -> None:
        """Keeps what it works with.

        Args:
            store: remembers each VM's posture.
            bus: where alerts go out.
            alerts_topic: the topic that they go to.
            clock: what a time that others tell is held against.
            reminder: after how long an alert that lasts speaks again; zero for never.
        """
        self._store = store
        self._bus = bus
        self._topic = alerts_topic
        self._clock = clock
        self._reminder = reminder

    async def tell(self, outcome: Outcome, traceparent: str | None) -> tuple[Alert, ...]:
        """Publishes what the outcome changes, and returns it.

        It may be called again with the same outcome at any time: what was told is not told again,
        or under the same ID.

        Raises:
            PublishError: an alert could not be published. It stays decided.
            PostureError: the posture could not be read or saved.
        """
        if outcome.vm_id is None:
            return ()
        return await self._apply(
            outcome.vm_id, lambda before: self._decide(outcome, before), traceparent
        )

    async def retire(
        self, vm_id: VirtualMachineId, at: datetime, request_id: str, traceparent: str | None = None
    ) -> tuple[Alert, ...]:
        """Resolves the alerts of a VM that was deleted, and returns what was published.

        Args:
            vm_id: the VM.
            at: when it was deleted.
            request_id: what told of it: the event's ID.
            traceparent: the trace context of that.

        Raises:
            PublishError: an alert could not be published. It stays decided.
            PostureError: the posture could not be read or saved.
        """
        # A time ahead of ours would keep the VM silent until then if it came back.
        gone_at = min(at, self._clock.now())

        def decide(before: Posture | None) -> Transition | None:
            # Even of a VM that nothing was known of: its first assessment may be under way.
            known = before or Posture(vm_id)
            is_back = known.assessment is not None and known.assessment.started_at > gone_at
            return None if is_back or known.retired_at else retired(known, gone_at, request_id)

        return await self._apply(vm_id, decide, traceparent)

    def _decide(self, outcome: Outcome, before: Posture | None) -> Transition | None:
        finding = finding_of(outcome)
        if finding is not None:
            return transition(before, finding, self._reminder)
        attempt = attempt_of(outcome)
        return None if attempt is None else attempted(before, outcome, attempt)

    async def _apply(
        self, vm_id: VirtualMachineId, decide: Decision, traceparent: str | None
    ) -> tuple[Alert, ...]:
        """Publishes what is untold, decides, publishes, until nothing is left to do."""
        told: tuple[Alert, ...] = ()
        remembered = await self._store.load(vm_id)
        for _ in range(_MAX_STEPS):
            before, etag = (remembered.posture, remembered.etag) if remembered else (None, None)
            if before is not None and before.untold:
                await self._bus.send(self._topic, [alert_message(each) for each in before.untold])
                told += before.untold
                after = replace(before, untold=())
            else:
                step = decide(before)
                if step is None or step.posture == before:
                    return told
                alerts = tuple(replace(each, traceparent=traceparent) for each in step.alerts)
                after = replace(step.posture, untold=alerts)
            try:
                remembered = Remembered(after, await self._store.save(after, etag))
            except PostureConflictError:
                remembered = await self._store.load(vm_id)
        raise PostureError(vm_id, f"was saved by others in each of {_MAX_STEPS} tries")
