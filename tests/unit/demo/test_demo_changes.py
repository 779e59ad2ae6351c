"""The demo's second act: what ARM is told to change, and when its alerts count as right."""

import io
import random
from dataclasses import replace

import pytest

from demo.changes import (
    ASSESSMENT_SECONDS,
    CHANGES,
    Change,
    ChangeResult,
    ChangesResult,
    fields_of,
)
from demo.ledger import Ledger
from demo.report import print_changes, print_verdict
from localcloud.arm.behaviours import BEHAVIOURS
from localcloud.arm.fleet import make_fleet
from localcloud.arm.model import Vm
from localcloud.arm.scenario import apply, parse_change
from patch_assessor_cli.arrivals import AlertSummary, OutcomeSummary
from patch_assessor_cli.console import make_console

VM = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm-1"
TRACE = "00000000000040008000000000000001"
RULE = "CriticalOrSecurityPatchesAvailable"


def alert(condition: str, change: str) -> AlertSummary:
    """An alert of the VM."""
    return AlertSummary("vm-1", condition, RULE, "Sev1", change, "", TRACE)


def outcome(grave: int) -> OutcomeSummary:
    """An outcome of the VM."""
    return OutcomeSummary(
        VM, "vm-1", "ubuntu", "Completed", "Succeeded", grave, 0, reboot=False, seconds=2.0,
        trace_id=TRACE,
    )  # fmt: skip


def result(change: Change) -> ChangeResult:
    """What a change tells when all is right."""
    alerts = (alert(*change.alert),) if change.alert else ()
    return ChangeResult(change, outcome(change.security_patches or 0), alerts)


RIGHT = ChangesResult(VM, tuple(map(result, CHANGES)))


def printed(changes: ChangesResult) -> str:
    """What is printed of the changes, and in the end."""
    console = make_console(is_terminal=False)
    console.file = file = io.StringIO()
    print_changes(console, changes)
    print_verdict(console, Ledger(()), changes, seconds=1.0, dead_letters=0)
    return file.getvalue()


def clean_vm(os_type: str) -> Vm:
    """A VM of a fleet, without patches."""
    fleet = make_fleet(1, 50)
    vm = next(vm for vm in fleet.vms if vm.image.os_type == os_type and vm.verbatim is None)
    return BEHAVIOURS["clean"](vm, random.Random(1))


@pytest.mark.parametrize("os_type", ["Linux", "Windows"])
def test_arm_understands_each_change_and_counts_the_patches_of_it(os_type: str) -> None:
    """A change that says nothing of patches leaves them as they are."""
    vm = clean_vm(os_type)
    counted = []
    for change in CHANGES:
        vm = apply(vm, parse_change(fields_of(change, os_type, 60.0), vm))
        counted.append(vm.assessment.counts())
        assert vm.expected_outcome == "PatchAssessor.AssessmentCompleted"
    assert vm.duration_seconds / 60.0 == ASSESSMENT_SECONDS
    assert counted == [(1, 0), (1, 0), (2, 0), (0, 0)]


@pytest.mark.parametrize("os_type", ["Linux", "Windows"])
def test_patches_stay_the_same_while_others_come(os_type: str) -> None:
    """Else the first would be gone and two others new."""
    first, _, second, _ = (fields_of(change, os_type, 60.0) for change in CHANGES)
    assert second["availablePatches"][:1] == first["availablePatches"]


def test_the_changes_are_right_when_each_has_its_one_alert() -> None:
    """And the one that changes nothing has none."""
    assert RIGHT.is_right
    assert RIGHT.trace_ids == {TRACE}
    text = printed(RIGHT)
    assert "What changed on vm-1" in text
    assert "expected" not in text
    assert text.endswith("each request has its one outcome, and each change its alert.\n")


@pytest.mark.parametrize("number", range(len(CHANGES)))
@pytest.mark.parametrize(
    "alerts",
    [
        (alert("Fired", "Reminder"),),
        (alert("Fired", "Appeared"), alert("Fired", "Appeared")),
        (alert("Resolved", "Gone"), alert("Resolved", "Gone")),
    ],
    ids=["another", "two that fire", "two that resolve"],
)
def test_one_alert_too_many_or_another_one_is_not_right(
    number: int, alerts: tuple[AlertSummary, ...]
) -> None:
    """Whichever change it is that it follows, and it is named."""
    results = list(RIGHT.results)
    results[number] = replace(results[number], alerts=alerts)
    wrong = ChangesResult(VM, tuple(results))
    assert not wrong.is_right
    text = printed(wrong)
    assert f"; expected {' '.join(CHANGES[number].alert or ('none',))}" in text
    assert text.endswith("the alerts of vm-1 are not right.\n")


@pytest.mark.parametrize("number", [0, 2, 3])
def test_an_alert_that_is_missing_is_not_right(number: int) -> None:
    """The outcome alone is not enough."""
    results = list(RIGHT.results)
    results[number] = replace(results[number], alerts=(), outcome=None)
    wrong = ChangesResult(VM, tuple(results))
    assert not wrong.is_right
    assert "no outcome" in printed(wrong)


@pytest.mark.parametrize("made", range(len(CHANGES)))
def test_changes_that_were_not_made_in_time_are_not_right(made: int) -> None:
    """However right those are that were."""
    assert not ChangesResult(VM, RIGHT.results[:made]).is_right
