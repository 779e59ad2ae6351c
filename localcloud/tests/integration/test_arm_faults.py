"""Faults, limits and the control surface, as a client and a test meet them."""

import asyncio
import json
import sys
from typing import Any

import aiohttp
import pytest
from azure.core.exceptions import HttpResponseError, ServiceRequestError, ServiceResponseError

from localcloud.arm.fleet import Fleet, MissingVm
from localcloud.arm.running import ArmOptions, LocalArm, run_arm
from localcloud.tests.integration.arm_client import (
    SOON,
    SUBSCRIPTION,
    VM_ID,
    ManualClock,
    bearer,
    compute_client,
    session_for,
)
from localcloud.tests.integration.arm_client import vm as make_vm
from tests.support.waiting import BOUND_SECONDS

pytestmark = pytest.mark.integration


async def control(arm: LocalArm, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Calls the control surface and returns status and JSON."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, arm.control_url + path, json=body) as response,
    ):
        return response.status, await response.json() if response.content_length else None


async def test_a_429_has_computes_body_and_retry_after() -> None:
    """OperationNotAllowed with TooManyRequests in the details, and the wait that was asked for."""
    rule = {
        "match": {"operation": "assess"},
        "answer": {"status": 429, "retryAfter": 1200},
        "count": 1,
    }
    async with run_arm(Fleet((make_vm(),))) as arm, compute_client(arm) as client:
        await control(arm, "POST", "/faults", [rule])
        with pytest.raises(HttpResponseError) as throttled:
            await client.virtual_machines.begin_assess_patches("rg-test", "vm-1", retry_total=0)
        await client.virtual_machines.begin_assess_patches("rg-test", "vm-1")
        used = (await control(arm, "GET", "/faults"))[1]
    error = throttled.value.error
    assert throttled.value.status_code == 429
    headers: Any = getattr(throttled.value.response, "headers", None)
    assert headers["Retry-After"] == "1200"
    assert error is not None
    assert error.code == "OperationNotAllowed"
    assert error.details[0].code == "TooManyRequests"
    assert error.details[0].target == "UpdateVM3Min"
    assert error.details[0].message is not None
    assert json.loads(error.details[0].message)["operationGroup"] == "UpdateVM3Min"
    assert used == {"used": [1]}


async def test_errors_of_the_service_and_answers_of_ones_own() -> None:
    """A bare status gives the usual error; code, message and details can be stated."""
    details = [{"code": "X", "message": "why"}]
    rules = [
        {"match": {"operation": "get_vm"}, "answer": 503, "count": 1},
        {"answer": {"status": 409, "code": "Mine", "message": "so", "details": details}},
    ]
    async with run_arm(Fleet((make_vm(),))) as arm, session_for(arm) as session:
        await control(arm, "POST", "/faults", rules)
        url = f"{arm.endpoint}{VM_ID}?api-version=2024-03-01"
        answers = []
        for _ in range(2):
            async with session.get(url, headers=bearer(arm)) as response:
                answers.append((response.status, (await response.json())["error"]))
        await control(arm, "DELETE", "/faults")
        async with session.get(url, headers=bearer(arm)) as response:
            assert response.status == 200
    assert answers[0][0] == 503
    assert answers[0][1]["code"] == "ServiceUnavailable"
    assert answers[1] == (409, {"code": "Mine", "message": "so", "details": details})


async def test_a_reset_before_begins_nothing_and_one_after_has_begun() -> None:
    """The caller can't tell the two apart; the call log and a second POST can."""
    rules = [
        {"match": {"vm": "vm-1", "operation": "assess"}, "answer": "reset", "count": 1},
        {"match": {"vm": VM_ID, "operation": "assess"}, "answer": "reset-after", "count": 1},
    ]
    async with run_arm(Fleet((make_vm(),))) as arm, compute_client(arm) as client:
        await control(arm, "POST", "/faults", rules)
        for _ in range(2):
            with pytest.raises((ServiceRequestError, ServiceResponseError)):
                await client.virtual_machines.begin_assess_patches("rg-test", "vm-1", retry_total=0)
        with pytest.raises(HttpResponseError) as refused:
            await client.virtual_machines.begin_assess_patches("rg-test", "vm-1", retry_total=0)
        before, after, third = arm.calls.assessments
        issued = arm.cloud.issued(make_vm())
    assert (before.status, before.activity_id) == (0, "")
    assert (after.status, [after.activity_id]) == (0, issued)
    assert refused.value.status_code == third.status == 409


async def test_a_slow_answer_is_the_usual_one() -> None:
    """The caller's own time-out decides; without one the answer comes."""
    async with run_arm(Fleet((make_vm(),))) as arm, session_for(arm) as session:
        await control(arm, "POST", "/faults", [{"answer": {"slow": 30}, "count": 1}])
        await control(arm, "POST", "/faults", [{"answer": {"slow": 0.01}}])
        url = f"{arm.endpoint}{VM_ID}?api-version=2024-03-01"
        impatient = aiohttp.ClientTimeout(total=0.2)
        with pytest.raises(TimeoutError):
            await session.get(url, headers=bearer(arm), timeout=impatient)
        async with session.get(url, headers=bearer(arm)) as response:
            assert response.status == 200


async def test_a_rule_that_is_wrong_is_refused_by_field() -> None:
    """Nothing is added when a part can't be understood."""
    async with run_arm(Fleet((make_vm(),))) as arm:
        for rules, where in (
            ({}, "body"),
            ([{}], "[0]"),
            ([{"answer": "boom"}], "[0].answer"),
            ([{"answer": 500, "match": {"operation": "x"}}], "[0].match.operation"),
            ([{"answer": 500, "probability": 2}], "[0].probability"),
        ):
            status, answer = await control(arm, "POST", "/faults", rules)
            assert (status, answer["field"]) == (400, where)
        assert (await control(arm, "GET", "/faults"))[1] == {"used": []}


async def test_limits_refuse_a_seventh_assessment_of_one_vm() -> None:
    """The bucket of 6 a VM empties; the 429 says when the next token comes."""
    clock = ManualClock()
    options = ArmOptions(enforce_buckets=True)
    vm = make_vm(durationSeconds=0.001)
    async with run_arm(Fleet((vm,)), options, clock=clock) as arm, session_for(arm) as session:
        url = f"{arm.endpoint}{VM_ID}/assessPatches?api-version=2024-03-01"
        for _ in range(6):
            async with session.post(url, headers=bearer(arm)) as begun:
                assert begun.status == 202
            clock.advance(0.01)
        async with session.post(url, headers=bearer(arm)) as refused:
            assert (refused.status, refused.headers["Retry-After"]) == (429, "30")
            (detail,) = (await refused.json())["error"]["details"]
        clock.advance(30)
        async with session.post(url, headers=bearer(arm)) as again:
            assert again.status == 202
    assert detail["target"] == "GuestPatchOperationsResource"


async def test_control_changes_what_the_next_assessment_finds() -> None:
    """Patches, reboot and power; the running assessment keeps what it had."""
    clock = ManualClock()
    patch = {"name": "openssl", "version": "3.0.2-0ubuntu1.18", "classifications": ["Security"]}
    change = {"availablePatches": [patch], "rebootPending": True}
    async with run_arm(Fleet((make_vm(),)), clock=clock) as arm, compute_client(arm) as client:
        vms, counts = client.virtual_machines, []
        for _ in range(2):
            poller = await vms.begin_assess_patches("rg-test", "vm-1", polling_interval=SOON)
            await control(arm, "POST", f"/vms{VM_ID}/patches", change)
            clock.advance(700)
            counts.append((await poller.result()).critical_and_security_patch_count)
        off = {"power": "deallocated"}
        status, entry = await control(arm, "POST", f"/vms{VM_ID}/patches", off)
        assert (status, entry["rebootPending"], len(entry["activityIds"])) == (200, True, 2)
        view = await vms.instance_view("rg-test", "vm-1")
        assert (await control(arm, "DELETE", f"/vms{VM_ID}"))[0] == 204
        assert (await control(arm, "DELETE", f"/vms{VM_ID}"))[0] == 404
    assert counts == [0, 1]
    assert view.statuses is not None
    assert view.statuses[-1].code == "PowerState/deallocated"


async def test_control_tells_calls_and_what_is_expected_of_the_fleet() -> None:
    """Counts by operation, policy and VM; each VM with its outcome and activity IDs."""
    missing = MissingVm(VM_ID + "-gone", "ResourceNotFound")
    fleet = Fleet((make_vm(behaviour="no-agent"),), (missing,))
    async with run_arm(fleet) as arm, session_for(arm) as session:
        url = f"{arm.endpoint}{VM_ID}/assessPatches?api-version=2024-03-01"
        headers = {**bearer(arm), "x-ms-client-request-id": "mine"}
        async with session.post(url, headers=headers) as response:
            assert response.status == 409
        calls = (await control(arm, "GET", "/calls"))[1]
        state = (await control(arm, "GET", "/fleet"))[1]
    (post,) = calls["assessPosts"]
    assert post.pop("time").endswith("+00:00")
    assert post == {"vmId": VM_ID, "status": 409, "activityId": None, "clientRequestId": "mine"}
    assert calls["byOperation"] == {"assess": 1}
    assert calls["byPolicy"] == {"UpdateVM3Min": 1, "UpdateVM30Min": 1}
    assert calls["byVm"] == {VM_ID.lower(): {"assess": 1}}
    (entry,) = state["vms"]
    assert entry["expectedOutcome"] == "PatchAssessor.AssessmentSkipped"
    assert entry["skipReason"] == "no agent"
    assert state["missing"][0]["expectedOutcome"] == "PatchAssessor.AssessmentFailed"


CLIENT = """
import asyncio, sys
from azure.identity.aio import ManagedIdentityCredential
from azure.mgmt.compute.aio import ComputeManagementClient

async def main(endpoint, subscription, group, name):
    async with ManagedIdentityCredential() as credential, ComputeManagementClient(
        credential, subscription, base_url=endpoint
    ) as client:
        vm = await client.virtual_machines.get(group, name, expand="instanceView")
        print(vm.instance_view.statuses[-1].code)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_the_command_serves_an_unchanged_client_until_its_parent_is_gone() -> None:
    """One JSON line, then service to a process configured by environment alone, then the end."""
    pipe = asyncio.subprocess.PIPE
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "localcloud.arm", "--vms", "0", "--exit-with-parent"),
        stdin=pipe,
        stdout=pipe,
    )
    try:
        assert server.stdout is not None
        assert server.stdin is not None
        async with asyncio.timeout(BOUND_SECONDS):
            ready = json.loads(await server.stdout.readline())
            client = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", CLIENT, ready["armEndpoint"]),
                *("e37510d7-33b6-4676-886f-ee75bcc01871", "crptestps418", "vmcrptestps418"),
                env={
                    "IDENTITY_ENDPOINT": ready["identityEndpoint"],
                    "IDENTITY_HEADER": ready["identityHeader"],
                    "SSL_CERT_FILE": ready["caFile"],
                },
                stdout=pipe,
            )
            output, _ = await client.communicate()
            server.stdin.close()
            code = await server.wait()
    finally:
        if server.returncode is None:
            server.kill()
            await server.wait()
    assert output.decode().strip() == "PowerState/running"
    assert code == 0


async def test_any_answer_can_be_given_word_for_word() -> None:
    """Odd lists, bodies that are none, headers that lie or come twice: once, then ARM's own."""
    rules = [
        {
            "match": {"operation": "list_subscription"},
            "count": 1,
            "answer": {
                "status": 200,
                "headers": {"Retry-After": ["120", "Wed, 21 Oct 2099 07:28:00"]},
                "body": {"value": None, "nextLink": 5},
            },
        },
        {
            "match": {"operation": "list_subscription"},
            "count": 1,
            "answer": {"status": 200, "headers": {"Content-Type": "text/html"}, "body": "<html>"},
        },
        {
            "match": {"operation": "list_subscription"},
            "count": 1,
            "answer": {"status": 429, "retryAfter": "PT30S"},
        },
    ]
    path = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines"
    async with run_arm(Fleet((make_vm(),))) as arm, session_for(arm) as session:
        await control(arm, "POST", "/faults", rules)
        url = f"{arm.endpoint}{path}?api-version=2026-04-01"
        answers = []
        for _ in range(4):
            async with session.get(url, headers=bearer(arm)) as answer:
                answers.append((answer.status, await answer.read(), answer.headers.copy()))
        async with session.get(
            f"{arm.endpoint}/subscriptions?api-version=2022-12-01", headers=bearer(arm)
        ) as answer:
            told = await answer.json()
    odd, html, throttled, usual = answers
    assert odd[:2] == (200, b'{"value": null, "nextLink": 5}')
    assert odd[2].getall("Retry-After") == ["120", "Wed, 21 Oct 2099 07:28:00"]
    assert (html[1], html[2]["Content-Type"]) == (b"<html>", "text/html")
    assert (throttled[0], throttled[2]["Retry-After"]) == (429, "PT30S")
    assert len(json.loads(usual[1])["value"]) == 1
    assert [each["subscriptionId"] for each in told["value"]] == [SUBSCRIPTION]
