"""ARM's answers: the table, row by row, and an error body of any shape."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assessor.arm.errors import RULES, ArmError, ErrorRule, Phase, Verdict, judge
from assessor.arm.hints import IMAGE_REFUSED
from assessor.arm.result import ApiError, parse_error
from tests.support.builders import json_values

_THROTTLED = """{"error": {
    "code": "OperationNotAllowed",
    "message": "The server rejected the request because too many requests have been received.",
    "details": [{
        "code": "TooManyRequests",
        "target": "AssessPatchesVM3Min",
        "message": "{\\"operationGroup\\":\\"AssessPatchesVM3Min\\",\\"allowedRequestCount\\":6}"
    }]
}}"""
"""As "Troubleshooting API throttling errors" of the Compute documentation shows it."""
_NOT_ALLOWED = """{"error": {
    "code": "OperationNotAllowed",
    "message": "The operation 'assessPatches' is not allowed on this VM."
}}"""
_NOT_RUNNING = """{"error": {
    "code": "OperationNotAllowed",
    "message": "Cannot perform assessPatches on VM 'vm': it is not running.",
    "target": "vm"
}}"""
_CONFLICT = """{"error": {
    "code": "Conflict",
    "message": "The request failed due to conflict with a concurrent request."
}}"""
_PREEMPTED = """{"error": {
    "code": "OperationPreempted",
    "message": "Operation execution has been preempted by a more recent operation."
}}"""
_FORBIDDEN = """{"error": {
    "code": "AuthorizationFailed",
    "message": "The client does not have authorization to perform action."
}}"""
_NOT_FOUND = """{"error": {
    "code": "ResourceNotFound",
    "message": "The Resource 'Microsoft.Compute/virtualMachines/vm' was not found."
}}"""
_INTERNAL = """{"error": {"code": "InternalExecutionError", "message": "An internal error."}}"""


def _answer(phase: Phase, status: int | None, body: str = "{}") -> ArmError:
    fields = json.loads(body).get("error", {})
    return ArmError(phase, status, parse_error(fields, "Http", "No reason."))


def _row(phase: Phase, status: int | None, body: str = "{}") -> tuple[Verdict, str]:
    rule = judge(_answer(phase, status, body))
    return rule.verdict, rule.why


@pytest.mark.parametrize("phase", Phase)
def test_where_no_answer_came_the_call_is_made_again(phase: Phase) -> None:
    """It may have arrived or not: ARM's instance view tells, when the VM is read again."""
    verdict, why = _row(phase, None)
    assert (verdict, why) == (
        Verdict.WAIT,
        "no answer came: the call may or may not have arrived",
    )


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize(
    ("status", "body"),
    [(429, _THROTTLED), (429, "{}"), (429, _NOT_ALLOWED), (409, _THROTTLED), (403, _THROTTLED)],
)
def test_too_many_calls_are_waited_out(phase: Phase, status: int, body: str) -> None:
    """By the status or by the detail, whichever ARM sends, in every phase."""
    error = _answer(phase, status, body)
    assert error.is_throttle
    assert (judge(error).verdict, judge(error).why) == (Verdict.WAIT, "too many calls")


@pytest.mark.parametrize("status", [400, 403, 409])
def test_operation_not_allowed_alone_is_no_throttle(status: int) -> None:
    """ARM uses the code for other client errors too: the details decide."""
    error = _answer(Phase.BEGIN, status, _NOT_ALLOWED)
    assert not error.is_throttle
    assert judge(error).verdict is not Verdict.WAIT


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
def test_an_unwell_arm_is_waited_out(phase: Phase, status: int) -> None:
    """Whatever the code is: it is not the request that is wrong."""
    assert _row(phase, status, _INTERNAL) == (Verdict.WAIT, "ARM or the provider is unwell")


@pytest.mark.parametrize("phase", Phase)
def test_arms_own_time_out_is_waited_out(phase: Phase) -> None:
    """408: the request did not arrive in time."""
    assert _row(phase, 408) == (Verdict.WAIT, "ARM gave up waiting for the request")


@pytest.mark.parametrize(
    "body",
    [
        _CONFLICT,
        _CONFLICT.replace("Conflict", "CONFLICT", 1),
        _CONFLICT.replace("Conflict", "AnotherOperationInProgress", 1),
        _CONFLICT.replace("Conflict", "RetryableError", 1),
        _CONFLICT.replace("Conflict", "PatchOperationInProgress", 1),
        _PREEMPTED,
    ],
)
def test_another_operation_on_the_vm_is_waited_out(body: str) -> None:
    """It will end; the codes' case is no matter."""
    assert _row(Phase.BEGIN, 409, body) == (
        Verdict.WAIT,
        "another operation holds the VM, and will let go of it",
    )


@pytest.mark.parametrize("body", [_NOT_RUNNING, _NOT_ALLOWED, "{}"])
def test_a_vm_that_refuses_is_looked_at_again(body: str) -> None:
    """It was stopped since it was read, or is being assessed: its instance view tells which."""
    assert _row(Phase.BEGIN, 409, body) == (
        Verdict.RECHECK,
        "the VM refuses: stopped since it was read, or already being assessed",
    )


@pytest.mark.parametrize("status", [403, 404, 410])
def test_an_operation_that_can_not_be_read_is_lost_not_failed(status: int) -> None:
    """The right to read it is one of its own, and ARM forgets operations."""
    assert _row(Phase.POLL, status, _FORBIDDEN) == (
        Verdict.LOST,
        "the identity may not read the operation, or ARM has forgotten it",
    )


@pytest.mark.parametrize(
    ("phase", "status", "body"),
    [
        (Phase.BEGIN, 403, _FORBIDDEN),
        (Phase.BEGIN, 401, _FORBIDDEN),
        (Phase.BEGIN, 404, _NOT_FOUND),
        (Phase.BEGIN, 400, _NOT_ALLOWED),
        (Phase.READ, 403, _FORBIDDEN),
        (Phase.READ, 404, _NOT_FOUND),
        (Phase.READ, 409, _CONFLICT),
        (Phase.POLL, 400, _NOT_ALLOWED),
        (Phase.POLL, 409, _CONFLICT),
        (Phase.POLL, 200, '{"error": {"code": "VMExtensionProvisioningError", "message": "m"}}'),
    ],
)
def test_what_no_waiting_mends_is_final(phase: Phase, status: int, body: str) -> None:
    """A missing right at the begin, a VM that is gone, an operation that failed."""
    assert _row(phase, status, body) == (Verdict.FINAL, "ARM refuses for good")


@given(
    st.sampled_from(Phase),
    st.none() | st.integers(100, 599),
    st.text(max_size=10)
    | st.sampled_from(["Conflict", "OperationNotAllowed", "TooManyRequests", "RetryableError"]),
    st.lists(json_values(3), max_size=2),
)
def test_every_answer_has_a_line_in_the_table(
    phase: Phase, status: int | None, code: str, details: list[Any]
) -> None:
    """The first that applies; and a server's error, a throttle or silence is never final."""
    error = ArmError(phase, status, parse_error({"code": code, "details": details}, "Code", "Why."))
    rule = judge(error)
    assert rule in RULES
    assert not any(earlier.applies(error) for earlier in RULES[: RULES.index(rule)])
    if status is None or status >= 500 or status in {408, 429}:
        assert rule.verdict is Verdict.WAIT
    if rule.verdict is Verdict.LOST:
        assert phase is Phase.POLL
    if rule.verdict is Verdict.RECHECK:
        assert phase is Phase.BEGIN


def test_every_line_of_the_table_can_be_reached() -> None:
    """None stands in the shadow of one above it."""
    statuses = [None, *range(100, 600)]
    codes = ["", "conflict", "operationnotallowed", "urlrefused"]
    codes += ["identityunavailable", "expiredauthenticationtoken"]
    reached: set[ErrorRule] = {
        judge(ArmError(phase, status, ApiError(code, message)))
        for phase in Phase
        for status in statuses
        for code in codes
        for message in ("", IMAGE_REFUSED)
    }
    assert reached == set(RULES)


def test_an_error_body_is_kept_whole() -> None:
    """Code, message, target, details and inner error, as ARM sent them."""
    fields = {
        "code": "Code",
        "message": "Why.",
        "target": "vm",
        "details": [{"code": "Detail", "message": "More.", "target": "disk", "new": 1}],
        "innererror": {"exceptiontype": "E", "errordetail": "at X()"},
    }
    assert parse_error(fields, "Other", "Other.").to_json() == fields


@given(
    st.dictionaries(
        st.sampled_from(["code", "message", "target", "details", "innererror", "other"]),
        json_values(6),
    )
)
def test_an_error_body_of_any_shape_is_an_error(fields: dict[str, Any]) -> None:
    """With a code and a message in any case, and nothing in it that is not JSON."""
    error = parse_error(fields, "Fallback", "No reason.")
    assert error.code
    assert error.message
    assert error.code == (fields.get("code") or "Fallback") or not isinstance(
        fields.get("code"), str
    )
    json.dumps(error.to_json())
    judge(ArmError(Phase.BEGIN, 400, error))


@pytest.mark.parametrize(
    "details", [None, "text", {"code": "TooManyRequests"}, ["TooManyRequests"], [None, 5, []]]
)
def test_details_that_are_no_list_of_objects_are_passed_over(details: object) -> None:
    """And are no throttle, whatever words are in them."""
    error = ArmError(Phase.BEGIN, 409, parse_error({"code": "C", "details": details}, "F", "m"))
    assert error.error.details == ()
    assert not error.is_throttle


@pytest.mark.parametrize("phase", [Phase.BEGIN, Phase.POLL])
def test_an_image_that_is_refused_is_told_by_the_error_or_by_one_beneath_it(phase: Phase) -> None:
    """In any case; a detail without a message says nothing, and a code is no message."""
    words = f"Sorry: {IMAGE_REFUSED.upper()}."
    said = {"code": "x", "message": words}
    error = ApiError("BadRequest", "See the details.", details=({"code": "y"}, said))
    assert judge(ArmError(phase, 400, error)).verdict is Verdict.UNSUPPORTED
    itself = ApiError("BadRequest", words)
    assert judge(ArmError(phase, 400, itself)).verdict is Verdict.UNSUPPORTED
    code = ApiError("BadRequest", "No.", details=({"code": IMAGE_REFUSED},))
    assert judge(ArmError(phase, 400, code)).verdict is Verdict.FINAL


def test_an_error_carries_what_a_caller_acts_on() -> None:
    """Whom to ask again and when, and ARM's own ID of the call."""
    said = ApiError("TooManyRequests", "Later.")
    error = ArmError(Phase.POLL, 429, said, 30.0, "call-1")
    assert (error.phase, error.status, error.error) == (Phase.POLL, 429, said)
    assert (error.retry_after, error.request_id) == (30.0, "call-1")
    bare = ArmError(Phase.POLL, 429, said)
    assert (bare.retry_after, bare.request_id) == (None, None)


def test_an_error_says_what_was_asked_and_what_came() -> None:
    """In one line, for the log."""
    assert str(_answer(Phase.BEGIN, 403, _FORBIDDEN)).startswith("begin: 403 AuthorizationFailed: ")
    assert str(_answer(Phase.READ, None)) == "read: no answer Http: No reason."


def test_a_token_that_arm_does_not_take_is_no_end_of_an_operation() -> None:
    """In mid-operation whatever the code; before it where the token has expired."""
    expired = '{"error": {"code": "ExpiredAuthenticationToken", "message": "m"}}'
    assert _row(Phase.POLL, 401, _FORBIDDEN)[0] is Verdict.WAIT
    assert {_row(phase, 401, expired)[0] for phase in Phase} == {Verdict.WAIT}
