"""What a completed assessment found on its VM: all that alerts are decided from."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from assessor.clock import from_text
from assessor.messages.outcome import Outcome, OutcomeType, patches_of
from assessor.messages.patches import Patch, digest, is_critical_or_security
from assessor.resource_id import VirtualMachineId


@dataclass(frozen=True, slots=True)
class Assessment:
    """A completed assessment in numbers. What ARM did not tell is None.

    Attributes:
        activity_id: its assessmentActivityId.
        status: PatchOperationStatus, or whatever else ARM wrote.
        started_at: when it began, which orders the assessments of one VM.
        completed_at: when its outcome was known.
        critical_and_security_count: criticalAndSecurityPatchCount.
        other_count: otherPatchCount.
        reboot_pending: rebootPending.
    """

    activity_id: str
    status: str
    started_at: datetime
    completed_at: datetime
    critical_and_security_count: int | None = None
    other_count: int | None = None
    reboot_pending: bool | None = None

    @property
    def order(self) -> tuple[datetime, str]:
        """What to compare to know which of two assessments is the newer one."""
        return self.started_at, self.activity_id

    @property
    def is_whole(self) -> bool:
        """Whether what it does not show is not there: only a plain success promises that."""
        return self.status.lower() == "succeeded"


@dataclass(frozen=True, slots=True)
class Finding:
    """What an assessment found.

    Attributes:
        vm_id: the VM.
        request_id: the request that the assessment was for.
        assessment: its numbers.
        patches: the list of patches as ARM sent it; None where there is none.
        listed: the critical and security ones of them by digest; None where there is no list.
        seconds: how long the operation took; None where that was not seen.
        location: the VM's region.
        os_type: `Windows` or `Linux`.
    """

    vm_id: VirtualMachineId
    request_id: str
    assessment: Assessment
    patches: tuple[Patch, ...] | None = None
    listed: Mapping[str, Patch] | None = None
    seconds: float | None = None
    location: str | None = None
    os_type: str | None = None


def finding_of(outcome: Outcome) -> Finding | None:
    """Returns what the outcome's assessment found; None for any that did not complete.

    Values of another type than the reference's count as not told, so that nothing unforeseen in an
    outcome keeps the rest of it from being used.
    """
    if outcome.type is not OutcomeType.COMPLETED or outcome.vm_id is None:
        return None
    data = outcome.data
    patches = patches_of(data)
    vm = data.get("vm")
    about = vm if isinstance(vm, Mapping) else {}
    return Finding(
        vm_id=outcome.vm_id,
        request_id=outcome.request_id,
        assessment=Assessment(
            activity_id=_text(data.get("assessmentActivityId")) or outcome.id,
            status=_text(data.get("status")) or "Unknown",
            started_at=_started_at(outcome),
            completed_at=outcome.time,
            critical_and_security_count=_count(data.get("criticalAndSecurityPatchCount")),
            other_count=_count(data.get("otherPatchCount")),
            reboot_pending=_flag(data.get("rebootPending")),
        ),
        patches=None if patches is None else tuple(patches),
        listed=(
            None
            if patches is None
            else {digest(each): each for each in patches if is_critical_or_security(each)}
        ),
        seconds=duration_of(outcome),
        location=_text(about.get("location")),
        os_type=_text(about.get("osType")),
    )


def duration_of(outcome: Outcome) -> float | None:
    """Returns how many seconds a completed assessment's operation took, if its end was seen.

    Of one that could not be followed, the instance view tells when its summary was last written.
    """
    seconds = outcome.data.get("operationSeconds")
    if (
        outcome.type is not OutcomeType.COMPLETED
        or "availablePatchesMissing" in outcome.data
        or isinstance(seconds, bool)
        or not isinstance(seconds, int | float)
    ):
        return None
    return float(seconds) if 0 < seconds <= _MAX_SECONDS else None


def _started_at(outcome: Outcome) -> datetime:
    """Returns when the assessment began: as ARM told, else from how long it took.

    A begin after the end would make every later assessment look older than this one; one in the
    first year of all is how .NET writes none.
    """
    told = from_text(outcome.data.get("startDateTime"))
    if told is not None and told.year >= _FIRST_YEAR:
        return min(told, outcome.time)
    seconds = outcome.data.get("operationSeconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return outcome.time
    return outcome.time - timedelta(seconds=seconds)


_FIRST_YEAR: Final = 2000
_MAX_SECONDS: Final = 24 * 3600.0
"""Longer than any deadline: a begin that is older was not this operation's."""
_MAX_TEXT: Final = 128
"""Longer than any ID, status or region; what is longer must not make an alert too large."""
_MAX_COUNT: Final = 2**31 - 1
"""The reference's integers are of 32 bits."""


def _text(value: object) -> str | None:
    return value[:_MAX_TEXT] if isinstance(value, str) and value else None


def _count(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= _MAX_COUNT else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None
