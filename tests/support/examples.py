"""The examples in schemas/, as the app makes them; `python -m tests.support.examples` writes them.

Requests are the exception: other systems make those.
"""

import json
from datetime import timedelta
from typing import Any, Final

from assessor.alerts.message import alert_message
from assessor.arm.result import ApiError, parse_result
from assessor.arm.virtual_machine import SkipReason
from assessor.messages.outcome import Finished, Outcome, Refused, Skipped, conclude, reject
from assessor.messages.outgoing import outcome_message
from assessor.messages.progress import Scan, ScanCompletion, scan_id_of
from assessor.messages.request import Rejection, ScanRequest
from assessor.messages.request_body import parse_request
from assessor.resource_id import Scope
from assessor.scan_account import Tally
from assessor.scans.event import scan_completed
from tests.support.alerts import STYLE, example_alerts
from tests.support.builders import NOW, REFERENCE_RESULT, SUBSCRIPTION, incoming, machine, request
from tests.support.schemas import SCHEMAS

_ACTIVITY_ID: Final = "14e074b4-2fd7-4d20-8b3b-5339add89570"


def results() -> dict[str, Any]:
    """Returns the body of each type of message on the results topic, by the name of its schema."""
    return {
        "assessment-completed": _body(
            conclude(request(), machine(), Finished(parse_result(REFERENCE_RESULT), NOW, 665.498))
        ),
        "assessment-failed": _body(
            conclude(
                request(),
                machine(),
                Refused(
                    ApiError(
                        "DeadlineExceeded",
                        "There was no result after 120 minutes; at the end: the operation runs.",
                    ),
                    NOW,
                    activity_id=_ACTIVITY_ID,
                    seconds=7199.2,
                ),
            )
        ),
        "assessment-skipped": _body(
            conclude(
                request(),
                machine(),
                Skipped(SkipReason.NOT_RUNNING, "The VM is not running.", NOW),
            )
        ),
        "request-rejected": _body(reject(_rejection(), NOW)),
        "scan-completed": _scan(),
    }


def _rejection() -> Rejection:
    body = {"vmId": "/subscriptions/1/virtualMachines/vm-1", "requestId": "change-4711"}
    rejection = parse_request(incoming(body, content_type="application/json"), ())
    assert isinstance(rejection, Rejection)
    return rejection


def _scan() -> Any:  # noqa: ANN401 - any JSON
    request = ScanRequest(
        scope=Scope.parse(f"/subscriptions/{SUBSCRIPTION}"),
        request_id="weekly-2026-05",
        identity="weekly-2026-05",
        enqueued_at=NOW,
        tags={"env": "prod"},
        requested_by="patch-governance",
    )
    scan = Scan(scan_id_of(request), request, started_at=NOW)
    tally = Tally(
        requested=40,
        assessed=37,
        failed=1,
        skipped=2,
        with_critical_patches=12,
        reboot_pending=3,
        last_at=NOW + timedelta(minutes=21),
    )
    watch = ScanCompletion(scan, found=52, requested=40, released_at=NOW)
    return json.loads(scan_completed(watch, tally, NOW).body)


def _body(outcome: Outcome) -> Any:  # noqa: ANN401 - any JSON
    return json.loads(outcome_message(outcome, None).body)


def alerts() -> dict[str, Any]:
    """Returns the body of each example of an alert, by the name of its file."""
    return {
        name: json.loads(alert_message(alert, style=STYLE).body)
        for name, alert in example_alerts().items()
    }


def main() -> None:
    """Writes the examples."""
    for name, example in (results() | alerts()).items():
        text = json.dumps(example, indent=2, ensure_ascii=False)
        (SCHEMAS / f"{name}.example.json").write_text(f"{text}\n", "utf-8")


if __name__ == "__main__":
    main()
