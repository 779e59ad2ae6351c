"""What ARM may answer to a begin and to a poll, through the SDK: running, ended or refused."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from assessor.arm.client import ArmClient
from assessor.arm.continuation import for_operation
from assessor.arm.errors import ArmError, Phase, Verdict, judge
from assessor.arm.operation import Begun, Ended, Running
from assessor.arm.result import ApiError, parse_result
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


@pytest.mark.parametrize("status", [200, 202])
async def test_a_begin_that_succeeded_and_names_no_operation_says_so(status: int) -> None:
    """There is nothing to poll."""
    arm = ArmClient(Credential(), CLOUD, RecordedArm([answer(status)]))
    with pytest.raises(ArmError) as unread:
        await arm.begin(VM_ID, "request")
    assert unread.value.error == ApiError("NoOperation", "ARM named no operation.")


async def test_a_result_that_comes_at_once_and_cant_be_read_is_no_answer() -> None:
    """Something has begun, and shows at the VM."""
    page = answer(200, "<html>", Content_Type="text/html")
    arm = ArmClient(Credential(), CLOUD, RecordedArm([page]))
    with pytest.raises(ArmError) as unread:
        await arm.begin(VM_ID, "request")
    assert (unread.value.phase, unread.value.status) == (Phase.POLL, None)
    assert judge(unread.value).verdict is Verdict.WAIT


async def test_a_begin_tells_all_that_its_answer_said() -> None:
    """The operation and its token, when to poll first, and what ARM's policies have left."""
    begun = answer(
        202,
        Azure_AsyncOperation=OPERATION,
        Location=OPERATION.replace("?", "?monitor=true&"),
        Retry_After="15",
        x_ms_request_id=ACTIVITY_ID.upper(),
        x_ms_ratelimit_remaining_resource="Microsoft.Compute/A;5,Microsoft.Compute/B;1199",
    )
    got = await ArmClient(Credential(), CLOUD, RecordedArm([begun])).begin(VM_ID, ACTIVITY_ID)
    assert got == Begun(
        activity_id=ACTIVITY_ID.upper(),
        token=got.token,
        retry_after=15.0,
        remaining={"Microsoft.Compute/A": 5, "Microsoft.Compute/B": 1199},
        ended=None,
    )


@pytest.mark.parametrize(
    ("url", "said", "name"),
    [
        (OPERATION, "other", ACTIVITY_ID),
        (OPERATION, None, ACTIVITY_ID),
        (OPERATION, ACTIVITY_ID, ACTIVITY_ID),
        (f"{CLOUD.endpoint}/elsewhere", "Said", "Said"),
        (f"{CLOUD.endpoint}/elsewhere", None, ""),
    ],
)
async def test_an_operation_is_called_what_its_url_calls_it(
    url: str, said: str | None, name: str
) -> None:
    """As it will be when it is polled; else what the answer's own ID says."""
    headers = {} if said is None else {"x_ms_request_id": said}
    begun = answer(202, Azure_AsyncOperation=url, **headers)
    arm = ArmClient(Credential(), CLOUD, RecordedArm([begun]))
    assert (await arm.begin(VM_ID, "request")).activity_id == name


async def test_a_begin_that_has_ended_already_is_told_with_its_result() -> None:
    """ARM may answer with the result at once."""
    ended = answer(200, RESULT, x_ms_request_id=ACTIVITY_ID)
    begun = await ArmClient(Credential(), CLOUD, RecordedArm([ended])).begin(VM_ID, "request")
    assert begun.ended == Ended(parse_result(RESULT))
    assert begun.activity_id == ACTIVITY_ID


async def test_an_end_is_told_with_its_times_by_arms_clock() -> None:
    """From the operation's status, also where the result was asked for at its own address."""
    times = {"startTime": "2026-01-05T12:00:00+00:00", "endTime": "2026-01-05T12:11:05.5+00:00"}
    moments = (datetime(2026, 1, 5, 12, tzinfo=UTC), datetime(2026, 1, 5, 12, 11, 5, 500000, UTC))
    status = {"status": "Succeeded", **times}
    inline = status | {"properties": {"output": RESULT}}
    expected = Ended(parse_result(RESULT), *moments)
    assert await polled(answer(200, inline)) == expected
    assert await polled(answer(200, status), answer(200, RESULT)) == expected
    for output in ({"status": "Succeeded"}, ["text"], "text"):
        listless = status | {"properties": {"output": output}}
        assert await polled(answer(200, listless), answer(200, RESULT)) == expected


async def test_a_result_that_arm_has_nowhere_else_is_taken_without_its_list() -> None:
    """An operation without another address for it."""
    output = {"status": "Succeeded", "otherPatchCount": 2}
    ended = answer(200, {"status": "Succeeded", "properties": {"output": output}})
    begun = answer(202, Azure_AsyncOperation=OPERATION, x_ms_request_id=ACTIVITY_ID)
    arm = ArmClient(Credential(), CLOUD, RecordedArm([begun, ended]))
    token = (await arm.begin(VM_ID, "request")).token
    assert await arm.poll(VM_ID, token, ACTIVITY_ID) == Ended(parse_result(output))


@pytest.mark.parametrize(
    ("said", "left"),
    [("11999", 11999), (" 0 ", 0), ("-1", None), ("1,2", None), ("9" * 10, None), ("", None)],
)
async def test_a_running_operation_tells_when_to_ask_and_how_many_reads_are_left(
    said: str, left: int | None
) -> None:
    """As ARM's headers say; a number that is none is not told."""
    running = {"status": "InProgress"}
    headers = {"x_ms_ratelimit_remaining_subscription_reads": said}
    assert await polled(answer(200, running, Retry_After="20", **headers)) == Running(20.0, left)
    assert await polled(answer(200, running)) == Running(0.0, None)


async def test_an_operation_that_succeeded_without_a_result_is_an_error() -> None:
    """Nothing is known of the VM then."""
    with pytest.raises(ArmError) as missing:
        await polled(answer(200, {"status": "Succeeded"}), answer(200, {}))
    error = missing.value
    assert (error.phase, error.status) == (Phase.POLL, 200)
    assert error.error == ApiError(
        "ResultMissing", "The operation succeeded, and ARM sent no result of it."
    )
    assert judge(error).verdict is Verdict.FINAL


async def test_a_status_that_is_no_text_is_no_answer() -> None:
    """The SDK would take it for an operation that runs."""
    with pytest.raises(ArmError) as unread:
        await polled(answer(200, {"status": 5}))
    assert unread.value.status is None
    assert unread.value.error.message.startswith("the status is no text")


async def test_an_operation_known_by_its_name_alone_is_polled_by_it() -> None:
    """A token that no answer of ARM's made is as good."""
    token = for_operation(CLOUD.endpoint, VM_ID, "eastus", ACTIVITY_ID, "2020-06-01")
    transport = RecordedArm([answer(200, {"status": "InProgress"})])
    assert await ArmClient(Credential(), CLOUD, transport).poll(VM_ID, token, ACTIVITY_ID) == (
        Running()
    )
    assert transport.calls == [("GET", OPERATION)]
