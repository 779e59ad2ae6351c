"""Alerts as the app decides them, and those that schemas/ shows."""

from typing import Any

from assessor.alerts.decision import decide_by_result
from assessor.alerts.message import AlertStyle
from assessor.alerts.rule import AlertPolicy
from assessor.messages.outcome import Outcome
from assessor.messages.owner_tags import OwnerTags
from assessor.posture.model import Alert, Posture
from tests.support.assessments import completed, finding, patch

STYLE = AlertStyle(tags=OwnerTags(("env",)))
"""What the examples are published with: ALERT_TAGS=env."""


def alerts_of(*outcomes: Outcome) -> list[Alert]:
    """Returns all alerts of a VM with these outcomes, one after the other, without reminders."""
    posture: Posture | None = None
    alerts: list[Alert] = []
    for outcome in outcomes:
        step = decide_by_result(posture, finding(outcome), AlertPolicy())
        alerts += step.alerts
        posture = step.posture
    return alerts


def example_alerts() -> dict[str, Alert]:
    """Returns the alerts that the examples show."""
    others: list[dict[str, Any]] = [patch("tzdata", "Other")]
    fired, grew, gone = alerts_of(
        completed(0, ["openssl"], count=1, others=others),
        completed(1, ["openssl", "linux-image"], count=2),
        completed(2, [], count=0),
    )
    return {"alert-fired": fired, "alert-grew": grew, "alert-resolved": gone}
