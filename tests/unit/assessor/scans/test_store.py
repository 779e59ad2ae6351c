"""What a scan keeps of outcomes, how records add up, and the store in memory."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from assessor.arm.result import ApiError
from assessor.arm.virtual_machine import SkipReason
from assessor.messages.outcome import Conclusion, Refused, Skipped, conclude, reject
from assessor.messages.request import Rejection
from assessor.messages.request_body import parse_request
from assessor.ports import ScanStore
from assessor.scan_account import Concluded, Ending, Tally
from assessor.scans.store import MemoryScans, ScanStoreError, concluded, count
from tests.support.builders import NOW, finished, incoming, machine, request
from tests.support.scan_store import ScanStoreContract
from tests.support.scans import SCAN_ID

NONE_LISTED: Mapping[str, Any] = {
    "availablePatches": [],
    "criticalAndSecurityPatchCount": 0,
    "rebootPending": False,
}
SECURITY_PATCH = {"patchId": "p-1", "name": "patch", "classifications": ["Security"]}
CUT_OFF = {
    "patchId": "Truncated_patch_list_id",
    "name": "3 additional updates of classification Critical reported",
    "classifications": ["Critical"],
}


@pytest.mark.parametrize(
    ("fields", "critical", "reboot"),
    [
        ({}, False, False),
        ({"criticalAndSecurityPatchCount": 1}, True, False),
        ({"criticalAndSecurityPatchCount": 1, "availablePatches": None}, True, False),
        ({"criticalAndSecurityPatchCount": None, "availablePatches": None}, False, False),
        ({"availablePatches": [SECURITY_PATCH]}, True, False),
        ({"availablePatches": [CUT_OFF]}, True, False),
        ({"rebootPending": True}, False, True),
        ({"rebootPending": None}, False, False),
    ],
)
def test_of_a_completed_assessment_a_scan_keeps_what_it_found(
    fields: Mapping[str, Any],
    critical: bool,  # noqa: FBT001 - one of the table's columns
    reboot: bool,  # noqa: FBT001 - one of the table's columns
) -> None:
    """By its count, by its list, or by what was cut off that."""
    outcome = conclude(request(), machine(), finished(**{**NONE_LISTED, **fields}))
    assert concluded(outcome) == Concluded(Ending.ASSESSED, critical, reboot, NOW)


@pytest.mark.parametrize(
    ("conclusion", "ending"),
    [
        (Refused(ApiError("Code", "no"), NOW), Ending.FAILED),
        (finished(status="Failed"), Ending.FAILED),
        (Skipped(SkipReason.NOT_RUNNING, "it is stopped", NOW), Ending.SKIPPED),
    ],
)
def test_an_assessment_that_did_not_complete_found_nothing(
    conclusion: Conclusion, ending: Ending
) -> None:
    """Whatever its result says beside."""
    outcome = conclude(request(), machine(), conclusion)
    assert concluded(outcome) == Concluded(ending, critical=False, reboot=False, at=NOW)


def test_a_request_that_is_rejected_counts_as_failed() -> None:
    """So that its scan does not wait for it."""
    rejection = parse_request(incoming({}), ())
    assert isinstance(rejection, Rejection)
    assert concluded(reject(rejection, NOW)).ending is Ending.FAILED


def test_records_add_up() -> None:
    """By ending and by what they found; None is a VM without outcome; the last one has the time."""
    last = NOW + timedelta(minutes=11)
    records = [
        Concluded(Ending.ASSESSED, critical=True, reboot=True, at=NOW),
        Concluded(Ending.ASSESSED, critical=True, reboot=False, at=last),
        Concluded(Ending.ASSESSED, critical=True, reboot=True, at=NOW),
        None,
        Concluded(Ending.FAILED, critical=False, reboot=False, at=NOW),
        Concluded(Ending.FAILED, critical=False, reboot=False, at=NOW),
        Concluded(Ending.SKIPPED, critical=False, reboot=False, at=NOW),
        None,
    ]
    assert count(records) == Tally(
        requested=8,
        assessed=3,
        failed=2,
        skipped=1,
        with_critical_patches=3,
        reboot_pending=2,
        last_at=last,
    )
    assert count([]) == Tally()
    assert count([None]) == Tally(requested=1)


def test_an_error_of_the_store_names_the_scan_and_the_reason() -> None:
    """In its text, and as fields."""
    error = ScanStoreError(SCAN_ID, "no answer")
    assert str(error) == f"the accounts of scan {SCAN_ID}: no answer"
    assert (error.scan_id, error.reason) == (SCAN_ID, "no answer")


class TestMemory(ScanStoreContract):
    """The store in memory, as any store."""

    @pytest.fixture
    def store(self) -> ScanStore:
        """A store of nothing."""
        return MemoryScans()
