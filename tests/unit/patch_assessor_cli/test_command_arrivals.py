"""What people and programs see of a message from a topic."""

import json
import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assessor.arm.result import ApiError, parse_result
from assessor.arm.virtual_machine import SkipReason, VirtualMachine
from assessor.messages.outcome import Finished, Refused, Skipped, conclude, reject
from assessor.messages.outgoing import outcome_message
from assessor.messages.request import AssessmentRequest, IncomingMessage, Rejection
from assessor.messages.request_body import parse_request
from assessor.resource_id import VirtualMachineId
from patch_assessor_cli.arrivals import (
    AlertSummary,
    Arrival,
    OutcomeSummary,
    RejectionSummary,
    is_rejection,
)
from patch_assessor_cli.client import RESULTS_TOPIC
from patch_assessor_cli.watch import describe
from plain_text import one_line

NOW = datetime(2026, 1, 5, 12, 30, tzinfo=UTC)
VM = VirtualMachineId("e37510d7-33b6-4676-886f-ee75bcc01871", "rg-web", "web-01")
REQUEST = AssessmentRequest(vm=VM, request_id="r-1", enqueued_at=NOW)
ACTIVITY_ID = "14e074b4-2fd7-4d20-8b3b-5339add89570"
TRACE_ID = "14e074b42fd74d208b3b5339add89570"
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("data"), inner),
    max_leaves=20,
)


def arrival(body: Any, topic: str = RESULTS_TOPIC) -> Arrival:  # noqa: ANN401 - any JSON
    """A message with this body."""
    return Arrival(topic, "m-1", "r-1", str(VM), "application/json", NOW, {"type": "t"}, body)


def published(conclusion: Finished | Refused | Skipped) -> Arrival:
    """The outcome that the app publishes of a conclusion."""
    vm = VirtualMachine(VM, os_type="Windows", os_name="Windows Server 2022 Datacenter")
    return arrival(json.loads(outcome_message(conclude(REQUEST, vm, conclusion), None).body))


def test_a_completed_assessment_shows_its_status_counts_and_trace() -> None:
    """The trace's ID is the activity's without hyphens."""
    result = {
        "status": "CompletedWithWarnings",
        "assessmentActivityId": ACTIVITY_ID.upper(),
        "rebootPending": True,
        "criticalAndSecurityPatchCount": 3,
        "otherPatchCount": 0,
    }
    assert OutcomeSummary.of(
        published(Finished(parse_result(result), NOW, 12.5))
    ) == OutcomeSummary(
        vm_id=str(VM),
        vm="web-01",
        os="Windows Server 2022 Datacenter",
        outcome="Completed",
        status="CompletedWithWarnings",
        grave=3,
        other=0,
        reboot=True,
        seconds=12.5,
        trace_id=TRACE_ID,
    )


def test_a_failed_assessment_shows_the_errors_code() -> None:
    """The status of a failure is always Failed: the code says more."""
    refused = Refused(ApiError("DeadlineExceeded", "It took too long."), NOW, ACTIVITY_ID, 7200)
    summary = OutcomeSummary.of(published(refused))
    assert (summary.outcome, summary.status) == ("Failed", "DeadlineExceeded")
    assert (summary.grave, summary.other) == (None, None)


def test_a_skipped_assessment_shows_the_reason_and_no_trace() -> None:
    """Nothing began, so there is no activity."""
    reason = next(iter(SkipReason))
    summary = OutcomeSummary.of(published(Skipped(reason, "It is off.", NOW)))
    assert (summary.outcome, summary.status) == ("Skipped", reason.value)
    assert summary.trace_id == ""


def test_a_rejected_message_shows_all_that_is_wrong_with_it() -> None:
    """One line has the reason, the message's ID and every error."""
    rejection = parse_request(
        IncomingMessage(b'{"vmId": 1, "reason": 2}', "m-9", None, {}, NOW), ()
    )
    assert isinstance(rejection, Rejection)
    rejected = arrival(json.loads(outcome_message(reject(rejection, NOW), None).body))
    assert is_rejection(rejected)
    summary = RejectionSummary.of(rejected)
    assert summary.message_id == "m-9"
    assert [error.partition(":")[0] for error in summary.errors] == [
        error.field for error in rejection.errors
    ]
    line = describe(rejected, is_alert=False)
    assert line.startswith("2026-01-05T12:30:00Z  outcome  Rejected, Invalid, m-9, vmId: ")


def test_an_alert_shows_rule_severity_and_change() -> None:
    """One line, in the common alert schema's words."""
    body = {
        "type": "PatchAssessor.AlertFired",
        "data": {
            "schemaId": "azureMonitorCommonAlertSchema",
            "data": {
                "essentials": {
                    "alertRule": "RebootPending",
                    "severity": "Sev2",
                    "monitorCondition": "Fired",
                    "description": "web-01 waits for a reboot.",
                },
                "alertContext": {"change": "Appeared", "assessmentActivityId": ACTIVITY_ID},
            },
        },
    }
    assert describe(arrival(body), is_alert=True) == (
        "2026-01-05T12:30:00Z  alert    Fired, Sev2, RebootPending, web-01, Appeared, "
        f"trace {TRACE_ID}"
    )


@given(ANY_JSON)
def test_any_body_is_shown_in_one_line_and_none_is_an_error(body: object) -> None:
    """Whoever has the right to send may send anything to a topic."""
    strange = arrival(body)
    OutcomeSummary.of(strange)
    AlertSummary.of(strange)
    RejectionSummary.of(strange)
    assert "\n" not in strange.to_line()
    # RFC 8259 has no infinity: it is shown as the text that Python's own JSON writes for it.
    told = json.loads(strange.to_line(), parse_constant=refuse)["body"]
    assert told == finite(body)


def refuse(constant: str) -> None:
    """A constant that JSON by RFC 8259 does not have."""
    raise AssertionError(constant)


def finite(body: Any) -> Any:  # noqa: ANN401 - any JSON
    """Returns the body with infinities as text."""
    match body:
        case float() if math.isinf(body):
            return "Infinity" if body > 0 else "-Infinity"
        case list():
            return [finite(each) for each in body]
        case dict():
            return {name: finite(each) for name, each in body.items()}
        case _:
            return body


def test_a_line_of_json_has_the_message_whole() -> None:
    """The fields of a line, in their order."""
    line = json.loads(arrival({"data": {"ü": 1}}).to_line())
    assert list(line) == [
        "topic",
        "messageId",
        "correlationId",
        "subject",
        "contentType",
        "enqueuedTime",
        "applicationProperties",
        "body",
    ]
    assert line["enqueuedTime"] == "2026-01-05T12:30:00+00:00"
    assert line["body"] == {"data": {"ü": 1}}


HOSTILE = "id\x1b]0;PWNED\x07\x1b[2J\n\u2028\u202e\x9b"


@given(ANY_JSON)
def test_any_message_has_one_line_for_people(body: object) -> None:
    """Whatever stands where a text, a number or a flag should."""
    for kind in ("AlertFired", "RequestRejected", "AssessmentCompleted"):
        for is_alert in (True, False):
            told = describe(arrival({"type": f"PatchAssessor.{kind}", "data": body}), is_alert)
            assert one_line(told) == told


def test_a_field_of_another_kind_is_left_out() -> None:
    """A number that is none can't be shown as one."""
    odd: dict[str, Any] = {
        "vmName": HOSTILE,
        "criticalAndSecurityPatchCount": HOSTILE,
        "otherPatchCount": float("nan"),
        "operationSeconds": {},
        "rebootPending": HOSTILE,
    }
    summary = OutcomeSummary.of(arrival({"type": "PatchAssessor.AssessmentCompleted", "data": odd}))
    assert summary.vm == one_line(HOSTILE)
    assert (summary.grave, summary.other, summary.seconds, summary.reboot) == (None,) * 4


@pytest.mark.parametrize(
    "value",
    [
        b"\xff\x00",
        b"text",
        float("nan"),
        float("-inf"),
        1 << 70,
        NOW,
        UUID(int=1),
        Decimal("1.5"),
        HOSTILE,
        "\ud800",
        {b"\xff": {5: object()}},
        (1, [None, {}]),
    ],
)
def test_a_line_of_json_is_json_whatever_a_message_holds(value: object) -> None:
    """By RFC 8259, in one line without control characters, and in UTF-8."""
    line = Arrival(RESULTS_TOPIC, "m", None, None, None, NOW, {"p": value}, value).to_line()
    assert one_line(line) == line
    line.encode()

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert json.loads(line, parse_constant=refuse)["messageId"] == "m"


def test_json_of_any_depth_has_a_line() -> None:
    """Python's own writer gives up at some depth."""
    deep: object = 1
    for _ in range(3000):
        deep = [deep]
    assert "too deep" in arrival(deep).to_line()
