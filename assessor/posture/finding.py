"""What a completed assessment found on its VM: all that alerts are decided from."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from assessor.arm.result import Patch
from assessor.messages.outcome import Finished, Outcome, OutcomeType
from assessor.messages.owner_tags import remembered
from assessor.messages.patches import digest, is_critical_or_security
from assessor.resource_id import VirtualMachineId


@dataclass(frozen=True, slots=True)
class Assessment:
    """A completed assessment in numbers. What ARM did not tell is None.

    `started_at` orders the assessments of one VM; `completed_at` is when the outcome was known.
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
        hidden: how many more critical and security ones the list was cut by.
        seconds: how long the operation took; None where that was not seen.
        location: the VM's region.
        os_type: `Windows` or `Linux`.
        tags: the VM's tags, as far as they are remembered.
    """

    vm_id: VirtualMachineId
    request_id: str
    assessment: Assessment
    patches: tuple[Patch, ...] | None = None
    listed: Mapping[str, Patch] | None = None
    hidden: int = 0
    seconds: float | None = None
    location: str | None = None
    os_type: str | None = None
    tags: Mapping[str, str] | None = None


def finding_of(outcome: Outcome) -> Finding | None:
    """Returns what the outcome's assessment found; None for any that did not complete.

    Values of another type than the reference's count as not told, so that nothing unforeseen in an
    outcome keeps the rest of it from being used.
    """
    conclusion = outcome.conclusion
    if (
        not isinstance(conclusion, Finished)
        or outcome.type is not OutcomeType.COMPLETED
        or outcome.vm_id is None
    ):
        return None
    result, vm = conclusion.result, outcome.vm
    return Finding(
        vm_id=outcome.vm_id,
        request_id=outcome.request_id,
        assessment=Assessment(
            activity_id=_short(result.activity_id) or outcome.id,
            status=_short(result.status) or "Unknown",
            started_at=_started_at(conclusion),
            completed_at=conclusion.ended_at,
            critical_and_security_count=result.critical_and_security_count,
            other_count=result.other_count,
            reboot_pending=result.reboot_pending,
        ),
        patches=result.patches,
        listed=(
            None
            if result.patches is None
            else {
                digest(each): each
                for each in result.patches
                if is_critical_or_security(each) and not each.hidden
            }
        ),
        hidden=sum(each.hidden for each in result.patches or () if is_critical_or_security(each)),
        seconds=duration_of(outcome),
        location=_short(vm.location) if vm is not None else None,
        os_type=_short(vm.os_type) if vm is not None else None,
        tags=remembered(vm.tags) if vm is not None else None,
    )


def duration_of(outcome: Outcome) -> float | None:
    """Returns how many seconds a completed assessment's operation took, if its end was seen.

    Of one that could not be followed, the instance view tells when its summary was last written.
    """
    conclusion = outcome.conclusion
    if (
        not isinstance(conclusion, Finished)
        or outcome.type is not OutcomeType.COMPLETED
        or conclusion.patches_missing is not None
        or conclusion.seconds is None
    ):
        return None
    seconds = round(conclusion.seconds, 3)  # as the outcome tells it
    return seconds if 0 < seconds <= _MAX_SECONDS else None


def _started_at(finished: Finished) -> datetime:
    """Returns when the assessment began: as ARM told, else from how long it took.

    A begin after the end would make every later assessment look older than this one.
    """
    started_at = finished.result.started_at
    if started_at is not None:
        return min(started_at, finished.ended_at)
    return finished.ended_at - timedelta(seconds=finished.seconds or 0.0)


_MAX_SECONDS: Final = 24 * 3600.0
"""Longer than any deadline: a begin that is older was not this operation's."""
_MAX_TEXT: Final = 128
"""Longer than any ID, status or region; what is longer must not make an alert too large."""


def _short(text: str | None) -> str | None:
    return text[:_MAX_TEXT] if text else None
