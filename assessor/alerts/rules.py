"""Alerts that say what changed: which rule, which change, and what is remembered for the next time.

Everything here is a pure function of what is remembered of a VM, its posture, and of what was
found on it. The rules are the contract's ("Alerts" in docs/alerts.md):

* a condition appears, may grow while it lasts, and goes: one alert, from fired to resolved;
* only an assessment that succeeded without warnings can say that something is gone;
* an assessment older than the one that is remembered changes nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, assert_never

from assessor.arm.result import Patch
from assessor.ids import name_based_id
from assessor.messages.patches import is_critical_or_security, unknown_classifications, within
from assessor.posture.finding import Finding
from assessor.posture.learned import Learned
from assessor.posture.model import Alert, Change, OpenAlert, Posture, Rule
from assessor.posture.told import Growth, Told
from assessor.resource_id import VirtualMachineId

_DURATIONS: Final = 8
"""How many of a VM's durations are remembered."""


@dataclass(frozen=True, slots=True)
class Transition:
    """What follows from a finding: what to tell, and what to remember."""

    alerts: tuple[Alert, ...]
    posture: Posture


@dataclass(frozen=True, slots=True)
class Situation:
    """All that decides what happens to one rule's alert.

    Attributes:
        is_open: whether the alert is open.
        holds: whether the condition holds; None if the assessment does not tell.
        grew: whether there is more of it than was told.
        is_due: whether a reminder is.
        is_whole: whether the assessment can be relied on for what it does not show.
    """

    is_open: bool
    holds: bool | None
    grew: bool
    is_due: bool
    is_whole: bool


TABLE: Final[tuple[tuple[Change, Callable[[Situation], bool]], ...]] = (
    (Change.APPEARED, lambda it: not it.is_open and it.holds is True),
    (Change.GREW, lambda it: it.is_open and it.holds is True and it.grew),
    (Change.REMINDER, lambda it: it.is_open and it.holds is True and it.is_due),
    (Change.GONE, lambda it: it.is_open and it.holds is False and it.is_whole),
)
"""Read from the top; the first line that applies decides, and nothing happens if none does."""


def change_in(situation: Situation) -> Change | None:
    """Returns what happens to an alert; None if nothing does."""
    return next((change for change, applies in TABLE if applies(situation)), None)


def transition(previous: Posture | None, finding: Finding, reminder: timedelta) -> Transition:
    """Returns what a finding changes.

    Args:
        previous: what is remembered of the VM; None if nothing is.
        finding: what was found on it.
        reminder: after how long an alert that lasts speaks again; zero for never.
    """
    before = previous or Posture(finding.vm_id)
    if _is_stale(before, finding):
        return Transition((), before)
    assessment = finding.assessment
    growth = before.told.growth(
        assessment.critical_and_security_count, finding.listed, whole=assessment.is_whole
    )
    alerts = tuple(
        _alert(rule, change, before, finding, growth)
        for rule in Rule
        if (change := change_in(_situation(rule, before, finding, growth, reminder))) is not None
    )
    spoken = {each.alert.rule: each for each in alerts}
    still_open = tuple(
        alert
        for rule in Rule
        if (alert := _open_after(before.open_alert(rule), spoken.get(rule))) is not None
    )
    after = replace(
        before,
        location=finding.location or before.location,
        os_type=finding.os_type or before.os_type,
        assessment=assessment,
        durations=_learned(before.durations, finding.seconds),
        open_alerts=still_open,
        attempt=None,
        retired_at=None,
    )
    lasts = after.open_alert(Rule.PATCHES) is not None
    return Transition(alerts, replace(after, told=growth.told if lasts else Told()))


def _learned(before: Learned | None, seconds: float | None) -> Learned | None:
    if seconds is None:
        return before
    return Learned.first(seconds) if before is None else before.after(seconds, _DURATIONS)


def _is_stale(before: Posture, finding: Finding) -> bool:
    known, retired_at = before.assessment, before.retired_at
    return (known is not None and finding.assessment.order <= known.order) or (
        retired_at is not None and finding.assessment.started_at <= retired_at
    )


def _situation(
    rule: Rule, before: Posture, finding: Finding, growth: Growth, reminder: timedelta
) -> Situation:
    alert = before.open_alert(rule)
    now = finding.assessment.completed_at
    return Situation(
        is_open=alert is not None,
        holds=_holds(rule, finding),
        grew=rule is Rule.PATCHES and growth.grew,
        is_due=bool(reminder) and alert is not None and now - alert.last_told_at >= reminder,
        is_whole=finding.assessment.is_whole,
    )


def _holds(rule: Rule, finding: Finding) -> bool | None:
    match rule:
        case Rule.PATCHES:
            count, listed = finding.assessment.critical_and_security_count, finding.listed
            if listed or (count is not None and count > 0):
                return True
            return None if listed is None and count is None else False
        case Rule.REBOOT:
            return finding.assessment.reboot_pending
        case _:
            assert_never(rule)


def _open_after(before: OpenAlert | None, spoken: Alert | None) -> OpenAlert | None:
    if spoken is None:
        return before
    return None if spoken.is_resolved else replace(spoken.alert, last_told_at=spoken.at)


def _alert(rule: Rule, change: Change, before: Posture, finding: Finding, growth: Growth) -> Alert:
    assessment = finding.assessment
    opened = before.open_alert(rule) or opened_alert(rule, finding)
    told = Alert(
        id=event_id(finding.vm_id, opened, change, assessment.activity_id),
        alert=opened,
        change=change,
        at=assessment.completed_at,
        vm_id=finding.vm_id,
        request_id=finding.request_id,
        assessment=assessment,
        previous=before.assessment,
        location=finding.location or before.location,
        os_type=finding.os_type or before.os_type,
    )
    return _with_patches(told, finding, growth) if rule is Rule.PATCHES else told


_PATCHES_BYTES: Final = 112 * 1024
_NEW_PATCHES_BYTES: Final = 80 * 1024
"""Together with everything else in an alert they stay below MAX_BODY_BYTES."""
_CLASSIFICATIONS_SHOWN: Final = 20
_CLASSIFICATION_CHARACTERS: Final = 64


def _with_patches(alert: Alert, finding: Finding, growth: Growth) -> Alert:
    """Returns the alert with the patches that count, then those nobody can tell whether they do."""
    if finding.patches is None:
        return alert
    listed: Mapping[str, Patch] = finding.listed or {}
    odd = [
        each
        for each in finding.patches
        if unknown_classifications([each]) and not is_critical_or_security(each)
    ]
    about = [*listed.values(), *odd]
    new = [listed[name] for name in growth.new]
    shown, new_shown = within(about, _PATCHES_BYTES), within(new, _NEW_PATCHES_BYTES)
    return replace(
        alert,
        patches=shown,
        patches_omitted=len(about) - len(shown),
        new_patches=new_shown,
        new_patches_omitted=len(new) - len(new_shown),
        unknown_classifications=tuple(
            each[:_CLASSIFICATION_CHARACTERS]
            for each in unknown_classifications(finding.patches)[:_CLASSIFICATIONS_SHOWN]
        ),
    )


def opened_alert(rule: Rule, finding: Finding) -> OpenAlert:
    """Returns the alert that opens with this finding."""
    fired_by, at = finding.assessment.activity_id, finding.assessment.completed_at
    alert_id = name_based_id("alert", finding.vm_id.key, rule, fired_by)
    return OpenAlert(rule, alert_id, fired_by, fired_at=at, last_told_at=at)


def event_id(vm_id: VirtualMachineId, alert: OpenAlert, change: Change, told_by: str) -> str:
    """Returns the ID of the event that tells of a change; a repeat of it has the same one."""
    return name_based_id("alert", vm_id.key, alert.rule, alert.fired_by, change, told_by)
