"""AssessmentResult: what ARM answered, typed."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from assessor.arm.reading import document
from assessor.arm.result import (
    ApiError,
    AssessmentResult,
    Patch,
    parse_error,
    parse_patch,
    parse_result,
)
from tests.support.builders import REFERENCE_RESULT, json_values

_FIELDS = [*REFERENCE_RESULT, *REFERENCE_RESULT["availablePatches"][0]]


def test_the_references_sample_is_typed() -> None:
    """Each field of the reference's result and of its patches."""
    definitions, malware_tool = REFERENCE_RESULT["availablePatches"]
    assert parse_result(REFERENCE_RESULT) == AssessmentResult(
        status="Succeeded",
        activity_id="68f8b292-dfc2-4646-9781-33cc88631968",
        reboot_pending=True,
        critical_and_security_count=1,
        other_count=2,
        start_text="2020-04-24T21:02:04.2556154Z",
        started_at=datetime(2020, 4, 24, 21, 2, 4, 255615, UTC),
        patches=(
            Patch(
                patch_id="35428702-5784-4ba4-a6e0-5222258b5411",
                name=definitions["name"],
                version="",
                kb_id="2267602",
                classifications=("Definition Updates",),
                reboot_behavior="NeverReboots",
                activity_id="68f8b292-dfc2-4646-9781-33cc88631968",
                published_date="2018-11-07T00:00:00Z",
                last_modified_date_time="2020-04-24T21:18:45.2830263Z",
                assessment_state="Available",
                raw=definitions,
            ),
            parse_patch(malware_tool),
        ),
        error=None,
        raw=REFERENCE_RESULT,
    )


def test_what_is_told_of_a_failure_is_typed() -> None:
    """Its error whole; a text that is empty where nothing is the target is none."""
    inner = {"exceptiontype": "E", "errordetail": "at X()"}
    detail = {"code": "2", "message": "More.", "target": "disk"}
    error = {"code": "1", "message": "Why.", "target": "vm", "details": [detail, 5]}
    result = parse_result({"status": "FAILED", "error": error | {"innererror": inner}})
    assert result.error == ApiError("1", "Why.", "vm", (detail,), inner)
    assert result.is_failed
    assert result.error.to_json() == error | {"details": [detail], "innererror": inner}
    assert parse_error({"target": "", "innererror": "x"}) == ApiError("", "", None, (), None)
    assert parse_result({"error": "x"}).error is None
    assert ApiError("1", "Why.").to_json() == {
        "code": "1",
        "message": "Why.",
        "target": None,
        "details": [],
        "innererror": None,
    }


@pytest.mark.parametrize(
    ("told", "known"),
    [(0, 0), (2**31 - 1, 2**31 - 1), (2**31, None), (-1, None), (True, None), (1.0, None)],
)
def test_a_count_is_a_whole_number_of_32_bits(told: object, known: object) -> None:
    """Any other one is not told, and neither zero."""
    result = parse_result({"otherPatchCount": told, "criticalAndSecurityPatchCount": told})
    assert (result.other_count, result.critical_and_security_count) == (known, known)


@pytest.mark.parametrize(
    ("told", "known"), [(True, True), (False, False), (1, None), ("true", None), (None, None)]
)
def test_a_pending_reboot_is_told_by_true_or_false_alone(told: object, known: object) -> None:
    """Anything else tells nothing of it."""
    assert parse_result({"rebootPending": told}).reboot_pending is known


def test_lists_are_read_from_arrays_alone() -> None:
    """What no list holds is unknown, not empty; entries of another type are passed over."""
    patch = {"patchId": "a", "classifications": ["Security", 5, "Critical"]}
    listed = parse_result({"availablePatches": [patch, "x"]}).patches
    assert listed == parse_result({"availablePatches": (patch,)}).patches == (parse_patch(patch),)
    assert parse_patch(patch).classifications == ("Security", "Critical")
    assert parse_patch({"classifications": ("Other",)}).classifications == ("Other",)
    assert parse_patch({"classifications": "Other"}).classifications == ()
    assert parse_result({"availablePatches": {"a": patch}}).patches is None


def test_patches_are_stored_as_arms_json_and_read_from_it() -> None:
    """With fields that nobody knows yet; what is no object is no patch."""
    stored = TypeAdapter(list[Patch])
    patch = parse_patch({"patchId": "a", "new": [1]})
    assert stored.dump_python([patch]) == [{"patchId": "a", "new": [1]}]
    assert stored.validate_python(stored.dump_python([patch])) == [patch]
    assert stored.validate_python([patch]) == [patch]
    with pytest.raises(ValidationError, match=r"error, a patch is a JSON object \["):
        stored.validate_python(["a"])


@given(st.dictionaries(st.sampled_from(_FIELDS) | st.text(), json_values()))
def test_no_answer_is_too_odd_to_be_parsed(fields: dict[str, Any]) -> None:
    """A value of another type is not told; the document keeps it."""
    result = parse_result(fields)
    assert result.raw == fields
    assert result.status is None or result.status == fields["status"]
    count = result.critical_and_security_count
    assert count is None or 0 <= count < 2**31


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_a_number_that_json_has_no_place_for_is_null(number: str) -> None:
    """Python would write it again, and no reader of JSON would take that."""
    fields = document(f'{{"otherPatchCount": {number}, "availablePatches": [{{"x": {number}}}]}}')
    json.dumps(fields, allow_nan=False)
    assert fields["otherPatchCount"] is None
    assert document('{"x": 1.5}') == {"x": 1.5}


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00", "1999-12-31T23:59:59Z", "soon", ""])
def test_a_start_that_is_no_time_is_kept_as_text_alone(text: str) -> None:
    """.NET writes none as the first moment of all."""
    result = parse_result({"startDateTime": text})
    assert (result.start_text, result.started_at) == (text, None)


def test_a_start_in_the_first_year_of_all_that_can_be_is_one() -> None:
    """2000, long before there were assessments."""
    started = parse_result({"startDateTime": "2000-01-01T00:00:00Z"}).started_at
    assert started == datetime(2000, 1, 1, tzinfo=UTC)
