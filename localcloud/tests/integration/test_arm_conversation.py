"""The recorded conversation, and what the SDK makes of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from localcloud.arm.clock import system_clock
from localcloud.arm.fleet import Fleet, make_fleet
from localcloud.arm.model import Vm
from localcloud.arm.recorded import RECORDED_SUBSCRIPTION, REFERENCE_SUBSCRIPTION
from localcloud.arm.running import ArmOptions, run_arm
from localcloud.tests.integration.arm_client import (
    SOON,
    VM_ID,
    ManualClock,
    bearer,
    compute_client,
    session_for,
    vm,
)

pytestmark = pytest.mark.integration

RECORDING = Path(__file__).parents[3] / "tests" / "recorded" / "arm-recording-assess-patches.json"
VARYING = {
    "x-ms-correlation-request-id",
    "x-ms-routing-request-id",
    "Date",
    "x-ms-ratelimit-remaining-resource",  # the recording's account did other things in between
    "x-ms-ratelimit-remaining-subscription-reads",
}


def entries() -> list[Any]:
    """Returns the recorded requests and answers."""
    recording: Any = json.loads(RECORDING.read_text("utf-8"))
    return list(recording["Entries"])


async def test_every_recorded_answer_comes_again_field_by_field() -> None:
    """Status, headers and body equal the recording, but for hosts and what varies by request.

    The recorder indented the bodies; that they are sent as they were shows in Content-Length.
    """
    clock = ManualClock()
    fleet = make_fleet(seed=1, vms=0)
    async with run_arm(fleet, clock=clock) as arm, session_for(arm) as session:
        for index, entry in enumerate(entries()):
            if index == 4:
                clock.advance(666)
            url = arm.endpoint + entry["RequestUri"]
            async with session.request(
                entry["RequestMethod"], url, headers=bearer(arm)
            ) as response:
                body = await response.text()
            expected = {
                name: ", ".join(values)
                for name, values in entry["ResponseHeaders"].items()
                if name not in VARYING and (index == 0 or name != "x-ms-request-id")
            }
            actual = {
                name: ", ".join(response.headers.getall(name, [])).replace(
                    arm.endpoint, "https://management.azure.com"
                )
                for name in expected
            }
            assert response.status == entry["StatusCode"]
            assert _parsed(body) == _parsed(entry["ResponseBody"])
            assert actual == expected
            assert "Retry-After" not in response.headers
            assert set(response.headers) == set(entry["ResponseHeaders"])


def _parsed(body: str) -> object:
    return json.loads(body) if body else body


async def test_remaining_quota_starts_as_recorded_and_decreases() -> None:
    """The first POST reports 239 and 1199 left; polls report one less each time.

    On a clock that stands still: a bucket is refilled 83 times a second.
    """
    fleet = make_fleet(seed=1, vms=0)
    uri = entries()[0]["RequestUri"]
    moment = system_clock()()
    async with run_arm(fleet, clock=lambda: moment) as arm, session_for(arm) as session:
        async with session.post(arm.endpoint + uri, headers=bearer(arm)) as begun:
            remaining = begun.headers["x-ms-ratelimit-remaining-resource"]
            assert (
                remaining
                == "Microsoft.Compute/UpdateVM3Min;239,Microsoft.Compute/UpdateVM30Min;1199"
            )
            status_url = begun.headers["Azure-AsyncOperation"]
        left = []
        for _ in range(2):
            async with session.get(status_url, headers=bearer(arm)) as polled:
                header = polled.headers["x-ms-ratelimit-remaining-resource"]
                left.append([int(part.rpartition(";")[2]) for part in header.split(",")])
        assert left == [[14999, 29999], [14998, 29998]]


async def test_sdk_returns_the_recorded_result_and_the_instance_view_follows() -> None:
    """begin, poll, result through the SDK; the summary runs and then ends with the counts."""
    clock = ManualClock()
    expected = json.loads(entries()[-1]["ResponseBody"])
    group, name = "crptestps418", "vmcrptestps418"
    async with (
        run_arm(make_fleet(seed=1, vms=0), clock=clock) as arm,
        compute_client(arm, RECORDED_SUBSCRIPTION) as client,
    ):
        vms = client.virtual_machines
        before = await vms.instance_view(group, name)
        poller = await vms.begin_assess_patches(group, name, polling_interval=SOON)
        during = await vms.get(group, name, expand="instanceView")
        clock.advance(700)
        result = await poller.result()
        after = await vms.get(group, name, expand="instanceView")
        repeated = await vms.begin_assess_patches(group, name, polling_interval=SOON)
        clock.advance(700)
        again = await repeated.result()
    assert before.patch_status is None
    running = during.instance_view.patch_status.available_patch_summary
    assert (running.status, running.assessment_activity_id) == (
        "InProgress",
        expected["assessmentActivityId"],
    )
    assert result.as_dict() == expected
    summary = after.instance_view.patch_status.available_patch_summary.as_dict()
    recorded: Any = json.loads(RECORDING.read_text("utf-8"))
    assert summary == recorded["InstanceViewAfter(trimmed)"]["patchStatus"]["availablePatchSummary"]
    fresh = again.as_dict()
    assert fresh["assessmentActivityId"] != expected["assessmentActivityId"]
    assert _without_ids(fresh) == _without_ids(expected)


def _without_ids(result: dict[str, Any]) -> dict[str, Any]:
    patches = [
        {k: v for k, v in patch.items() if k != "activityId"}
        for patch in result["availablePatches"]
    ]
    kept = {k: v for k, v in result.items() if k != "assessmentActivityId"}
    return {**kept, "availablePatches": patches}


async def test_sdk_returns_the_references_example() -> None:
    """The VM of the REST reference's example answers its sample response."""
    clock = ManualClock()
    async with (
        run_arm(make_fleet(seed=1, vms=0), clock=clock) as arm,
        compute_client(arm, REFERENCE_SUBSCRIPTION) as client,
    ):
        poller = await client.virtual_machines.begin_assess_patches(
            "myResourceGroupName", "myVMName", polling_interval=SOON
        )
        clock.advance(1100)
        result = (await poller.result()).as_dict()
    assert result["assessmentActivityId"] == "68f8b292-dfc2-4646-9781-33cc88631968"
    assert result["startDateTime"] == "2020-04-24T21:02:04.2556154Z"
    assert [patch["kbId"] for patch in result["availablePatches"]] == ["2267602", "890830"]
    assert result["error"] is None


async def test_a_token_resumes_in_a_new_client() -> None:
    """Another client, given only the continuation token, comes to the same result."""
    clock = ManualClock()
    async with run_arm(Fleet((vm(behaviour="patches"),)), clock=clock) as arm:
        async with compute_client(arm) as first:
            poller = await first.virtual_machines.begin_assess_patches("rg-test", "vm-1")
            token = poller.continuation_token()
        clock.advance(700)
        async with compute_client(arm) as second:
            resumed = await second.virtual_machines.begin_assess_patches(
                "ignored", "ignored", continuation_token=token, polling_interval=SOON
            )
            result = await resumed.result()
        assert [call.activity_id for call in arm.calls.assessments] == [
            result.assessment_activity_id
        ]


async def test_paths_are_case_insensitive_and_answers_keep_the_vms_casing() -> None:
    """ARM ignores the case of a path and answers with the ID as the VM was made."""
    async with run_arm(Fleet((vm(),))) as arm, session_for(arm) as session:
        url = f"{arm.endpoint}{VM_ID.upper()}?API-VERSION=2024-03-01"
        async with session.get(url.replace("API-VERSION", "api-version"), headers=bearer(arm)) as r:
            assert r.status == 200
            assert (await r.json())["id"] == VM_ID


async def test_a_time_scale_paces_an_unchanged_client() -> None:
    """At scale 15, the 202 and the polls ask the client to look every 2 seconds, not 30."""
    async with (
        run_arm(Fleet((vm(),)), ArmOptions(time_scale=15)) as arm,
        session_for(arm) as session,
    ):
        url = f"{arm.endpoint}{VM_ID}/assessPatches?api-version=2024-03-01"
        async with session.post(url, headers=bearer(arm)) as begun:
            assert begun.headers["Retry-After"] == "2"
            location, status = begun.headers["Location"], begun.headers["Azure-AsyncOperation"]
        for polled_url, expected in ((status, 200), (location, 202)):
            async with session.get(polled_url, headers=bearer(arm)) as polled:
                assert (polled.status, polled.headers["Retry-After"]) == (expected, "2")


async def test_lists_come_in_pages_with_the_instance_view_on_request() -> None:
    """The SDK walks all pages of a subscription, of a resource group, and with status."""
    many = tuple(
        _named(f"/subscriptions/{VM_ID.split('/')[2]}/resourceGroups/rg-{i % 2}", i)
        for i in range(120)
    )
    async with run_arm(Fleet(many)) as arm, compute_client(arm) as client:
        everything = [str(v.id) async for v in client.virtual_machines.list_all(status_only="true")]
        group = [v async for v in client.virtual_machines.list("RG-1", expand="instanceView")]
    assert sorted(everything) == sorted(v.id for v in many)
    assert len(group) == 60
    assert all(v.instance_view.statuses[-1].code == "PowerState/running" for v in group)


def _named(group: str, index: int) -> Vm:
    return vm(id=f"{group}/providers/Microsoft.Compute/virtualMachines/vm-{index:03d}")
