"""The app's ARM adapter, through the real SDK, against the local ARM."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from azure.core.pipeline.transport import AioHttpTransport

from assessor.arm.client import ArmClient
from assessor.arm.errors import ArmError, Phase, Verdict, judge
from assessor.arm.operation import Ended, Running
from assessor.resource_id import VirtualMachineId
from assessor.settings import ArmCloud
from localcloud.arm.access import RoleAssignment
from localcloud.arm.clock import system_clock
from localcloud.arm.faults import parse_rules
from localcloud.arm.fleet import Fleet, make_fleet
from localcloud.arm.recorded import RECORDED_SUBSCRIPTION
from localcloud.arm.running import ArmOptions, LocalArm, run_arm
from localcloud.tests.integration.arm_client import (
    VM_ID,
    ManualClock,
    managed_identity,
    session_for,
    vm,
)

pytestmark = pytest.mark.integration

RECORDING = Path(__file__, "../../recorded/arm-recording-assess-patches.json").resolve()
TARGET = VirtualMachineId.parse(VM_ID)
FINISHED_SECONDS = 3600


@asynccontextmanager
async def compute_arm(arm: LocalArm) -> AsyncIterator[ArmClient]:
    """Gives the adapter as a worker has it."""
    async with managed_identity(arm) as credential, session_for(arm) as session:
        transport = AioHttpTransport(session=session, session_owner=False)
        cloud = ArmCloud(arm.endpoint, "https://management.azure.com/.default")
        yield ArmClient(credential, cloud, transport)


async def test_a_vm_is_read_with_its_instance_view() -> None:
    """Power, agent, system and tags come from one GET."""
    async with (
        run_arm(Fleet((vm(osType="Windows", tags={"a": "b"}),))) as arm,
        compute_arm(arm) as adapter,
    ):
        found = await adapter.read(TARGET)

    assert (found.power_state, found.agent_state, found.os_type) == ("running", "Ready", "Windows")
    assert found.tags == {"a": "b"}
    assert found.skip_reason() is None


async def test_the_recorded_assessment_comes_out_as_it_was_recorded() -> None:
    """The result keeps every field, text and digit of the recorded body; times are ARM's own."""
    entries = json.loads(RECORDING.read_text("utf-8"))["Entries"]
    recorded: Any = json.loads(entries[-1]["ResponseBody"])
    clock = ManualClock()
    target = VirtualMachineId(RECORDED_SUBSCRIPTION, "crptestps418", "vmcrptestps418")
    async with run_arm(make_fleet(seed=1, vms=0), clock=clock) as arm, compute_arm(arm) as adapter:
        operation = await adapter.begin(target, "client-request")
        first = await adapter.poll(target, operation.token, operation.activity_id)
        clock.advance(FINISHED_SECONDS)
        end = await adapter.poll(target, operation.token, operation.activity_id)

    assert operation.activity_id == recorded["assessmentActivityId"]
    assert operation.remaining["Microsoft.Compute/UpdateVM3Min"] == 239
    assert first == Running(0.0, reads_left=11_999)
    assert isinstance(end, Ended)
    assert end.result.raw == recorded
    assert end.started_at is not None
    assert end.ended_at is not None
    assert 600 < (end.ended_at - end.started_at).total_seconds() < 700


async def test_no_poll_is_spent_right_after_the_begin() -> None:
    """The SDK would look at once; an assessment takes minutes."""
    async with run_arm(Fleet((vm(),))) as arm, compute_arm(arm) as adapter:
        begun = await adapter.begin(TARGET, "client-request")

        assert begun.ended is None
        assert arm.calls.as_json()["byOperation"] == {"assess": 1}


async def test_the_result_is_taken_from_the_last_status_where_arm_puts_it() -> None:
    """One call less than the SDK makes by itself, which asks Location for the same."""
    clock = ManualClock()
    async with run_arm(Fleet((vm(),)), clock=clock) as arm, compute_arm(arm) as adapter:
        operation = await adapter.begin(TARGET, "client-request")
        clock.advance(FINISHED_SECONDS)
        await adapter.poll(TARGET, operation.token, operation.activity_id)

        assert arm.calls.as_json()["byOperation"] == {"assess": 1, "operation": 1}


async def test_a_result_without_its_list_is_asked_for_at_location() -> None:
    """Where the last status has counts and no patches, the list may still be there."""
    clock = ManualClock()
    fleet = Fleet((vm(availablePatches=None, criticalAndSecurityPatchCount=3),))
    async with run_arm(fleet, clock=clock) as arm, compute_arm(arm) as adapter:
        operation = await adapter.begin(TARGET, "client-request")
        clock.advance(FINISHED_SECONDS)
        end = await adapter.poll(TARGET, operation.token, operation.activity_id)

        assert arm.calls.as_json()["byOperation"] == {"assess": 1, "operation": 1, "location": 1}
    assert isinstance(end, Ended)
    assert end.result.critical_and_security_count == 3


@pytest.mark.parametrize(("time_scale", "least"), [(1, 0), (10, 3)])
async def test_arms_retry_after_is_told_of_the_begin(time_scale: float, least: float) -> None:
    """The least time until the first poll; none where ARM does not say."""
    options = ArmOptions(time_scale=time_scale)
    async with run_arm(Fleet((vm(),)), options) as arm, compute_arm(arm) as adapter:
        operation = await adapter.begin(TARGET, "client-request")

    assert operation.retry_after == least


async def test_a_poll_tells_what_arm_has_left_of_its_own_reads() -> None:
    """By the header of each answer; other calls of this principal count too."""
    options = ArmOptions(enforce_buckets=True)
    now = system_clock()()
    async with (
        run_arm(Fleet((vm(),)), options, clock=lambda: now) as arm,
        compute_arm(arm) as adapter,
    ):
        operation = await adapter.begin(TARGET, "client-request")
        first = await adapter.poll(TARGET, operation.token, operation.activity_id)
        await adapter.read(TARGET)
        second = await adapter.poll(TARGET, operation.token, operation.activity_id)

    assert (first, second) == (Running(0.0, reads_left=249), Running(0.0, reads_left=247))


async def test_an_adopted_operation_gives_what_the_begun_one_gives() -> None:
    """The activity ID and the VM's region are enough to follow an operation to its result."""
    clock = ManualClock()
    async with run_arm(Fleet((vm(),)), clock=clock) as arm, compute_arm(arm) as adapter:
        begun = await adapter.begin(TARGET, "client-request")
        found = await adapter.read(TARGET)
        assert found.last_assessment is not None
        assert found.last_assessment.is_in_progress
        assert found.last_assessment.activity_id == begun.activity_id
        clock.advance(FINISHED_SECONDS)
        theirs = await adapter.poll(
            TARGET, adapter.continuation_token(found, begun.activity_id), begun.activity_id
        )
        ours = await adapter.poll(TARGET, begun.token, begun.activity_id)

    assert isinstance(theirs, Ended)
    assert theirs == ours
    assert theirs.result.activity_id == begun.activity_id


REFUSALS = [
    ({"status": 429, "retryAfter": 1200}, 429, "OperationNotAllowed", 1200, Verdict.WAIT),
    (500, 500, "InternalServerError", None, Verdict.WAIT),
    (503, 503, "ServiceUnavailable", None, Verdict.WAIT),
    ({"status": 409, "code": "Conflict"}, 409, "Conflict", None, Verdict.WAIT),
    ({"status": 409, "code": "OperationNotAllowed"}, 409, "OperationNotAllowed", None, "recheck"),
    ({"status": 400, "code": "InvalidParameter"}, 400, "InvalidParameter", None, Verdict.FINAL),
    ("reset", None, None, None, Verdict.WAIT),
]


@pytest.mark.parametrize(("answer", "status", "code", "retry_after", "verdict"), REFUSALS)
async def test_a_refused_begin_is_one_post_and_one_error(
    answer: object, status: int | None, code: str | None, retry_after: float | None, verdict: str
) -> None:
    """The SDK's own retries are off: nothing is posted twice, nothing sleeps in the worker."""
    async with run_arm(Fleet((vm(),))) as arm, compute_arm(arm) as adapter:
        arm.faults.add(parse_rules([{"match": {"operation": "assess"}, "answer": answer}]))
        with pytest.raises(ArmError) as caught:
            await adapter.begin(TARGET, "client-request")
        posts = arm.calls.assessments

    assert len(posts) == 1
    assert posts[0].client_request_id == "client-request"
    error = caught.value
    assert (error.phase, error.status, error.retry_after) == (Phase.BEGIN, status, retry_after)
    assert code is None or error.error.code == code
    assert judge(error).verdict == verdict


async def test_a_failed_operation_keeps_arms_error() -> None:
    """Code, message, details and inner error of a failed operation reach the outcome."""
    fault = {
        "code": "VMExtensionFailure",
        "message": "no",
        "details": [{"code": "D", "message": "d"}],
    }
    clock = ManualClock()
    fleet = Fleet((vm(operationStatus="Failed", error=fault),))
    async with run_arm(fleet, clock=clock) as arm, compute_arm(arm) as adapter:
        operation = await adapter.begin(TARGET, "client-request")
        clock.advance(FINISHED_SECONDS)
        with pytest.raises(ArmError) as caught:
            await adapter.poll(TARGET, operation.token, operation.activity_id)

    assert caught.value.status == 200
    assert caught.value.error.code == "VMExtensionFailure"
    assert caught.value.error.details[0]["code"] == "D"
    assert judge(caught.value).verdict is Verdict.FINAL


async def test_polling_without_the_right_to_read_operations_is_a_lost_operation() -> None:
    """The begin succeeds, every poll is refused, and the instance view takes over."""
    rights = RoleAssignment(
        "/",
        (
            "Microsoft.Compute/virtualMachines/read",
            "Microsoft.Compute/virtualMachines/instanceView/read",
            "Microsoft.Compute/virtualMachines/assessPatches/action",
        ),
    )
    options = ArmOptions(assignments=(rights,))
    async with run_arm(Fleet((vm(),)), options) as arm, compute_arm(arm) as adapter:
        operation = await adapter.begin(TARGET, "client-request")
        with pytest.raises(ArmError) as caught:
            await adapter.poll(TARGET, operation.token, operation.activity_id)

    assert (caught.value.status, caught.value.error.code) == (403, "AuthorizationFailed")
    assert judge(caught.value).verdict is Verdict.LOST


async def test_a_missing_vm_is_refused_for_good() -> None:
    """ARM's ResourceNotFound is final."""
    async with run_arm(Fleet((vm(),))) as arm, compute_arm(arm) as adapter:
        with pytest.raises(ArmError) as caught:
            await adapter.read(VirtualMachineId(TARGET.subscription_id, "rg-Test", "no-such-vm"))

    assert (caught.value.status, caught.value.error.code) == (404, "ResourceNotFound")
    assert judge(caught.value).verdict is Verdict.FINAL
