"""What a version leaves behind for the next one to read: `python -m tests.support.samples`.

In-progress messages, continuation tokens and rows, as that version writes them, lie in
`tests/recorded/<version>`. They are written once, when a version is released, and never again: the
command refuses where a released version's are there. What is to be read from each is said here, in
the model's own terms.
"""

import asyncio
import base64
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from assessor.alerts.rules import ALERT_COLUMNS
from assessor.arm.continuation import for_operation
from assessor.arm.result import ApiError
from assessor.expectation import Expectation
from assessor.messages.in_progress import in_progress_message, request_message
from assessor.messages.progress import (
    AssessmentProgress,
    InProgress,
    Later,
    OperationRef,
    OverdueSweep,
    Scan,
    ScanCompletion,
    ScanExpansion,
)
from assessor.messages.request import AssessmentRequest, ScanRequest
from assessor.posture.durations import Learned
from assessor.posture.model import Attempt, OpenAlert, Posture
from assessor.posture.row import to_row
from assessor.resource_id import Scope
from assessor.scan_account import RUNNING_DIGEST_BYTES, Concluded, Ending
from assessor.scans.tables import TableScans
from assessor.telemetry.setup import VERSION
from tests.support.assessments import completed, patch
from tests.support.builders import (
    ACTIVITY_ID,
    NOW,
    SUBSCRIPTION,
    TRACEPARENT,
    VM_ID,
    machine,
    recording,
)
from tests.support.memory_table import MemoryTable
from tests.support.recorded_arm import API_VERSION, RecordedArm, begin
from tests.support.saved_postures import saved_postures

_ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = Path(__file__).parents[1] / "recorded"
_ENDPOINT: Final = "https://management.azure.com"
SCAN_ID: Final = "8f14e45f-ceea-467f-9d5b-0c5a1e2d3f40"
TOKEN: Final = for_operation(_ENDPOINT, VM_ID, "eastus", ACTIVITY_ID, API_VERSION)


def _request() -> AssessmentRequest:
    return AssessmentRequest(
        VM_ID,
        "request-1",
        NOW,
        requested_by="ops",
        reason="monthly",
        traceparent=TRACEPARENT,
        scan_id=SCAN_ID,
        fresh_since=NOW - timedelta(minutes=5),
        identity="0b9e6e5e-1f1d-5c39-8f0e-6c9d2b1a7e11",
    )


def _scan() -> Scan:
    request = ScanRequest(
        Scope(SUBSCRIPTION, "crptestps418"),
        "nightly",
        "5a0f7c3e-6f54-5a4d-9d0a-2d1f8f6a9c33",
        NOW,
        tags={"env": "test", "owner": None},
        running_only=True,
        requested_by="schedule",
        reason="nightly scan",
        traceparent=TRACEPARENT,
    )
    return Scan(SCAN_ID, request, NOW)


def in_progress() -> Mapping[str, InProgress]:
    """Returns what the in-progress queue may hold, by the sample's name."""
    read = AssessmentProgress(
        _request(),
        NOW,
        reschedules=3,
        attempt=2,
        not_before=NOW + timedelta(seconds=1200),
        rescheduled_at=NOW + timedelta(seconds=20),
        vm=machine(),
        not_adopted=("68f8b292-dfc2-4646-9781-33cc88631968",),
        problem=ApiError("OperationNotAllowed", "too many requests"),
        came_early=True,
    )
    running = AssessmentProgress(
        _request(),
        NOW,
        reschedules=1,
        rescheduled_at=NOW + timedelta(seconds=20),
        vm=machine(),
        operation=OperationRef(ACTIVITY_ID, TOKEN, NOW, "0123456789abcdef", adopted=True),
        expected=Expectation(665.5, 0.2),
    )
    return {
        "request": _request(),
        "assessment-not-begun": read,
        "assessment-running": running,
        "scan-expansion": ScanExpansion(
            _scan(),
            link=f"{_ENDPOINT}/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute"
            "/virtualMachines?api-version=2024-11-01&$skiptoken=abc",
            found=300,
            requested=299,
            next_turns={"eastus": NOW + timedelta(minutes=2)},
            reschedules=2,
            attempt=1,
            seen=("c0ffee",),
            unreadable={"no id": 1},
        ),
        "scan-completion": ScanCompletion(
            _scan(),
            found=300,
            requested=299,
            released_at=NOW + timedelta(minutes=2),
            error=ApiError("AuthorizationFailed", "no rights"),
            reschedules=4,
            unreadable={"no id": 1},
        ),
        "overdue-sweep": OverdueSweep(
            "2f1b7a52-3a0e-5c55-8f39-5c1e0c1a2b3d",
            SUBSCRIPTION,
            "group|vm",
            looked=1200,
            fired=3,
            reschedules=2,
            attempt=1,
        ),
    }


def postures() -> Mapping[str, Posture]:
    """Returns what the posture table may hold, by the sample's name."""
    outcome = completed(0, ["KB5031364", "KB5034439"], reboot=True, others=[patch("x", "Other")])
    untold, told = asyncio.run(saved_postures(outcome))
    return {
        "with-unpublished-alerts": untold,
        "assessed": told,
        "never-assessed": Posture(
            VM_ID,
            location="eastus",
            os_type="Linux",
            attempt=Attempt("outcome-1", NOW, "AuthorizationFailed", found=True),
            known_since=NOW - timedelta(days=3),
            tags={"owner": "team-a"},
        ),
        "gone": Posture(VM_ID, retired_at=NOW, durations=Learned(3, 6.5, 0.04)),
        "overdue": Posture(
            VM_ID,
            location="eastus",
            open_alerts=(
                OpenAlert(
                    "AssessmentOverdue",
                    "4b8e0d3a-8d8a-5f5c-9a57-8f0f4d6f8a10",
                    "2026-01-05T12:00:00Z",
                    NOW,
                    NOW + timedelta(hours=1),
                ),
            ),
        ),
    }


def read_row(text: str) -> dict[str, Any]:
    """Returns a row as the SDK gives it, of its sample."""
    row: dict[str, Any] = json.loads(text, object_hook=_value)
    return row


def _value(found: dict[str, Any]) -> Any:  # noqa: ANN401 - a row, or a value in one
    match found:
        case {"time": str() as text, **more} if not more:
            return datetime.fromisoformat(text)
        case {"base64": str() as text, **more} if not more:
            return base64.b64decode(text)
        case _:
            return found


def _json(value: object) -> object:
    if isinstance(value, datetime):
        return {"time": value.isoformat()}
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    raise TypeError(type(value).__name__)


async def _scan_rows() -> list[dict[str, Any]]:
    """Returns the rows of a scan that is under way, as the store writes them."""
    table = MemoryTable()
    store = TableScans(table)  # type: ignore[arg-type] # the few methods of it that are called
    others = [replace(VM_ID, name=f"vm-{number}") for number in range(2)]
    await store.open(SCAN_ID, NOW)
    await store.keep_running(SCAN_ID, frozenset({bytes(range(RUNNING_DIGEST_BYTES))}))
    await store.expect(SCAN_ID, [VM_ID, *others])
    await store.mark_expanded(SCAN_ID)
    ended = Concluded(Ending.ASSESSED, critical=True, reboot=False, at=NOW + timedelta(minutes=11))
    await store.record(SCAN_ID, VM_ID, ended)
    failed = Concluded(Ending.FAILED, critical=False, reboot=False, at=NOW + timedelta(minutes=12))
    await store.record(SCAN_ID, others[0], failed)
    return list(table.rows.values())


def files() -> Mapping[str, str]:
    """Returns the samples of the current version, by the name of their file."""
    messages = {
        name: request_message(each)
        if isinstance(each, AssessmentRequest)
        else in_progress_message(Later(each, NOW, "a sample"))
        for name, each in in_progress().items()
    }
    return {
        **{f"in-progress/{name}.json": each.body.decode() for name, each in messages.items()},
        "tokens/of-the-sdk.txt": asyncio.run(_sdk_token()),
        "tokens/of-a-known-operation.txt": TOKEN,
        **{
            f"postures/{name}.json": json.dumps(to_row(each, ALERT_COLUMNS), default=_json)
            for name, each in postures().items()
        },
        "scans/under-way.json": json.dumps(asyncio.run(_scan_rows()), default=_json),
        "servicebus.json": (_ROOT / "infra/servicebus.json").read_text().rstrip("\n"),
    }


async def _sdk_token() -> str:
    poller = await begin(RecordedArm([recording()[0]]))
    return poller.continuation_token()


def main() -> None:
    """Writes the samples of the current version, which nobody may have released."""
    heading = f"## {VERSION} (not released)"
    if heading not in (_ROOT / "CHANGELOG.md").read_text():
        sys.exit(f"{VERSION} is released: its samples stay as they are")
    for name, text in files().items():
        path = FOLDER / VERSION / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")


if __name__ == "__main__":
    main()
