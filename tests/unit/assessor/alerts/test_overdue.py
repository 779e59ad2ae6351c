"""AssessmentOverdue: silence has one alert, which says why, whatever dies and however large."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import azure.functions as func
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assessor.alerts.outbox import AlertOutbox
from assessor.alerts.overdue import is_overdue, silent_since
from assessor.alerts.rule import AlertPolicy
from assessor.app import App, build_app
from assessor.arm.listing import ListedVm, Page
from assessor.arm.virtual_machine import VirtualMachine
from assessor.bus.message import OutgoingMessage
from assessor.messages.in_progress import in_progress_message, parse_in_progress
from assessor.messages.outcome import Outcome
from assessor.messages.progress import Later, OverdueSweep
from assessor.messages.request import IncomingMessage
from assessor.posture.model import Attempt, Posture
from assessor.posture.outline import OutlinePage, Place
from assessor.posture.store import MemoryPosture, PostureError, Remembered
from assessor.resource_id import Scope, VirtualMachineId
from assessor.settings import read_settings
from handlers import timer
from tests.support.app import ports, settings
from tests.support.assessments import FIRST_DAY, completed, failed, skipped
from tests.support.builders import SUBSCRIPTION, VM_ID, machine
from tests.support.fakes import FakeArm, FakeBus, FakeClock
from tests.support.memory_bus import MemoryBus
from tests.support.subscriber import Heard, heard

RULE = "AssessmentOverdue"
OFF = replace(machine(), power_state="deallocated")
TRIED = Attempt("outcome-1", FIRST_DAY + timedelta(hours=1), "VmNotRunning", found=True)


class WorkerDied(BaseException):
    """The worker is gone in the middle of something."""


@dataclass
class Deaths:
    """Lets the worker die once: at the effect of that number, before or after it."""

    at: int | None = None
    passed: int = 0

    def pause(self) -> None:
        """Is a place to die."""
        self.passed += 1
        if self.passed == self.at:
            raise WorkerDied


@dataclass
class World:
    """An app with a fleet of one subscription, a bus and a table, on a clock that is moved.

    Attributes:
        fleet: the VMs that ARM lists.
        page_size: how many of them the posture store shows at a time.
    """

    hours: str = "36"
    fleet: list[ListedVm] = field(default_factory=lambda: [ListedVm(VM_ID, "eastus")])
    page_size: int = 1000
    deaths: Deaths = field(default_factory=Deaths)
    named: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Starts at midnight, with nothing remembered."""
        self.clock = FakeClock(FIRST_DAY)
        self.bus = DyingBus(self)
        self.store = DyingPostures(self)
        self.arm = FakeArm()
        self.delivered: set[str] = set()
        self.app: App = self.new_worker()

    def new_worker(self) -> App:
        """Returns the app as a new process has it."""
        world = ports(
            clock=self.clock, bus=self.bus, arm=self.arm, lister=self, postures=self.store
        )
        return build_app(settings(ALERT_OVERDUE_HOURS=self.hours, **self.named), world)

    async def page(self, scope: Scope, link: str | None) -> Page:
        """Lists the fleet."""
        del scope, link
        return Page(tuple(replace(vm, power_state=None) for vm in self.fleet))

    async def power_page(self, scope: Scope, link: str | None) -> Page:
        """Lists the fleet with its power states."""
        del scope, link
        return Page(tuple(self.fleet))

    async def deliver(self) -> None:
        """Delivers all messages of the app's queues that are visible, and those that follow.

        A worker that dies has not completed its message: it is delivered again.
        """
        while waiting := [
            (entity, each)
            for entity in ("requests", "in-progress")
            for each in self.bus.visible(entity)
            if each.message_id not in self.delivered
        ]:
            for entity, message in waiting:
                try:
                    await self._take(entity, message)
                except WorkerDied:
                    self.app = self.new_worker()
                    continue
                self.delivered.add(message.message_id)

    async def _take(self, entity: str, message: OutgoingMessage) -> None:
        if entity == "in-progress":
            await self.app.resume(parse_in_progress(message.body))
            return
        await self.app.requests.receive(
            IncomingMessage(
                message.body,
                message.message_id,
                message.content_type,
                dict(message.application_properties),
                self.clock.now(),
            )
        )

    async def fire(self) -> None:
        """Lets the hourly timer fire, as often as it takes; delivers what follows."""
        try:
            await self.app.overdue.start()
        except WorkerDied:
            self.app = self.new_worker()
            await self.app.overdue.start()
        await self.deliver()

    async def scan(self, *, running_only: bool = False) -> None:
        """Scans the subscription, and delivers what follows."""
        name = f"scan-{self.clock.now().isoformat()}"
        body = {"scope": f"/subscriptions/{SUBSCRIPTION}", "runningOnly": running_only}
        message = OutgoingMessage(json.dumps(body).encode(), name, name, "application/json")
        await self.bus.send("requests", [message])
        await self.deliver()

    def outbox(self) -> AlertOutbox:
        """Returns what publishes the alerts that outcomes and deletions change."""
        return AlertOutbox(
            store=self.store,
            bus=self.bus,
            alerts_topic="alerts",
            clock=self.clock,
            policy=AlertPolicy(overdue=timedelta(hours=36)),
        )

    def said(self) -> list[Heard]:
        """Returns what subscribers heard of silence."""
        return [each for each in map(heard, self.bus.sent.get("alerts", [])) if each.rule == RULE]


class DyingBus(FakeBus):
    """The bus in memory; workers may die around each send."""

    def __init__(self, world: World) -> None:
        MemoryBus.__init__(self, now=world.clock.now)
        self.effects = []
        self.refuse = lambda _: False
        self._deaths = world.deaths

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        """Sends, with a place to die on both sides."""
        self._deaths.pause()
        await super().send(entity, messages)
        self._deaths.pause()


class DyingPostures(MemoryPosture):
    """The store in memory, in pages; workers may die around each call."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self.pages = 0
        self.loads = 0
        self.fails = 0

    async def load(self, vm_id: VirtualMachineId) -> Remembered | None:
        """Loads, and counts."""
        self.loads += 1
        return await super().load(vm_id)

    async def save(self, posture: Posture, etag: str | None) -> str:
        """Saves, with a place to die on both sides."""
        self._world.deaths.pause()
        saved = await super().save(posture, etag)
        self._world.deaths.pause()
        return saved

    async def outlines(self, after: Place) -> OutlinePage:
        """Shows a page of the rows in their order, or does not answer."""
        if self.fails:
            self.fails -= 1
            raise PostureError(None, "no answer")
        self._world.deaths.pause()
        self.pages += 1
        whole = await super().outlines(Place())
        rows = sorted(whole.outlines, key=lambda each: each.posture.vm_id.key)
        left = [each for each in rows if each.posture.vm_id.key > after.row]
        shown = tuple(left[: self._world.page_size])
        more = len(left) > len(shown)
        return OutlinePage(shown, Place("p", shown[-1].posture.vm_id.key) if more else None)


def vms(number: int) -> list[ListedVm]:
    """Returns that many VMs of one subscription."""
    return [
        ListedVm(VirtualMachineId(SUBSCRIPTION, "group", f"vm-{index:05}"), "eastus")
        for index in range(number)
    ]


async def hours(world: World, number: int, reads: VirtualMachine | None = None) -> None:
    """Lets hours pass: a scan at 2 each night, for which the VM reads so, and the timer each."""
    for _ in range(number):
        world.clock.advance(3600)
        if world.clock.now().hour == 2:
            if reads is not None:
                world.arm.reads.extend([reads] * len(world.fleet))
            await world.scan()
        await world.fire()


async def test_a_vm_that_misses_two_nightly_scans_has_exactly_one_alert() -> None:
    """It was assessed once, is stopped for the scans of two nights and more, and starts again."""
    world = World()
    await world.outbox().conclude(completed(0), None)
    await hours(world, 24 * 4, OFF)
    (fired,) = world.said()
    assert (fired.change, fired.condition) == ("Appeared", "Fired")
    essentials, context = fired.data["essentials"], fired.data["alertContext"]
    assert essentials["severity"] == "Sev3"
    assert essentials["description"] == (
        "vmcrptestps418 has had no completed assessment since 2026-01-05 00:11 UTC: "
        "it was stopped when it was last tried."
    )
    assert context["lastAttempt"]["reason"] == "VmNotRunning"
    assert context["silentSince"] == "2026-01-05T00:11:00.000Z"
    await world.outbox().conclude(completed(5), None)
    assert [each.change for each in world.said()] == ["Appeared", "Gone"]
    assert len({each.alert_id for each in world.said()}) == 1


async def test_a_vm_that_a_scan_found_counts_from_then_on() -> None:
    """Although the scan asked for running VMs alone, and so nobody ever asked for it."""
    world = World(fleet=[ListedVm(VM_ID, "eastus", {"owner": "team-a"}, "deallocated")])
    world.named["ALERT_TAGS"] = "owner"
    world.app = world.new_worker()
    await world.scan(running_only=True)
    world.clock.advance(35 * 3600)
    await world.fire()
    assert world.said() == []
    world.clock.advance(3600)
    await world.scan(running_only=True)
    await world.fire()
    (fired,) = world.said()
    assert fired.data["essentials"]["description"].endswith("nobody has asked for one since.")
    assert fired.data["customProperties"] == {"owner": "team-a"}
    assert "lastAttempt" not in fired.data["alertContext"]


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (skipped(1), "it was stopped when it was last tried"),
        (failed(1, "AuthorizationFailed"), "its last try ended with AuthorizationFailed"),
    ],
)
async def test_the_alert_says_why(outcome: Outcome, reason: str) -> None:
    """By the last try that came to nothing; trying again and again is no assessment."""
    world = World()
    for _ in range(2):
        await world.outbox().conclude(outcome, None)
    world.clock.advance(72 * 3600)
    await world.fire()
    (fired,) = world.said()
    assert reason in fired.data["essentials"]["description"]


@pytest.mark.parametrize(
    ("posture", "since"),
    [
        (Posture(VM_ID, known_since=FIRST_DAY, attempt=TRIED), FIRST_DAY),
        (Posture(VM_ID, attempt=TRIED), TRIED.at),
        (Posture(VM_ID), None),
    ],
)
def test_a_vm_that_was_never_assessed_is_silent_since_it_is_known(
    posture: Posture, since: datetime | None
) -> None:
    """A row of another version may have the attempt alone; one without either is never overdue."""
    assert silent_since(posture) == since
    now, policy = FIRST_DAY + timedelta(days=30), AlertPolicy(overdue=timedelta(days=30))
    assert is_overdue(posture, now, policy) is (since == FIRST_DAY)


async def test_a_vm_that_is_deleted_is_resolved_and_stays_silent() -> None:
    """Its alert ends with it."""
    world = World()
    await world.scan(running_only=True)
    world.clock.advance(40 * 3600)
    await world.fire()
    await world.outbox().retire(VM_ID, world.clock.now(), "event-1")
    world.clock.advance(40 * 3600)
    await world.fire()
    assert [each.change for each in world.said()] == ["Appeared", "Gone"]
    assert world.said()[-1].data["alertContext"]["vmRemoved"] is True


async def test_without_the_setting_nobody_looks() -> None:
    """And a scan remembers nobody."""
    world = World(hours="0")
    await world.scan(running_only=True)
    world.clock.advance(1000 * 3600)
    await world.fire()
    assert world.store.pages == 0
    assert await world.store.load(VM_ID) is None


@pytest.mark.parametrize("number", range(1, 40))
async def test_whatever_dies_each_vm_has_one_alert(number: int) -> None:
    """A worker dies at each effect of the look in turn: nothing is lost, nothing comes twice."""
    world = World(fleet=vms(5), page_size=2)
    await world.scan(running_only=True)
    world.clock.advance(40 * 3600)
    world.deaths.at, world.deaths.passed = number, 0
    await world.fire()
    world.deaths.at = None
    world.clock.advance(3600)
    await world.fire()
    said = world.said()
    assert sorted(each.data["essentials"]["configurationItems"][0] for each in said) == [
        f"vm-{index:05}" for index in range(5)
    ]
    assert {each.change for each in said} == {"Appeared"}
    for vm in world.fleet:
        remembered = await world.store.load(vm.id)
        assert remembered is not None
        assert remembered.posture.unpublished == ()


async def test_what_does_not_fit_goes_on_from_the_last_page() -> None:
    """An invocation whose time is over hands the place on; the next one starts there."""
    world = World(fleet=vms(5), page_size=2)
    await world.scan(running_only=True)
    world.clock.advance(40 * 3600)
    stopping = ports(clock=world.clock, bus=world.bus, arm=world.arm, postures=world.store)
    stopping.stopping.set()
    world.app = build_app(settings(ALERT_OVERDUE_HOURS="36"), stopping)
    await world.fire()
    sweeps = [
        sweep
        for each in world.bus.sent["in-progress"]
        if isinstance(sweep := parse_in_progress(each.body), OverdueSweep)
    ]
    assert [each.looked for each in sweeps] == [0, 2, 4]
    assert len({each.id for each in sweeps}) == 1
    assert len(world.said()) == 5


async def test_a_table_that_does_not_answer_is_asked_again_and_left_to_the_next_hour() -> None:
    """With back-off, and not for ever."""
    world = World()
    await world.scan(running_only=True)
    world.clock.advance(40 * 3600)
    world.store.fails = 2
    await world.fire()
    assert world.said() == []
    for _ in range(4):
        world.clock.advance(600)
        await world.deliver()
    assert len(world.said()) == 1
    world.store.fails = 100
    await world.fire()
    for _ in range(40):
        world.clock.advance(600)
        await world.deliver()
    assert world.store.fails > 80


async def test_a_timer_that_fires_twice_in_its_hour_asks_once() -> None:
    """By the message's ID; another hour is another look."""
    world = World()
    for seconds in (0, 1200, 1200, 1200):
        world.clock.advance(seconds)
        await world.app.overdue.start()
    assert len(world.bus.sent["in-progress"]) == 2


async def test_those_that_have_an_alert_are_not_read_again() -> None:
    """A look over a silent fleet costs its pages, and no read of a posture."""
    world = World(fleet=vms(50))
    await world.scan(running_only=True)
    world.clock.advance(40 * 3600)
    await world.fire()
    loads = world.store.loads
    world.clock.advance(3600)
    await world.fire()
    assert world.store.loads == loads
    assert len(world.said()) == 50


@given(
    st.text(max_size=40),
    st.text(max_size=40),
    st.integers(0, 10**6),
    st.integers(0, 1000),
)
def test_a_look_travels_as_it_is(partition: str, row: str, looked: int, reschedules: int) -> None:
    """Through the in-progress queue, with an ID of its own for each reschedule."""
    try:
        (partition + row).encode()
    except UnicodeEncodeError:
        return
    sweep = OverdueSweep("id", partition, row, looked, 3, reschedules)
    message = in_progress_message(Later(sweep, datetime(2026, 1, 5, tzinfo=UTC), "more"))
    assert parse_in_progress(message.body) == sweep
    other = in_progress_message(
        Later(replace(sweep, reschedules=reschedules + 1), datetime(2026, 1, 5, tzinfo=UTC), "")
    )
    assert message.message_id != other.message_id


@pytest.mark.parametrize(("number", "names"), [("0", 1), ("36", 2)])
def test_the_timer_is_there_where_the_setting_is(number: str, names: int) -> None:
    """Once an hour; without the setting there is no function that does nothing."""
    bus = {"ServiceBus__fullyQualifiedNamespace": "example.servicebus.windows.net"}
    named = read_settings(bus | {"ALERT_OVERDUE_HOURS": number})
    app = func.FunctionApp()
    app.register_functions(timer.blueprint(None, named))  # type: ignore[arg-type] # only looked at
    found = {each.get_function_name() for each in app.get_functions()}
    assert found == {"scheduled_scan", "check_overdue"} if names == 2 else {"scheduled_scan"}
