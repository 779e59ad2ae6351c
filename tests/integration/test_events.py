"""Event Grid and the timer, end to end: deliveries to the host's webhook, and what follows."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from assessor.resource_id import VirtualMachineId
from localcloud.azurite import run_azurite
from localcloud.eventgrid import EventGrid, Habits, HandshakeError, Schema
from tests.support.cloud_harness import IN_PROGRESS, OUTCOMES, Harness, Plan, running
from tests.support.event_grid import (
    as_cloud_event,
    deleted,
    maintained,
    requested,
    started,
    written,
)
from tests.support.shared_cloud import (
    SCANNED,
    SCANNED_SUBSCRIPTION,
    TOLD_OF,
    UNKNOWN_SUBSCRIPTION,
    on_it,
)

pytestmark = pytest.mark.integration

VMS: Final = TOLD_OF[:4]
OTHERS: Final = TOLD_OF[4:8]
Json = dict[str, Any]
Shape = Callable[[Json], Json]
SHAPES: Final[Mapping[Schema, Shape]] = {
    Schema.EVENT_GRID: dict,
    Schema.CLOUD_EVENTS: as_cloud_event,
}


class Rig:
    """The app on a local cloud, and Event Grid in front of it."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness

    @property
    def endpoint(self) -> str:
        """The function's webhook."""
        return f"{self.harness.cloud.hosts[0].ready['eventGridUrl']}?functionName=resource_events"

    def event_grid(self, schema: Schema, duplicates: float = 0.0) -> EventGrid:
        """Returns a subscription to that webhook."""
        habits = Habits(duplicates=duplicates, time_scale=60.0, source=Random(1))
        return EventGrid(self.harness.http, self.endpoint, schema, habits)


@pytest.fixture
def rig(shared: Harness) -> Rig:
    """Event Grid in front of the shared cloud."""
    return Rig(shared)


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _burst(vm: VirtualMachineId) -> list[Json]:
    at = _now()
    return [
        written(str(vm), time=at, event_id=f"{vm.resource_group}-{vm.name}-{number}")
        for number in range(5)
    ]


@on_it
async def test_events_become_assessments(rig: Rig) -> None:
    """Delivered twice and in bursts: each changed VM is assessed once, in either schema."""
    fleet = {Schema.EVENT_GRID: VMS, Schema.CLOUD_EVENTS: OTHERS}
    assert set(fleet) == set(Schema)
    for schema, (one, another, third, fourth) in fleet.items():
        grid = rig.event_grid(schema, duplicates=0.5)
        await grid.subscribe()
        events = [
            *_burst(one),
            *_burst(another),
            started(str(third), time=_now(), event_id=f"{schema} start"),
            requested({"vmId": str(fourth), "requestId": "custom"}, f"{schema} custom"),
            written(f"nonsense {schema}", time=_now(), event_id=f"{schema} malformed"),
            deleted(str(third), time=_now(), event_id=f"{schema} delete"),
            {**written(), "eventType": "Microsoft.Resources.ResourceWriteFailure"},
        ]
        await grid.publish([SHAPES[schema](event) for event in events])
        assert grid.attempts > len(events)
        assert grid.dead_letters == []
    await rig.harness.until_told(len(VMS) + len(OTHERS) + 2)
    arrived = await rig.harness.outcomes()
    posts = await rig.harness.posts()
    logs = "".join(path.read_text("utf-8") for path in rig.harness.cloud.options.logs.iterdir())

    assert Counter(each.type for each in arrived) == {
        "AssessmentCompleted": len(VMS) + len(OTHERS),
        "RequestRejected": 2,
    }
    assert Counter(post.vm_id.lower() for post in posts) == {vm.key: 1 for vm in (*VMS, *OTHERS)}
    for rejected in (each for each in arrived if each.type == "RequestRejected"):
        assert [each["field"] for each in rejected.data["errors"]] == ["subject"]
        assert "claims" not in rejected.data["body"]
    assert "full-name" not in logs + json.dumps([dict(each.data) for each in arrived])


@on_it
async def test_maintenance_ends_in_a_scan(rig: Rig) -> None:
    """Of the subscriptions that it touched; one that ARM does not know is reported."""
    grid = rig.event_grid(Schema.EVENT_GRID, duplicates=1.0)
    await grid.publish([maintained(SCANNED_SUBSCRIPTION, UNKNOWN_SUBSCRIPTION)])
    await rig.harness.until_told(len(SCANNED) + 2)
    arrived = await rig.harness.outcomes()

    sums = {
        each.data["scope"].rpartition("/")[2]: each.data
        for each in arrived
        if each.type == "ScanCompleted"
    }
    assert sums[SCANNED_SUBSCRIPTION]["status"] == "Succeeded"
    assert sums[SCANNED_SUBSCRIPTION]["vms"]["assessed"] == len(SCANNED)
    assert sums[UNKNOWN_SUBSCRIPTION]["status"] == "Failed"
    assert sums[UNKNOWN_SUBSCRIPTION]["error"]["code"] == "SubscriptionNotFound"
    assert len(arrived) == len(SCANNED) + 2


async def test_the_schedule_scans_each_scope_once_an_occurrence(tmp_path: Path) -> None:
    """Two hosts fire the same occurrence; the scopes' sums come one by one, and once."""
    scopes = [f"/subscriptions/{SCANNED_SUBSCRIPTION}/resourceGroups/group-{n}" for n in range(2)]
    vms = [{"id": str(vm), "behaviour": "patches", "durationSeconds": 60} for vm in SCANNED]
    async with run_azurite() as azurite:
        settings = {
            "SCAN_SCHEDULE": "*/20 * * * * *",
            "SCAN_SCOPES": ",".join(scopes),
            "PostureStorage": azurite.connection_string,
        }
        async with running(tmp_path, Plan(vms, hosts=2, settings=settings)) as harness:

            async def summed_up() -> bool:
                told = (await harness.counts(OUTCOMES)).total
                if told < len(SCANNED) + len(scopes):
                    return False
                return len(await _sums(harness)) >= len(scopes)

            await harness.until(summed_up, "the sums of one occurrence's scans")
            sums = await _sums(harness)

    occurrences = Counter((each["scope"], each["request"]["reason"]) for each in sums)
    assert set(occurrences.values()) == {1}
    assert {scope for scope, _ in occurrences} == set(scopes)


async def _sums(harness: Harness) -> Sequence[Mapping[str, Any]]:
    return [each.data for each in await harness.outcomes() if each.type == "ScanCompleted"]


@on_it
async def test_the_webhook_proves_itself_and_refuses_what_is_not_its_own(rig: Rig) -> None:
    """Both handshakes; a function that is not there; bodies that are no events."""
    http = rig.harness.http
    for schema in Schema:
        await rig.event_grid(schema).subscribe()
        elsewhere = EventGrid(http, rig.endpoint.replace("resource_events", "nobody"), schema)
        if schema is Schema.EVENT_GRID:
            with pytest.raises(HandshakeError):
                await elsewhere.subscribe()
        await elsewhere.publish([written()])
        assert [letter.status for letter in elsewhere.dead_letters] == [404]
    for body, kind in ((b"no json", "Notification"), (b"[1]", "Notification"), (b"[]", "x")):
        async with http.post(rig.endpoint, data=body, headers={"aeg-event-type": kind}) as answer:
            assert answer.status == 400


@on_it
async def test_events_that_fail_come_again(rig: Rig) -> None:
    """While the bus takes nothing the function fails; Event Grid delivers until it succeeds."""
    await rig.harness.break_bus(
        entity=IN_PROGRESS, operation="send", condition="amqp:not-allowed", count=1
    )
    grid = rig.event_grid(Schema.EVENT_GRID)
    await grid.publish([requested({"vmId": str(TOLD_OF[8]), "requestId": "again"})])
    await rig.harness.until_told(1)
    arrived = await rig.harness.outcomes()
    status = await rig.harness.host_status(rig.harness.cloud.hosts[0])
    assert status["invocations"]["failed"] >= 1
    assert grid.attempts >= 2
    assert [each.request_id for each in arrived] == ["again"]
    assert grid.dead_letters == []
