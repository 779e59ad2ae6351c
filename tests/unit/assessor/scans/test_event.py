"""The event that sums a scan up: each field of it, and what telemetry keeps."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from assessor.arm.result import ApiError
from assessor.messages import envelope
from assessor.messages.progress import ScanCompletion
from assessor.resource_id import Scope
from assessor.scan_account import Tally
from assessor.scans.event import scan_completed
from assessor.telemetry.records import Record
from tests.support.builders import NOW, SUBSCRIPTION, TRACEPARENT
from tests.support.scans import SCAN, SCAN_ID, SCAN_REQUEST

EVENT_ID = "e94954a8-073f-5c9c-bc53-8d0b9698fa04"
LAST = NOW + timedelta(minutes=11, microseconds=499_450)
LATER = NOW + timedelta(minutes=20)
TALLY = Tally(
    requested=7,
    assessed=4,
    failed=2,
    skipped=1,
    with_critical_patches=3,
    reboot_pending=5,
    last_at=LAST,
)
COMPLETION = ScanCompletion(
    replace(SCAN, request=replace(SCAN_REQUEST, tags={"env": "prod"}, running_only=True)),
    found=10,
    requested=7,
    released_at=NOW,
)
PREFIX = "patch_assessor."


def _data(completion: ScanCompletion, tally: Tally) -> dict[str, Any]:
    event = json.loads(scan_completed(completion, tally, LATER).body)
    data: dict[str, Any] = event["data"]
    return data


def test_the_sum_tells_all_of_a_scan() -> None:
    """What was asked, when it began and ended, and what became of its VMs."""
    message = scan_completed(COMPLETION, TALLY, LATER)

    event = json.loads(message.body)
    assert event.pop("data") == {
        "request": {
            "requestId": "request-1",
            "requestedBy": "ops",
            "reason": "monthly",
            "enqueuedDateTime": "2026-01-05T11:59:55.000Z",
        },
        "scanId": SCAN_ID,
        "scope": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/Group",
        "tags": {"env": "prod"},
        "runningOnly": True,
        "status": "Succeeded",
        "startedDateTime": "2026-01-05T12:00:00.000Z",
        "completedDateTime": "2026-01-05T12:11:00.499Z",
        "durationSeconds": 660.499,
        "vms": {
            "found": 10,
            "unreadable": 0,
            "requested": 7,
            "assessed": 4,
            "failed": 2,
            "skipped": 1,
            "missing": 0,
            "withCriticalPatches": 3,
            "rebootPending": 5,
        },
        "unreadable": {},
        "error": None,
    }
    assert (event["type"], event["id"], event["time"], event["subject"]) == (
        "PatchAssessor.ScanCompleted",
        EVENT_ID,
        "2026-01-05T12:11:00.499450Z",
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/Group",
    )


def test_the_message_of_a_sum_is_found_by_what_it_is_about() -> None:
    """Its ID, its request's, and the properties that subscriptions filter on."""
    message = scan_completed(COMPLETION, TALLY, LATER)

    assert (message.message_id, message.correlation_id) == (EVENT_ID, "request-1")
    assert message.content_type == envelope.CONTENT_TYPE
    assert message.subject == f"/subscriptions/{SUBSCRIPTION}/resourceGroups/Group"
    assert message.enqueue_at is None
    assert message.application_properties == {
        "type": "PatchAssessor.ScanCompleted",
        "requestId": "request-1",
        "status": "Succeeded",
        "scanId": SCAN_ID,
        "subscriptionId": SUBSCRIPTION,
        "resourceGroupName": "Group",
        "traceparent": TRACEPARENT,
    }


def test_the_sum_of_a_subscription_names_no_resource_group() -> None:
    """The property is absent, which a SQL filter calls NULL."""
    request = replace(SCAN_REQUEST, scope=Scope(SUBSCRIPTION), traceparent=None)
    completion = replace(COMPLETION, scan=replace(SCAN, request=request))
    properties = scan_completed(completion, TALLY, LATER).application_properties
    assert set(properties) == {"type", "requestId", "status", "scanId", "subscriptionId"}


def test_telemetry_keeps_a_sums_numbers() -> None:
    """Under the message's ID; what patches there are, the message alone tells."""
    facts = {
        "time": "2026-01-05T12:11:00.499Z",
        "started": "2026-01-05T12:00:00.000Z",
        "scan.id": SCAN_ID,
        "scan.scope": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/Group",
        "request_id": "request-1",
        "reason": None,
        "total_seconds": 660.499,
        "scan.found": 10,
        "scan.unreadable": 0,
        "scan.requested": 7,
        "scan.assessed": 4,
        "scan.failed": 2,
        "scan.skipped": 1,
        "scan.missing": 0,
    }
    assert scan_completed(COMPLETION, TALLY, LATER).record == Record(
        name="PatchAssessor.ScanCompleted",
        id=EVENT_ID,
        text=(
            f"scan {SCAN_ID} of /subscriptions/{SUBSCRIPTION}/resourceGroups/Group: Succeeded, "
            "4 of 7 VMs assessed, 2 failed, 1 skipped, 0 without outcome"
        ),
        status="Succeeded",
        facts={PREFIX + name: value for name, value in facts.items()},
    )


@pytest.mark.parametrize(
    ("tally", "completed"),
    [
        (TALLY, "2026-01-05T12:11:00.499Z"),
        (replace(TALLY, requested=8), "2026-01-05T12:20:00.000Z"),
        (Tally(), "2026-01-05T12:20:00.000Z"),
    ],
)
def test_a_scan_ends_with_its_last_outcome_or_now(tally: Tally, completed: str) -> None:
    """Now where one is missing, or where there is none at all."""
    assert _data(COMPLETION, tally)["completedDateTime"] == completed


def test_vms_without_outcome_make_a_scan_incomplete() -> None:
    """They are counted."""
    data = _data(COMPLETION, replace(TALLY, requested=9))
    assert (data["status"], data["vms"]["missing"]) == ("Incomplete", 2)


def test_vms_that_cant_be_asked_for_make_a_scan_incomplete() -> None:
    """By their reasons, and all of them."""
    unreadable = {"NoResourceId": 2, "OutOfScope": 1}
    data = _data(replace(COMPLETION, unreadable=unreadable), TALLY)
    assert data["status"] == "Incomplete"
    assert data["unreadable"] == unreadable
    assert data["vms"]["unreadable"] == 3


def test_a_list_that_is_not_complete_makes_a_scan_fail() -> None:
    """Even where nothing is missing; ARM's error is told in the message, its code in telemetry."""
    error = ApiError("AuthorizationFailed", "no rights", target="vms", details=({"code": "x"},))
    message = scan_completed(replace(COMPLETION, error=error), TALLY, LATER)

    data = json.loads(message.body)["data"]
    assert (data["status"], data["error"]) == ("Failed", error.to_json())
    assert message.record is not None
    assert message.record.status == "Failed"
    assert message.record.facts[PREFIX + "reason"] == "AuthorizationFailed"
