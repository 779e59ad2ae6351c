"""Alerts are published once and in order, and none is lost: whatever comes twice, late, or dies."""

from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assessor.alerts.outbox import AlertOutbox, Published
from assessor.alerts.rule import AlertPolicy
from assessor.alerts.rules import BY_NAME
from assessor.bus.message import OutgoingMessage, PublishError
from assessor.messages.outcome import Outcome, reject
from assessor.messages.request import Rejection
from assessor.ports import Bus, PostureStore
from assessor.posture.durations import Learned
from assessor.posture.model import Alert, Posture
from assessor.posture.outline import OutlinePage, Place
from assessor.posture.store import (
    MemoryPosture,
    PostureConflictError,
    PostureError,
    Remembered,
)
from assessor.resource_id import VirtualMachineId
from tests.support.assessments import FIRST_DAY, Day, completed, days, failed, skipped
from tests.support.builders import NOW, TRACEPARENT, VM_ID, incoming
from tests.support.fakes import FakeBus, FakeClock
from tests.support.subscriber import heard, open_alerts

TOPIC = "patch-alerts"
PATCHES, REBOOT = "CriticalOrSecurityPatchesAvailable", "RebootPending"
T = TypeVar("T")


def outbox(store: PostureStore, bus: Bus, reminder: timedelta = timedelta(0)) -> AlertOutbox:
    """Returns what is tested."""
    return AlertOutbox(
        store=store,
        bus=bus,
        alerts_topic=TOPIC,
        clock=FakeClock(NOW),
        policy=AlertPolicy(reminder),
    )


class WorkerDied(BaseException):
    """The worker is gone in the middle of something."""


class Pause:
    """Where whoever drives a coroutine decides who goes on."""

    def __await__(self) -> Generator[None, None, None]:
        """Pauses once."""
        yield


@dataclass
class World:
    """A store and a bus that pause before each effect, and where workers die by script.

    Attributes:
        deaths: for each effect in turn whether the worker dies "before" or "after" it; after the
            last one nobody dies any more.
    """

    deaths: list[str] = field(default_factory=list)
    store: MemoryPosture = field(default_factory=MemoryPosture)
    bus: FakeBus = field(default_factory=FakeBus)

    async def load(self, vm_id: VirtualMachineId) -> Remembered | None:
        """Loads, in one effect."""
        return await self._effect(lambda: self.store.load(vm_id))

    async def save(self, posture: Posture, etag: str | None) -> str:
        """Saves, in one effect."""
        return await self._effect(lambda: self.store.save(posture, etag))

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        """Sends each message in an effect of its own: some may be taken and others not."""
        for each in messages:
            await self._send_one(entity, each)

    async def _send_one(self, entity: str, message: OutgoingMessage) -> None:
        await self._effect(lambda: self.bus.send(entity, [message]))

    async def _effect(self, carry_out: Callable[[], Awaitable[T]]) -> T:
        await Pause()
        death = self.deaths.pop(0) if self.deaths else ""
        if death == "before":
            raise WorkerDied
        result = await carry_out()
        if death == "after":
            raise WorkerDied
        return result

    def messages(self) -> list[OutgoingMessage]:
        """Returns what subscribers got: the topic has dropped the duplicates."""
        return self.bus.sent.get(TOPIC, [])

    def posture(self) -> Posture | None:
        """Returns what is remembered of the VM."""
        remembered = run(self.store.load(VM_ID))
        return remembered.posture if remembered else None

    async def outlines(self, after: Place) -> OutlinePage:
        """Outlines, in one effect."""
        return await self._effect(lambda: self.store.outlines(after))

    async def sight(self, found: Sequence[Posture]) -> None:
        """Sights, in one effect."""
        await self._effect(lambda: self.store.sight(found))

    async def durations(self, vm_id: VirtualMachineId) -> Learned | None:
        """Remembers none: alerts don't ask."""
        del vm_id
        return None


def run(work: Coroutine[None, None, T]) -> T:
    """Carries out one coroutine alone, going on at each pause."""
    while True:
        try:
            work.send(None)
        except StopIteration as end:
            return cast("T", end.value)


def publish_all(world: World, outcomes: Iterable[Outcome]) -> None:
    """Publishes each outcome's alerts; its message is delivered again after a death."""
    for outcome in outcomes:
        while True:
            try:
                run(outbox(world, world).conclude(outcome, TRACEPARENT))
            except WorkerDied:
                continue
            break


def assert_consistent(world: World) -> None:
    """What subscribers believe is what is remembered, and nothing waits to be published."""
    posture = world.posture()
    believed = open_alerts(world.messages())
    remembered = posture.open_alerts if posture else ()
    assert {each.rule for each in remembered} == set(believed)
    assert all(believed[each.rule].endswith(each.alert_id) for each in remembered)
    assert posture is None or posture.unpublished == ()


def assert_what_holds_is_open(world: World, sequence: Sequence[Day]) -> None:
    """Each condition that the newest assessment found has an open alert; what it denies has none.

    The posture says which one is the newest where a VM may have been retired, and only there.
    """
    believed = open_alerts(world.messages())
    posture = world.posture()
    found = [day.finding for day in sequence if day.finding is not None]
    not_found = any("ResourceNotFound" in str(day.outcome.data) for day in sequence)
    known = posture.assessment if posture and not posture.retired_at else None
    if not not_found:
        assert known == (found[-1].assessment if found else None)
    if known is None:
        assert believed == {}
        return
    newest = next(each for each in found if each.assessment == known)
    has_patches = bool(known.critical_and_security_count or newest.listed)
    knows_patches = newest.patches is not None or known.critical_and_security_count is not None
    for rule, holds, known_by_it in (
        (PATCHES, has_patches, knows_patches),
        (REBOOT, bool(known.reboot_pending), known.reboot_pending is not None),
    ):
        if holds:
            assert rule in believed
        elif known_by_it and known.is_whole:
            assert rule not in believed


def ids(world: World) -> list[str]:
    """Returns the IDs of the messages that subscribers got, in their order."""
    return [each.message_id for each in world.messages()]


@given(days())
def test_fired_and_resolved_alternate_and_what_holds_is_open(sequence: list[Day]) -> None:
    """Over any sequence of outcomes."""
    world = World()
    publish_all(world, (day.outcome for day in sequence))
    assert_consistent(world)
    assert_what_holds_is_open(world, sequence)


@given(days(), st.lists(st.sampled_from(["", "before", "after"]), max_size=30))
def test_deaths_change_nothing_of_what_subscribers_get(
    sequence: list[Day], deaths: list[str]
) -> None:
    """The same messages with the same IDs in the same order as without any, bodies included."""
    calm, troubled = World(), World(deaths=list(deaths))
    publish_all(calm, (day.outcome for day in sequence))
    publish_all(troubled, (day.outcome for day in sequence))
    assert troubled.messages() == calm.messages()
    assert troubled.posture() == calm.posture()


@given(days(), st.data())
def test_what_comes_again_later_changes_nothing(sequence: list[Day], data: st.DataObject) -> None:
    """Outcomes that were handled, drawn in any order, come again after all of them."""
    world = World()
    publish_all(world, (day.outcome for day in sequence))
    before, posture = ids(world), world.posture()
    publish_all(world, data.draw(st.lists(st.sampled_from([day.outcome for day in sequence]))))
    assert ids(world) == before
    assert world.posture() == posture


@given(st.permutations(range(5)), st.data())
def test_a_late_outcome_of_an_older_assessment_changes_nothing(
    order: list[int], data: st.DataObject
) -> None:
    """Only those outcomes count that are newer than all before them."""
    outcomes = [
        completed(day, data.draw(st.lists(st.sampled_from("abc"), unique=True))) for day in range(5)
    ]
    mixed, ordered = World(), World()
    publish_all(mixed, (outcomes[day] for day in order))
    newer = [day for at, day in enumerate(order) if day == max(order[: at + 1])]
    publish_all(ordered, (outcomes[day] for day in newer))
    assert ids(mixed) == ids(ordered)


@given(days(2, 5), st.data())
def test_outcomes_at_once_end_in_a_consistent_posture(
    sequence: list[Day], data: st.DataObject
) -> None:
    """Several workers, each with an outcome, go on at each effect in any order; some die.

    The outcomes of those that die come again afterwards.
    """
    deaths = data.draw(st.lists(st.sampled_from(["", "", "", "before", "after"]), max_size=40))
    world = World(deaths=list(deaths))
    works = [outbox(world, world).conclude(day.outcome, None) for day in sequence]
    running, again = set(range(len(works))), []
    try:
        while running:
            at = data.draw(st.sampled_from(sorted(running)))
            try:
                works[at].send(None)
            except StopIteration:
                running.remove(at)
            except WorkerDied:
                running.remove(at)
                again.append(sequence[at].outcome)
    finally:
        for work in works:
            work.close()
    publish_all(world, again)
    assert_consistent(world)
    assert_what_holds_is_open(world, sequence)


@given(days())
def test_no_alert_repeats_without_growth(sequence: list[Day]) -> None:
    """A patch is news once while the alert is open, and `Grew` comes with news or a higher count.

    What was named, and the highest count, are kept here as a subscriber would keep them.
    """
    world = World()
    publish_all(world, (day.outcome for day in sequence))
    named: set[str] = set()
    highest = 0
    for each in map(heard, world.messages()):
        if each.rule != PATCHES:
            assert each.change != "Grew"
            continue
        if each.change in {"Appeared", "Gone"}:
            named, highest = set(), 0
        assert named.isdisjoint(each.new_patches)
        count = each.data["alertContext"]["criticalAndSecurityPatchCount"] or 0
        assert each.change != "Grew" or each.new_patches or count > highest
        named |= set(each.new_patches)
        highest = max(highest, count)


async def test_a_condition_that_lasts_is_published_once() -> None:
    """The same findings day after day: one message for each rule."""
    store, bus = MemoryPosture(), FakeBus()
    for day in range(5):
        await outbox(store, bus).conclude(completed(day, "ab", reboot=True), TRACEPARENT)
    assert [each.rule for each in map(heard, bus.sent[TOPIC])] == [PATCHES, REBOOT]


async def test_an_alert_that_lasts_speaks_again_after_the_reminder_and_keeps_its_id() -> None:
    """A reminder of two days, assessments every day: every second day."""
    store, bus = MemoryPosture(), FakeBus()
    for day in range(5):
        await outbox(store, bus, timedelta(days=2)).conclude(completed(day, "a"), TRACEPARENT)
    said = list(map(heard, bus.sent[TOPIC]))
    assert [each.change for each in said] == ["Appeared", "Reminder", "Reminder"]
    assert len({each.alert_id for each in said}) == 1
    assert len({each.message_id for each in bus.sent[TOPIC]}) == 3


async def test_a_growing_alert_names_what_is_new() -> None:
    """Patches that left the list and come back are not new."""
    store, bus = MemoryPosture(), FakeBus()
    for day, critical in enumerate(["ab", "b", "ab", "abc", "bcd"]):
        await outbox(store, bus).conclude(completed(day, critical), TRACEPARENT)
    said = [(each.change, each.new_patches) for each in map(heard, bus.sent[TOPIC])]
    assert said == [("Appeared", ("a", "b")), ("Grew", ("c",)), ("Grew", ("d",))]


async def test_names_for_patches_that_were_counted_before_are_no_growth() -> None:
    """A list that is null counts by its number; the names that come later are nothing new."""
    store, bus = MemoryPosture(), FakeBus()
    for outcome in (
        completed(0, None, count=2),
        completed(1, None, count=2),
        completed(2, "ab", count=2),
        completed(3, None, count=2),
        completed(4, None, count=3),
        completed(5, "abc", count=3),
        completed(6, "abcd", count=4),
    ):
        await outbox(store, bus).conclude(outcome, TRACEPARENT)
    said = [(each.change, each.new_patches) for each in map(heard, bus.sent[TOPIC])]
    assert said == [("Appeared", ()), ("Grew", ()), ("Grew", ("d",))]


@pytest.mark.parametrize("status", ["CompletedWithWarnings", "Unknown", "SomethingNew"])
async def test_only_a_plain_success_resolves(status: str) -> None:
    """Anything else leaves the alert open, and may open one."""
    store, bus = MemoryPosture(), FakeBus()
    published = [
        await outbox(store, bus).conclude(outcome, TRACEPARENT)
        for outcome in (
            completed(0, "a", status=status),
            completed(1, "", status=status),
            completed(2, ""),
        )
    ]
    assert [[each.change.value for each in told.alerts] for told in published] == [
        ["Appeared"],
        [],
        ["Gone"],
    ]


@pytest.mark.parametrize("outcome", [failed(1), skipped(1)])
async def test_a_failed_or_skipped_assessment_changes_no_alert(outcome: Outcome) -> None:
    """It is remembered as an attempt, and that is all."""
    store, bus = MemoryPosture(), FakeBus()
    await outbox(store, bus).conclude(completed(0, "a", reboot=True), TRACEPARENT)
    before = await _posture(store)
    assert (await outbox(store, bus).conclude(outcome, TRACEPARENT)).alerts == ()
    after = await _posture(store)
    assert after.open_alerts == before.open_alerts
    assert after.published == before.published
    assert after.assessment == before.assessment
    assert after.attempt is not None


async def test_a_rejected_message_is_nobodys_posture() -> None:
    """It names no VM."""
    store, bus = MemoryPosture(), FakeBus()
    rejected = reject(Rejection("request-1", "not understood", (), incoming(b"?")), NOW)
    assert (await outbox(store, bus).conclude(rejected, None)).alerts == ()


async def test_a_vm_that_is_not_found_twice_in_a_row_is_gone() -> None:
    """Its alerts are resolved, and an assessment that was under way changes nothing any more."""
    store, bus = MemoryPosture(), FakeBus()
    await outbox(store, bus).conclude(completed(0, "a", reboot=True), TRACEPARENT)
    first, second = failed(2, "ResourceNotFound"), failed(3, "ResourceGroupNotFound")
    assert (await outbox(store, bus).conclude(first, TRACEPARENT)).alerts == ()
    assert (
        await outbox(store, bus).conclude(first, TRACEPARENT)
    ).alerts == ()  # delivered twice is once
    gone = (await outbox(store, bus).conclude(second, TRACEPARENT)).alerts
    assert [each.change.value for each in gone] == ["Gone", "Gone"]
    assert (await outbox(store, bus).conclude(completed(1, "abc"), TRACEPARENT)).alerts == ()
    assert open_alerts(bus.sent[TOPIC]) == {}
    assert all(
        heard(each).data["alertContext"]["vmRemoved"] for each in bus.sent[TOPIC][-len(gone) :]
    )


@pytest.mark.parametrize("between", [completed(3, "a"), skipped(3), failed(3)])
async def test_not_found_has_to_come_twice_in_a_row(between: Outcome) -> None:
    """Anything between the two starts the count again."""
    store, bus = MemoryPosture(), FakeBus()
    for outcome in (
        completed(0, "a"),
        failed(2, "ResourceNotFound"),
        between,
        failed(4, "ResourceNotFound"),
    ):
        await outbox(store, bus).conclude(outcome, TRACEPARENT)
    assert (await _posture(store)).retired_at is None


async def test_a_vm_of_the_same_name_starts_afresh() -> None:
    """After a deletion and a new assessment, the alert is another one."""
    store, bus = MemoryPosture(), FakeBus()
    await outbox(store, bus).conclude(completed(0, "a"), TRACEPARENT)
    assert len(await _retire(store, bus, day=1)) == 1
    assert await _retire(store, bus, day=1) == ()
    await outbox(store, bus).conclude(completed(2, "a"), TRACEPARENT)
    said = list(map(heard, bus.sent[TOPIC]))
    assert [each.change for each in said] == ["Appeared", "Gone", "Appeared"]
    assert said[0].alert_id == said[1].alert_id != said[2].alert_id


async def test_a_deletion_that_is_older_than_the_last_assessment_changes_nothing() -> None:
    """The VM was made again in the meantime."""
    store, bus = MemoryPosture(), FakeBus()
    await outbox(store, bus).conclude(completed(2, "a"), TRACEPARENT)
    assert await _retire(store, bus, day=1) == ()
    assert (await _posture(store)).retired_at is None


async def test_a_deletion_comes_before_the_end_of_the_first_assessment() -> None:
    """Nobody hears of a VM that is gone, although nothing was known of it."""
    store, bus = MemoryPosture(), FakeBus()
    await outbox(store, bus).retire(VM_ID, FIRST_DAY + timedelta(minutes=5), "event-1")
    assert (await outbox(store, bus).conclude(completed(0, "a"), TRACEPARENT)).alerts == ()


async def test_a_deletion_with_a_time_ahead_does_not_silence_the_vm() -> None:
    """It counts as now."""
    store, bus = MemoryPosture(), FakeBus()
    await outbox(store, bus).retire(VM_ID, NOW + timedelta(days=1000), "event-1")
    published = (await outbox(store, bus).conclude(completed(30, "a"), TRACEPARENT)).alerts
    assert [each.change.value for each in published] == ["Appeared"]


async def test_what_could_not_be_published_is_published_before_anything_else() -> None:
    """The bus is down for one outcome; the next one publishes both, in their order."""
    store, bus = MemoryPosture(), FakeBus()
    bus.refuse = lambda _: True
    with pytest.raises(PublishError):
        await outbox(store, bus).conclude(completed(0, "a"), TRACEPARENT)
    bus.refuse = lambda _: False
    published = (await outbox(store, bus).conclude(completed(1, ""), None)).alerts
    assert [each.change.value for each in published] == ["Appeared", "Gone"]
    assert [each.application_properties.get("traceparent") for each in bus.sent[TOPIC]] == [
        TRACEPARENT,
        None,
    ]


async def test_a_store_that_always_conflicts_is_given_up() -> None:
    """The error says so, and of which VM; the outcome's message comes again."""

    class Contested(MemoryPosture):
        async def save(self, posture: Posture, etag: str | None) -> str:
            raise PostureConflictError(posture.vm_id, f"not {etag}")

    with pytest.raises(PostureError) as caught:
        await outbox(Contested(), FakeBus()).conclude(completed(0, "a"), None)
    assert caught.value.vm_id == VM_ID
    assert caught.value.reason == "was saved by others in each of 16 tries"


async def test_an_outcome_that_is_overtaken_is_decided_on_what_the_other_one_saved() -> None:
    """A newer one saves between its load and its save: of the older one nothing is left to say."""

    class Overtaken(MemoryPosture):
        is_overtaken = False

        async def save(self, posture: Posture, etag: str | None) -> str:
            if not self.is_overtaken:
                self.is_overtaken = True
                await outbox(self, bus).conclude(completed(1, "b"), None)
            return await super().save(posture, etag)

    store, bus = Overtaken(), FakeBus()
    concluded = await outbox(store, bus).conclude(completed(0, "a"), None)
    assert concluded == Published((), await _posture(store))
    assert [heard(each).new_patches for each in bus.sent[TOPIC]] == [("b",)]


async def test_an_outcome_comes_to_its_alerts_and_the_posture_that_is_remembered() -> None:
    """Which has no alert left that waits to be published."""
    store, bus = MemoryPosture(), FakeBus()
    concluded = await outbox(store, bus).conclude(completed(0, "a"), TRACEPARENT)
    remembered = await _posture(store)
    assert concluded.posture == remembered
    assert remembered.unpublished == ()
    assert [each.id for each in concluded.alerts] == [each.message_id for each in bus.sent[TOPIC]]


async def test_a_deletion_is_told_as_of_its_event_in_its_trace() -> None:
    """Also one at the very moment at which the last assessment began."""
    store, bus = MemoryPosture(), FakeBus()
    await outbox(store, bus).conclude(completed(0, "a"), None)
    (gone,) = await outbox(store, bus).retire(VM_ID, FIRST_DAY, "event-1", TRACEPARENT)
    assert (gone.request_id, gone.traceparent) == ("event-1", TRACEPARENT)
    told = bus.sent[TOPIC][-1].application_properties
    assert (told["requestId"], told["traceparent"]) == ("event-1", TRACEPARENT)


async def test_an_outbox_decides_by_its_own_rules_alone() -> None:
    """An app that leaves one out hears nothing of its condition."""
    store, bus = MemoryPosture(), FakeBus()
    of_reboots = replace(outbox(store, bus), rules=[BY_NAME[REBOOT]])
    (alert,) = (await of_reboots.conclude(completed(0, "a", reboot=True), None)).alerts
    assert alert.alert.rule == REBOOT


async def _posture(store: MemoryPosture) -> Posture:
    remembered = await store.load(VM_ID)
    assert remembered is not None
    return remembered.posture


async def _retire(store: MemoryPosture, bus: FakeBus, day: int) -> tuple[Alert, ...]:
    return await outbox(store, bus).retire(VM_ID, FIRST_DAY + timedelta(days=day), "event-1")
