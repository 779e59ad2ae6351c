"""What alerts follow from a result, or from time alone, and what is remembered for the next time.

Everything here is a pure function of what is remembered of a VM, its posture, and of what was
found on it, or of the time. The rules are the contract's ("Alerts" in docs/alerts.md):

* a condition appears, may grow while it lasts, and goes: one alert, from fired to resolved;
* only an assessment that the rule trusts for it can say that something is gone;
* an assessment older than the one that is remembered changes nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from assessor.alerts.overdue import silent_since
from assessor.alerts.rule import AlertPolicy, AlertRule, Reading
from assessor.alerts.rules import RULES
from assessor.clock import to_text
from assessor.messages.patches import within
from assessor.messages.request import name_based_id
from assessor.posture.durations import Learned
from assessor.posture.finding import Finding
from assessor.posture.lacking import lacked
from assessor.posture.model import Alert, Change, OpenAlert, Posture
from assessor.posture.published_patches import PublishedPatches
from assessor.resource_id import VirtualMachineId

_DURATIONS: Final = 8
"""How many of a VM's durations are remembered."""


@dataclass(frozen=True, slots=True)
class Transition:
    """What follows: what to publish, and what to remember."""

    alerts: tuple[Alert, ...]
    posture: Posture


@dataclass(frozen=True, slots=True)
class Situation:
    """All that decides what happens to one rule's alert.

    Attributes:
        is_open: whether the alert is open.
        holds: whether the condition holds; None if that is not known.
        grew: whether there is more of it than was published.
        is_due: whether a reminder is.
        resolves: whether what does not hold is gone.
    """

    is_open: bool
    holds: bool | None
    grew: bool
    is_due: bool
    resolves: bool


TABLE: Final[tuple[tuple[Change, Callable[[Situation], bool]], ...]] = (
    (Change.APPEARED, lambda it: not it.is_open and it.holds is True),
    (Change.GREW, lambda it: it.is_open and it.holds is True and it.grew),
    (Change.REMINDER, lambda it: it.is_open and it.holds is True and it.is_due),
    (Change.GONE, lambda it: it.is_open and it.holds is False and it.resolves),
)
"""Read from the top; the first line that applies decides, and nothing happens if none does."""


def change_in(situation: Situation) -> Change | None:
    """Returns what happens to an alert; None if nothing does."""
    return next((change for change, applies in TABLE if applies(situation)), None)


def decide_by_result(
    previous: Posture | None,
    finding: Finding,
    policy: AlertPolicy,
    rules: Sequence[AlertRule] = RULES,
) -> Transition:
    """Returns what a finding changes."""
    before = previous or Posture(finding.vm_id)
    if _is_stale(before, finding):
        return Transition((), before)
    assessment = finding.assessment
    seen = replace(
        before,
        location=finding.location or before.location,
        os_type=finding.os_type or before.os_type,
        tags=before.tags if finding.tags is None else finding.tags,
        assessment=assessment,
        durations=_learned(before.durations, finding.seconds),
        attempt=None,
        retired_at=None,
        known_since=None,
        lacks=lacked(finding.patches),
        lacks_omitted=0,
    )
    readings = [(rule, rule.by_result(before, finding)) for rule in rules]
    alerts = []
    for rule, reading in readings:
        opened = before.open_alert(rule.name)
        change = change_in(
            Situation(
                is_open=opened is not None,
                holds=reading.holds,
                grew=reading.grew,
                is_due=_is_due(opened, assessment.completed_at, policy),
                resolves=rule.resolved_by(assessment),
            )
        )
        if change is not None:
            at, cause = assessment.completed_at, assessment.activity_id
            opened = opened or _opened(rule, finding.vm_id, cause, at)
            alert = replace(
                alert_of(seen, opened, change, at=at, cause=cause, request_id=finding.request_id),
                vm_id=finding.vm_id,  # in the case in which it was asked for
                assessment=assessment,
                previous=before.assessment,
            )
            alerts.append(_with_patches(alert, reading))
    after = replace(seen, open_alerts=_open_after(before, alerts, rules))
    published = (
        reading.published
        for rule, reading in readings
        if reading.published is not None and after.open_alert(rule.name) is not None
    )
    return Transition(tuple(alerts), replace(after, published=next(published, PublishedPatches())))


def decide_by_time(
    before: Posture,
    now: datetime,
    policy: AlertPolicy,
    request_id: str,
    rules: Sequence[AlertRule] = RULES,
) -> Transition:
    """Returns what the passing of time changes, with no assessment: a rule about silence fires.

    `request_id` is what made somebody look: the timer's own ID. Rules without a decision by time
    are left as they are.
    """
    if before.retired_at is not None:
        return Transition((), before)
    alerts = []
    for rule in rules:
        if rule.by_time is None:
            continue
        opened = before.open_alert(rule.name)
        change = change_in(
            Situation(
                is_open=opened is not None,
                holds=rule.by_time(before, now, policy) or None,
                grew=False,
                is_due=_is_due(opened, now, policy),
                resolves=False,
            )
        )
        if change is not None:
            moment = to_text(now)
            opened = opened or _opened(rule, before.vm_id, moment, now)
            alerts.append(
                replace(
                    alert_of(before, opened, change, at=now, cause=moment, request_id=request_id),
                    assessment=before.assessment,
                    silent_since=silent_since(before),
                    last_attempt=before.attempt,
                )
            )
    return Transition(
        tuple(alerts), replace(before, open_alerts=_open_after(before, alerts, rules))
    )


def _learned(before: Learned | None, seconds: float | None) -> Learned | None:
    if seconds is None:
        return before
    return Learned.first(seconds) if before is None else before.after(seconds, _DURATIONS)


def _is_stale(before: Posture, finding: Finding) -> bool:
    known, retired_at = before.assessment, before.retired_at
    return (known is not None and finding.assessment.order <= known.order) or (
        retired_at is not None and finding.assessment.started_at <= retired_at
    )


def _is_due(opened: OpenAlert | None, now: datetime, policy: AlertPolicy) -> bool:
    return (
        bool(policy.reminder)
        and opened is not None
        and now - opened.last_published_at >= policy.reminder
    )


def _open_after(
    before: Posture, alerts: Sequence[Alert], rules: Sequence[AlertRule]
) -> tuple[OpenAlert, ...]:
    """Returns the alerts that are open then, in the order of the rules."""
    opened = {each.rule: each for each in before.open_alerts}
    for alert in alerts:
        if alert.is_resolved:
            del opened[alert.alert.rule]
        else:
            opened[alert.alert.rule] = replace(alert.alert, last_published_at=alert.at)
    order = {rule.name: at for at, rule in enumerate(rules)}
    return tuple(sorted(opened.values(), key=lambda each: order.get(each.rule, len(order))))


_PATCHES_BYTES: Final = 96 * 1024
_NEW_PATCHES_BYTES: Final = 72 * 1024
"""Together with everything else in an alert they stay below MAX_BODY_BYTES."""
_CLASSIFICATIONS_SHOWN: Final = 20
_CLASSIFICATION_CHARACTERS: Final = 64


def _with_patches(alert: Alert, reading: Reading) -> Alert:
    """Returns the alert with as many of the reading's patches as fit into a message."""
    patches = reading.patches
    if patches is None:
        return alert
    shown = within(patches, _PATCHES_BYTES)
    new_shown = within(reading.new_patches, _NEW_PATCHES_BYTES)
    return replace(
        alert,
        patches=shown,
        patches_omitted=len(patches) - len(shown),
        new_patches=new_shown,
        new_patches_omitted=len(reading.new_patches) - len(new_shown),
        unknown_classifications=tuple(
            each[:_CLASSIFICATION_CHARACTERS]
            for each in reading.unknown_classifications[:_CLASSIFICATIONS_SHOWN]
        ),
    )


def _opened(rule: AlertRule, vm_id: VirtualMachineId, fired_by: str, at: datetime) -> OpenAlert:
    alert_id = name_based_id("alert", vm_id.key, rule.name, fired_by)
    return OpenAlert(rule.name, alert_id, fired_by, fired_at=at, last_published_at=at)


def alert_of(  # noqa: PLR0913 - one for each part of what tells it from others
    posture: Posture,
    opened: OpenAlert,
    change: Change,
    *,
    at: datetime,
    cause: str,
    request_id: str,
) -> Alert:
    """Returns what is published of a change; the same change has the same ID each time.

    Its `cause` is the activity ID of the assessment that showed the change, or whatever else did.
    """
    vm_id = posture.vm_id
    return Alert(
        id=name_based_id("alert", vm_id.key, opened.rule, opened.fired_by, change, cause),
        alert=opened,
        change=change,
        at=at,
        vm_id=vm_id,
        request_id=request_id,
        assessment=None,
        previous=None,
        location=posture.location,
        os_type=posture.os_type,
        tags=posture.tags,
    )
