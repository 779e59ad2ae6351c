"""Outcomes: everything that ARM said survives, and each request has one outcome with one ID."""

import base64
import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assessor.arm.result import ApiError, parse_result
from assessor.arm.virtual_machine import SkipReason
from assessor.messages.outcome import (
    Finished,
    OutcomeType,
    Refused,
    Skipped,
    conclude,
    outcome_id,
    reject,
)
from assessor.messages.request import FieldError, Rejection, identity_of, name_based_id
from assessor.resource_id import VirtualMachineId
from tests.support.builders import (
    NOW,
    REFERENCE_RESULT,
    VM_ID,
    finished,
    incoming,
    json_values,
    machine,
    recorded_result,
    request,
    vm_ids,
)

_API_ERROR: dict[str, Any] = {
    "code": "PatchAssessmentFailed",
    "message": "The assessment failed.",
    "target": "vm",
    "details": [{"code": "VMExtensionTimeout", "message": "It took too long.", "target": "ext"}],
    "innererror": {"exceptiontype": "TimeoutException", "errordetail": "at Assess()"},
}


@pytest.mark.parametrize(
    "result", [REFERENCE_RESULT, recorded_result(), {**REFERENCE_RESULT, "error": _API_ERROR}]
)
def test_every_field_of_the_result_stands_in_the_outcome_as_arm_sent_it(
    result: dict[str, Any],
) -> None:
    """The reference's example, a recorded result, and one with errors: each under its REST name."""
    data = conclude(request(), machine(), Finished(parse_result(result), NOW, 1.0)).data
    assert {name: data[name] for name in REFERENCE_RESULT} == {"error": None} | dict(result)


@given(st.dictionaries(st.sampled_from([*REFERENCE_RESULT, "newField", "x"]), json_values(10)))
def test_any_result_passes_through_unchanged(result: dict[str, Any]) -> None:
    """Values and fields that nobody knows yet are no error; a field that is missing is null."""
    outcome = conclude(request(), None, Finished(parse_result(result), NOW, None))
    assert {name: outcome.data[name] for name in result} == result
    assert all(outcome.data[name] is None for name in REFERENCE_RESULT if name not in result)
    json.dumps(outcome.data)


def test_times_are_those_that_arm_wrote() -> None:
    """Seven fraction digits and an offset stay as they are: nothing is parsed and written again."""
    data = conclude(request(), machine(), finished()).data
    assert data["startDateTime"] == "2020-08-26T09:22:19.8747329-04:00"
    patch = data["availablePatches"][0]
    assert patch["lastModifiedDateTime"] == "2020-08-26T09:32:39.7389829-04:00"


def test_an_outcome_tells_of_the_request_the_vm_and_the_time() -> None:
    """All that the contract names beside the result."""
    outcome = conclude(request(), machine(), finished())
    assert {k: v for k, v in outcome.data.items() if k not in REFERENCE_RESULT} == {
        "request": {
            "requestId": "request-1",
            "requestedBy": "ops",
            "reason": "monthly",
            "enqueuedDateTime": "2026-01-05T12:00:00.000Z",
        },
        "vmId": str(VM_ID),
        "subscriptionId": VM_ID.subscription_id,
        "resourceGroupName": VM_ID.resource_group,
        "vmName": VM_ID.name,
        "vm": {
            "location": "eastus",
            "osType": "Windows",
            "osName": "Windows Server 2016 Datacenter",
            "powerState": "running",
            "tags": {"env": "test"},
        },
        "completedDateTime": "2026-01-05T12:00:00.000Z",
        "operationSeconds": 665.498,
    }
    assert (outcome.request_id, outcome.vm_id, outcome.time) == ("request-1", VM_ID, NOW)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("Succeeded", OutcomeType.COMPLETED),
        ("CompletedWithWarnings", OutcomeType.COMPLETED),
        ("Unknown", OutcomeType.COMPLETED),
        ("SomethingNew", OutcomeType.COMPLETED),
        (None, OutcomeType.COMPLETED),
        (7, OutcomeType.COMPLETED),
        ("Failed", OutcomeType.FAILED),
        ("failed", OutcomeType.FAILED),
        ("FAILED", OutcomeType.FAILED),
    ],
)
def test_the_results_own_status_decides_the_type(status: object, expected: OutcomeType) -> None:
    """A finished operation can carry a failed assessment; an unknown status is none."""
    outcome = conclude(request(), machine(), finished(status=status))
    assert outcome.type is expected
    assert outcome.data["status"] == status


def test_counts_without_patches_are_told_with_the_reason() -> None:
    """A list that could not be had is null, not empty."""
    result = {**REFERENCE_RESULT, "availablePatches": None}
    outcome = conclude(
        request(), machine(), Finished(parse_result(result), NOW, 1.0, "ARM forgot it.")
    )
    assert outcome.data["availablePatches"] is None
    assert outcome.data["criticalAndSecurityPatchCount"] == 1
    assert outcome.data["availablePatchesMissing"] == "ARM forgot it."
    assert "availablePatchesMissing" not in conclude(request(), machine(), finished()).data


def test_a_refusal_is_a_failed_assessment_with_its_error() -> None:
    """In the reference's shape, with every field of the result, and the operation if one began."""
    error = ApiError(
        "Code", "Why.", "vm", ({"code": "Detail"},), {"exceptiontype": "E", "errordetail": "d"}
    )
    outcome = conclude(request(), None, Refused(error, NOW, "activity", 2.0))
    assert outcome.type is OutcomeType.FAILED
    assert {name: outcome.data[name] for name in REFERENCE_RESULT} == {
        "status": "Failed",
        "assessmentActivityId": "activity",
        "rebootPending": None,
        "criticalAndSecurityPatchCount": None,
        "otherPatchCount": None,
        "startDateTime": None,
        "availablePatches": None,
        "error": {
            "code": "Code",
            "message": "Why.",
            "target": "vm",
            "details": [{"code": "Detail"}],
            "innererror": {"exceptiontype": "E", "errordetail": "d"},
        },
    }
    assert outcome.data["vm"] == {
        "location": None,
        "osType": None,
        "osName": None,
        "powerState": None,
        "tags": {},
    }


@pytest.mark.parametrize("reason", SkipReason)
def test_a_skip_tells_its_reason_and_claims_no_result(reason: SkipReason) -> None:
    """There is no status and there are no counts: nothing was assessed."""
    outcome = conclude(request(), machine(), Skipped(reason, "Because.", NOW))
    assert outcome.type is OutcomeType.SKIPPED
    assert (outcome.data["reason"], outcome.data["message"]) == (reason.value, "Because.")
    assert not set(REFERENCE_RESULT) & set(outcome.data)


def test_the_id_does_not_depend_on_how_or_when_the_assessment_ended() -> None:
    """A crash may repeat the end, and it may end otherwise: duplicate detection sees a repeat."""
    later = NOW + timedelta(minutes=5)
    conclusions = (
        finished(),
        finished(status="Failed"),
        Refused(ApiError("Code", "Why."), later),
        Skipped(SkipReason.NOT_RUNNING, "Because.", later),
    )
    outcomes = [conclude(request(), vm, end) for end in conclusions for vm in (machine(), None)]
    assert {each.id for each in outcomes} == {outcome_id(request().identity, VM_ID)}


@given(st.text(min_size=1), st.text(min_size=1), vm_ids(), vm_ids())
def test_each_request_and_vm_has_an_id_of_its_own(
    request_id: str, other_id: str, vm: VirtualMachineId, other_vm: VirtualMachineId
) -> None:
    """The same for the same request and VM in any case, another one for any other."""
    first = outcome_id(request_id, vm)
    assert first == outcome_id(request_id, VirtualMachineId.parse(str(vm).upper()))
    assert (first == outcome_id(other_id, other_vm)) == (request_id == other_id and vm == other_vm)
    assert first != outcome_id(request_id, None)


def test_ids_are_the_same_in_every_process() -> None:
    """Nothing in them is random or changes with the version: another worker gets them too."""
    assert outcome_id("request-1", VM_ID) == "c8c170c8-d725-5a73-bb19-9b0c0f8c0a00"
    assert name_based_id("a", "b") != name_based_id("ab")


def _rejection(body: bytes) -> Rejection:
    errors = (FieldError("vmId", "must be one", "x"), FieldError("reason", "is missing"))
    return Rejection("mine", "Invalid", errors, incoming(body, content_type="text/plain"))


@given(st.binary() | st.text().map(str.encode))
def test_a_rejected_body_can_be_had_back_byte_for_byte(body: bytes) -> None:
    """As text where it is text, else in base64, with its hash to prove it."""
    data = reject(_rejection(body), NOW).data
    if data["bodyEncoding"] == "utf-8":
        assert data["body"].encode() == body
    else:
        assert data["bodyEncoding"] == "base64"
        assert base64.b64decode(data["body"], validate=True) == body
        with pytest.raises(UnicodeDecodeError):
            body.decode()
    assert data["bodySha256"] == hashlib.sha256(body).hexdigest()


def test_a_rejection_tells_every_error_and_the_message() -> None:
    """What was wrong with which field, and which message it was."""
    outcome = reject(_rejection(b"{}"), NOW)
    assert outcome.type is OutcomeType.REJECTED
    assert (outcome.request_id, outcome.vm_id, outcome.time) == ("mine", None, NOW)
    assert outcome.id == outcome_id(identity_of("message-1"), None)
    assert outcome.data["reason"] == "Invalid"
    assert outcome.data["errors"] == [
        {"field": "vmId", "message": "must be one", "value": "x"},
        {"field": "reason", "message": "is missing", "value": None},
    ]
    assert outcome.data["request"] == {
        "requestId": "mine",
        "messageId": "message-1",
        "enqueuedDateTime": "2026-01-05T12:00:00.000Z",
        "contentType": "text/plain",
    }


@pytest.mark.parametrize(
    ("patches", "expected"),
    [
        (None, None),
        ("many", None),
        ({"a": 1}, None),
        ([], []),
        ([{"name": "a"}, None, "b", {"name": "c"}], [{"name": "a"}, {"name": "c"}]),
    ],
)
def test_patches_are_read_from_what_is_there(patches: object, expected: object) -> None:
    """No list is not an empty one, and what is no patch in it is passed over."""
    assert _patches({"availablePatches": patches}) == expected
    assert _patches({}) is None


def _patches(document: dict[str, object]) -> list[object] | None:
    patches = parse_result(document).patches
    return None if patches is None else [each.raw for each in patches]
