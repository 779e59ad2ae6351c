"""What any posture store does, asked of the one in memory and of Azure Tables on Azurite."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
import pytest_asyncio
from azure.core.exceptions import ServiceRequestError
from azure.data.tables.aio import TableClient

from assessor.alerts.outbox import AlertOutbox
from assessor.alerts.overdue import silent_since
from assessor.alerts.rule import AlertPolicy
from assessor.alerts.rules import ALERT_COLUMNS
from assessor.ports import PostureStore
from assessor.posture.durations import Learned
from assessor.posture.model import Attempt, OpenAlert, Posture
from assessor.posture.outline import Outline, Place
from assessor.posture.row import RowError
from assessor.posture.store import MemoryPosture, PostureConflictError, PostureError
from assessor.posture.tables import TablePosture
from assessor.resource_id import VirtualMachineId
from localcloud.azurite import Azurite
from tests.support.assessments import completed, failed, finding
from tests.support.builders import NOW, OTHER_SUBSCRIPTION, SUBSCRIPTION, VM_ID
from tests.support.fakes import FakeBus, FakeClock
from tests.support.subscriber import open_alerts

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("azurite"),  # which half of them asks for as it runs
]

POSTURE = Posture(VM_ID, location="eastus")


@pytest_asyncio.fixture(loop_scope="module")
async def table(azurite: Azurite) -> AsyncIterator[TableClient]:
    """The client of a table that is not there yet."""
    name = f"vmposture{uuid.uuid4().hex}"
    async with TableClient.from_connection_string(azurite.connection_string, name) as client:
        yield client


@pytest.fixture(params=["memory", "tables"])
def store(request: pytest.FixtureRequest) -> MemoryPosture | TablePosture:
    """Each store in turn; the table's client is made only where it is asked for."""
    if request.param == "memory":
        return MemoryPosture()
    return TablePosture(request.getfixturevalue("table"), ALERT_COLUMNS)


async def test_what_is_saved_is_loaded(store: PostureStore) -> None:
    """With the etag that saving gave."""
    assert await store.load(VM_ID) is None
    etag = await store.save(POSTURE, None)
    remembered = await store.load(VM_ID)
    assert remembered is not None
    assert (remembered.posture, remembered.etag) == (POSTURE, etag)


async def test_durations_are_told_without_the_rest(
    store: MemoryPosture | TablePosture,
) -> None:
    """None of a VM that is not remembered, and none of one that has none."""
    assert await store.durations(VM_ID) is None
    etag = await store.save(POSTURE, None)
    assert await store.durations(VM_ID) is None
    learned = Learned.first(660.0)
    await store.save(replace(POSTURE, durations=learned), etag)
    told = await store.durations(VM_ID)
    assert told is not None
    assert told.of_one_vm().seconds == pytest.approx(660.0)


async def test_each_save_has_another_etag(store: PostureStore) -> None:
    """Also one that changes nothing."""
    first = await store.save(POSTURE, None)
    second = await store.save(POSTURE, first)
    assert first != second
    with pytest.raises(PostureConflictError):
        await store.save(POSTURE, first)


async def test_what_is_there_is_not_made_anew(store: PostureStore) -> None:
    """Two that both found nothing: one of them looks again."""
    await store.save(POSTURE, None)
    with pytest.raises(PostureConflictError) as conflict:
        await store.save(POSTURE, None)
    assert conflict.value.vm_id == VM_ID


async def test_what_is_not_there_is_not_replaced(store: PostureStore) -> None:
    """An etag of a row that somebody has deleted is a conflict too."""
    etag = await store.save(POSTURE, None)
    other = VirtualMachineId(SUBSCRIPTION, "group", "other")
    with pytest.raises(PostureConflictError):
        await store.save(Posture(other), etag)


async def test_a_save_replaces_the_whole_posture(store: PostureStore) -> None:
    """Nothing of the one before shows through."""
    attempt = Attempt("outcome-1", NOW, "VmNotRunning", found=True)
    etag = await store.save(replace(POSTURE, attempt=attempt), None)
    await store.save(POSTURE, etag)
    remembered = await store.load(VM_ID)
    assert remembered is not None
    assert remembered.posture == POSTURE


async def test_one_vm_is_one_row_in_any_case_and_no_other(store: PostureStore) -> None:
    """ARM does not tell names apart by case."""
    await store.save(POSTURE, None)
    shouted = VirtualMachineId(
        VM_ID.subscription_id.upper(), VM_ID.resource_group.upper(), VM_ID.name.upper()
    )
    assert await store.load(shouted) is not None
    for other in (
        VirtualMachineId(OTHER_SUBSCRIPTION, VM_ID.resource_group, VM_ID.name),
        VirtualMachineId(VM_ID.subscription_id, "other", VM_ID.name),
        VirtualMachineId(VM_ID.subscription_id, VM_ID.resource_group, "other"),
    ):
        assert await store.load(other) is None


async def test_names_with_every_legal_character_are_kept(store: PostureStore) -> None:
    """Brackets, dots, underscores, letters that are not ASCII."""
    vm_id = VirtualMachineId(SUBSCRIPTION, "Rg_(1).é-", "vm_1.a-b")
    await store.save(Posture(vm_id), None)
    remembered = await store.load(vm_id)
    assert remembered is not None
    assert str(remembered.posture.vm_id) == str(vm_id)


async def test_of_many_that_save_at_once_one_succeeds(store: PostureStore) -> None:
    """The others are told of a conflict."""
    etag = await store.save(POSTURE, None)
    results = await asyncio.gather(
        *(store.save(replace(POSTURE, location=str(number)), etag) for number in range(8)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, str) for each in results) == 1
    assert sum(isinstance(each, PostureConflictError) for each in results) == 7


async def test_a_large_posture_is_kept(store: PostureStore) -> None:
    """Thousands of patches, in an alert that is not published yet."""
    bus = FakeBus()
    names = [f"{uuid.uuid5(VM_ID_NAMESPACE, str(number))}" for number in range(3000)]
    published = (await _outbox(store, bus).conclude(completed(0, names, reboot=True), None)).alerts
    assert len(published) == 2
    remembered = await store.load(VM_ID)
    assert remembered is not None
    assert len(remembered.posture.published.named) == len(names)
    assert remembered.posture.unpublished == ()


async def test_workers_at_once_leave_alerts_that_alternate(store: PostureStore) -> None:
    """Eight outcomes of one VM, each in a worker of its own, in no particular order."""
    bus = FakeBus()
    outcomes = [
        completed(day, "abcd"[: day % 4], reboot=day % 3 == 0, count=day % 4) for day in range(8)
    ]
    await asyncio.gather(*(_outbox(store, bus).conclude(each, None) for each in outcomes))
    remembered = await store.load(VM_ID)
    assert remembered is not None
    assert remembered.posture.unpublished == ()
    assert set(open_alerts(bus.sent["patch-alerts"])) == {
        each.rule for each in remembered.posture.open_alerts
    }


async def _all_outlines(store: PostureStore) -> list[Outline]:
    found: list[Outline] = []
    place: Place | None = Place()
    while place is not None:
        page = await store.outlines(place)
        found += page.outlines
        place = page.next
    return found


async def test_outlines_show_who_is_there_subscription_by_subscription(
    store: MemoryPosture | TablePosture,
) -> None:
    """With what decides on silence: times, the last try, alerts; without those that are gone."""
    assert await _all_outlines(store) == []
    overdue = OpenAlert("AssessmentOverdue", "alert-1", "by", NOW, NOW)
    assessed = finding(completed(0)).assessment
    postures = {
        name: Posture(VirtualMachineId(subscription, "group", name), **fields)
        for name, subscription, fields in (
            ("assessed", SUBSCRIPTION, {"assessment": assessed}),
            ("overdue", OTHER_SUBSCRIPTION, {"known_since": NOW, "open_alerts": (overdue,)}),
            (
                "tried",
                OTHER_SUBSCRIPTION,
                {"attempt": Attempt("o", NOW, "VmNotRunning", found=True)},
            ),
            ("gone", OTHER_SUBSCRIPTION, {"retired_at": NOW}),
        )
    }
    for each in postures.values():
        await store.save(each, None)
    shown = {each.posture.vm_id.name: each for each in await _all_outlines(store)}
    assert shown.keys() == {"assessed", "overdue", "tried"}
    assert silent_since(shown["assessed"].posture) == assessed.completed_at
    assert silent_since(shown["overdue"].posture) == NOW
    assert shown["overdue"].posture.open_alert("AssessmentOverdue") is not None
    attempt = shown["tried"].posture.attempt
    assert attempt is not None
    assert attempt.reason == "VmNotRunning"
    assert not any(each.has_unpublished for each in shown.values())


async def test_what_a_scan_found_is_remembered_once(store: MemoryPosture | TablePosture) -> None:
    """A VM that is known already stays as it is; more than a hundred fit into one call."""
    ids = [VirtualMachineId(SUBSCRIPTION, "group", f"vm-{number}") for number in range(230)]
    await store.save(Posture(ids[7], location="known"), None)
    await store.sight([Posture(each, location="found", known_since=NOW) for each in ids[:150]])
    later = NOW + timedelta(days=1)
    await store.sight([Posture(each, location="again", known_since=later) for each in ids])
    outlines = {each.posture.vm_id: each.posture for each in await _all_outlines(store)}
    assert set(outlines) == set(ids)
    assert outlines[ids[7]].known_since is None
    assert [outlines[each].known_since for each in (ids[0], ids[149], ids[150])] == [
        NOW,
        NOW,
        later,
    ]
    remembered = await store.load(ids[0])
    assert remembered is not None
    assert remembered.posture.location == "found"


async def test_a_removed_vm_stays_known_as_gone(store: PostureStore) -> None:
    """Its row is not open to a late outcome."""
    bus = FakeBus()
    for outcome in (
        completed(0, "a"),
        failed(2, "ResourceNotFound"),
        failed(3, "ResourceNotFound"),
        completed(1, "ab"),
    ):
        await _outbox(store, bus).conclude(outcome, None)
    assert open_alerts(bus.sent["patch-alerts"]) == {}


async def test_a_table_that_is_there_is_used(table: TableClient) -> None:
    """Several workers start at once."""
    await asyncio.gather(*(TablePosture(table, ALERT_COLUMNS).load(VM_ID) for _ in range(4)))
    assert await TablePosture(table, ALERT_COLUMNS).save(POSTURE, None)


async def test_a_row_that_cant_be_read_is_set_aside(
    table: TableClient, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told of, with its VM, and the next save replaces it."""
    told: list[RowError] = []
    store = TablePosture(table, ALERT_COLUMNS, told.append)
    etag = await store.save(POSTURE, None)
    assert etag
    entity = await table.get_entity(VM_ID.subscription_id, "crptestps418|vmcrptestps418")
    entity["Format"] = 99
    await table.update_entity(entity)
    remembered = await store.load(VM_ID)
    assert remembered is not None
    assert remembered.posture == Posture(VM_ID)
    assert "format is 99" in caplog.text
    assert len(told) == 1
    await store.save(POSTURE, remembered.etag)
    assert len(told) == 1


async def test_a_table_that_does_not_answer_is_an_error() -> None:
    """It is the app's own error, with the SDK's as its cause."""
    connection_string = (
        "DefaultEndpointsProtocol=http;AccountName=nobody;AccountKey=bm9ib2R5;"
        "TableEndpoint=http://127.0.0.1:9/nobody;"
    )
    client = TableClient.from_connection_string(connection_string, "vmposture", retry_total=0)
    async with client:
        for work in (
            TablePosture(client, ALERT_COLUMNS).load(VM_ID),
            TablePosture(client, ALERT_COLUMNS).save(POSTURE, None),
        ):
            with pytest.raises(PostureError) as error:
                await work
            assert isinstance(error.value.__cause__, ServiceRequestError)


VM_ID_NAMESPACE = uuid.UUID(int=1)


def _outbox(store: PostureStore, bus: FakeBus) -> AlertOutbox:
    return AlertOutbox(
        store=store,
        bus=bus,
        alerts_topic="patch-alerts",
        clock=FakeClock(NOW),
        policy=AlertPolicy(),
    )
