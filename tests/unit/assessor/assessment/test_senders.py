"""Nobody's message can lose, forge or silence another's: whole ways through the app.

Each test lets a second sender do what it may, and looks at what the first one gets.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assessor.clock import to_text
from assessor.messages.in_progress import InProgressError, parse_in_progress, request_message
from assessor.messages.progress import (
    AssessmentProgress,
    ScanCompletion,
    ScanExpansion,
    scan_id_of,
)
from assessor.messages.request import (
    AssessmentRequest,
    IncomingMessage,
    ScanRequest,
    child_identity,
    name_based_id,
)
from assessor.messages.request_body import parse_request
from assessor.resource_id import VirtualMachineId
from tests.support.scan_world import SUBSCRIPTION
from tests.support.senders import IN_PROGRESS, Senders

SCOPE = f"/subscriptions/{SUBSCRIPTION}"
VM = f"{SCOPE}/resourceGroups/group-0/providers/Microsoft.Compute/virtualMachines/vm-0"
OCCURRENCE = datetime(2026, 1, 6, 2, tzinfo=UTC)
FLEET = 4


async def test_a_scheduled_scan_cant_be_silenced_in_advance() -> None:
    """The IDs of its messages follow from public constants; they are not on the senders' queue."""
    world = Senders(FLEET, SCAN_SCOPES=SCOPE, SCAN_SCHEDULE="0 0 2 * * *")
    at = to_text(OCCURRENCE)
    for known in (
        name_based_id("scheduled-scan", SCOPE.lower(), at),
        name_based_id("scheduled-scan", SCOPE, at),
    ):
        narrowed = {"scope": SCOPE, "requestId": known, "tags": {"no-vm-has": "this"}}
        await world.send(known, narrowed)
    await world.run()

    world.clock.advance((OCCURRENCE - world.clock.now()).total_seconds())
    await world.app.schedule.fire()
    await world.run()

    (scheduled,) = [
        each["data"]
        for each in world.told("ScanCompleted")
        if each["data"]["request"]["requestedBy"] == "schedule"
    ]
    assert _assessed_and_requested(scheduled) == (FLEET, FLEET)


async def test_a_label_that_comes_again_is_answered_again() -> None:
    """Before and after a window of maintenance: each message has its outcome, and is assessed."""
    world = Senders(FLEET)
    for message_id in ("before", "after"):
        await world.send(message_id, {"vmId": VM, "requestId": "change-4711"})
        await world.run()
        world.clock.advance(3600)

    first, second = world.told("AssessmentCompleted")
    assert first["data"]["request"]["requestId"] == second["data"]["request"]["requestId"]
    assert first["id"] != second["id"]
    assert first["data"]["assessmentActivityId"] != second["data"]["assessmentActivityId"]
    assert len(world.arm.begun) == 2


async def test_two_rejections_under_one_label_are_both_told() -> None:
    """The second attempt is another message."""
    world = Senders()
    await world.send("attempt-0", {"requestId": "change-4711", "vmId": "/wrong/1"})
    await world.send("attempt-1", {"requestId": "change-4711", "vmId": "/wrong/2"})
    await world.run()

    rejected = world.told("RequestRejected")
    assert [each["data"]["errors"][0]["value"] for each in rejected] == ["/wrong/1", "/wrong/2"]


async def test_nobody_has_anothers_request_answered_with_what_is_stale() -> None:
    """B says A's label, and that old results will do: A gets an assessment of its own time."""
    world = Senders(FLEET)
    await world.send("A-0", {"vmId": VM})
    await world.run()
    world.clock.advance(3600)
    asked_at = world.clock.now()
    stale = {"vmId": VM, "requestId": "change-9", "freshSince": "2000-01-01T00:00:00Z"}

    await world.send("B-1", stale)
    await world.send("A-1", {"vmId": VM, "requestId": "change-9"})
    await world.run()

    _, theirs, ours = world.told("AssessmentCompleted")
    assert theirs["id"] != ours["id"]
    (_, fresh) = world.arm.begun  # both are answered by the one that began when they were asked
    assert ours["data"]["assessmentActivityId"] == fresh[1]
    assert datetime.fromisoformat(ours["time"]) >= asked_at + timedelta(minutes=1)


async def test_nobody_joins_a_scan_or_changes_its_sum() -> None:
    """A request that says it belongs to a scan is its sender's alone."""
    world = Senders(FLEET)
    await world.send("nightly", {"scope": SCOPE})
    await world.run(until=world.clock.now())
    (scan_id,) = {
        each.application_properties["scanId"]
        for each in world.bus.sent[IN_PROGRESS]
        if "scanId" in each.application_properties
    }
    outside = VM.replace("vm-0", "vm-of-mine")

    await world.send("B", {"vmId": outside, "requestId": "B", "scanId": scan_id})
    await world.run()

    (theirs,) = [each for each in world.told() if each["subject"].endswith("vm-of-mine")]
    assert theirs["data"]["request"].get("scanId") is None
    (summed,) = world.told("ScanCompleted")
    assert _assessed_and_requested(summed["data"]) == (FLEET, FLEET)


async def test_nobody_drops_a_vm_out_of_a_scan() -> None:
    """Whatever IDs somebody uses up on the requests queue, the scan asks for each VM."""
    world = Senders(FLEET)
    await world.send("nightly", {"scope": SCOPE})
    await world.run(until=world.clock.now())
    own = [each.message_id for each in world.bus.sent[IN_PROGRESS]]
    for message_id in own:
        await world.send(message_id, {"vmId": "/nonsense"})
    await world.run()

    (summed,) = world.told("ScanCompleted")
    assert _assessed_and_requested(summed["data"]) == (FLEET, FLEET)


def _assessed_and_requested(scan: Mapping[str, Any]) -> tuple[int, int]:
    return scan["vms"]["assessed"], scan["vms"]["requested"]


def _scan_message(world: Senders, message_id: str) -> IncomingMessage:
    body = json.dumps({"scope": SCOPE}).encode()
    return IncomingMessage(body, message_id, None, {}, world.clock.now())


async def test_a_name_that_comes_every_night_is_a_scan_every_night() -> None:
    """Duplicate detection has forgotten it by then."""
    scans = Senders(FLEET)
    for night in range(2):
        await scans.app.requests.receive(_scan_message(scans, "nightly"))
        await scans.run()
        scans.clock.advance(86_400)
        assert len(scans.told("ScanCompleted")) == night + 1
    assert len(scans.arm.begun) == 2 * FLEET


async def test_a_scan_that_is_delivered_again_is_the_same_scan() -> None:
    """By the time at which the queue took it."""
    scans = Senders(FLEET)
    message = _scan_message(scans, "nightly")
    await scans.app.requests.receive(message)
    await scans.run()
    await scans.app.requests.receive(message)
    await scans.run()
    assert len(scans.told("ScanCompleted")) == 1
    assert len(scans.arm.begun) == FLEET


async def test_a_forged_watch_does_not_end_a_scan_before_its_time() -> None:
    """Who has stolen the right to send to the internal queue can't sum up what is not done."""
    world = Senders(FLEET)
    await world.send("nightly", {"scope": SCOPE})
    await world.run(until=world.clock.now())
    watch, *_ = [
        each
        for each in map(parse_in_progress, (m.body for m in world.bus.sent[IN_PROGRESS]))
        if isinstance(each, ScanCompletion)
    ]
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    forged = replace(watch, found=99_999, requested=0, released_at=long_ago, reschedules=1)
    await world.app.resume(forged)
    assert world.told("ScanCompleted") == []

    await world.run()

    (summed,) = world.told("ScanCompleted")
    assert _assessed_and_requested(summed["data"]) == (FLEET, FLEET)


async def test_a_forged_message_of_the_internal_queue_stays_within_the_allowed_scopes() -> None:
    """An assessment that runs, one that is asked for, and a scan: nothing is called for them."""
    asking = Senders(FLEET)
    await asking.send("mine", {"vmIds": [VM, VM.replace("vm-0", "vm-1")]})
    await asking.send("all", {"scope": SCOPE})
    await asking.run(until=asking.clock.now() + timedelta(seconds=1))
    forged = [parse_in_progress(each.body) for each in asking.bus.sent[IN_PROGRESS]]
    assert {AssessmentProgress, ScanExpansion} <= {type(each) for each in forged}
    world = Senders(FLEET, ALLOWED_SCOPES="/subscriptions/99999999-0000-0000-0000-000000000001")

    for each in forged:
        await world.app.resume(each)

    assert world.arm.begun == []
    failed = world.told("AssessmentFailed")
    assert failed
    assert {each["data"]["error"]["code"] for each in failed} == {"OutOfScope"}


@pytest.mark.parametrize("field", ["accepted_at", "begun_at"])
async def test_a_forged_time_keeps_no_assessment_for_ever(field: str) -> None:
    """A time that no host can have written makes the message a dead letter."""
    world = Senders(FLEET)
    await world.send("mine", {"vmId": VM})
    await world.run(until=world.clock.now() + timedelta(seconds=1))
    body = json.loads(world.bus.sent[IN_PROGRESS][-1].body)
    holder = body["progress"] if field == "accepted_at" else body["progress"]["operation"]
    holder[field] = "9999-01-01T00:00:00Z"

    with pytest.raises(InProgressError):
        await world.app.resume(parse_in_progress(json.dumps(body).encode()))


async def test_a_stolen_right_can_be_first_with_anothers_outcome() -> None:
    """What it gets one, measured: an outcome of this ID is out when the victim's is sent."""
    world = Senders(FLEET)
    victim = IncomingMessage(json.dumps({"vmId": VM}).encode(), "A-1", None, {}, world.clock.now())
    forged = AssessmentRequest(
        VirtualMachineId.parse(VM), "mine", world.clock.now(), identity=victim.identity
    )
    await world.app.resume(forged)
    await world.run()
    await world.app.requests.receive(victim)
    await world.run()

    (told,) = world.told()
    assert told["data"]["request"]["requestId"] == "mine"


async def test_a_stolen_right_can_use_up_the_id_of_a_message_to_come() -> None:
    """What it gets one, measured: one VM of a scan has no outcome, and the sum says so."""
    world = Senders(FLEET)
    asked = world.clock.now()
    sample = _scan_message(world, "nightly")
    scan = parse_request(sample, ())
    assert isinstance(scan, ScanRequest)
    vm = VirtualMachineId.parse(VM)
    identity = child_identity(scan_id_of(scan), vm)
    foreseen = request_message(AssessmentRequest(vm, "x", asked, identity=identity)).message_id
    end = {"progress": {}, "kind": "nothing"}

    await world.send(foreseen, end, IN_PROGRESS)
    with pytest.raises(InProgressError):
        await world.run()
    await world.app.requests.receive(sample)
    await world.run()

    (summed,) = world.told("ScanCompleted")
    assert summed["data"]["status"] == "Incomplete"
    assert summed["data"]["vms"]["missing"] == 1
