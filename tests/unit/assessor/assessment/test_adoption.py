"""What a VM's instance view names answers a request only if it proves to be an assessment."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from assessor.app import build_state_machine
from assessor.arm.continuation import TokenRefusedError
from assessor.arm.errors import ArmError, Phase
from assessor.arm.operation import Ended, Running
from assessor.arm.result import ApiError, parse_result
from assessor.arm.virtual_machine import PatchSummary, VirtualMachine
from assessor.assessment.adoption import (
    adoptable,
    finished_by_summary,
    operation_lost,
    patience_ends_at,
    summary_of,
)
from assessor.assessment.state_machine import StateMachine
from assessor.assessment.steps import Done, is_of_another
from assessor.expectation import Expectation
from assessor.messages.in_progress import in_progress_message, parse_in_progress
from assessor.messages.outcome import Finished, Refused
from assessor.messages.progress import AssessmentProgress, Later, OperationRef
from assessor.posture.durations import Durations
from assessor.posture.store import MemoryPosture
from tests.support.app import ports, settings
from tests.support.builders import NOW, VM_ID, machine, request
from tests.support.fakes import FakeArm, FakeBus, FakeClock

OTHERS = "d1a7c3aa-5f0b-4d0e-9d57-0a4f8f9f21c3"
OWN = "14e074b4-2fd7-4d20-8b3b-5339add89570"
ASSESSED = {"status": "Succeeded", "assessmentActivityId": OWN, "availablePatches": []}
INSTALLED = {
    "status": "Succeeded",
    "installationActivityId": OTHERS,
    "installedPatchCount": 2,
    "patches": [{"patchId": "k1", "installationState": "Installed"}],
}
NAME = VM_ID.name


class World:
    """The state machine between scripts, from hand-over to hand-over."""

    def __init__(self) -> None:
        self.clock = FakeClock(NOW)
        self.arm = FakeArm()
        self.machine: StateMachine = build_state_machine(
            settings(ASSESS_HOLD_SECONDS="0"),
            ports(clock=self.clock, bus=FakeBus(), arm=self.arm),
            Durations(MemoryPosture().durations, 660),
        )

    def knows(self, status: str, *, minutes_ago: float = 1.0, **changes: Any) -> VirtualMachine:  # noqa: ANN401 - any field of a VM
        """Returns the VM whose instance view names an operation that this request did not begin."""
        fields = {
            "assessmentActivityId": changes.pop("activity_id", OTHERS),
            "status": status,
            "startTime": (self.clock.now() - timedelta(minutes=minutes_ago)).isoformat(),
        }
        return replace(machine(), last_assessment=PatchSummary(fields), **changes)

    async def run(self, most_hours: float = 3.0) -> tuple[Done, float]:
        """Runs a request to its end; returns that and how many minutes it took."""
        progress = AssessmentProgress(request(), self.clock.now())
        began = self.clock.now()
        while self.clock.now() < began + timedelta(hours=most_hours):
            step = await self.machine.advance(progress)
            if isinstance(step, Done):
                return step, (self.clock.now() - began).total_seconds() / 60
            progress = _travelled(step)
            self.clock.advance((step.at - self.clock.now()).total_seconds())
        raise AssertionError("the request does not end")

    def called(self, what: str) -> int:
        """Returns how many calls of a kind were made."""
        return sum(each.startswith(what) for each in self.arm.effects)


def _travelled(step: Later) -> AssessmentProgress:
    progress = parse_in_progress(in_progress_message(step).body)
    assert isinstance(progress, AssessmentProgress)
    return progress


def refused(status: int | None, code: str = "NotFound") -> ArmError:
    return ArmError(Phase.POLL, status, ApiError(code, "x"))


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    "end",
    [
        Ended(parse_result(INSTALLED)),
        Ended(parse_result(ASSESSED)),  # another activity's
        Ended(parse_result({"status": "Succeeded", "assessmentActivityId": OTHERS})),  # no list
        Ended(parse_result(ASSESSED | {"assessmentActivityId": 5})),
        Ended(parse_result({})),
        refused(200, "InstallationFailed"),
        refused(400, "InvalidLocation"),
        refused(403, "AuthorizationFailed"),
        refused(404),
        refused(410),
        refused(412),
        TokenRefusedError("a URL is not https"),
    ],
    ids=str,
)
@pytest.mark.parametrize("status", ["InProgress", "Succeeded"])
async def test_what_proves_to_be_no_assessment_is_replaced_at_once(
    world: World, end: Ended | Exception, status: str
) -> None:
    """One is begun in the same invocation, and gets its list; the other is not looked at again."""
    started = -1.0 if status == "Succeeded" else 1.0
    world.arm.reads = [world.knows(status, minutes_ago=started)] * 2
    world.arm.begins = [OWN]
    world.arm.polls = [end, Ended(parse_result(ASSESSED))]

    done, minutes = await world.run()

    assert isinstance(done.conclusion, Finished)
    assert done.conclusion.result.patches == ()
    assert done.progress.operation is not None
    assert not done.progress.operation.adopted
    assert (world.called("begin"), world.called("poll")) == (1, 2)
    assert minutes < 15


async def test_an_installation_that_runs_is_followed_and_then_replaced(world: World) -> None:
    """What it is shows at its end only."""
    knows = world.knows("InProgress")
    world.arm.reads, world.arm.begins = [knows, knows], [OWN]
    world.arm.polls = [Running()] * 4
    world.arm.polls += [Ended(parse_result(INSTALLED)), Ended(parse_result(ASSESSED))]

    done, _ = await world.run()

    assert isinstance(done.conclusion, Finished)
    assert world.called("begin") == 1


async def test_an_operation_that_runs_for_ever_is_left_in_time(world: World) -> None:
    """A request has half of its time for one of its own; ARM says whether that may begin."""
    knows = world.knows("InProgress")
    world.arm.reads, world.arm.begins = [knows, knows], [OWN]
    world.arm.polls = [Running()] * 200

    progress = AssessmentProgress(request(), world.clock.now())
    while not world.called("begin"):
        step = await world.machine.advance(progress)
        assert isinstance(step, Later)
        progress = _travelled(step)
        world.clock.advance((step.at - world.clock.now()).total_seconds())

    assert world.clock.now() - NOW < timedelta(minutes=60)


async def test_a_vm_that_stays_held_is_asked_again_until_the_deadline(world: World) -> None:
    """Where ARM refuses to begin, the refusal is not believed after three: somebody is at work."""
    world.arm.reads = [world.knows("InProgress")] * 500
    world.arm.polls = [refused(404)]
    held = ArmError(Phase.BEGIN, 409, ApiError("OperationNotAllowed", "It is being patched."))
    world.arm.begins = [*([held] * 6), OWN]
    world.arm.polls += [Ended(parse_result(ASSESSED))]

    done, _ = await world.run()

    assert isinstance(done.conclusion, Finished)
    assert world.called("poll") == 2


async def test_a_fault_on_the_way_to_an_adopted_operation_is_waited_out(world: World) -> None:
    """Only ARM's own refusal says that it is not there."""
    world.arm.reads = [world.knows("InProgress")]
    end = ASSESSED | {"assessmentActivityId": OTHERS.upper()}
    world.arm.polls = [refused(503, "x"), refused(None), refused(429), Ended(parse_result(end))]

    done, _ = await world.run()

    assert isinstance(done.conclusion, Finished)
    assert world.called("begin") == 0


async def test_an_assessment_that_failed_by_its_own_word_answers(world: World) -> None:
    """It has no list to show, and another one would fail alike."""
    world.arm.reads = [world.knows("InProgress")]
    failed = {"status": "Failed", "assessmentActivityId": OTHERS, "error": {"code": "x"}}
    world.arm.polls = [Ended(parse_result(failed))]

    done, _ = await world.run()

    assert isinstance(done.conclusion, Finished)
    assert world.called("begin") == 0


async def test_an_own_assessment_without_an_answer_is_found_after_a_refused_one(
    world: World,
) -> None:
    """What was refused is one operation, not all of them."""
    world.arm.reads = [
        world.knows("Succeeded", minutes_ago=-1),
        world.knows("Succeeded", minutes_ago=-1),
        world.knows("InProgress", activity_id=OWN),
    ]
    world.arm.polls = [refused(404), Ended(parse_result(ASSESSED))]
    world.arm.begins = [ArmError(Phase.BEGIN, None, ApiError("Timeout", "x"))]

    done, _ = await world.run()

    assert isinstance(done.conclusion, Finished)
    assert world.called("begin") == 1


async def test_candidates_are_not_tried_for_ever(world: World) -> None:
    """Each once, and three at the most."""
    names = [f"00000000-0000-4000-8000-{number:012}" for number in range(9)]
    world.arm.reads = [world.knows("InProgress", activity_id=name) for name in names]
    world.arm.polls = [*([refused(404)] * 3), Ended(parse_result(ASSESSED))]
    world.arm.begins = [*([ArmError(Phase.BEGIN, 409, ApiError("Conflict", "x"))] * 3), OWN]

    await world.run()

    assert world.called("adopt") == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"activity_id": ""},
        {"activity_id": "not-a-guid"},
        {"activity_id": OTHERS + "/../x"},
        {"activity_id": "{" + OTHERS + "}"},
        {"activity_id": 5},
        {"location": ""},
        {"location": None},
        {"location": "../x"},
        {"location": "west?us"},
    ],
)
def test_what_no_url_can_be_made_of_is_not_adopted(world: World, changes: dict[str, Any]) -> None:
    """Nothing is asked of ARM for it."""
    vm = world.knows("InProgress", **changes)
    assert adoptable(vm, request(), NOW, timedelta(hours=2)) is None


async def test_the_deadline_names_what_was_waited_out(world: World) -> None:
    """The last problem is among the error's details."""
    unwell = ArmError(Phase.READ, 503, ApiError("ServiceUnavailable", "x"))
    world.arm.reads = [unwell] * 500

    done, _ = await world.run()

    assert isinstance(done.conclusion, Refused)
    assert done.conclusion.error.code == "DeadlineExceeded"
    assert [each["code"] for each in done.conclusion.error.details] == ["ServiceUnavailable"]


_DEADLINE = timedelta(hours=2)
_INSTANT = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("status", "began", "answers"),
    [
        ("InProgress", NOW - _DEADLINE, False),
        ("InProgress", NOW - _DEADLINE + _INSTANT, True),
        ("Succeeded", NOW - timedelta(seconds=2), True),
        ("Succeeded", NOW - timedelta(seconds=2) - _INSTANT, False),
        ("Failed", NOW, True),
    ],
)
@pytest.mark.parametrize("refused", [(), ("x", "y")])
def test_what_runs_now_or_began_after_the_request_may_answer_it(
    world: World, status: str, began: datetime, answers: object, refused: tuple[str, ...]
) -> None:
    """Nobody is at work on what has run until the deadline; clocks may be two seconds apart."""
    vm = world.knows(status, minutes_ago=(NOW - began) / timedelta(minutes=1))
    found = adoptable(vm, request(), NOW, _DEADLINE, refused)
    assert found == (vm.last_assessment if answers else None)


@pytest.mark.parametrize("seconds", [-60, 0, 60])
def test_an_assessment_is_as_fresh_as_the_requester_asks_for(world: World, seconds: int) -> None:
    """From when the requester says on; later than the request was made it can't be."""
    vm = world.knows("Succeeded", minutes_ago=0.5)
    asked = replace(request(), fresh_since=NOW + timedelta(seconds=seconds))
    assert (adoptable(vm, asked, NOW, _DEADLINE) is not None) is (seconds == -60)


def test_what_was_refused_before_is_not_tried_again(world: World) -> None:
    """In whatever case the VM writes it; nor anything once three were tried."""
    vm = world.knows("InProgress", activity_id=OTHERS.upper())
    assert adoptable(vm, request(), NOW, _DEADLINE, (OTHERS,)) is None
    assert adoptable(vm, request(), NOW, _DEADLINE, ("a", "b", "c")) is None
    assert adoptable(replace(machine(), last_assessment=None), request(), NOW, _DEADLINE) is None


@pytest.mark.parametrize("start", [None, "", "soon", 5])
def test_what_does_not_say_when_it_began_answers_nothing(world: World, start: object) -> None:
    """It may be of any age."""
    vm = world.knows("InProgress")
    assert vm.last_assessment is not None
    fields = {**vm.last_assessment.fields, "startTime": start}
    odd = replace(vm, last_assessment=PatchSummary(fields))
    assert adoptable(odd, request(), NOW, _DEADLINE) is None


_OPERATION = OperationRef(OTHERS, "token", NOW - timedelta(seconds=100), "0" * 16, adopted=True)


@pytest.mark.parametrize(
    ("expected", "minutes"),
    [
        (120.0, 30.0),  # never less than half an hour
        (601.0, 30.05),  # three times as long as it should take
        (3_600.0, 61.0),  # half of the time that the request has
    ],
)
def test_an_adopted_operation_is_followed_for_as_long_as_any_assessment_takes(
    expected: float, minutes: float
) -> None:
    """It leaves the request half of its time for one of its own."""
    operation = replace(_OPERATION, begun_at=NOW)
    until = patience_ends_at(
        operation, Expectation(expected, 0.1), NOW + timedelta(minutes=1), _DEADLINE
    )
    assert until == NOW + timedelta(minutes=minutes)


def test_what_the_vm_tells_counts_for_the_operation_that_it_names_only(world: World) -> None:
    """In any case of its letters."""
    vm = world.knows("Succeeded", activity_id=OTHERS.upper())
    assert summary_of(vm, _OPERATION) == vm.last_assessment
    assert summary_of(world.knows("Succeeded", activity_id=OWN), _OPERATION) is None
    assert summary_of(world.knows("Succeeded", activity_id=None), _OPERATION) is None
    assert summary_of(machine(), _OPERATION) is None


_FORBIDDEN = (
    "ARM refused to show the operation ({0} AuthorizationFailed). Assign the right "
    "Microsoft.Compute/locations/operations/read at the scope "
    f"/subscriptions/{VM_ID.subscription_id} to the app's identity; "
    "the counts come from the VM's instance view."
)
_UNKNOWN = (
    "ARM no longer knew the operation ({0} NotFound); the counts come from the instance view."
)


@pytest.mark.parametrize(
    ("status", "code", "why"),
    [
        (401, "AuthorizationFailed", _FORBIDDEN),
        (403, "AuthorizationFailed", _FORBIDDEN),
        (404, "NotFound", _UNKNOWN),
        (410, "NotFound", _UNKNOWN),
    ],
)
def test_counts_without_a_list_say_why_there_is_none(status: int, code: str, why: str) -> None:
    """And which right would give the list, where one is missing."""
    fields = {
        "status": "Succeeded",
        "assessmentActivityId": OTHERS,
        "startTime": (NOW - timedelta(minutes=9)).isoformat(),
        "lastModifiedTime": (NOW - timedelta(minutes=1)).isoformat(),
    }
    summary = PatchSummary(fields)
    found = finished_by_summary(request(), _OPERATION, summary, refused(status, code), NOW)
    assert found == Finished(
        summary.as_result(), NOW - timedelta(minutes=1), 480.0, why.format(status)
    )


@pytest.mark.parametrize(
    ("start", "end", "ended_at", "seconds"),
    [
        (None, None, NOW, 100.0),
        (None, -60, NOW - timedelta(seconds=60), 100.0),
        (-60, None, NOW, 100.0),
        (-60, -90, NOW - timedelta(seconds=90), 0.0),
    ],
)
def test_an_end_that_the_vm_tells_is_timed_by_one_clock(
    start: int | None, end: int | None, ended_at: datetime, seconds: float
) -> None:
    """The VM's own where it tells both times, else this machine's; never less than nothing."""
    moments = {"startTime": start, "lastModifiedTime": end}
    summary = PatchSummary(
        {
            name: (NOW + timedelta(seconds=each)).isoformat()
            for name, each in moments.items()
            if each is not None
        }
    )
    found = finished_by_summary(request(), _OPERATION, summary, refused(404), NOW)
    assert (found.ended_at, found.seconds) == (ended_at, seconds)


def test_a_lost_operation_is_named_with_all_that_stood_in_the_way() -> None:
    """One error with the others beneath."""
    one, two = ApiError("NotFound", "x"), ApiError("Conflict", "y")
    assert operation_lost(_OPERATION, one, two) == ApiError(
        "OperationLost",
        "The operation can't be followed, and the VM's instance view does not tell its end.",
        target=OTHERS,
        details=(one.to_json(), two.to_json()),
    )


@pytest.mark.parametrize(
    ("result", "is_anothers"),
    [
        ({"assessmentActivityId": OTHERS.upper()}, False),
        ({"assessmentActivityId": OWN, "availablePatches": []}, True),
        ({"assessmentActivityId": OWN, "status": "Failed"}, True),
        ({"status": "Succeeded"}, True),
        ({"status": "Failed"}, False),
        ({"status": "Succeeded", "criticalAndSecurityPatchCount": 0}, False),
    ],
)
def test_a_result_without_a_name_passes_if_only_an_assessment_tells_it(
    result: dict[str, object], *, is_anothers: bool
) -> None:
    """Or if it has failed; one with a name has to have the operation's."""
    assert is_of_another(parse_result(result), _OPERATION) is is_anothers
