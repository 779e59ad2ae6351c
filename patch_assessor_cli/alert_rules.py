"""The app's alert rules as the commands show them. Made by `make schemas`: change them in the app.

The commands are installed without the app, so they have a copy of what they need.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ShownRule:
    """What a command knows of an alert rule.

    Attributes:
        name: `alertRule` in messages.
        severity: how bad it is.
        column: what its columns in the posture table begin with.
        heading: what a count of its VMs is headed with.
    """

    name: str
    severity: str
    column: str
    heading: str


ALERT_RULES: Final = (
    ShownRule("CriticalOrSecurityPatchesAvailable", "Sev1", "PatchesAlert", "lack patches"),
    ShownRule("RebootPending", "Sev2", "RebootAlert", "to be rebooted"),
    ShownRule("AssessmentOverdue", "Sev3", "OverdueAlert", "overdue"),
)
