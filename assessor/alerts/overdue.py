"""Silence: since when a VM has had no completed assessment, and why as far as is known."""

from datetime import datetime
from typing import Final

from assessor.alerts.rule import AlertPolicy, Reading
from assessor.arm.virtual_machine import SkipReason
from assessor.posture.finding import Finding
from assessor.posture.model import Attempt, Posture

_WHY: Final = {
    SkipReason.NOT_RUNNING.value: "it was stopped when it was last tried",
    SkipReason.BEING_DELETED.value: "it was being deleted when it was last tried",
    SkipReason.AGENT_NOT_READY.value: "its agent was missing or not ready when it was last tried",
    SkipReason.IMAGE_NOT_SUPPORTED.value: "Azure does not assess its image",
}
_NEVER: Final = "nobody has asked for one since"


def silent_since(posture: Posture) -> datetime | None:
    """Returns when the VM was last assessed, else when it was first heard of; None if unknown."""
    if posture.assessment is not None:
        return posture.assessment.completed_at
    if posture.known_since is not None:
        return posture.known_since
    return posture.attempt.at if posture.attempt is not None else None


def is_overdue(posture: Posture, now: datetime, policy: AlertPolicy) -> bool:
    """Whether the VM has been silent for as long as the policy has it; a rule's `by_time`."""
    since = silent_since(posture)
    return bool(policy.overdue) and since is not None and now - since >= policy.overdue


def ended_by_any(before: Posture, finding: Finding) -> Reading:  # noqa: ARG001 - a rule's by_result
    """Reads that a completed assessment, whatever it found, ends the silence."""
    return Reading(holds=False)


def why(attempt: Attempt | None) -> str:
    """Returns why there was no assessment, as far as is known, as half a sentence."""
    if attempt is None:
        return _NEVER
    return _WHY.get(attempt.reason, f"its last try ended with {attempt.reason}")
