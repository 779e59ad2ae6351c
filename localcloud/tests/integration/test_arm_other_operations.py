"""What else happens on a VM, ARM's own limits, and signed operation URLs, over HTTP."""

from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
from azure.core.exceptions import ResourceExistsError
from yarl import URL

from localcloud.arm.clock import seconds, system_clock
from localcloud.arm.fleet import Fleet
from localcloud.arm.running import ArmOptions, LocalArm, run_arm
from localcloud.control import Addresses, Control, ControlError
from localcloud.tests.integration.arm_client import (
    SOON,
    SUBSCRIPTION,
    VM_ID,
    ManualClock,
    bearer,
    compute_client,
    session_for,
    vm,
)

pytestmark = pytest.mark.integration

VERSION = "2024-11-01"


async def answer(
    arm: LocalArm, session: aiohttp.ClientSession, path: str
) -> tuple[int, Mapping[str, str], Any]:
    """Returns status, headers and document of a GET, with the app's token."""
    async with session.get(URL(f"{arm.endpoint}{path}"), headers=bearer(arm)) as response:
        return response.status, response.headers, await response.json()


def operation(name: str) -> str:
    """Returns the path by which an operation is asked for, made up from its name."""
    return (
        f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/locations/eastus"
        f"/operations/{name}?api-version={VERSION}"
    )


async def summary(arm: LocalArm, session: aiohttp.ClientSession) -> Mapping[str, Any]:
    """Returns what the VM tells of its last assessment."""
    path = f"{VM_ID}/instanceView?api-version={VERSION}"
    told: Mapping[str, Any] = (await answer(arm, session, path))[2]["patchStatus"]
    return dict(told["availablePatchSummary"])


async def test_an_installation_stands_where_an_assessment_would() -> None:
    """The summary has its ID, running and ended; its operation's result is an installation's."""
    clock = ManualClock()
    async with (
        run_arm(Fleet((vm(behaviour="patches"),)), clock=clock) as arm,
        session_for(arm) as session,
        compute_client(arm) as client,
    ):
        control = Control(session, Addresses("", arm.control_url))
        name = await control.install_patches(VM_ID, 600)
        running = await summary(arm, session)
        assert (running["status"], running["assessmentActivityId"]) == ("InProgress", name)
        with pytest.raises(ResourceExistsError):
            await client.virtual_machines.begin_assess_patches("rg-test", "vm-1", retry_total=0)
        with pytest.raises(ControlError, match="409"):
            await control.install_patches(VM_ID, 600)
        clock.advance(601)
        ended = await summary(arm, session)
        assert (ended["status"], ended["assessmentActivityId"]) == ("Succeeded", name)
        assert ended["criticalAndSecurityPatchCount"] is not None
        _, _, document = await answer(arm, session, operation(name))
        output = document["properties"]["output"]
        assert output["installationActivityId"] == name
        assert "availablePatches" not in output
        assert "assessmentActivityId" not in output


@pytest.mark.parametrize("status", ["Succeeded", "InProgress"])
async def test_arm_has_no_operation_of_what_a_vm_assessed_by_itself(status: str) -> None:
    """Its ID is in the summary, which may say InProgress for ever; the VM can still be assessed."""
    clock = ManualClock()
    async with (
        run_arm(Fleet((vm(behaviour="patches"),)), clock=clock) as arm,
        session_for(arm) as session,
        compute_client(arm) as client,
    ):
        control = Control(session, Addresses("", arm.control_url))
        name = await control.tell_from_guest(VM_ID, status, seconds_ago=300)
        clock.advance(2000)
        told = await summary(arm, session)
        assert (told["status"], told["assessmentActivityId"]) == (status, name)
        assert ("criticalAndSecurityPatchCount" in told) == (status == "Succeeded")
        assert (await answer(arm, session, operation(name)))[0] == 404
        poller = await client.virtual_machines.begin_assess_patches(
            "rg-test", "vm-1", polling_interval=SOON
        )
        clock.advance(700)
        result = await poller.result()
        assert (await summary(arm, session))["assessmentActivityId"] == (
            result.assessment_activity_id
        )


async def test_signed_urls_lead_the_sdk_to_the_result_and_made_up_ones_nowhere() -> None:
    """Some 3 KB each; who calls the operation by its name alone is not the original caller."""
    clock = ManualClock()
    options = ArmOptions(signed_urls=True)
    async with (
        run_arm(Fleet((vm(behaviour="patches"),)), options, clock=clock) as arm,
        session_for(arm) as session,
        compute_client(arm) as client,
    ):
        urls = {}

        def take(response: Any) -> None:  # noqa: ANN401 - the SDK's own
            urls.update(response.http_response.headers)

        poller = await client.virtual_machines.begin_assess_patches(
            "rg-test", "vm-1", polling_interval=SOON, raw_response_hook=take
        )
        for name in ("Location", "Azure-AsyncOperation"):
            assert 2500 < len(urls[name]) < 4096
            assert {"t", "c", "s", "h"} <= URL(urls[name]).query.keys()
        clock.advance(700)
        result = await poller.result()
        assert result.status == "Succeeded"
        activity_id = str(result.assessment_activity_id)
        status, _, document = await answer(arm, session, operation(activity_id))
        assert status == 403
        assert "original caller" in document["error"]["message"]
        genuine = URL(urls["Azure-AsyncOperation"])
        for parameter in ("t", "s", "h"):
            forged = genuine.update_query({parameter: "x"})
            assert (await answer(arm, session, forged.path_qs))[0] == 403
        assert (await answer(arm, session, genuine.path_qs))[0] == 200


async def test_above_arms_own_limit_reads_are_refused_until_it_is_refilled() -> None:
    """250 at once; the header counts down, and the 429 is ARM's, with Retry-After."""
    now = system_clock()()
    options = ArmOptions(enforce_buckets=True)
    async with (
        run_arm(Fleet((vm(),)), options, clock=lambda: now) as arm,
        session_for(arm) as session,
    ):
        path = f"{VM_ID}?api-version={VERSION}"
        first = await answer(arm, session, path)
        assert int(first[1]["x-ms-ratelimit-remaining-subscription-reads"]) == 249
        for _ in range(249):
            assert (await answer(arm, session, path))[0] == 200
        status, headers, document = await answer(arm, session, path)
        assert status == 429
        assert headers["Retry-After"] == "1"
        assert headers["x-ms-ratelimit-remaining-subscription-reads"] == "0"
        assert document["error"]["code"] == "SubscriptionRequestsThrottled"
        now += seconds(10)
        assert (await answer(arm, session, path))[0] == 200
