"""What messages and rows teach the console: VMs, patches, scans, and what it remembers."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from assessor.alerts.decision import decide_by_result
from assessor.alerts.rule import AlertPolicy
from assessor.alerts.rules import ALERT_COLUMNS
from assessor.arm.result import ApiError
from assessor.messages.in_progress import in_progress_message
from assessor.messages.outcome import Outcome
from assessor.messages.patches import CLASSIFICATIONS
from assessor.messages.progress import AssessmentProgress, Later, OperationRef, Scan, ScanExpansion
from assessor.messages.request import ScanRequest
from assessor.posture.row import to_row
from assessor.resource_id import Scope
from patch_assessor_cli.arrivals import Arrival
from patch_assessor_console.memory import Memory, Source
from patch_assessor_console.model.flow import Scan as ShownScan
from patch_assessor_console.model.flow import Stage, Underway, read_in_progress
from patch_assessor_console.model.patch import GRAVE_CLASSIFICATIONS, patches_of
from patch_assessor_console.model.patches import lacked_patches, search_patches
from patch_assessor_console.model.vm import REBOOT_RULE, Vm, VmState
from patch_assessor_console.readers.table import TableReader, vm_of
from tests.support.assessments import completed, finding
from tests.support.builders import request
from tests.support.examples import results

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
ACTIVITY = "68f8b292-dfc2-4646-9781-33cc88631968"


def memory() -> Memory:
    return Memory(lambda: NOW, timedelta(hours=48))


def arrival(kind: str, **data: object) -> Arrival:
    """A message as the app writes it, with these fields of its data changed."""
    body = json.loads(json.dumps(results()[kind]))
    body["data"] |= {"completedDateTime": NOW.isoformat()} | data
    return _arrival("assessment-results", body)


def _arrival(topic: str, body: Any) -> Arrival:  # noqa: ANN401 - any JSON
    subject = body.get("subject") if isinstance(body, dict) else None
    return Arrival(topic, "m-1", "r-1", subject, "application/json", NOW, {}, body)


def alert(subject: str, condition: str) -> Arrival:
    essentials = {"monitorCondition": condition, "alertRule": REBOOT_RULE, "severity": "Sev2"}
    data = {"data": {"essentials": essentials, "alertContext": {"change": "Appeared"}}}
    body = {
        "type": "PatchAssessor.AlertFired",
        "subject": subject,
        "data": data | {"essentials": essentials, "alertContext": {"change": "Appeared"}},
    }
    return _arrival("patch-alerts", body)


def test_an_outcome_of_the_app_fills_in_its_vm() -> None:
    """Counts, patches, tags, system and how long it took; the trace is the activity ID's digits."""
    known = memory()
    known.take_outcome(arrival("assessment-completed"))
    (row,) = known.rows()
    assert row.vm.critical == 1
    assert row.vm.other == 2
    assert row.vm.system == "Windows Server 2016 Datacenter"
    assert row.vm.tags == {"env": "test"}
    assert row.vm.seconds == 665.498
    assert row.vm.trace_id == row.vm.activity_id.replace("-", "")
    assert [each.kb for each in row.vm.patches or ()] == ["KB2267602", "KB890830"]
    assert row.state is VmState.LACKS_PATCHES
    assert known.outcomes == {"Completed": 1}


def test_a_failed_assessment_leaves_what_was_found_before() -> None:
    """The VM is failing, with the reason; the next completed one mends it."""
    known = memory()
    known.take_outcome(arrival("assessment-completed"))
    known.take_outcome(arrival("assessment-failed"))
    (row,) = known.rows()
    assert (row.state, row.vm.attempt_reason) == (VmState.FAILING, "DeadlineExceeded")
    assert row.vm.critical == 1
    known.take_outcome(arrival("assessment-completed", criticalAndSecurityPatchCount=0))
    assert known.rows()[0].vm.attempted_at is None


def test_an_outcome_that_comes_late_undoes_nothing() -> None:
    """Messages may overtake one another."""
    known = memory()
    known.take_outcome(arrival("assessment-completed"))
    earlier = (NOW - timedelta(hours=1)).isoformat()
    late = {"completedDateTime": earlier, "criticalAndSecurityPatchCount": 9}
    known.take_outcome(arrival("assessment-completed", **late))
    known.take_outcome(arrival("assessment-failed", completedDateTime=earlier))
    (row,) = known.rows()
    assert row.vm.critical == 1
    assert row.vm.attempted_at is None


def test_alerts_open_and_close() -> None:
    """An alert that speaks again is as old as it was."""
    known = memory()
    known.take_outcome(arrival("assessment-completed"))
    vm_id = known.rows()[0].vm.vm_id
    known.take_alert(alert(vm_id.upper(), "Fired"))
    assert known.rows()[0].vm.reboot_since == NOW
    known.take_alert(alert(vm_id, "Resolved"))
    assert known.rows()[0].vm.alerts == {}


def test_any_json_on_the_topics_is_taken_in() -> None:
    """What can't be understood changes no VM."""
    known = memory()
    bodies: list[Any] = [None, [], "x", {"data": 3}, {"data": {"vm": [], "request": 1}}]
    for body in (*bodies, {"type": 7}):
        known.take_outcome(_arrival("assessment-results", body))
        known.take_alert(_arrival("patch-alerts", body))
    assert known.rows() == ()


def test_the_table_wins_where_it_is_newer_and_keeps_what_only_messages_tell() -> None:
    """Tags and lists come by messages; a VM that is gone from the table is gone."""
    known = memory()
    known.take_outcome(arrival("assessment-completed"))
    seen = known.rows()[0].vm
    newer = replace(seen, tags={}, patches=None, system="Windows", other=5)
    known.take_table([newer], NOW + timedelta(seconds=1))
    kept = known.rows()[0].vm
    assert (kept.other, kept.tags, kept.system) == (5, seen.tags, seen.system)
    assert kept.patches == seen.patches
    older = replace(newer, assessed_at=NOW - timedelta(days=1), other=7)
    known.take_table([older], NOW + timedelta(seconds=1))
    assert known.rows()[0].vm.other == 5
    known.take_table([], NOW + timedelta(seconds=1))
    assert known.rows() == ()


def test_a_vm_whose_outcome_came_while_the_table_was_read_stays() -> None:
    """Its row may have been written behind the reader."""
    known = memory()
    known.take_outcome(arrival("assessment-completed"))
    known.take_table([], NOW - timedelta(seconds=1))
    assert len(known.rows()) == 1


def test_a_row_of_the_table_is_a_vm() -> None:
    """Columns that are missing are not known, and nothing in one is obeyed."""
    row = {
        "PartitionKey": "s-1",
        "VmId": "/subscriptions/s-1/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/v",
        "OsType": "Linux\x1b[2J",
        "DurationSeconds": 61.5,
    }
    vm = vm_of(row)
    assert (vm.name, vm.group, vm.subscription, vm.seconds) == ("v", "g", "s-1", 61.5)
    assert vm.system == "Linux\\u001b[2J"
    assert vm_of({**row, "DurationSeconds": float("nan")}).seconds is None


def remembered(outcome: Outcome, tags: dict[str, str] | None = None) -> dict[str, Any]:
    """The row that the app writes after an outcome, as the console's commands read it."""
    step = decide_by_result(None, finding(outcome), AlertPolicy())
    return dict(to_row(replace(step.posture, tags=tags), ALERT_COLUMNS))


def test_a_row_tells_what_its_vm_lacks_before_any_message_does() -> None:
    """Patches and tags; a patch that several VMs lack is one object, however often it is read."""
    reader = TableReader()
    row = remembered(completed(0, ["openssl", "curl"], count=2), {"owner": "team-a"})
    vm, again = reader.vm_of(row), reader.vm_of(row)
    assert vm.patches is not None
    assert [each.name for each in vm.patches] == ["openssl", "curl"]
    assert all(each.is_grave and each.classifications == ("Critical",) for each in vm.patches)
    assert [id(each) for each in again.patches or ()] == [id(each) for each in vm.patches]
    assert vm.tags == {"owner": "team-a"}
    assert reader.vm_of(remembered(completed(0, None, count=2))).patches is None


def test_of_one_assessment_a_messages_list_is_kept_and_of_a_later_one_the_tables_is_taken() -> None:
    """A message tells more of each patch; the table may know of a newer assessment."""
    known, reader = memory(), TableReader()
    known.take_outcome(arrival("assessment-completed"))
    (before,) = known.rows()
    row = remembered(completed(0, ["curl"]))
    same = row | {
        "VmId": before.vm.vm_id,
        "AssessedAt": before.vm.assessed_at,
        "AssessmentActivityId": before.vm.activity_id,
    }
    known.take_table([reader.vm_of(same)], NOW)
    assert known.rows()[0].vm.patches == before.vm.patches
    later = same | {"AssessedAt": NOW + timedelta(hours=1), "AssessmentActivityId": "another"}
    known.take_table([reader.vm_of(later)], NOW)
    assert [each.name for each in known.rows()[0].vm.patches or ()] == ["curl"]


def test_grave_classifications_are_the_apps() -> None:
    """The console has a copy of what it can't import."""
    assert {name for name, is_grave in CLASSIFICATIONS.items() if is_grave} == GRAVE_CLASSIFICATIONS


def test_a_record_in_place_of_patches_stands_for_as_many() -> None:
    """The Linux extension cuts its list."""
    patches, left_out = patches_of(
        [
            {"name": "b", "version": "1", "classifications": ["Other"]},
            {"name": "a", "version": "2", "classifications": ["Security"]},
            {
                "patchId": "Truncated_patch_list_id",
                "name": "12 additional updates of classification Other reported",
            },
            7,
        ]
    )
    assert [each.key for each in patches or ()] == ["a 2", "b 1"]
    assert left_out == 12
    assert patches_of(None) == (None, 0)


def test_patches_are_counted_by_vm() -> None:
    """The grave ones first; a search looks in name, KB, version and class."""
    patches, _ = patches_of(
        [
            {"name": "x", "kbId": "5", "classifications": ["Security"]},
            {"name": "y", "version": "2", "classifications": ["Other"]},
        ]
    )
    assert patches is not None
    grave, other = patches
    vms = [
        Vm("/a", assessed_at=NOW, patches=(other, grave)),
        Vm("/b", assessed_at=NOW - timedelta(days=1), patches=(other,)),
    ]
    lacked = lacked_patches(vms, {"KB5": NOW - timedelta(days=9)})
    assert [(each.patch.key, each.vms) for each in lacked] == [("KB5", 1), ("y 2", 2)]
    assert lacked[0].since == NOW - timedelta(days=9)
    assert lacked[1].since == NOW - timedelta(days=1)
    assert search_patches(lacked, "kb5 security") == lacked[:1]


def test_an_in_progress_message_of_the_app_tells_how_its_assessment_does() -> None:
    """Retrying with the reason, running, or waiting to be begun; never the token."""
    operation = OperationRef(ACTIVITY, "secret-token", NOW, "0123456789abcdef")
    progress = AssessmentProgress(request(), NOW, operation=operation, reschedules=2)
    running = _read(progress)
    assert isinstance(running, Underway)
    assert (running.stage, running.activity_id, running.reschedules) == (Stage.RUNNING, ACTIVITY, 2)
    assert running.vm_id == str(request().vm)
    assert running.next_poll == NOW
    assert "secret-token" not in repr(running)
    problem = ApiError("TooManyRequests", "Wait.")
    retrying = _read(replace(progress, problem=problem, attempt=1))
    assert isinstance(retrying, Underway)
    assert (retrying.stage, retrying.reason) == (Stage.RETRYING, "TooManyRequests")
    waiting = _read(AssessmentProgress(request(), NOW))
    assert isinstance(waiting, Underway)
    assert waiting.stage is Stage.WAITING


def test_a_scan_is_followed_from_its_expansion_to_its_sum() -> None:
    """Its outcomes count towards it; its sum is the last word."""
    scope = Scope.parse("/subscriptions/e37510d7-33b6-4676-886f-ee75bcc01871")
    scan = Scan("scan-1", ScanRequest(scope, "r", "m", NOW), NOW)
    shown = _read(ScanExpansion(scan, found=4, requested=2))
    assert isinstance(shown, ShownScan)
    assert (shown.found, shown.requested, shown.status) == (4, 2, "expanding")
    known = memory()
    known.take_in_progress(replace(known.in_progress, scans=(shown,)))
    of_scan = {"request": {"scanId": "scan-1"}}
    known.take_outcome(arrival("assessment-completed", **of_scan))
    assert known.scans()[0].share == 0.5
    known.take_outcome(arrival("scan-completed", scanId="scan-1"))
    known.take_in_progress(replace(known.in_progress, scans=(shown,)))
    assert (known.scans()[0].status, known.scans()[0].assessed) == ("Succeeded", 37)


def _read(progress: AssessmentProgress | ScanExpansion) -> object:
    message = in_progress_message(Later(progress, NOW, "a test"))
    return read_in_progress(message.subject or "", json.loads(message.body), NOW)


def test_anything_on_the_in_progress_queue_is_looked_at() -> None:
    """It may hold what another version wrote."""
    bodies: list[Any] = [None, 3, [], {}, {"progress": 1}, {"progress": {"scan": 1}}]
    for body in (*bodies, {"kind": []}):
        read_in_progress("s", body, None)


def test_trouble_is_as_old_as_its_beginning() -> None:
    """And over when its source can be read again."""
    known = memory()
    known.is_away(Source.TOPICS, "one")
    version = known.version
    known.is_away(Source.TOPICS, "one")
    assert known.version == version
    known.is_well(Source.TOPICS)
    assert known.troubles == {}
    assert known.version > version
