"""What a scan hands over to itself, and that nothing else passes for it."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assessor.arm.result import ApiError
from assessor.messages.in_progress import InProgressError, in_progress_message, parse_in_progress
from assessor.messages.progress import (
    AssessmentProgress,
    Later,
    Scan,
    ScanCompletion,
    ScanExpansion,
    scan_id_of,
)
from assessor.messages.request import ScanRequest
from assessor.resource_id import Scope
from tests.support.builders import NOW, SUBSCRIPTION, json_values, request

_REQUEST = ScanRequest(
    Scope(SUBSCRIPTION, "group"), "r-1", "m-1", NOW, {"env": "prod"}, running_only=True
)
SCAN = Scan(scan_id_of(_REQUEST), _REQUEST, NOW)
EXPANSION = ScanExpansion(SCAN, "https://next", 5, 4, {"eastus": NOW + timedelta(seconds=1)}, 3, 1)
WATCH = ScanCompletion(SCAN, 5, 4, NOW, ApiError("Code", "message", details=({"code": "x"},)), 2, 1)

EITHER: list[ScanExpansion | ScanCompletion] = [EXPANSION, WATCH]


@pytest.mark.parametrize(
    "progress", [EXPANSION, WATCH, ScanExpansion(SCAN), ScanCompletion(SCAN, 0, 0, NOW)]
)
def test_a_scan_is_handed_over_whole(progress: ScanExpansion | ScanCompletion) -> None:
    """What the next invocation reads is what this one wrote."""
    message = in_progress_message(Later(progress, NOW, ""))
    assert parse_in_progress(message.body) == progress
    assert message.correlation_id == "r-1"
    assert message.enqueue_at == NOW


def test_an_assessment_is_still_an_assessment() -> None:
    """Its messages have no kind."""
    progress = AssessmentProgress(request(), NOW)
    assert parse_in_progress(in_progress_message(Later(progress, NOW, "")).body) == progress


def test_each_hop_has_an_id_that_repeats() -> None:
    """A repeat after a crash is a duplicate; no two hops, kinds or scans share an ID."""
    other = Scan("0b1c2d3e-0000-5000-8000-000000000000", _REQUEST, NOW)
    steps: list[ScanExpansion | ScanCompletion] = [
        EXPANSION,
        ScanExpansion(SCAN, reschedules=4),
        ScanExpansion(other, reschedules=3),
        ScanCompletion(SCAN, 0, 0, NOW, reschedules=3),
    ]
    ids = [in_progress_message(Later(step, NOW, "")).message_id for step in steps]
    assert len(set(ids)) == len(ids)
    assert ids == [
        in_progress_message(Later(step, NOW + timedelta(hours=1), "")).message_id for step in steps
    ]


def test_a_scan_is_named_by_its_message() -> None:
    """A message that comes again is the same scan; one that is narrowed otherwise is not."""
    again = replace(_REQUEST, scope=Scope(SUBSCRIPTION, "GROUP"), request_id="label")
    assert scan_id_of(again) == SCAN.id
    others = [
        replace(_REQUEST, identity="m-2"),
        replace(_REQUEST, tags={"env": None}),
        replace(_REQUEST, tags={}),
        replace(_REQUEST, running_only=False),
        replace(_REQUEST, scope=Scope(SUBSCRIPTION)),
    ]
    assert len({SCAN.id, *map(scan_id_of, others)}) == 6


@given(st.sampled_from(EITHER), st.data())
def test_a_message_of_nobody_is_refused(
    progress: ScanExpansion | ScanCompletion, data: st.DataObject
) -> None:
    """One field of another kind, or one too many; the error names it and shows no value."""
    fields: dict[str, Any] = json.loads(in_progress_message(Later(progress, NOW, "")).body)
    where = data.draw(st.sampled_from(["kind", "version", "progress", "more"]))
    value = data.draw(json_values().filter(lambda each: each != fields.get(where)))
    with pytest.raises(InProgressError):
        parse_in_progress(json.dumps(fields | {where: value}).encode())


@given(st.binary(max_size=64))
def test_no_garbage_breaks_the_reader(body: bytes) -> None:
    """It is refused like any other message that the app did not write."""
    with pytest.raises(InProgressError):
        parse_in_progress(body)
