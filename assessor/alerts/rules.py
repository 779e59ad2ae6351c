"""RULES: the alert rules that there are. To add one, add it here; tests name what it lacks.

The contract is "What fires when" in docs/alerts.md.
"""

from collections.abc import Mapping
from typing import Final

from assessor.alerts.overdue import ended_by_any, is_overdue
from assessor.alerts.rule import AlertRule, Reading, Sentences, Severity, after_any_assessment
from assessor.messages.patches import is_critical_or_security, unknown_classifications
from assessor.posture.finding import Finding
from assessor.posture.model import Posture


def _patches(before: Posture, finding: Finding) -> Reading:
    """Reads patches by the list where there is one, else by the count.

    Shown are those that count, then those of which nobody knows whether they do.
    """
    count, listed = finding.assessment.critical_and_security_count, finding.listed
    if finding.hidden:  # a list that was cut has them all in its count, whatever ARM's says
        count = max(count or 0, len(listed or ()) + finding.hidden)
    whole = finding.assessment.is_whole and not finding.hidden
    growth = before.published.growth(count, listed, whole=whole)
    is_untold = listed is None and count is None
    holds = True if listed or (count or 0) > 0 else None if is_untold else False
    if finding.patches is None:
        return Reading(holds, grew=growth.grew, published=growth.published)
    counting = listed or {}
    odd = (
        each
        for each in finding.patches
        if unknown_classifications([each]) and not is_critical_or_security(each)
    )
    return Reading(
        holds,
        grew=growth.grew,
        patches=(*counting.values(), *odd),
        new_patches=tuple(counting[name] for name in growth.new),
        unknown_classifications=unknown_classifications(finding.patches),
        published=growth.published,
    )


def _reboot(before: Posture, finding: Finding) -> Reading:  # noqa: ARG001 - a rule's by_result
    return Reading(finding.assessment.reboot_pending)


PATCHES_RULE: Final = "CriticalOrSecurityPatchesAvailable"
REBOOT_RULE: Final = "RebootPending"

RULES: Final = (
    AlertRule(
        name=PATCHES_RULE,
        severity=Severity.ERROR,
        column="PatchesAlert",
        heading="lack patches",
        by_result=_patches,
        sentences=Sentences(
            appeared="{name} lacks {patches}.",
            grew="{name} lacks more than before: {patches}.",
            reminder="{name} still lacks {patches}.",
            gone="{name} lacks no critical or security patch any more.",
        ),
    ),
    AlertRule(
        name=REBOOT_RULE,
        severity=Severity.WARNING,
        column="RebootAlert",
        heading="to be rebooted",
        by_result=_reboot,
        sentences=Sentences(
            appeared="{name} has to be rebooted to finish installing patches.",
            reminder="{name} still has to be rebooted to finish installing patches.",
            gone="{name} has no reboot pending any more.",
        ),
    ),
    AlertRule(
        name="AssessmentOverdue",
        severity=Severity.INFORMATIONAL,
        column="OverdueAlert",
        heading="overdue",
        by_result=ended_by_any,
        by_time=is_overdue,
        resolved_by=after_any_assessment,
        sentences=Sentences(
            appeared="{name} has had no completed assessment since {since}: {why}.",
            reminder="{name} still has had no completed assessment since {since}: {why}.",
            gone="{name} has been assessed again.",
        ),
    ),
)
"""In the order in which they speak of one assessment."""

BY_NAME: Final[Mapping[str, AlertRule]] = {rule.name: rule for rule in RULES}
ALERT_COLUMNS: Final[Mapping[str, str]] = {rule.name: rule.column for rule in RULES}
"""What each rule's columns in the posture table begin with, by the rule's name."""
