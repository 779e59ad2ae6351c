"""How ARM's refusals and failures reach a caller through the SDK."""

import pytest
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)

from localcloud.arm.access import ASSESSOR_ACTIONS, RoleAssignment
from localcloud.arm.fleet import Fleet
from localcloud.arm.running import ArmOptions, run_arm
from localcloud.identity import SYSTEM_ASSIGNED
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

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"behaviour": "deallocated"}, "requires the VM to be running"),
        ({"behaviour": "stopped"}, "requires the VM to be running"),
        ({"behaviour": "no-agent"}, "ensure VM Agent is installed"),
        ({"behaviour": "deleting"}, "marked for deletion"),
    ],
)
async def test_a_vm_that_cannot_be_assessed_answers_409(
    fields: dict[str, str], message: str
) -> None:
    """OperationNotAllowed in ARM's shape; the SDK raises ResourceExistsError for any 409."""
    async with run_arm(Fleet((make_vm(**fields),))) as arm, compute_client(arm) as client:
        with pytest.raises(ResourceExistsError, match=message) as refused:
            await client.virtual_machines.begin_assess_patches("rg-test", "vm-1")
    assert refused.value.error is not None
    assert refused.value.error.code == "OperationNotAllowed"


async def test_a_second_assessment_is_refused_until_the_first_has_ended() -> None:
    """409 Conflict while one runs, a new activity ID afterwards."""
    clock = ManualClock()
    async with run_arm(Fleet((make_vm(),)), clock=clock) as arm, compute_client(arm) as client:
        vms = client.virtual_machines
        await vms.begin_assess_patches("rg-test", "vm-1")
        with pytest.raises(ResourceExistsError) as refused:
            await vms.begin_assess_patches("rg-test", "vm-1")
        clock.advance(700)
        await vms.begin_assess_patches("rg-test", "vm-1")
        first, second, third = arm.calls.assessments
    assert refused.value.error is not None
    assert refused.value.error.code == "Conflict"
    assert (first.status, second.status, third.status) == (202, 409, 202)
    assert not second.activity_id
    assert first.activity_id != third.activity_id


@pytest.mark.parametrize(
    ("subscription", "group", "name", "code"),
    [
        (SUBSCRIPTION, "rg-test", "other", "ResourceNotFound"),
        (SUBSCRIPTION, "rg-other", "vm-1", "ResourceGroupNotFound"),
        ("99999999-2222-4333-8444-555555555555", "rg-test", "vm-1", "SubscriptionNotFound"),
    ],
)
async def test_what_does_not_exist_answers_404_with_its_own_code(
    subscription: str, group: str, name: str, code: str
) -> None:
    """VM, resource group and subscription are told apart."""
    async with (
        run_arm(Fleet((make_vm(),))) as arm,
        compute_client(arm, subscription) as client,
    ):
        with pytest.raises(ResourceNotFoundError) as missing:
            await client.virtual_machines.begin_assess_patches(group, name)
    assert missing.value.error is not None
    assert missing.value.error.code == code


async def test_a_failed_operation_raises_with_status_200_and_its_error() -> None:
    """The SDK puts the operation's error, with target and innererror, on HttpResponseError."""
    clock = ManualClock()
    vm = make_vm(behaviour="operation-failed")
    async with run_arm(Fleet((vm,)), clock=clock) as arm, compute_client(arm) as client:
        poller = await client.virtual_machines.begin_assess_patches(
            "rg-test", "vm-1", polling_interval=SOON
        )
        clock.advance(700)
        with pytest.raises(HttpResponseError) as failed:
            await poller.result()
        view = await client.virtual_machines.instance_view("rg-test", "vm-1")
    assert poller.status() == "Failed"
    assert failed.value.status_code == 200
    assert failed.value.error is not None
    assert failed.value.error.code == "VMAgentStatusCommunicationError"
    assert view.patch_status is not None
    assert view.patch_status.available_patch_summary is not None
    assert view.patch_status.available_patch_summary.status == "Failed"


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [
        ("result-failed", "Failed"),
        ("warnings", "CompletedWithWarnings"),
        ("unknown", "Unknown"),
        ("counts-only", "Succeeded"),
        ("odd", "Succeeded"),
        ("reboot-only", "Succeeded"),
    ],
)
async def test_an_operation_that_succeeded_carries_any_result(behaviour: str, status: str) -> None:
    """No exception: what the assessment came to is in the result alone."""
    clock = ManualClock()
    vm = make_vm(behaviour=behaviour, os="windows-2019")
    async with run_arm(Fleet((vm,)), clock=clock) as arm, compute_client(arm) as client:
        poller = await client.virtual_machines.begin_assess_patches(
            "rg-test", "vm-1", polling_interval=SOON
        )
        clock.advance(700)
        result = await poller.result()
    grave, other = vm.assessment.counts()
    assert poller.status() == "Succeeded"
    assert result.status == status
    assert result.reboot_pending is vm.assessment.reboot_pending
    assert (result.critical_and_security_patch_count, result.other_patch_count) == (grave, other)
    assert (result.available_patches is None) == (vm.assessment.patches is None)
    expected = vm.assessment.error
    assert (result.error.as_dict() if result.error else None) == (
        expected.as_json() if expected else None
    )


async def test_an_operation_is_forgotten_after_a_time() -> None:
    """404 for its URL, so that a token that is too old fails."""
    clock = ManualClock()
    options = ArmOptions(expiry_seconds=60)
    fleet = Fleet((make_vm(),))
    async with run_arm(fleet, options, clock=clock) as arm, compute_client(arm) as client:
        poller = await client.virtual_machines.begin_assess_patches("rg-test", "vm-1")
        token = poller.continuation_token()
        clock.advance(700 + 60)
        late = await client.virtual_machines.begin_assess_patches(
            "rg-test", "vm-1", continuation_token=token, polling_interval=SOON
        )
        with pytest.raises(HttpResponseError) as gone:
            await late.result()
    assert gone.value.status_code == 404


@pytest.mark.parametrize(
    ("resource", "code"),
    [
        (None, "AuthenticationFailed"),
        ("https://servicebus.azure.net", "InvalidAuthenticationTokenAudience"),
    ],
)
async def test_a_call_needs_a_token_for_arm(resource: str | None, code: str) -> None:
    """401 with a challenge, without a token and with one for another service."""
    async with run_arm(Fleet((make_vm(),))) as arm, session_for(arm) as session:
        headers = bearer(arm, resource) if resource else {}
        url = f"{arm.endpoint}{VM_ID}?api-version=2024-03-01"
        async with session.get(url, headers=headers) as response:
            body = await response.json()
    assert response.status == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer authorization_uri=")
    assert body["error"]["code"] == code


async def test_the_clouds_metadata_is_told_to_anybody() -> None:
    """Who signs in asks there where to, so without a token yet."""
    async with run_arm(Fleet((make_vm(),))) as arm, session_for(arm) as session:
        url = f"{arm.endpoint}/metadata/endpoints?api-version=2022-09-01"
        async with session.get(url) as response:
            told = await response.json()
    assert response.status == 200
    assert told["resourceManager"] == f"{arm.endpoint}/"


@pytest.mark.parametrize("forged", ["Bearer x", "Bearer a.b.c", "Basic dTpw"])
async def test_a_token_of_another_maker_is_refused(forged: str) -> None:
    """Only this run's tokens are good."""
    async with run_arm(Fleet((make_vm(),))) as arm, session_for(arm) as session:
        url = f"{arm.endpoint}{VM_ID}?api-version=2024-03-01"
        async with session.get(url, headers={"Authorization": forged}) as response:
            assert response.status == 401


async def test_polling_needs_its_right_at_the_subscription() -> None:
    """Rights on the resource group let the begin succeed and every poll fail with 403."""
    group = VM_ID.partition("/providers")[0]
    options = ArmOptions(assignments=(RoleAssignment(group, ASSESSOR_ACTIONS),))
    async with run_arm(Fleet((make_vm(),)), options) as arm, compute_client(arm) as client:
        poller = await client.virtual_machines.begin_assess_patches("rg-test", "vm-1")
        with pytest.raises(HttpResponseError) as refused:
            await poller.result()
    assert refused.value.status_code == 403
    message = str(refused.value)
    assert SYSTEM_ASSIGNED.principal_id in message
    assert "'Microsoft.Compute/locations/operations/read' over scope '/subscriptions/" in message


async def test_the_role_changes_nothing_on_a_vm() -> None:
    """Deleting, starting and updating a VM are refused with the action they need."""
    async with run_arm(Fleet((make_vm(),))) as arm, session_for(arm) as session:
        wanted = {
            ("DELETE", ""): "Microsoft.Compute/virtualMachines/delete",
            ("PUT", ""): "Microsoft.Compute/virtualMachines/write",
            ("POST", "/start"): "Microsoft.Compute/virtualMachines/start/action",
        }
        for (method, suffix), action in wanted.items():
            url = f"{arm.endpoint}{VM_ID}{suffix}?api-version=2024-03-01"
            async with session.request(method, url, headers=bearer(arm)) as response:
                error = (await response.json())["error"]
            assert (response.status, error["code"]) == (403, "AuthorizationFailed")
            assert f"'{action}'" in error["message"]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (VM_ID, 400, "MissingApiVersionParameter"),
        ("/subscriptions/x/providers/Microsoft.Network/vnets", 404, "InvalidResourceNamespace"),
        ("/subscriptions/x/providers/Microsoft.Compute/disks", 404, "InvalidResourceType"),
        ("/nowhere", 404, "InvalidResourceType"),
    ],
)
async def test_what_is_not_served_is_refused_as_arm_does(path: str, status: int, code: str) -> None:
    """Every path has an answer in ARM's shape, with a request ID."""
    query = {} if status == 400 else {"api-version": "2024-03-01"}
    async with (
        run_arm(Fleet((make_vm(),))) as arm,
        session_for(arm) as session,
        session.get(arm.endpoint + path, params=query, headers=bearer(arm)) as response,
    ):
        body = await response.json()
    assert (response.status, body["error"]["code"]) == (status, code)
    assert response.headers["x-ms-request-id"]


@pytest.mark.parametrize("api_version", ["1", "2024-13-01", "1999-01-01", "2024-03-01x", "latest"])
async def test_an_api_version_that_no_provider_has_is_refused(api_version: str) -> None:
    """It answers 400, before anything is looked up."""
    async with run_arm(Fleet((make_vm(),))) as arm, session_for(arm) as session:
        url = f"{arm.endpoint}{VM_ID}?api-version={api_version}"
        async with session.get(url, headers=bearer(arm)) as response:
            error = (await response.json())["error"]
    assert (response.status, error["code"]) == (400, "InvalidApiVersionParameter")
