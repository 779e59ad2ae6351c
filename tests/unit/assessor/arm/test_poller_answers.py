"""What ARM may answer to a begin and to a poll, through the SDK: running, ended or refused."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from assessor.arm.client import ArmClient
from assessor.arm.errors import ArmError, Phase, Verdict, judge
from assessor.arm.operation import Ended, Running
from tests.support.app import settings
from tests.support.builders import ACTIVITY_ID, SUBSCRIPTION, VM_ID
from tests.support.recorded_arm import Credential, RecordedArm

CLOUD = settings().arm_cloud
OPERATION = (
    f"{CLOUD.endpoint}/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/locations/eastus"
    f"/operations/{ACTIVITY_ID}?api-version=2020-06-01"
)
RESULT = {"status": "Succeeded", "assessmentActivityId": ACTIVITY_ID, "availablePatches": []}
Entry = Mapping[str, Any]


def answer(status: int, body: object = "", **headers: str) -> Entry:
    """Returns an exchange as recordings hold it."""
    named = {"Content-Type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return {
        "StatusCode": status,
        "ResponseBody": body if isinstance(body, str) else json.dumps(body),
        "ResponseHeaders": {name: [value] for name, value in named.items()},
    }


BEGUN = answer(
    202,
    Azure_AsyncOperation=OPERATION,
    Location=f"{OPERATION}&monitor=true",
    x_ms_request_id=ACTIVITY_ID,
)


async def polled(*entries: Entry) -> Running | Ended:
    """Returns what the poll shows of an operation that was just begun; raises ArmError."""
    arm = ArmClient(Credential(), CLOUD, RecordedArm([BEGUN, *entries]))
    begun = await arm.begin(VM_ID, "request")
    return await arm.poll(VM_ID, begun.token, begun.activity_id)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (429, Verdict.WAIT),
        (503, Verdict.WAIT),
        (401, Verdict.WAIT),
        (403, Verdict.LOST),
        (404, Verdict.LOST),
        (400, Verdict.FINAL),
    ],
)
async def test_a_refusal_is_one_by_its_status_whatever_its_body_is(
    status: int, verdict: Verdict
) -> None:
    """A page of a gateway that calls itself JSON keeps no 404 from ending, nor a 429's wish."""
    with pytest.raises(ArmError) as refused:
        await polled(*[answer(status, "<html>no JSON", Retry_After="30")] * 2)
    assert (refused.value.status, refused.value.retry_after) == (status, 30.0)
    assert judge(refused.value).verdict is verdict


@pytest.mark.parametrize("status", ["Canceled", "Cancelled", "cancelled"])
async def test_a_cancelled_operation_has_ended(status: str) -> None:
    """In either spelling: the SDK knows one, and takes the other for "it runs"."""
    with pytest.raises(ArmError) as refused:
        await polled(answer(200, {"status": status}))
    assert refused.value.error.code == f"Operation{status}"
    assert judge(refused.value).verdict is Verdict.FINAL


async def test_a_result_that_is_not_ready_yet_is_asked_for_again() -> None:
    """Location may still say 202 when the operation has ended."""
    ended = answer(200, {"status": "Succeeded", "properties": {}})
    assert await polled(ended, answer(202, Retry_After="9")) == Running(9.0)
    whole = await polled(ended, answer(200, RESULT))
    assert isinstance(whole, Ended)
    assert whole.result.patches == ()


@pytest.mark.parametrize("begun", [answer(202), answer(200), answer(201, {}), answer(204)])
async def test_a_begin_that_names_no_operation_is_no_answer(begun: Entry) -> None:
    """It is waited out, and what has begun shows at the VM; it has not failed."""
    with pytest.raises(ArmError) as unread:
        await ArmClient(Credential(), CLOUD, RecordedArm([begun])).begin(VM_ID, "request")
    assert (unread.value.phase, unread.value.status) == (Phase.BEGIN, None)
    assert judge(unread.value).verdict is Verdict.WAIT
