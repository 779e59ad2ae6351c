"""AssessmentResult: what ARM answered, typed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assessor.arm.reading import document
from assessor.arm.result import parse_result
from tests.support.builders import REFERENCE_RESULT, json_values

_FIELDS = [*REFERENCE_RESULT, *REFERENCE_RESULT["availablePatches"][0]]


def test_the_references_sample_is_typed() -> None:
    """Each field of the reference's result and of its patches."""
    result = parse_result(REFERENCE_RESULT)
    assert result.status == "Succeeded"
    assert result.activity_id == "68f8b292-dfc2-4646-9781-33cc88631968"
    assert result.reboot_pending is True
    assert (result.critical_and_security_count, result.other_count) == (1, 2)
    assert result.start_text == "2020-04-24T21:02:04.2556154Z"
    assert result.started_at is not None
    assert result.started_at.isoformat() == "2020-04-24T21:02:04.255615+00:00"
    assert result.patches is not None
    assert [each.kb_id for each in result.patches] == ["2267602", "890830"]
    assert result.patches[0].classifications == ("Definition Updates",)
    assert result.patches[1].reboot_behavior == "CanRequestReboot"
    assert result.error is None
    assert result.raw is REFERENCE_RESULT


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


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00", "soon", ""])
def test_a_start_that_is_no_time_is_kept_as_text_alone(text: str) -> None:
    """.NET writes none as the first moment of all."""
    result = parse_result({"startDateTime": text})
    assert (result.start_text, result.started_at) == (text, None)
