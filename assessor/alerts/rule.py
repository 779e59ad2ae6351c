"""AlertRule: everything that makes one alert rule, in one object.

Decisions, messages, stored rows, the command's tables and the schemas iterate over the rules of
`assessor.alerts.rules`; none of them names one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from assessor.arm.result import Patch
from assessor.posture.finding import Assessment, Finding
from assessor.posture.model import Change, Posture
from assessor.posture.published_patches import PublishedPatches


class Severity(StrEnum):
    """Azure Monitor's severities."""

    CRITICAL = "Sev0"
    ERROR = "Sev1"
    WARNING = "Sev2"
    INFORMATIONAL = "Sev3"
    VERBOSE = "Sev4"


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """What whoever runs the app has set for all rules.

    Attributes:
        reminder: after how long an alert that lasts speaks again; zero for never.
        overdue: after how long without a completed assessment a VM is overdue; zero for never.
    """

    reminder: timedelta = timedelta(0)
    overdue: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one assessment says of one rule's condition.

    Attributes:
        holds: whether the condition holds; None if the assessment does not tell.
        grew: whether there is more of it than was published.
        patches: the patches that the alert is about, the most important first; None without a list.
        new_patches: those of them that were in no list before.
        unknown_classifications: what patches say of themselves that no table of ours knows.
        published: what has been published once this is; None for a rule that can't grow.
    """

    holds: bool | None
    grew: bool = False
    patches: tuple[Patch, ...] | None = None
    new_patches: tuple[Patch, ...] = ()
    unknown_classifications: tuple[str, ...] = ()
    published: PublishedPatches | None = None


@dataclass(frozen=True, slots=True)
class Sentences:
    """What an alert says to people.

    `{name}` is the VM, `{patches}` how many patches it lacks, `{since}` when it was last assessed
    or first heard of, and `{why}` why it was not since, as far as is known.

    `grew` is None for a rule that can't grow.
    """

    appeared: str
    reminder: str
    gone: str
    grew: str | None = None

    def of(self, change: Change) -> str:
        """Returns the sentence of a change."""
        return {
            Change.APPEARED: self.appeared,
            Change.GREW: self.grew or self.reminder,
            Change.REMINDER: self.reminder,
            Change.GONE: self.gone,
        }[change]


def after_plain_success(assessment: Assessment) -> bool:
    """Whether the assessment resolves what it does not find: only a plain success does."""
    return assessment.is_whole


def after_any_assessment(assessment: Assessment) -> bool:  # noqa: ARG001 - a rule's resolved_by
    """Whether the assessment resolves what it does not find: any that completed does."""
    return True


@dataclass(frozen=True, slots=True)
class AlertRule:
    """An alert rule.

    Attributes:
        name: `alertRule` in messages, and what the rule is stored by.
        severity: how bad it is.
        column: what its columns in the posture table begin with.
        heading: what the command heads its count of VMs with.
        by_result: reads the condition from an assessment and what was remembered before it.
        by_time: whether the condition holds at a time by what is remembered alone; None for a rule
            that time does not touch. Time fires and reminds; what it fired, a result resolves.
        resolved_by: whether an assessment can say that the condition is gone.
        sentences: what its alerts say.
    """

    name: str
    severity: Severity
    column: str
    heading: str
    by_result: Callable[[Posture, Finding], Reading]
    sentences: Sentences
    by_time: Callable[[Posture, datetime, AlertPolicy], bool] | None = None
    resolved_by: Callable[[Assessment], bool] = after_plain_success
