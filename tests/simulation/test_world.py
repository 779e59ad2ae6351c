"""The simulated world itself: its time, bus and ARM."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from random import Random

import pytest

from assessor.arm.errors import ArmError, Phase
from assessor.bus.message import OutgoingMessage
from assessor.clock import PollingWindow
from assessor.messages.outcome import OutcomeType
from localcloud.arm.buckets import DOCUMENTED, Buckets, Subject
from localcloud.arm.routing import Kind
from tests.simulation.bus import SimulatedBus
from tests.simulation.clock import START, SimulatedClock, StuckError, run_virtual
from tests.simulation.endpoint import Endpoint
from tests.simulation.fleet import DrawnDurations, FleetSpec, make_vms
from tests.simulation.rounds import NotOneOutcomeError, Round
from tests.simulation.world import open_world

SUBJECT = Subject("subscription", "eastus", "vm")
MIXED = FleetSpec(60, assessable=False)


def message(message_id: str, seconds: float | None = None) -> OutgoingMessage:
    """Returns a message that appears so many seconds after the beginning; at once if None."""
    at = None if seconds is None else START + timedelta(seconds=seconds)
    return OutgoingMessage(b"{}", message_id, message_id, "application/json", enqueue_at=at)


def assessed(spec: FleetSpec, request_id: str = "r-1") -> Round:
    """Returns what became of one round of requests."""

    async def run() -> Round:
        async with open_world(spec) as world:
            return await world.assess(request_id)

    return run_virtual(run)


@pytest.fixture(name="mixed", scope="module")
def _mixed() -> Round:
    """Returns what became of a fleet with its usual mix of VMs."""
    return assessed(MIXED)


async def refusals(endpoint: Endpoint, kind: Kind, subjects: list[Subject]) -> list[ArmError]:
    """Returns what ARM refused of calls that come at once."""
    answers = await asyncio.gather(
        *(endpoint.call(Phase.POLL, kind, subject, lambda: None) for subject in subjects),
        return_exceptions=True,
    )
    return [each for each in answers if isinstance(each, ArmError)]


def at_endpoint(use: Callable[[Endpoint], Awaitable[list[ArmError]]]) -> list[ArmError]:
    """Returns what `use` returns for an endpoint whose buckets are full."""

    async def run() -> list[ArmError]:
        clock = SimulatedClock(asyncio.get_running_loop().time)
        buckets = Buckets(DOCUMENTED, clock.ticks, enforce=True)
        return await use(
            Endpoint(buckets, Buckets({}, clock.ticks, enforce=True), clock, Random(1))
        )

    return run_virtual(run)


def test_the_virtual_loop_jumps_to_what_is_due() -> None:
    """Sleeping a year ends, and by the loop's time and the clock's a year has passed."""

    async def run() -> tuple[float, timedelta]:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(365 * 86_400)
        return loop.time(), SimulatedClock(loop.time).now() - START

    passed, by_the_clock = run_virtual(run)
    assert passed == 365 * 86_400
    assert by_the_clock == timedelta(days=365)


def test_what_is_due_happens_in_its_order() -> None:
    """Of two that wait at the same time the shorter wait ends first, each at its own time."""

    async def run() -> list[tuple[str, float]]:
        ended: list[tuple[str, float]] = []

        async def wait(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            ended.append((name, asyncio.get_running_loop().time()))

        await asyncio.gather(wait("long", 700.0), wait("short", 30.0))
        return ended

    assert run_virtual(run) == [("short", 30.0), ("long", 700.0)]


def test_the_apps_polling_window_waits_in_virtual_time() -> None:
    """A wait within the window lets its seconds pass; one beyond it lets none pass."""

    async def run() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        window = PollingWindow(20.0, loop.time, asyncio.Event())
        await window.wait(15.0)
        waited = loop.time()
        assert await window.wait(6.0) == 6.0
        return waited, loop.time()

    assert run_virtual(run) == (15.0, 15.0)


def test_waiting_for_what_never_comes_is_an_error() -> None:
    """A simulation in which nothing is due any more ends, and says so."""

    async def run() -> None:
        await asyncio.Event().wait()

    with pytest.raises(StuckError):
        run_virtual(run)


def test_the_bus_delivers_at_the_time_that_a_message_names() -> None:
    """Messages come in the order of their times, none before its own."""

    async def run() -> list[tuple[str, bool]]:
        clock = SimulatedClock(asyncio.get_running_loop().time)
        bus = SimulatedBus(clock, Random(1), ["queue"], {})
        bus.accept("queue", [message("late", 60.0), message("now"), message("soon", 5.0)])
        got = []
        for due in (0.0, 5.0, 60.0):
            delivered = await bus.receive("queue")
            got.append((delivered.message.message_id, clock.seconds() >= due))
            bus.complete()
        await bus.drained()
        return got

    assert run_virtual(run) == [("now", True), ("soon", True), ("late", True)]


def test_the_bus_drops_a_repeat_within_its_window() -> None:
    """A known ID is dropped and counted; after five minutes it is new again."""

    async def run() -> tuple[int, int]:
        clock = SimulatedClock(asyncio.get_running_loop().time)
        bus = SimulatedBus(clock, Random(1), ["queue"], {})
        await bus.send("queue", [message("m-1"), message("m-1")])
        await bus.send("queue", [message("m-1")])
        within = bus.traffic.duplicates
        await asyncio.sleep(301.0)
        await bus.send("queue", [message("m-1")])
        return within, bus.traffic.duplicates

    assert run_virtual(run) == (2, 2)


def test_each_request_has_exactly_one_outcome(mixed: Round) -> None:
    """Of a fleet with its usual mix each VM has one outcome, of the type that fits it."""
    assert {each.vm_key: each.type for each in mixed.published} == {
        vm.key: vm.expected_outcome for vm in make_vms(MIXED)
    }
    assert len(mixed.published) == 60


def test_only_what_began_has_an_end_and_a_delay(mixed: Round) -> None:
    """A skipped VM's outcome has no operation behind it; every other one comes after its end."""
    assert {each.type for each in mixed.published} > {OutcomeType.SKIPPED, OutcomeType.FAILED}
    for each in mixed.published:
        if each.type == OutcomeType.SKIPPED:
            assert each.delay is None
        else:
            assert each.delay is not None
            assert each.delay > 0


def test_an_outcome_that_is_missing_is_an_error() -> None:
    """A round whose requests have no outcome does not pass for one."""

    async def run() -> None:
        async with open_world(FleetSpec(3)) as world:
            world._bus._topics = {name: lambda _: None for name in world._bus._topics}
            await world.assess("r-1")

    with pytest.raises(ExceptionGroup) as raised:
        run_virtual(run)
    assert raised.group_contains(NotOneOutcomeError)


def test_a_handler_that_raises_ends_the_simulation() -> None:
    """Nothing is delivered twice here: an error is not retried but shown."""

    async def run() -> None:
        async with open_world(FleetSpec(3)) as world:
            world._bus.accept("assessments-in-progress", [message("not-of-this-app")])
            await world.assess("r-1")

    with pytest.raises(ExceptionGroup, match="unhandled errors"):
        run_virtual(run)


def test_the_same_seed_gives_the_same_numbers() -> None:
    """Two runs agree to the last digit, and another seed gives others."""
    first, again, other = (assessed(FleetSpec(20, seed=seed)) for seed in (7, 7, 8))
    assert first == again
    assert first.published != other.published


def test_durations_depend_on_the_vm_and_the_round_alone() -> None:
    """Whoever asks in whatever order meets the same ones, and each round its own."""
    first, second = make_vms(FleetSpec(2))
    drawn, again = DrawnDurations(1, 0.1), DrawnDurations(1, 0.1)
    in_order = [drawn.of(first, 0), drawn.of(second, 0), drawn.of(first, 1)]
    assert in_order[::-1] == [again.of(first, 1), again.of(second, 0), again.of(first, 0)]
    assert len(set(in_order)) == 3


def test_a_vm_without_variation_takes_what_is_typical_of_it() -> None:
    """Where durations do not vary within a VM, its own are its typical one."""
    (vm,) = make_vms(FleetSpec(1))
    assert DrawnDurations(1, 0.0).of(vm, 5) == pytest.approx(vm.duration_seconds)


def test_arm_refuses_what_its_bucket_does_not_hold() -> None:
    """Of 601 begins at once in one region the last is refused, and told when to come again."""
    subjects = [Subject("subscription", "eastus", f"vm-{number}") for number in range(601)]
    refused = at_endpoint(lambda endpoint: refusals(endpoint, Kind.ASSESS, subjects))
    assert [(each.status, each.is_throttle, each.retry_after) for each in refused] == [
        (429, True, 1.0)
    ]


def test_arm_refuses_too_many_polls_at_one_vm() -> None:
    """GetOperation has a bucket of 45 for each VM, beside that of the subscription."""
    assert len(at_endpoint(lambda it: refusals(it, Kind.OPERATION, [SUBJECT] * 46))) == 1


def test_polls_are_counted_by_the_minute() -> None:
    """The busiest minute of a subscription is what its bucket has to hold."""

    async def poll(endpoint: Endpoint) -> list[ArmError]:
        for number in (3, 5, 2):
            await refusals(endpoint, Kind.OPERATION, [SUBJECT] * number)
            await asyncio.sleep(60.0)
        assert endpoint.calls.busiest_minute == 5
        assert endpoint.calls.polls == 10
        return []

    at_endpoint(poll)


def crowd(behaviour: str, requests: int, workers: int) -> Round:
    """Returns what became of so many requests at once for one VM of that behaviour."""

    async def run() -> Round:
        async with open_world(FleetSpec(300, linux=0.5), workers) as world:
            vm = next(each for each in world.vms if each.behaviour == behaviour)
            return await world.crowd(vm, requests)

    return run_virtual(run)


@pytest.mark.parametrize(
    ("behaviour", "requests", "workers"),
    [
        ("patches", 60, 2),
        ("counts-only", 60, 2),
        ("operation-failed", 60, 2),
        pytest.param("counts-only", 1_000, 4, marks=pytest.mark.deep),
    ],
)
def test_a_crowd_of_requests_for_one_vm_shares_one_assessment(
    behaviour: str, requests: int, workers: int
) -> None:
    """For a few polls of each worker and a few messages of each request, whatever its end shows."""
    told = crowd(behaviour, requests, workers)
    begun = {each.begun_at for each in told.published}
    assert len(begun) == 1
    assert told.calls.made[Kind.ASSESS] <= 2 * workers  # all but one of them too late, a 409
    assert told.calls.made[Kind.GET_VM] <= workers + requests / 10
    assert told.calls.polls <= 16 * workers
    assert sum(told.calls.throttled.values()) == 0
    assert told.handed_over <= 5.5 * requests
