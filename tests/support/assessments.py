"""Outcomes of one VM's assessments, one after the other, as the app concludes them."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from assessor.arm.result import ApiError, parse_result
from assessor.arm.virtual_machine import SkipReason
from assessor.clock import to_text
from assessor.messages.outcome import Finished, Outcome, Refused, Skipped, conclude
from assessor.posture.finding import Finding, finding_of
from tests.support.builders import VM_ID, machine, request

FIRST_DAY = datetime(2026, 1, 5, tzinfo=UTC)


def patch(name: str, *classifications: str) -> dict[str, Any]:
    """Returns a patch; a critical one if nothing else is said."""
    return {
        "patchId": f"{name}_1.0_Ubuntu_22.04",
        "name": name,
        "version": "1.0",
        "classifications": list(classifications or ("Critical",)),
    }


def activity(day: int) -> str:
    """Returns the activity ID of the assessment of that day."""
    return str(uuid.UUID(int=day + 1, version=4))


def completed(
    day: int,
    critical: Sequence[str] | None = (),
    *,
    count: int | None = None,
    status: str = "Succeeded",
    reboot: bool | None = False,
    others: Sequence[dict[str, Any]] = (),
    seconds: float | None = 660.0,
) -> Outcome:
    """Returns the outcome of the assessment of that day.

    Args:
        day: when it was, and whose activity ID it has.
        critical: the critical patches in its list; None for no list at all.
        count: criticalAndSecurityPatchCount.
        status: its status.
        reboot: rebootPending.
        others: more patches in the list.
        seconds: how long its operation took.
    """
    began = FIRST_DAY + timedelta(days=day)
    patches = None if critical is None else [*(patch(name) for name in critical), *others]
    result = {
        "status": status,
        "assessmentActivityId": activity(day),
        "rebootPending": reboot,
        "criticalAndSecurityPatchCount": count,
        "otherPatchCount": len(others),
        "startDateTime": to_text(began),
        "availablePatches": patches,
    }
    end = Finished(parse_result(result), began + timedelta(minutes=11), seconds)
    return conclude(request(request_id=f"completed-{day}"), machine(), end)


def failed(day: int, code: str = "AuthorizationFailed") -> Outcome:
    """Returns the outcome of a request of that day that ARM refused."""
    end = Refused(ApiError(code, "ARM refuses."), FIRST_DAY + timedelta(days=day))
    return conclude(request(request_id=f"failed-{day}"), None, end)


def skipped(day: int) -> Outcome:
    """Returns the outcome of a request of that day for a VM that did not run."""
    end = Skipped(SkipReason.NOT_RUNNING, "It is off.", FIRST_DAY + timedelta(days=day))
    return conclude(request(request_id=f"skipped-{day}"), machine(), end)


def finding(outcome: Outcome) -> Finding:
    """Returns what a completed outcome found."""
    found = finding_of(outcome)
    assert found is not None
    return found


@dataclass(frozen=True)
class Day:
    """One day's outcome, as a test draws it."""

    number: int
    outcome: Outcome

    @property
    def finding(self) -> Finding | None:
        """What was found that day, if anything."""
        return finding_of(self.outcome)


def days(min_size: int = 1, max_size: int = 8) -> st.SearchStrategy[list[Day]]:
    """Returns sequences of outcomes of one VM, in the order of their days."""

    def outcome_of(day: int) -> st.SearchStrategy[Outcome]:
        names = st.lists(st.sampled_from("abcde"), unique=True, max_size=4)
        whole = st.builds(
            completed,
            st.just(day),
            st.none() | names,
            count=st.none() | st.integers(0, 5),
            status=st.sampled_from(["Succeeded", "succeeded", "CompletedWithWarnings", "Unknown"]),
            reboot=st.none() | st.booleans(),
            others=st.sampled_from([(), (patch("x", "Other"),), (patch("y", "Novel"),)]),
        )
        codes = st.sampled_from(["AuthorizationFailed", "ResourceNotFound", "DeadlineExceeded"])
        nothing = st.one_of(st.just(skipped(day)), codes.map(lambda code: failed(day, code)))
        return st.one_of(whole, whole, nothing)

    return st.integers(min_size, max_size).flatmap(
        lambda size: st.tuples(*(outcome_of(day) for day in range(size))).map(
            lambda outcomes: [Day(day, each) for day, each in enumerate(outcomes)]
        )
    )


__all__ = [
    "FIRST_DAY",
    "VM_ID",
    "Day",
    "activity",
    "completed",
    "days",
    "failed",
    "finding",
    "patch",
    "skipped",
]
