"""A VM that could not be assessed, or is gone: what is remembered of it, and which alerts end."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from assessor.alerts.decision import Transition, decide_by_result
from assessor.alerts.removal import attempt_of, attempted, retired
from assessor.alerts.rule import AlertPolicy
from assessor.arm.result import ApiError, parse_result
from assessor.arm.virtual_machine import SkipReason
from assessor.messages.outcome import Conclusion, Finished, Outcome, Refused, Skipped, conclude
from assessor.messages.request import name_based_id
from assessor.posture.model import Alert, Attempt, Change, OpenAlert, Posture
from tests.support.assessments import FIRST_DAY, completed, failed, finding, skipped
from tests.support.builders import VM_ID, machine, request

AT = FIRST_DAY + timedelta(days=1)
SEEN_AT = FIRST_DAY - timedelta(days=30)
TAGS = {"env": "test"}
"""The tags of whatever VM an outcome has read."""


def refused(code: str) -> Refused:
    """Returns the end of a request that ARM refused."""
    return Refused(ApiError(code, "ARM refuses."), AT)


def finished(code: str | None) -> Finished:
    """Returns the end of an assessment whose own result says that it failed."""
    error = None if code is None else {"code": code, "message": "It failed."}
    return Finished(parse_result({"status": "Failed", "error": error}), AT, 20.0)


@pytest.mark.parametrize(
    ("conclusion", "reason", "found"),
    [
        (Skipped(SkipReason.NOT_RUNNING, "It is off.", AT), "VmNotRunning", True),
        (refused("AuthorizationFailed"), "AuthorizationFailed", True),
        (refused("ResourceNotFound"), "ResourceNotFound", False),
        (refused("resourceGroupNotFound"), "resourceGroupNotFound", False),
        (finished("PackageManagerFailure"), "PackageManagerFailure", True),
        (finished("ResourceNotFound"), "ResourceNotFound", False),
        (finished(None), "Unknown", True),
        (refused(""), "Unknown", True),
        (refused("x" * 129), "x" * 128, True),
    ],
)
def test_an_attempt_says_why_it_came_to_nothing_and_whether_the_vm_was_there(
    conclusion: Conclusion, reason: str, *, found: bool
) -> None:
    """By the skip's reason, or ARM's own code in any case of its letters, within bounds."""
    outcome = conclude(request(), None, conclusion)
    assert attempt_of(outcome) == Attempt(outcome.id, AT, reason, found)


def test_a_completed_assessment_is_no_attempt() -> None:
    """It came to something."""
    assert attempt_of(completed(0)) is None


def attempt_in(outcome: Outcome) -> Attempt:
    """Returns the attempt that the outcome is."""
    attempt = attempt_of(outcome)
    assert attempt is not None
    return attempt


def after(previous: Posture | None, outcome: Outcome) -> Transition | None:
    """Returns what the attempt changes."""
    return attempted(previous, outcome, attempt_in(outcome))


@pytest.mark.parametrize(("outcome", "tags"), [(skipped(1), TAGS), (failed(1), None)])
def test_the_first_attempt_begins_what_is_known_of_a_vm(
    outcome: Outcome, tags: dict[str, str] | None
) -> None:
    """Since when, and its tags where it was read."""
    first = Posture(VM_ID, attempt=attempt_in(outcome), tags=tags, known_since=AT)
    assert after(None, outcome) == Transition((), first)


def test_a_vm_that_was_never_there_is_not_remembered() -> None:
    """A request may name anything."""
    assert after(None, failed(1, "ResourceNotFound")) is None


@pytest.mark.parametrize(("outcome", "tags"), [(skipped(1), TAGS), (failed(1), {"env": "before"})])
def test_an_attempt_is_remembered_beside_the_last_assessment(
    outcome: Outcome, tags: dict[str, str]
) -> None:
    """Of which nothing changes; the tags are those of the last time that the VM was read."""
    previous = replace(
        decide_by_result(None, finding(completed(0, "a", reboot=True)), AlertPolicy()).posture,
        tags={"env": "before"},
        known_since=SEEN_AT,
    )
    expected = replace(previous, attempt=attempt_in(outcome), tags=tags, known_since=None)
    assert after(previous, outcome) == Transition((), expected)


@pytest.mark.parametrize(
    ("previous", "known_since"),
    [
        (Posture(VM_ID, known_since=SEEN_AT), SEEN_AT),
        (Posture(VM_ID, attempt=Attempt("earlier", SEEN_AT, "X", found=True)), SEEN_AT),
        (Posture(VM_ID), AT),
    ],
)
def test_a_vm_that_was_never_assessed_keeps_since_when_it_is_known(
    previous: Posture, known_since: datetime
) -> None:
    """Else each attempt would put off that it is overdue."""
    outcome = skipped(1)
    expected = Posture(VM_ID, attempt=attempt_in(outcome), tags=TAGS, known_since=known_since)
    assert after(previous, outcome) == Transition((), expected)


@pytest.mark.parametrize(
    "previous",
    [
        Posture(VM_ID, retired_at=AT - timedelta(days=1)),
        decide_by_result(None, finding(completed(1)), AlertPolicy()).posture,  # it began then
        Posture(VM_ID, attempt=Attempt("other", AT, "X", found=True)),
        Posture(VM_ID, attempt=Attempt("other", AT + timedelta(days=1), "X", found=True)),
        Posture(VM_ID, attempt=Attempt(failed(1).id, AT - timedelta(days=1), "X", found=False)),
    ],
    ids=["gone", "assessed-since", "tried-then", "tried-since", "the-same"],
)
def test_an_attempt_that_is_not_the_newest_changes_nothing(previous: Posture) -> None:
    """Nor does one that comes again, or is of a VM that is gone."""
    assert after(previous, failed(1, "ResourceNotFound")) is None


OPENED = OpenAlert("RebootPending", "alert-1", "activity-1", SEEN_AT, SEEN_AT)
KNOWN = replace(
    decide_by_result(None, finding(completed(0, "a")), AlertPolicy()).posture,
    open_alerts=(OPENED,),
)


def gone(request_id: str, at: datetime) -> Transition:
    """Returns the end of the VM: its open alert is resolved, and it is kept as gone."""
    alert = Alert(
        id=name_based_id(
            "alert", VM_ID.key, OPENED.rule, OPENED.fired_by, Change.GONE.value, "removed"
        ),
        alert=OPENED,
        change=Change.GONE,
        at=at,
        vm_id=VM_ID,
        request_id=request_id,
        assessment=None,
        previous=finding(completed(0)).assessment,
        location="eastus",
        os_type="Windows",
        tags=TAGS,
    )
    kept = Posture(
        VM_ID,
        location="eastus",
        os_type="Windows",
        assessment=finding(completed(0)).assessment,
        durations=KNOWN.durations,
        retired_at=at,
        tags=TAGS,
        lacks=KNOWN.lacks,
    )
    return Transition((alert,), kept)


def test_the_end_of_a_vm_resolves_its_alerts_and_leaves_none_open() -> None:
    """Under an ID that is the same in each version: a repeat of it is dropped as one."""
    assert retired(KNOWN, AT, "event-1") == gone("event-1", AT)


def test_the_second_attempt_in_a_row_that_does_not_find_the_vm_is_its_end() -> None:
    """Told as of the request that showed it."""
    missing = Attempt("earlier", AT - timedelta(hours=1), "ResourceNotFound", found=False)
    outcome = conclude(request(request_id="second"), machine(), refused("ResourceNotFound"))
    assert after(replace(KNOWN, attempt=missing), outcome) == Transition(
        gone("second", AT).alerts, replace(gone("second", AT).posture, attempt=missing)
    )


@pytest.mark.parametrize("last", [None, Attempt("earlier", SEEN_AT, "VmNotRunning", found=True)])
def test_a_vm_that_is_not_found_once_is_not_gone_yet(last: Attempt | None) -> None:
    """ARM may be wrong for a moment: it is remembered as the last attempt, and no alert ends."""
    outcome = failed(1, "ResourceNotFound")
    previous = replace(KNOWN, attempt=last)
    expected = replace(KNOWN, attempt=attempt_in(outcome))
    assert after(previous, outcome) == Transition((), expected)
