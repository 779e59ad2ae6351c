"""AlertOutbox: what an outcome changes is decided, saved, published, and marked as published.

An alert that is decided is saved with the posture, under the posture's ETag, before it goes out:
of two outcomes that come at once one decides, and the other sees what was decided. If both
published first, the one that lost could have opened an alert that nobody closes. Whatever dies
after the decision, the next invocation for the VM finds the alert unpublished and publishes it,
under the same ID, so that duplicate detection sees a repeat.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from assessor.alerts.decision import Transition, decide_by_result, decide_by_time
from assessor.alerts.message import PLAIN, AlertStyle, alert_message
from assessor.alerts.removal import attempt_of, attempted, retired
from assessor.alerts.rule import AlertPolicy, AlertRule
from assessor.alerts.rules import RULES
from assessor.messages.outcome import Outcome
from assessor.ports import Bus, Clock, PostureStore
from assessor.posture.finding import finding_of
from assessor.posture.model import Alert, Posture
from assessor.posture.store import PostureConflictError, PostureError, Remembered
from assessor.resource_id import VirtualMachineId

_MAX_STEPS: Final = 16
"""Four do without conflicts; each conflict means that another invocation got on with it."""

Decision = Callable[[Posture | None], Transition | None]
"""What follows from a posture; None if nothing does."""


@dataclass(frozen=True, slots=True)
class Published:
    """What became of an outcome: the alerts that went out, and what is remembered then."""

    alerts: tuple[Alert, ...] = ()
    posture: Posture | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertOutbox:
    """Publishes each alert once."""

    store: PostureStore
    bus: Bus
    alerts_topic: str
    clock: Clock
    policy: AlertPolicy
    style: AlertStyle = PLAIN
    rules: Sequence[AlertRule] = RULES

    async def conclude(self, outcome: Outcome, traceparent: str | None) -> Published:
        """Publishes the alerts that the outcome changes; returns them with the VM's posture.

        It may be called again with the same outcome at any time: what was published is not
        published again, or under the same ID.

        Raises:
            PublishError: an alert could not be published. It stays decided.
            PostureError: the posture could not be read or saved.
        """
        if outcome.vm_id is None:
            return Published()
        return await self._apply(
            outcome.vm_id, lambda before: self._decide(outcome, before), traceparent
        )

    async def retire(
        self, vm_id: VirtualMachineId, at: datetime, request_id: str, traceparent: str | None = None
    ) -> tuple[Alert, ...]:
        """Resolves the alerts of a VM that was deleted, and returns what was published.

        `request_id` is the ID of the event that said so.

        Raises:
            PublishError: an alert could not be published. It stays decided.
            PostureError: the posture could not be read or saved.
        """
        # A time ahead of ours would keep the VM silent until then if it came back.
        gone_at = min(at, self.clock.now())

        def decide(before: Posture | None) -> Transition | None:
            # Even of a VM that nothing was known of: its first assessment may be under way.
            known = before or Posture(vm_id)
            is_back = known.assessment is not None and known.assessment.started_at > gone_at
            return None if is_back or known.retired_at else retired(known, gone_at, request_id)

        return (await self._apply(vm_id, decide, traceparent)).alerts

    async def check(self, vm_id: VirtualMachineId, request_id: str) -> tuple[Alert, ...]:
        """Publishes the alerts that time alone has brought, and returns them.

        `request_id` is what made somebody look: the timer's own ID.

        Raises:
            PublishError: an alert could not be published. It stays decided.
            PostureError: the posture could not be read or saved.
        """
        now = self.clock.now()

        def decide(before: Posture | None) -> Transition | None:
            if before is None:
                return None
            return decide_by_time(before, now, self.policy, request_id, self.rules)

        return (await self._apply(vm_id, decide, None)).alerts

    def _decide(self, outcome: Outcome, before: Posture | None) -> Transition | None:
        finding = finding_of(outcome)
        if finding is not None:
            return decide_by_result(before, finding, self.policy, self.rules)
        attempt = attempt_of(outcome)
        return None if attempt is None else attempted(before, outcome, attempt)

    async def _apply(
        self, vm_id: VirtualMachineId, decide: Decision, traceparent: str | None
    ) -> Published:
        """Publishes what waits, decides, publishes, until nothing is left to do."""
        published: tuple[Alert, ...] = ()
        by_name = {rule.name: rule for rule in self.rules}
        remembered = await self.store.load(vm_id)
        for _ in range(_MAX_STEPS):
            before, etag = (remembered.posture, remembered.etag) if remembered else (None, None)
            if before is not None and before.unpublished:
                await self.bus.send(
                    self.alerts_topic,
                    [alert_message(each, by_name, self.style) for each in before.unpublished],
                )
                published += before.unpublished
                after = replace(before, unpublished=())
            else:
                step = decide(before)
                if step is None or step.posture == before:
                    return Published(published, before)
                alerts = tuple(replace(each, traceparent=traceparent) for each in step.alerts)
                after = replace(step.posture, unpublished=alerts)
            try:
                remembered = Remembered(after, await self.store.save(after, etag))
            except PostureConflictError:
                remembered = await self.store.load(vm_id)
        raise PostureError(vm_id, f"was saved by others in each of {_MAX_STEPS} tries")
