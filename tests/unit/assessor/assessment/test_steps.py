"""Each end of a request says what it was, when, and how long it took."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from assessor.arm.hints import AGENT_HINT, hint_for
from assessor.arm.operation import Ended
from assessor.arm.result import ApiError, AssessmentResult, parse_result
from assessor.arm.virtual_machine import SkipReason
from assessor.assessment.steps import INTERNAL_ERROR, Done, Steps
from assessor.messages.outcome import Finished, Refused, Skipped
from assessor.messages.progress import AssessmentProgress, Later, OperationRef
from tests.support.builders import ACTIVITY_ID, NOW, recorded_result, request
from tests.support.fakes import FakeClock

DEADLINE = timedelta(minutes=120)
PROGRESS = AssessmentProgress(request(), NOW, reschedules=2, attempt=3)
OPERATION = OperationRef(ACTIVITY_ID, "token", NOW - timedelta(seconds=90), "0" * 16)
RESULT = parse_result(recorded_result())
PROBLEM = ApiError("ServiceUnavailable", "x")
STARTED = NOW - timedelta(minutes=12)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def steps(clock: FakeClock) -> Steps:
    return Steps(clock, DEADLINE)


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        (
            SkipReason.NOT_RUNNING,
            "The VM is not running; patches can be assessed on a running VM only.",
        ),
        (SkipReason.BEING_DELETED, "The VM is being deleted."),
        (
            SkipReason.AGENT_NOT_READY,
            "The VM's agent is missing or not ready; it makes the assessment.",
        ),
    ],
)
def test_a_skipped_vm_is_told_with_the_reason(
    steps: Steps, reason: SkipReason, message: str
) -> None:
    """Only for an agent that is not ready there is something to advise."""
    hint = AGENT_HINT if reason is SkipReason.AGENT_NOT_READY else None
    assert steps.skipped(PROGRESS, reason) == Done(PROGRESS, Skipped(reason, message, NOW, hint))


def test_an_image_that_azure_does_not_assess_is_told_in_arms_words_too(steps: Steps) -> None:
    """With the hint that belongs to them."""
    error = ApiError("AuthorizationFailed", "The image is a custom one.")
    assert hint_for(error) is not None
    message = "Azure does not assess VMs of this image. ARM says: The image is a custom one."
    skipped = Skipped(SkipReason.IMAGE_NOT_SUPPORTED, message, NOW, hint_for(error))
    assert steps.unsupported(PROGRESS, error) == Done(PROGRESS, skipped)


@pytest.mark.parametrize(
    ("started", "ended", "seconds", "at"),
    [
        (STARTED, NOW - timedelta(seconds=5), 715.0, NOW - timedelta(seconds=5)),
        (NOW, STARTED, 0.0, STARTED),
        (STARTED, None, 90.0, NOW),
        (None, STARTED, 90.0, STARTED),
        (None, None, 90.0, NOW),
    ],
    ids=["both", "ended first", "started", "ended", "neither"],
)
@pytest.mark.parametrize("own", [True, False])
def test_an_operations_time_is_told_by_one_clock(
    steps: Steps, started: object, ended: object, seconds: float, at: object, own: object
) -> None:
    """ARM's where it tells both times, else this machine's; never less than nothing."""
    result = RESULT if own else _of_another()
    made = steps.ended(PROGRESS, OPERATION, Ended(result, started, ended))  # type: ignore[arg-type] # moments
    if own:
        assert made == Done(PROGRESS, Finished(result, at, seconds))  # type: ignore[arg-type] # a moment
        return
    assert isinstance(made.conclusion, Refused)
    assert (made.conclusion.ended_at, made.conclusion.seconds) == (at, seconds)


def _of_another() -> AssessmentResult:
    return parse_result(recorded_result() | {"assessmentActivityId": "another"})


def test_a_result_of_another_operation_is_left_out_and_named(steps: Steps) -> None:
    """The error says whose it is; the outcome stays that of the operation that was followed."""
    made = steps.ended(PROGRESS, OPERATION, Ended(_of_another()))
    error = ApiError(
        "NotTheAssessment",
        "ARM's result is not that of the operation that was followed; it is left out.",
        target="another",
    )
    assert made == Done(PROGRESS, Refused(error, NOW, ACTIVITY_ID, 90.0, "another"))


def test_a_request_that_fails_tells_of_its_operation_if_it_has_one(steps: Steps) -> None:
    """With the seconds since that began."""
    assert steps.failed(PROGRESS, PROBLEM, None) == Done(PROGRESS, Refused(PROBLEM, NOW))
    assert steps.failed(PROGRESS, PROBLEM, OPERATION) == Done(
        PROGRESS, Refused(PROBLEM, NOW, ACTIVITY_ID, 90.0)
    )


@pytest.mark.parametrize("problem", [None, PROBLEM])
@pytest.mark.parametrize("operation", [None, OPERATION])
def test_an_overdue_request_tells_what_it_waited_for(
    steps: Steps, problem: ApiError | None, operation: OperationRef | None
) -> None:
    """After how many minutes, and the last problem beneath."""
    progress = replace(PROGRESS, problem=problem, operation=operation)
    error = ApiError(
        "DeadlineExceeded",
        "There was no result after 120 minutes; at the end: its region is held back.",
        details=(problem.to_json(),) if problem else (),
    )
    expected = steps.failed(progress, error, operation)
    assert steps.overdue(progress, "its region is held back") == expected


def test_a_fault_of_the_app_itself_is_told_as_it_is_at_the_deadline(steps: Steps) -> None:
    """Not as a wait that took too long."""
    problem = ApiError(INTERNAL_ERROR, "The app failed.")
    progress = replace(PROGRESS, problem=problem, operation=OPERATION)
    assert steps.overdue(progress, "x") == steps.failed(progress, problem, OPERATION)


@pytest.mark.parametrize(
    ("minutes", "wait"), [(0, 60.0), (119, 60.0), (119.5, 30.0), (119.9875, 0.75)]
)
def test_no_wait_goes_beyond_the_deadline(
    steps: Steps, clock: FakeClock, minutes: float, wait: float
) -> None:
    """The last one ends with it."""
    clock.advance(60 * minutes)
    made = steps.later(PROGRESS, 60.0, "why", 4, NOW)
    now = clock.now()
    progress = PROGRESS.rescheduled(now, attempt=4, not_before=NOW)
    assert made == Later(progress, now + timedelta(seconds=wait), "why")


@pytest.mark.parametrize("minutes", [120, 121])
def test_at_the_deadline_nothing_is_waited_for(
    steps: Steps, clock: FakeClock, minutes: float
) -> None:
    """The request ends, with what it would have waited for."""
    clock.advance(60 * minutes)
    assert steps.later(PROGRESS, 60.0, "why") == steps.overdue(PROGRESS, "why")


@pytest.mark.parametrize(
    ("attempt", "kept", "attempts"),
    [({}, None, 0), ({"attempt": 0}, None, 0), ({"attempt": 1}, PROBLEM, 1)],
)
def test_a_problem_is_forgotten_with_the_wait_that_follows_a_success(
    steps: Steps, attempt: Mapping[str, Any], kept: ApiError | None, attempts: int
) -> None:
    """What was waited out is over once something has come of it."""
    made = steps.later(replace(PROGRESS, problem=PROBLEM), 60.0, "why", **attempt)
    assert isinstance(made, Later)
    assert isinstance(made.progress, AssessmentProgress)
    assert made.progress.problem == kept
    assert made.progress.attempt == attempts
