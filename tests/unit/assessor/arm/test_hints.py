"""Hints: what users meet and can act on says what to do, beside ARM's own error."""

import json
from typing import Any

import pytest

from assessor.app import build_app
from assessor.arm.errors import ArmError, Phase, Verdict, judge
from assessor.arm.hints import HINTS, Hint, hint_for
from assessor.arm.result import ApiError, parse_result
from assessor.arm.virtual_machine import SkipReason
from assessor.messages.outcome import Finished, Refused, Skipped, conclude
from assessor.messages.outgoing import outcome_message
from tests.support.app import ports, settings
from tests.support.builders import (
    ACTIVITY_ID,
    NOW,
    SUBSCRIPTION,
    VM_ID,
    finished,
    incoming,
    machine,
    request,
)
from tests.support.fakes import FakeArm, FakeBus, FakeClock
from tests.support.schemas import assert_published

SCOPE = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/v"
)
IMAGE = "The selected VM image is not supported for VM Guest patch operations."
FORBIDDEN = (
    "The client 'c' with object id 'o' does not have authorization to perform action '{}' over "
    "scope '{}' or the scope is invalid."
)
REFUSALS: dict[str, tuple[ApiError, str]] = {
    "image": (ApiError("OperationNotAllowed", IMAGE), "image"),
    "arm64": (
        ApiError(
            "BadRequest", "CPU Architecture 'arm64' was not found in the extension repository."
        ),
        "Arm64",
    ),
    "agent": (ApiError("1", "Unsupported older Azure Linux Agent version: 2.2.4"), "Linux Agent"),
    "truncated": (
        ApiError("1", "Errors.", details=({"code": "2", "message": "PACKAGE_LIST_TRUNCATED: x"},)),
        "longer",
    ),
    "esm": (
        ApiError("1", "", details=({"code": "UA_ESM_REQUIRED", "message": "x"},)),
        "Ubuntu Pro",
    ),
    "provider": (ApiError("MissingSubscriptionRegistration", "x"), "Register"),
    "read-only": (ApiError("ReadOnlyDisabledSubscription", "x"), "disabled"),
    "locked": (ApiError("ScopeLocked", "x"), "lock"),
    "right": (
        ApiError(
            "AuthorizationFailed",
            FORBIDDEN.format("Microsoft.Compute/virtualMachines/assessPatches/action", SCOPE),
        ),
        f"assessPatches/action. Assign the app's role at {SCOPE} ",
    ),
    "operations right": (
        ApiError(
            "AuthorizationFailed",
            FORBIDDEN.format(
                "Microsoft.Compute/locations/operations/read",
                f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/locations/eastus",
            ),
        ),
        f"assign the app's role at /subscriptions/{SUBSCRIPTION}, not",
    ),
    "some right": (ApiError("AuthorizationFailed", "No."), "lacks a right"),
    "deny": (ApiError("DenyAssignmentAuthorizationFailed", "x"), "deny assignment"),
    "policy": (ApiError("RequestDisallowedByPolicy", "x"), "policy"),
    "tenant": (ApiError("SubscriptionNotFound", "x"), "tenant"),
    "no vm": (ApiError("ResourceNotFound", "x"), "no such VM"),
    "extensions": (
        ApiError("OperationNotAllowed", "Extension operations are disallowed."),
        "allowExtensionOperations",
    ),
    "throttled": (
        ApiError("DeadlineExceeded", "x", details=({"code": "TooManyRequests", "message": "x"},)),
        "too many calls",
    ),
}


@pytest.mark.parametrize(("error", "says"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_says_what_to_do(error: ApiError, says: str) -> None:
    """With the address of its documentation, and ARM's own words untouched."""
    outcome = conclude(request(), machine(), Refused(error, NOW))
    assert says in outcome.data["hint"]["action"]
    assert outcome.data["hint"]["documentation"].startswith("https://learn.microsoft.com/azure/")
    assert outcome.data["error"] == error.to_json()
    assert_published(outcome_message(outcome, None))


def test_each_hint_has_its_refusal() -> None:
    """Each line of the table is the answer to one above."""
    given = {hint_for(error) for error, _ in REFUSALS.values()}
    assert len(given) == len(HINTS) == len(REFUSALS)


@pytest.mark.parametrize(
    "error",
    [
        ApiError("ua_esm_required", "x"),
        ApiError("1", "x: ua_esm_required"),
        ApiError("1", "x", details=({"message": "UA_ESM_REQUIRED"},)),
        ApiError("1", "x", details=({"code": "2"}, {"code": "UA_ESM_REQUIRED"})),
        ApiError("1", "x", innererror={"errordetail": "at X(): UA_ESM_REQUIRED"}),
    ],
    ids=str,
)
def test_a_hint_is_found_wherever_the_error_says_it(error: ApiError) -> None:
    """By a code or by words, the error's own or one's beneath it, in any case."""
    assert hint_for(error) == Hint(
        "Some patches come with Ubuntu Pro only. Attach the VM to Ubuntu Pro to get them.",
        "https://learn.microsoft.com/azure/update-manager/security-awareness-ubuntu-support",
    )


def test_the_first_line_of_the_table_counts_not_the_first_error() -> None:
    """What is said beneath an error is more to the point than its own code."""
    forbidden = {"message": FORBIDDEN.format("Microsoft.Compute/virtualMachines/read", SCOPE)}
    hint = hint_for(ApiError("AuthorizationFailed", "No.", details=(forbidden,)))
    assert hint is not None
    assert hint.action == (
        "The app's identity lacks Microsoft.Compute/virtualMachines/read. Assign the app's role "
        f"at {SCOPE} or above it; a new assignment takes minutes."
    )
    assert hint_for(None) is None


def test_a_line_that_names_what_the_message_says_applies_by_its_words_alone() -> None:
    """A code would leave its places without a text."""
    assert [rule for rule in HINTS if "{" in rule.action and (rule.codes or not rule.says)] == []


@pytest.mark.parametrize("code", ["InternalError", "DeadlineExceeded", "", "Conflict"])
def test_what_nobody_can_act_on_has_no_hint(code: str) -> None:
    """The field is absent."""
    outcome = conclude(request(), machine(), Refused(ApiError(code, "Something."), NOW))
    assert "hint" not in outcome.data


def test_a_result_that_failed_has_the_hint_of_its_error() -> None:
    """The operation succeeded, the assessment did not; a success has none."""
    error = {
        "code": "1",
        "message": "x",
        "details": [
            {"code": "0", "message": "Unsupported older Azure Linux Agent version", "target": None}
        ],
    }
    failed = finished(status="Failed", error=error)
    assert "Linux Agent" in conclude(request(), machine(), failed).data["hint"]["action"]
    assert "hint" not in conclude(request(), machine(), finished()).data


@pytest.mark.parametrize("phase", [Phase.BEGIN, Phase.POLL])
@pytest.mark.parametrize("status", [400, 409])
def test_a_vm_of_an_image_that_is_not_assessed_is_skipped(phase: Phase, status: int) -> None:
    """Nothing is wrong with the request, and nothing is read again, whatever the status."""
    error = ArmError(phase, status, ApiError("OperationNotAllowed", IMAGE))
    assert judge(error).verdict is Verdict.UNSUPPORTED


async def test_its_request_ends_with_the_refusal() -> None:
    """At the first answer, although it is one of those that are read again as a rule."""
    bus = FakeBus()
    refusal = ArmError(Phase.BEGIN, 409, ApiError("OperationNotAllowed", IMAGE))
    arm = FakeArm(reads=[machine()], begins=[refusal])
    app = build_app(settings(), ports(clock=FakeClock(NOW), bus=bus, arm=arm))
    await app.requests.receive(incoming({"vmId": str(VM_ID)}))
    (message,) = bus.sent["results"]
    data = json.loads(message.body)["data"]
    assert data["reason"] == "ImageNotSupported"
    assert IMAGE in data["message"]
    assert "support-matrix" in data["hint"]["documentation"]


def test_the_outcome_of_such_a_vm_says_so() -> None:
    """Its reason is ImageNotSupported, with the hint."""
    skipped = Skipped(
        SkipReason.IMAGE_NOT_SUPPORTED, IMAGE, NOW, hint_for(ApiError("OperationNotAllowed", IMAGE))
    )
    outcome = conclude(request(), machine(), skipped)
    assert outcome.type.value == "PatchAssessor.AssessmentSkipped"
    assert outcome.data["reason"] == "ImageNotSupported"
    assert "support-matrix" in outcome.data["hint"]["documentation"]
    assert_published(outcome_message(outcome, None))


def test_a_list_that_the_extension_cut_says_by_how_many() -> None:
    """AvailablePatchesTruncated counts what the records in place of patches stand for."""
    records: list[dict[str, Any]] = [
        {"patchId": "a_1_Ubuntu", "name": "a", "classifications": ["Security"]},
        {
            "patchId": "Truncated_patch_list_id",
            "name": "412 additional updates of classification Other reported",
            "classifications": ["Other"],
        },
        {
            "patchId": "Truncated_patch_list_id",
            "name": "7 additional updates of classification Security reported",
            "classifications": ["Security"],
        },
    ]
    result = parse_result(
        {"status": "Succeeded", "assessmentActivityId": ACTIVITY_ID, "availablePatches": records}
    )
    outcome = conclude(request(), machine(), Finished(result, NOW, 60.0))
    assert outcome.data["availablePatchesTruncated"] == 419
