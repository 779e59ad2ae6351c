"""What follows when a VM could not be assessed, or is gone.

They change no alert, but for one case: a VM that ARM does not know, twice in a row, is gone, and
its alerts are resolved.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final

from assessor.alerts.decision import Transition, alert_of
from assessor.alerts.overdue import silent_since
from assessor.arm.errors import GONE_CODES
from assessor.messages.outcome import Finished, Outcome, Refused, Skipped
from assessor.messages.owner_tags import remembered
from assessor.posture.model import Attempt, Change, Posture
from assessor.posture.published_patches import PublishedPatches

_REMOVED: Final = "removed"
_MAX_REASON: Final = 128


def attempt_of(outcome: Outcome) -> Attempt | None:
    """Returns what an outcome without a finding says of its VM; None for any other outcome."""
    match outcome.conclusion:
        case Skipped(reason=skipped):
            reason, found = skipped.value, True
        case Refused(error=error):
            reason, found = error.code, error.code.lower() not in GONE_CODES
        case Finished(result=result) if result.is_failed:
            reason = result.error.code if result.error is not None else ""
            found = reason.lower() not in GONE_CODES
        case _:
            return None
    return Attempt(
        outcome_id=outcome.id,
        at=outcome.time,
        reason=reason[:_MAX_REASON] or "Unknown",
        found=found,
    )


def attempted(previous: Posture | None, outcome: Outcome, attempt: Attempt) -> Transition | None:
    """Returns what an assessment that came to nothing changes; None if it changes nothing.

    It is remembered as the last attempt, unless something later is. The second one in a row that
    does not find the VM retires it.
    """
    vm_id = outcome.vm_id
    if vm_id is None:
        return None
    tags = remembered(outcome.vm.tags) if outcome.vm is not None else None
    if previous is None:
        # What was never there is not remembered either: a request may name anything.
        first = Posture(vm_id, attempt=attempt, tags=tags, known_since=attempt.at)
        return Transition((), first) if attempt.found else None
    if previous.retired_at is not None or _is_old(previous, attempt):
        return None
    last = previous.attempt
    if last is not None and not last.found and not attempt.found:
        return retired(previous, attempt.at, outcome.request_id)
    after = replace(
        previous,
        attempt=attempt,
        tags=previous.tags if tags is None else tags,
        known_since=None if previous.assessment else silent_since(previous) or attempt.at,
    )
    return Transition((), after)


def retired(previous: Posture, at: datetime, request_id: str) -> Transition:
    """Returns what the end of a VM changes: its alerts are resolved, and it is kept as gone.

    The posture stays, so that an outcome that was under way when the VM went changes nothing.

    `request_id` is what showed it: an event's ID, or the request's.
    """
    alerts = tuple(
        replace(
            alert_of(previous, each, Change.GONE, at=at, cause=_REMOVED, request_id=request_id),
            previous=previous.assessment,
        )
        for each in previous.open_alerts
    )
    return Transition(
        alerts, replace(previous, open_alerts=(), published=PublishedPatches(), retired_at=at)
    )


def _is_old(previous: Posture, attempt: Attempt) -> bool:
    known, last = previous.assessment, previous.attempt
    return (known is not None and attempt.at <= known.started_at) or (
        last is not None and (attempt.outcome_id == last.outcome_id or attempt.at <= last.at)
    )
