"""The look at all VMs: what it hands on, what it reads, and what it leaves to another time."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

import pytest

from assessor import backoff
from assessor.alerts.decision import decide_by_result
from assessor.alerts.outbox import AlertOutbox
from assessor.alerts.rule import AlertPolicy
from assessor.alerts.sweep import Sweeper
from assessor.assessment.rescheduler import Rescheduler
from assessor.clock import PollingWindow
from assessor.messages.in_progress import parse_in_progress
from assessor.messages.progress import OverdueSweep
from assessor.messages.request import name_based_id
from assessor.posture.model import Posture
from assessor.posture.outline import Outline, OutlinePage, Place
from assessor.posture.store import MemoryPosture, PostureError, Remembered
from assessor.resource_id import VirtualMachineId
from tests.support.assessments import FIRST_DAY, completed, finding
from tests.support.builders import SUBSCRIPTION
from tests.support.fakes import FakeBus, FakeClock
from tests.support.subscriber import heard
from tests.support.telemetry_rig import Rig

NOW = FIRST_DAY + timedelta(hours=50, minutes=34, seconds=56, milliseconds=789)
OVERDUE = AlertPolicy(overdue=timedelta(hours=50))
HERE, THERE = Place("s", "r3"), Place("t")


def vm(number: int) -> VirtualMachineId:
    """Returns one of the VMs."""
    return VirtualMachineId(SUBSCRIPTION, "group", f"vm-{number}")


class Postures(MemoryPosture):
    """Postures of VMs that were found on the first day, in the pages that a test has put there.

    Attributes:
        pages: what is shown after each place; at any other place the table does not answer.
        reads: the VMs whose posture was read, each time.
        troubles: what comes of a read of a VM.
    """

    def __init__(self, pages: Mapping[Place, OutlinePage]) -> None:
        super().__init__()
        self.pages = pages
        self.reads: list[VirtualMachineId] = []
        self.troubles: dict[VirtualMachineId, Exception] = {}

    async def outlines(self, after: Place) -> OutlinePage:
        """Shows the page after that place."""
        if after not in self.pages:
            raise PostureError(None, f"no answer after {after}")
        return self.pages[after]

    async def load(self, vm_id: VirtualMachineId) -> Remembered | None:
        """Fails at once, or answers after whatever waits for less."""
        self.reads.append(vm_id)
        if vm_id in self.troubles:
            raise self.troubles[vm_id]
        for _ in range(20):
            await asyncio.sleep(0)
        return await super().load(vm_id)


class World:
    """A sweeper, its store and its bus; its invocations end with their first page."""

    def __init__(
        self, pages: Mapping[Place, OutlinePage] | None = None, policy: AlertPolicy = OVERDUE
    ) -> None:
        self.store = Postures(pages or {})
        self.bus = FakeBus()
        self.rig = Rig()
        clock, metrics = FakeClock(NOW), self.rig.telemetry.metrics
        stopping = asyncio.Event()
        stopping.set()
        self.sweeper = Sweeper(
            store=self.store,
            outbox=AlertOutbox(
                store=self.store,
                bus=self.bus,
                alerts_topic="alerts",
                clock=clock,
                policy=policy,
            ),
            rescheduler=Rescheduler(self.bus, "in-progress", metrics, clock),
            clock=clock,
            random=Random(1),
            metrics=metrics,
            new_window=lambda: PollingWindow(240.0, lambda: 0.0, stopping),
            policy=policy,
        )

    async def remember(self, postures: Iterable[Posture]) -> None:
        """Puts them into the store."""
        for each in postures:
            await self.store.save(each, None)

    def handed_on(self) -> list[tuple[OverdueSweep, datetime | None]]:
        """Returns the looks that other invocations go on with, and when."""
        found = []
        for each in self.bus.sent.get("in-progress", []):
            sweep = parse_in_progress(each.body)
            assert isinstance(sweep, OverdueSweep)
            found.append((sweep, each.enqueue_at))
        return found

    def fired(self) -> list[str]:
        """Returns the names of the VMs that alerts fired for."""
        return [
            each.application_properties["vmName"]  # type: ignore[misc] # a text by the schema
            for each in self.bus.sent.get("alerts", [])
        ]


def found(*numbers: int, since: datetime = FIRST_DAY) -> list[Posture]:
    """Returns the postures of VMs that a scan found on the first day."""
    return [Posture(vm(number), known_since=since) for number in numbers]


def page(postures: Iterable[Posture], following: Place | None = None) -> OutlinePage:
    """Returns a page of these VMs."""
    return OutlinePage(tuple(map(Outline, postures)), following)


@pytest.mark.parametrize("minutes", [0, -34, 25])
async def test_whenever_the_timer_fires_within_an_hour_it_asks_for_the_same_look(
    minutes: int,
) -> None:
    """At once; its ID is that of the hour, in each version, so that the queue drops a repeat."""
    world = World()
    now = NOW + timedelta(minutes=minutes)
    await replace(world.sweeper, clock=FakeClock(now)).start()
    sweep = OverdueSweep(name_based_id("overdue", "2026-01-07T02:00:00+00:00"))
    assert world.handed_on() == [(sweep, now)]


async def test_a_look_goes_on_where_the_one_before_has_come_to() -> None:
    """With what it has seen so far; tries that brought nothing are forgotten once one did."""
    silent, fresh = found(1, 2), found(3, since=NOW)
    world = World({Place("s", "r0"): page([*silent, *fresh], HERE)})
    await world.remember([*silent, *fresh])
    sweep = OverdueSweep("look", "s", "r0", looked=10, fired=4, reschedules=2, attempt=3)
    await world.sweeper.resume(sweep)
    assert world.fired() == ["vm-1", "vm-2"]
    assert world.handed_on() == [
        (OverdueSweep("look", "s", "r3", looked=13, fired=6, reschedules=3, attempt=0), NOW)
    ]


async def test_a_look_goes_through_one_subscription_after_the_other() -> None:
    """From its place in one to the beginning of the next, and ends with the table."""
    silent = found(1, 2)
    world = World({HERE: page(silent[:1], THERE), THERE: page(silent[1:])})
    await world.remember(silent)
    await world.sweeper.resume(OverdueSweep("look", "s", "r3"))
    ((sweep, _),) = world.handed_on()
    assert (sweep.partition, sweep.row) == ("t", "")
    await world.sweeper.resume(sweep)
    assert world.fired() == ["vm-1", "vm-2"]
    assert len(world.handed_on()) == 1


async def test_an_alert_by_time_is_told_as_of_its_look() -> None:
    """The request that it names is the timer's."""
    world = World({Place(): page(found(1))})
    await world.remember(found(1))
    await world.sweeper.resume(OverdueSweep("look"))
    (message,) = world.bus.sent["alerts"]
    assert message.correlation_id == message.application_properties["requestId"] == "look"


async def test_each_vm_of_a_large_page_is_read_once() -> None:
    """However many have to be: reads are what a look costs."""
    silent = found(*range(70))
    world = World({Place(): page(silent)})
    await world.remember(silent)
    await world.sweeper.resume(OverdueSweep("look"))
    assert sorted(each.name for each in world.store.reads) == sorted(vm(n).name for n in range(70))
    assert len(world.fired()) == 70


async def test_when_the_table_stops_answering_those_under_way_are_heard_first() -> None:
    """Then it goes on from the same page; those that have their alert are not told again."""
    silent = found(1, 2, 3)
    world = World({HERE: page(silent, THERE)})
    await world.remember(silent)
    world.store.troubles[vm(1)] = PostureError(vm(1), "no answer")
    await world.sweeper.resume(OverdueSweep("look", "s", "r3", looked=10, fired=4))
    assert world.bus.effects == ["send alerts", "send alerts", "send in-progress"]
    ((sweep, at),) = world.handed_on()
    assert sweep == OverdueSweep("look", "s", "r3", looked=10, fired=4, reschedules=1, attempt=1)
    assert at == NOW + timedelta(seconds=backoff.delay(0, None, Random(1)))
    world.store.troubles.clear()
    await world.sweeper.resume(sweep)
    assert sorted(world.fired()) == ["vm-1", "vm-2", "vm-3"]


@pytest.mark.parametrize(("attempt", "goes_on"), [(0, True), (9, True), (10, False), (11, False)])
async def test_a_table_that_never_answers_is_left_to_the_next_timer(
    attempt: int, caplog: pytest.LogCaptureFixture, *, goes_on: bool
) -> None:
    """After ten more tries, with longer and longer waits; the log says why."""
    world = World()
    sweep = OverdueSweep("look", "s", "r0", looked=10, fired=4, reschedules=5, attempt=attempt)
    await world.sweeper.resume(sweep)
    then = NOW + timedelta(seconds=backoff.delay(attempt, None, Random(1)))
    again = replace(sweep, reschedules=6, attempt=attempt + 1)
    assert world.handed_on() == ([(again, then)] if goes_on else [])
    (record,) = caplog.records
    assert record.levelno == (logging.WARNING if goes_on else logging.ERROR)
    assert "no answer after" in record.getMessage()


async def test_one_vm_that_nobody_foresaw_keeps_no_other_from_being_heard(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It counts as an unforeseen error and as no alert, and the log says of which VM."""
    silent = found(1, 2, 3)
    world = World({Place(): page(silent, HERE)})
    await world.remember(silent)
    world.store.troubles[vm(2)] = ZeroDivisionError()
    await world.sweeper.resume(OverdueSweep("look"))
    assert world.fired() == ["vm-1", "vm-3"]
    ((sweep, _),) = world.handed_on()
    assert (sweep.looked, sweep.fired) == (3, 2)
    (point,) = world.rig.points("assessor.unforeseen")
    assert (point.value, point.labels) == (1, {"error.type": "ZeroDivisionError"})
    (record,) = (each for each in caplog.records if each.levelno == logging.ERROR)
    assert record.getMessage().startswith(f"the look at {vm(2)} failed by what nobody foresaw")


@pytest.mark.parametrize(("hours", "changes"), [(0, ["Appeared"]), (24, ["Appeared", "Reminder"])])
async def test_a_vm_that_has_its_alert_is_read_again_where_reminders_are_set(
    hours: int, changes: list[str]
) -> None:
    """One comes once its time is over."""
    policy = replace(OVERDUE, reminder=timedelta(hours=hours))
    world = World({Place(): page(found(1))}, policy)
    await world.remember(found(1))
    await world.sweeper.resume(OverdueSweep("look"))
    remembered = await world.store.load(vm(1))
    assert remembered is not None
    world.store.pages = {Place(): page([remembered.posture])}
    world.store.reads.clear()
    later = FakeClock(NOW + timedelta(hours=24))
    outbox = replace(world.sweeper.outbox, clock=later)
    await replace(world.sweeper, clock=later, outbox=outbox).resume(OverdueSweep("later"))
    assert [heard(each).change for each in world.bus.sent["alerts"]] == changes
    assert world.store.reads == ([vm(1)] if hours else [])


async def test_what_was_decided_and_not_published_is_published_by_a_look() -> None:
    """Of a VM that is not overdue as well: whoever comes by next does it."""
    step = decide_by_result(None, finding(completed(2, "a")), OVERDUE)
    waiting = replace(step.posture, unpublished=step.alerts)
    outline = Outline(replace(waiting, unpublished=()), has_unpublished=True)
    world = World({Place(): OutlinePage((outline,), None)})
    await world.remember([waiting])
    await world.sweeper.resume(OverdueSweep("look"))
    assert [each.message_id for each in world.bus.sent["alerts"]] == [
        each.id for each in step.alerts
    ]
