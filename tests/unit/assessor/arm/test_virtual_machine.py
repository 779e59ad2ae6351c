"""VMs: read from whatever ARM sends, and skipped only for what is known to be in the way."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assessor.arm.virtual_machine import (
    PatchSummary,
    SkipReason,
    VirtualMachine,
    read_virtual_machine,
)
from tests.support.builders import ACTIVITY_ID, VM_ID, json_values, machine, vm_json


def _read(resource: dict[str, Any]) -> VirtualMachine:
    return read_virtual_machine(VM_ID, resource)


def _statuses(*codes: str) -> dict[str, Any]:
    return {"statuses": [{"code": code} for code in codes]}


def test_a_running_vm_is_read_with_all_that_is_told_of_it() -> None:
    """From the resource and its instance view."""
    vm = _read(vm_json())
    assert vm.last_assessment is not None
    assert vm == VirtualMachine(
        VM_ID,
        location="eastus",
        os_type="Windows",
        os_name="Windows Server 2016 Datacenter",
        power_state="running",
        provisioning_state="Succeeded",
        agent_state="Ready",
        tags={"env": "test"},
        last_assessment=vm.last_assessment,
    )
    assert vm.skip_reason() is None


def test_the_last_assessment_is_read_from_the_instance_view() -> None:
    """With the activity ID that is also its operation's name."""
    summary = _read(vm_json()).last_assessment
    assert summary is not None
    assert summary.activity_id == ACTIVITY_ID
    assert summary.start_time == "2020-08-26T09:22:19.8747329-04:00"
    assert not summary.is_in_progress


def test_a_summary_is_a_result_without_patches() -> None:
    """Under the result's names, each value as ARM sent it; the list is unknown, not empty."""
    summary = _read(vm_json()).last_assessment
    assert summary is not None
    assert summary.as_result().raw == {
        "status": "Succeeded",
        "assessmentActivityId": ACTIVITY_ID,
        "rebootPending": True,
        "criticalAndSecurityPatchCount": 0,
        "otherPatchCount": 3,
        "startDateTime": "2020-08-26T09:22:19.8747329-04:00",
        "lastModifiedTime": "2020-08-26T09:33:25.3731131-04:00",
        "error": None,
        "availablePatches": None,
    }


@pytest.mark.parametrize(
    ("status", "expected"),
    [("InProgress", True), ("inProgress", True), ("Failed", False), (5, False), (None, False)],
)
def test_an_assessment_that_runs_is_known_by_its_status(status: object, expected: object) -> None:
    """Any other status, known or not, is one that has ended."""
    assert PatchSummary({"status": status}).is_in_progress is expected


@pytest.mark.parametrize("view", [{"patchStatus": None}, {"patchStatus": {}}, {"patchStatus": 5}])
def test_a_vm_that_was_never_assessed_has_no_last_assessment(view: dict[str, Any]) -> None:
    """The summary is missing then."""
    assert _read(vm_json(instance_view=view)).last_assessment is None


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("running", None),
        ("Running", None),
        ("deallocated", SkipReason.NOT_RUNNING),
        ("deallocating", SkipReason.NOT_RUNNING),
        ("stopped", SkipReason.NOT_RUNNING),
        ("stopping", SkipReason.NOT_RUNNING),
        ("starting", SkipReason.NOT_RUNNING),
        ("unknown", SkipReason.NOT_RUNNING),
    ],
)
def test_only_a_running_vm_is_assessed(state: str, expected: SkipReason | None) -> None:
    """The power state stands among other statuses, in any case."""
    view = _statuses("ProvisioningState/succeeded", f"powerstate/{state}", "OSState/generalized")
    vm = _read(vm_json(instance_view=view))
    assert vm.power_state == state
    assert vm.skip_reason() is expected


@pytest.mark.parametrize("state", ["Deleting", "deleting"])
def test_a_vm_that_is_being_deleted_is_skipped_before_all_else(state: str) -> None:
    """Whether it still runs or not."""
    resource = vm_json(instance_view=_statuses("PowerState/stopped"))
    resource["properties"]["provisioningState"] = state
    assert _read(resource).skip_reason() is SkipReason.BEING_DELETED


@pytest.mark.parametrize(
    ("agent", "state", "expected"),
    [
        ({"statuses": [{"displayStatus": "Ready"}]}, "Ready", None),
        ({"statuses": [{"displayStatus": "ready"}]}, "ready", None),
        (
            {"statuses": [{"displayStatus": "Not Ready"}]},
            "Not Ready",
            SkipReason.AGENT_NOT_READY,
        ),
        ({"statuses": [{"code": "x"}]}, "Missing", SkipReason.AGENT_NOT_READY),
        ({"statuses": []}, "Missing", SkipReason.AGENT_NOT_READY),
        (None, "Missing", SkipReason.AGENT_NOT_READY),
    ],
)
def test_a_vm_without_a_ready_agent_is_skipped(
    agent: object, state: str, expected: SkipReason | None
) -> None:
    """The agent makes the assessment; a running VM that tells of none has none."""
    vm = _read(vm_json(instance_view={"vmAgent": agent}))
    assert vm.agent_state == state
    assert vm.skip_reason() is expected


def test_what_is_not_known_is_no_reason_to_skip() -> None:
    """Without an instance view nothing speaks against an assessment: ARM will say."""
    vm = _read({"properties": {}})
    assert vm == VirtualMachine(VM_ID)
    assert vm.skip_reason() is None
    assert machine().skip_reason() is None


@given(
    st.dictionaries(
        st.sampled_from(["location", "tags", "properties"]),
        json_values(5)
        | st.dictionaries(
            st.sampled_from(["instanceView", "storageProfile", "provisioningState"]),
            json_values(5)
            | st.dictionaries(
                st.sampled_from(["statuses", "vmAgent", "patchStatus", "osName", "osDisk"]),
                json_values(8)
                | st.lists(
                    st.dictionaries(st.sampled_from(["code", "displayStatus"]), json_values(2))
                ),
            ),
        ),
    )
)
def test_no_answer_of_arm_is_too_odd_to_be_read(resource: dict[str, Any]) -> None:
    """What has another shape than expected is unknown, never an error."""
    vm = _read(resource)
    assert vm.id == VM_ID
    assert all(isinstance(each, str) for pair in vm.tags.items() for each in pair)
    for text in (vm.location, vm.os_type, vm.os_name, vm.power_state, vm.agent_state):
        assert text is None or isinstance(text, str)
    vm.skip_reason()
    if vm.last_assessment is not None:
        assert vm.last_assessment.as_result().patches is None
