"""What telemetry keeps of an outcome: its record's facts, without any text that others wrote."""

import logging
from typing import Any, Final

from assessor.arm.result import ApiError
from assessor.clock import to_text
from assessor.messages.outcome import Finished, Outcome, Refused, Skipped
from assessor.messages.request import Rejection
from assessor.telemetry import attributes as names
from assessor.telemetry.records import Facts, Record

_FIELDS: Final = 8
"""How many wrong fields of a message are named."""


def facts_of(outcome: Outcome) -> Facts:
    """Returns what the record of an outcome tells of the outcome itself."""
    facts: dict[str, Any] = {
        names.TIME: to_text(outcome.time),
        names.REQUEST_ID: outcome.request_id,
        names.VM_ID: str(outcome.vm_id) if outcome.vm_id else None,
        names.LOCATION: outcome.vm.location if outcome.vm else None,
        names.OS_TYPE: outcome.vm.os_type if outcome.vm else None,
    }
    match outcome.conclusion:
        case Finished(result=result, seconds=seconds):
            facts |= {
                names.STARTED: to_text(result.started_at) if result.started_at else None,
                names.CRITICAL_COUNT: result.critical_and_security_count,
                names.OTHER_COUNT: result.other_count,
                names.REBOOT_PENDING: result.reboot_pending,
                names.TRUNCATED: result.hidden or None,
                names.OPERATION_SECONDS: _rounded(seconds),
            }
            if result.is_failed:
                facts |= _reason(result.error or ApiError(code="", message=""))
        case Refused(error=error, seconds=seconds):
            facts |= {names.OPERATION_SECONDS: _rounded(seconds)} | _reason(error)
        case Skipped(reason=skipped):
            facts[names.REASON] = skipped.value
        case Rejection(reason=reason) as rejection:
            facts |= {names.REASON: reason, names.FIELDS: _names(rejection)}
    return facts


def rejection_record(outcome: Outcome) -> Record | None:
    """Returns the record of a rejection; None for any other outcome, which more is told of."""
    rejection = outcome.conclusion
    if not isinstance(rejection, Rejection):
        return None
    facts, wrong = facts_of(outcome), _names(rejection)
    return Record(
        name=outcome.type.value,
        id=outcome.id,
        text=(f"message {rejection.message.message_id} is rejected: {rejection.reason} ({wrong})"),
        status=rejection.reason,
        facts=facts,
        level=logging.WARNING,
    )


def _names(rejection: Rejection) -> str:
    return ", ".join(each.field for each in rejection.errors[:_FIELDS])


def _reason(error: ApiError) -> dict[str, str | None]:
    cause = error.details[0].get("code") if error.details else None
    return {
        names.REASON: error.code or "Failed",
        names.CAUSE: cause if isinstance(cause, str) and cause else None,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
