"""Fleets: made from a seed, complete, and readable by the SDK's models."""

import json
import math
import statistics
from typing import Any

import pytest
from azure.mgmt.compute._utils.model_base import _deserialize
from azure.mgmt.compute.models import VirtualMachine, VirtualMachineAssessPatchesResult
from hypothesis import given, settings
from hypothesis import strategies as st

from localcloud.arm import bodies
from localcloud.arm.behaviours import BEHAVIOURS
from localcloud.arm.clock import seconds
from localcloud.arm.fleet import make_fleet
from localcloud.arm.model import Vm
from localcloud.arm.operations import Operation, State

STARTED = 16_000_000_000_000_000
ACTIVITY_ID = "6a7b8c9d-0000-4000-8000-000000000001"
OUTCOMES = {
    "patches": "AssessmentCompleted",
    "clean": "AssessmentCompleted",
    "reboot-only": "AssessmentCompleted",
    "counts-only": "AssessmentCompleted",
    "warnings": "AssessmentCompleted",
    "unknown": "AssessmentCompleted",
    "odd": "AssessmentCompleted",
    "huge": "AssessmentCompleted",
    "recorded": "AssessmentCompleted",
    "reference": "AssessmentCompleted",
    "result-failed": "AssessmentFailed",
    "operation-failed": "AssessmentFailed",
    "fails-early": "AssessmentFailed",
    "deallocated": "AssessmentSkipped",
    "stopped": "AssessmentSkipped",
    "no-agent": "AssessmentSkipped",
    "deleting": "AssessmentSkipped",
}


def operation_on(vm: Vm) -> Operation:
    ends = STARTED + seconds(vm.duration_seconds)
    return Operation(ACTIVITY_ID, vm, STARTED, ends, ends + 1)


@settings(deadline=None)
@given(seed=st.integers(), vms=st.integers(0, 60))
def test_the_same_seed_makes_the_same_fleet(seed: int, vms: int) -> None:
    """Nothing but the arguments decides, and the size is as asked for, besides the recorded two."""
    fleet = make_fleet(seed, vms)
    assert fleet == make_fleet(seed, vms)
    assert len({vm.key for vm in fleet.vms}) == len(fleet.vms) == vms + 2


def test_other_seeds_make_other_fleets() -> None:
    """Two seeds share nothing but the recorded VMs."""
    one, two = ({vm.key for vm in make_fleet(seed, 30).vms} for seed in (1, 2))
    assert len(one & two) == 2


@settings(deadline=None)
@given(seed=st.integers(0, 1000))
def test_a_fleet_has_every_behaviour_and_expects_an_outcome_of_each(seed: int) -> None:
    """Each behaviour appears, several subscriptions do, and outcomes follow the contract."""
    fleet = make_fleet(seed, 40)
    assert {vm.behaviour for vm in fleet.vms} == {*BEHAVIOURS, "recorded", "reference"}
    assert len({vm.subscription_id for vm in fleet.vms}) == 3 + 2
    for vm in fleet.vms:
        assert vm.expected_outcome == f"PatchAssessor.{OUTCOMES[vm.behaviour]}"


def test_durations_follow_the_operating_system() -> None:
    """Linux takes a minute or two, Windows a quarter of an hour; what fails early, seconds."""
    vms = make_fleet(1, 4000).vms
    early = [vm.duration_seconds for vm in vms if vm.behaviour == "fails-early"]
    assert 3 <= min(early) <= max(early) <= 30
    for os_type, median, spread in (("Linux", 100, 0.65), ("Windows", 720, 0.4)):
        logs = [
            math.log(vm.duration_seconds)
            for vm in vms
            if vm.image.os_type == os_type and vm.behaviour != "fails-early"
        ]
        assert math.exp(statistics.median(logs)) == pytest.approx(median, rel=0.1)
        assert statistics.stdev(logs) == pytest.approx(spread, rel=0.15)


@settings(deadline=None, max_examples=max(4, settings().max_examples // 8))  # whole fleets
@given(seed=st.integers(0, 10_000), when=st.floats(0, 2))
def test_the_sdks_models_read_every_vm_and_result(seed: int, when: float) -> None:
    """At any moment of an assessment, the SDK reads what ARM would answer, without loss."""
    for vm in make_fleet(seed, len(BEHAVIOURS)).vms:
        operation = operation_on(vm)
        now = STARTED + round(when * (operation.ends - STARTED))
        document: Any = bodies.vm_body(vm, operation, now, instance_view=True)
        model = _deserialize(VirtualMachine, json.loads(bodies.encode(document)))
        assert model.as_dict() == document
        assert model.instance_view.statuses[-1].code == f"PowerState/{vm.power}"
        summary = model.instance_view.patch_status.available_patch_summary
        assert (summary.status == "InProgress") == (now < operation.ends)
        assert summary.start_time is not None
        result = _deserialize(VirtualMachineAssessPatchesResult, bodies.result_body(operation))
        assert result.start_date_time is not None
        for patch in result.available_patches or ():
            assert patch.activity_id == result.assessment_activity_id == ACTIVITY_ID
            assert patch.last_modified_date_time is not None


@pytest.mark.parametrize("seed", [1, 2])
def test_a_fleet_has_what_is_hard_to_handle(seed: int) -> None:
    """An outcome above 256 KB, counts without a list, a reboot with nothing critical."""
    fleet = make_fleet(seed, 40)
    huge = bodies.result_bytes(operation_on(fleet.find("huge")))
    assert len(huge) > 256 * 1024
    counted = fleet.find("counts-only").assessment
    assert counted.patches is None
    assert counted.counts()[0] > 0
    waiting = fleet.find("reboot-only").assessment
    assert waiting.reboot_pending
    assert waiting.counts()[0] == 0
    codes = {missing.code for missing in make_fleet(seed, 75).missing}
    assert codes == {"ResourceNotFound", "ResourceGroupNotFound", "SubscriptionNotFound"}


def test_a_failed_operation_has_an_error_and_no_output() -> None:
    """The document of a failed operation, as polls show it."""
    operation = operation_on(make_fleet(1, 40).find("operation-failed"))
    document = json.loads(bodies.operation_bytes(operation, operation.ends))
    assert list(document) == ["startTime", "endTime", "status", "error", "name"]
    assert operation.state(operation.ends) is State.FAILED


def test_asking_for_what_a_fleet_has_not_says_so() -> None:
    """No VM of that behaviour, no fleet of that size."""
    with pytest.raises(LookupError, match="huge"):
        make_fleet(1, 3).find("huge")
    with pytest.raises(ValueError, match="fewer than no VMs"):
        make_fleet(1, -1)
