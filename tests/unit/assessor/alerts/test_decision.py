"""Decisions: all that one assessment, or time alone, changes of a VM's posture and its alerts."""

from dataclasses import replace
from datetime import timedelta

import pytest

from assessor.alerts.decision import Transition, decide_by_result, decide_by_time
from assessor.alerts.rule import AlertPolicy
from assessor.alerts.rules import RULES
from assessor.arm.result import Patch, parse_patch
from assessor.clock import to_text
from assessor.messages.patches import digest
from assessor.messages.request import name_based_id
from assessor.posture.durations import Learned
from assessor.posture.lacking import LackedPatch
from assessor.posture.model import Alert, Attempt, Change, OpenAlert, Posture
from assessor.posture.published_patches import PublishedPatches
from assessor.resource_id import VirtualMachineId
from tests.support.assessments import FIRST_DAY, completed, finding, patch
from tests.support.builders import VM_ID

PATCHES, REBOOT, OVERDUE = (rule.name for rule in RULES)
QUIET = AlertPolicy()
OPENSSL, CURL = (parse_patch(patch(name)) for name in ("openssl", "curl"))
FIRST, SECOND = (finding(completed(day, ["openssl"], count=1)) for day in (0, 1))
TRIED = Attempt("outcome-1", FIRST_DAY, "VmNotRunning", found=True)
TAGS = {"env": "test"}
"""The tags of whatever VM an outcome has read."""


def opened(rule: str, fired_by: str = "activity-1") -> OpenAlert:
    """Returns an alert as it is when it has just fired, on the first day."""
    alert_id = name_based_id("alert", VM_ID.key, rule, fired_by)
    return OpenAlert(rule, alert_id, fired_by, FIRST_DAY, FIRST_DAY)


def event_id(alert: OpenAlert, change: Change, cause: str) -> str:
    """Returns the ID of a change, which a version that takes over gives it as well."""
    return name_based_id("alert", VM_ID.key, alert.rule, alert.fired_by, change.value, cause)


def published(*patches: Patch) -> PublishedPatches:
    """Returns what an alert has published that named these patches, and no others."""
    return PublishedPatches(tuple(map(digest, patches)), 0, len(patches))


def test_a_first_assessment_is_remembered_whole_and_its_alert_fires() -> None:
    """With all that it found, how long it took, and what the alert has published."""
    found = FIRST.assessment
    alert = replace(
        opened(PATCHES, found.activity_id),
        fired_at=found.completed_at,
        last_published_at=found.completed_at,
    )
    assert decide_by_result(None, FIRST, QUIET) == Transition(
        (
            Alert(
                id=event_id(alert, Change.APPEARED, found.activity_id),
                alert=alert,
                change=Change.APPEARED,
                at=found.completed_at,
                vm_id=VM_ID,
                request_id="completed-0",
                assessment=found,
                previous=None,
                patches=(OPENSSL,),
                new_patches=(OPENSSL,),
                location="eastus",
                os_type="Windows",
                tags=TAGS,
            ),
        ),
        Posture(
            VM_ID,
            location="eastus",
            os_type="Windows",
            assessment=found,
            open_alerts=(alert,),
            durations=Learned.first(660.0),
            published=published(OPENSSL),
            tags=TAGS,
            lacks=(LackedPatch("openssl", "1.0", "", "Critical", is_important=True),),
        ),
    )


def test_a_later_assessment_takes_the_place_of_what_was_remembered() -> None:
    """The VM is back if it was gone, no attempt came to nothing since, and silence counts anew."""
    before = Posture(
        VM_ID,
        location="westus",
        os_type="Linux",
        assessment=FIRST.assessment,
        durations=Learned.first(600.0),
        attempt=TRIED,
        known_since=FIRST_DAY,
        retired_at=FIRST_DAY,
        tags={"env": "before"},
        lacks=(LackedPatch("curl", "", "", "", is_important=False),),
        lacks_omitted=3,
    )
    found = finding(completed(1, None, seconds=900.0))
    assert decide_by_result(before, found, QUIET).posture == Posture(
        VM_ID,
        location="eastus",
        os_type="Windows",
        assessment=found.assessment,
        durations=Learned.first(600.0).after(900.0, 8),
        tags=TAGS,
    )


def test_what_an_assessment_does_not_tell_of_its_vm_stays_as_it_was() -> None:
    """Region, operating system, tags and durations; so an alert still says whose VM it is."""
    before = replace(decide_by_result(None, FIRST, QUIET).posture, open_alerts=())
    untold = replace(SECOND, location=None, os_type=None, tags=None, seconds=None)
    (alert,) = decide_by_result(before, untold, QUIET).alerts
    after = decide_by_result(before, untold, QUIET).posture
    assert (alert.location, alert.os_type, alert.tags) == ("eastus", "Windows", TAGS)
    assert (after.location, after.os_type, after.tags) == ("eastus", "Windows", TAGS)
    assert after.durations == before.durations


def test_an_assessment_that_is_not_newer_than_what_is_known_leaves_it_as_it_is() -> None:
    """Neither the same one again, nor one that began before the VM was found to be gone."""
    known = decide_by_result(None, FIRST, QUIET).posture
    gone = Posture(VM_ID, retired_at=FIRST.assessment.started_at)
    for before in (known, gone):
        assert decide_by_result(before, FIRST, QUIET) == Transition((), before)
    back = replace(gone, retired_at=FIRST_DAY - timedelta(milliseconds=1))
    assert decide_by_result(back, FIRST, QUIET).posture.retired_at is None


def test_an_alert_writes_its_vm_as_it_was_asked_for() -> None:
    """ARM's case of an ID is no matter, but what a requester wrote is what it looks for."""
    shouted = VirtualMachineId(VM_ID.subscription_id, VM_ID.resource_group, VM_ID.name.upper())
    before = replace(decide_by_result(None, FIRST, QUIET).posture, open_alerts=())
    (alert,) = decide_by_result(before, replace(SECOND, vm_id=shouted), QUIET).alerts
    assert str(alert.vm_id) == str(shouted) != str(VM_ID)


def test_an_alert_compares_with_the_assessment_before() -> None:
    """And keeps the ID that it fired under, although the VM changed since."""
    before = decide_by_result(None, FIRST, QUIET).posture
    found = finding(completed(1, ["openssl", "curl"], count=2))
    (alert,) = decide_by_result(before, found, QUIET).alerts
    (fired,) = before.open_alerts
    assert alert.id == event_id(fired, Change.GREW, found.assessment.activity_id)
    assert alert.alert == fired
    assert (alert.previous, alert.assessment) == (FIRST.assessment, found.assessment)
    assert (alert.patches, alert.new_patches) == ((OPENSSL, CURL), (CURL,))


def test_an_alert_that_fires_again_names_all_of_its_patches() -> None:
    """What the one before it published, which is resolved, is forgotten."""
    before = decide_by_result(None, FIRST, QUIET).posture
    resolved = decide_by_result(before, finding(completed(1, [], count=0)), QUIET).posture
    assert (resolved.open_alerts, resolved.published) == ((), PublishedPatches())
    (again,) = decide_by_result(resolved, finding(completed(2, ["openssl"], count=1)), QUIET).alerts
    assert (again.change, again.new_patches) == (Change.APPEARED, (OPENSSL,))


def test_open_alerts_stand_in_the_order_of_the_rules() -> None:
    """Whichever fired first; one of a rule that nobody asked for keeps its place behind them."""
    found = finding(completed(0, ["openssl"], reboot=True))
    before = Posture(VM_ID, open_alerts=(opened(OVERDUE), opened(REBOOT)))
    after = decide_by_result(before, found, QUIET, [RULES[1], RULES[0]]).posture
    assert [each.rule for each in after.open_alerts] == [REBOOT, PATCHES, OVERDUE]
    of_all = decide_by_result(Posture(VM_ID, open_alerts=(opened(REBOOT),)), found, QUIET).posture
    assert [each.rule for each in of_all.open_alerts] == [PATCHES, REBOOT]


@pytest.mark.parametrize(("hours", "is_due"), [(23, False), (24, True), (25, True)])
def test_a_reminder_is_due_once_the_alert_was_silent_for_its_time(
    hours: int, *, is_due: bool
) -> None:
    """To the second; it counts from when the alert last spoke."""
    policy = AlertPolicy(reminder=timedelta(hours=24))
    before = decide_by_result(None, FIRST, policy).posture
    later = replace(
        SECOND,
        assessment=replace(
            SECOND.assessment,
            completed_at=FIRST.assessment.completed_at + timedelta(hours=hours),
        ),
    )
    step = decide_by_result(before, later, policy)
    assert [each.change for each in step.alerts] == ([Change.REMINDER] if is_due else [])


def test_silence_fires_with_why_and_since_when() -> None:
    """With the last assessment, the last attempt, and the moment as what it fired by."""
    before = replace(decide_by_result(None, SECOND, QUIET).posture, attempt=TRIED, open_alerts=())
    now = SECOND.assessment.completed_at + timedelta(hours=50)
    alert = replace(opened(OVERDUE, to_text(now)), fired_at=now, last_published_at=now)
    expected = Alert(
        id=event_id(alert, Change.APPEARED, to_text(now)),
        alert=alert,
        change=Change.APPEARED,
        at=now,
        vm_id=VM_ID,
        request_id="timer-1",
        assessment=SECOND.assessment,
        previous=None,
        location="eastus",
        os_type="Windows",
        tags=TAGS,
        silent_since=SECOND.assessment.completed_at,
        last_attempt=TRIED,
    )
    policy = AlertPolicy(overdue=timedelta(hours=50))
    assert decide_by_time(before, now, policy, "timer-1") == Transition(
        (expected,), replace(before, open_alerts=(alert,))
    )
    just_before = now - timedelta(milliseconds=1)
    assert decide_by_time(before, just_before, policy, "timer-1") == Transition((), before)


def test_time_changes_nothing_of_a_vm_that_is_gone() -> None:
    """It stays as it is remembered, however long ago that was."""
    gone = replace(decide_by_result(None, FIRST, QUIET).posture, retired_at=FIRST_DAY)
    policy = AlertPolicy(overdue=timedelta(hours=1))
    assert decide_by_time(gone, FIRST_DAY + timedelta(days=9), policy, "timer-1") == Transition(
        (), gone
    )
