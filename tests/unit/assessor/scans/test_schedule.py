"""What one occurrence of the schedule sends, to the letter."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from assessor.messages.in_progress import scan_message
from assessor.messages.request import ScanRequest, name_based_id
from assessor.resource_id import Scope
from assessor.scans.schedule import ScanSchedule
from assessor.telemetry.records import Record
from ncrontab import Ncrontab
from tests.support.builders import OTHER_SUBSCRIPTION, SUBSCRIPTION
from tests.support.fakes import FakeBus, FakeClock

QUEUE = "in-progress"
AT_TWO = datetime(2026, 1, 5, 2, tzinfo=UTC)
GROUP = Scope(OTHER_SUBSCRIPTION, "Group")


async def _sent(now: datetime, *scopes: Scope) -> FakeBus:
    bus = FakeBus()
    schedule = ScanSchedule(
        bus=bus,
        clock=FakeClock(now),
        in_progress_queue=QUEUE,
        schedule=Ncrontab("0 0 2 * * *"),
        scopes=scopes,
        tags={"env": "prod"},
    )
    await schedule.fire()
    return bus


async def test_an_occurrence_asks_in_the_schedules_name_and_keeps_a_record() -> None:
    """With the time of the occurrence, however late it is: the IDs are made of that."""
    now = AT_TWO + timedelta(hours=3)
    bus = await _sent(now, GROUP)

    at = "2026-01-05T02:00:00.000Z"
    identity = name_based_id("scheduled-scan", GROUP.key, at)
    request = ScanRequest(
        GROUP,
        identity,
        identity,
        AT_TWO,
        tags={"env": "prod"},
        requested_by="schedule",
        reason=f"scheduled for {at}",
    )
    message = scan_message(request, now)
    record = Record(
        name="PatchAssessor.ScanRequested",
        id=name_based_id("scan-requested", message.message_id),
        text=f"the schedule asks for a scan of {GROUP}",
        facts={"patch_assessor.scan.scope": str(GROUP), "patch_assessor.request_id": identity},
    )
    assert bus.sent == {QUEUE: [replace(message, record=record)]}


async def test_a_timer_may_fire_a_second_early() -> None:
    """It is for the occurrence that comes; more than a second before, it is for the last one."""
    early = (await _sent(AT_TWO - timedelta(seconds=1), GROUP)).sent[QUEUE]
    in_time = (await _sent(AT_TWO, GROUP)).sent[QUEUE]
    too_early = (await _sent(AT_TWO - timedelta(seconds=1.001), GROUP)).sent[QUEUE]
    assert [each.message_id for each in early] == [each.message_id for each in in_time]
    assert [each.message_id for each in too_early] != [each.message_id for each in in_time]


async def test_a_scope_that_is_set_twice_is_scanned_once() -> None:
    """Names in whatever case; another scope is another scan."""
    bus = await _sent(AT_TWO, GROUP, Scope(OTHER_SUBSCRIPTION, "GROUP"), Scope(SUBSCRIPTION))
    assert len(bus.sent[QUEUE]) == 2
