"""The benchmarks' simulation of bus, ARM and clock, and the figures that are read off it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from random import Random

import pytest

from assessor.arm.errors import ArmError, Phase
from assessor.assessment.polling_window import PollingWindow
from assessor.bus.message import OutgoingMessage
from assessor.messages.outcome import OutcomeType
from benchmarks.figures import calls, makespan
from benchmarks.readings import Reading, Readings
from benchmarks.simulation.bus import SimulatedBus
from benchmarks.simulation.clock import START, SimulatedClock, StuckError, run_virtual
from benchmarks.simulation.endpoint import Endpoint
from benchmarks.simulation.fleet import DrawnDurations, FleetSpec, make_vms
from benchmarks.simulation.rounds import NotOneOutcomeError, Round, Told
from benchmarks.simulation.world import open_world
from localcloud.arm.buckets import DOCUMENTED, Buckets, Subject
from localcloud.arm.routing import Kind

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
        return await use(Endpoint(buckets, clock, Random(1)))

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
    assert {each.vm_key: each.type for each in mixed.told} == {
        vm.key: vm.expected_outcome for vm in make_vms(MIXED)
    }
    assert len(mixed.told) == 60


def test_only_what_began_has_an_end_and_a_delay(mixed: Round) -> None:
    """A skipped VM's outcome has no operation behind it; every other one comes after its end."""
    assert {each.type for each in mixed.told} > {OutcomeType.SKIPPED, OutcomeType.FAILED}
    for each in mixed.told:
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
    assert first.told != other.told


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


def test_arm_refuses_too_many_looks_at_one_vm() -> None:
    """GetOperation has a bucket of 45 for each VM, beside that of the subscription."""
    assert len(at_endpoint(lambda it: refusals(it, Kind.OPERATION, [SUBJECT] * 46))) == 1


def test_looks_are_counted_by_the_minute() -> None:
    """The busiest minute of a subscription is what its bucket has to hold."""

    async def look(endpoint: Endpoint) -> list[ArmError]:
        for number in (3, 5, 2):
            await refusals(endpoint, Kind.OPERATION, [SUBJECT] * number)
            await asyncio.sleep(60.0)
        assert endpoint.calls.busiest_minute == 5
        assert endpoint.calls.looks == 10
        return []

    at_endpoint(look)


def test_a_known_fleet_is_looked_at_less_often() -> None:
    """The second round costs fewer looks than the first: the app has learned."""
    readings = Readings.of(calls.measure([40], rounds=2))
    first, second = (readings.value("calls", calls.way_of(n), 40, "looks") for n in (1, 2))
    assert second < first
    assert readings.value("calls", calls.SDK_DEFAULT, 40, "looks") > first


def test_the_sdk_looks_at_the_begin_each_30_s_and_for_the_result() -> None:
    """An operation of 665 s takes 24 looks until it is seen to be over, 25 s late."""
    numbers = calls._sdk_numbers([Told("vm", "any", 700.0, begun_at=10.0, ended_at=675.0)])
    assert numbers["looks"] == 24 + 1
    assert numbers["arm_calls"] == 1 + 24 + 1
    assert numbers["delay_median_s"] == pytest.approx(25.0)
    assert numbers["waited_mean_s"] == pytest.approx(690.0)


def test_the_floor_is_what_the_bucket_holds_and_then_its_refill() -> None:
    """600 begin at once, each further one 0.3 s after the one before."""
    assert makespan.token_at(0) == makespan.token_at(599) == 0.0
    assert makespan.token_at(600) == pytest.approx(0.3)
    assert makespan.token_at(9_999) == pytest.approx(9_400 * 0.3)


def test_no_scan_is_faster_than_the_floor() -> None:
    """The same durations in the same order: a scan ends after the floor does, and soon after."""
    readings = Readings.of(makespan.measure([20]))
    least = readings.value("makespan", makespan.FLOOR, 20, "makespan_s")
    assert least < readings.value("makespan", makespan.APP, 20, "makespan_s") < 1.5 * least


def calls_readings(size: int, rounds: dict[int, tuple[float, float]], refused: float) -> Readings:
    """Returns readings of calls and delays by round."""
    values = {
        number: {
            "arm_calls": made,
            "delay_median_s": delay,
            "looks_throttled": refused,
            "looks_busiest_minute": 900.0,
        }
        for number, (made, delay) in rounds.items()
    }
    return Readings.of(
        Reading("calls", calls.way_of(number), size, name, value)
        for number, named in values.items()
        for name, value in named.items()
    )


@pytest.mark.parametrize(
    ("rounds", "refused", "met"),
    [
        ({1: (11.0, 30.0), 2: (7.9, 19.9)}, 0.0, [True, True]),
        ({1: (11.0, 30.0), 2: (7.9, 19.9), 3: (8.1, 10.0)}, 0.0, [False, True]),
        ({1: (11.0, 30.0), 2: (7.9, 20.1)}, 0.0, [False, True]),
        ({1: (7.0, 15.0), 2: (7.0, 15.0)}, 1.0, [True, False]),
    ],
)
def test_calls_are_judged_by_the_worst_round_that_knew_the_fleet(
    rounds: dict[int, tuple[float, float]], refused: float, met: list[bool]
) -> None:
    """The first round decides nothing; of the others each has to reach the target."""
    verdicts = calls.judge(calls_readings(1_000, rounds, refused))
    assert [each.met for each in verdicts] == met
    assert {each.size for each in verdicts} == {1_000}


def test_calls_are_judged_at_the_largest_size() -> None:
    """What was reached with few VMs does not count where there were more."""
    small = calls_readings(100, {2: (7.0, 15.0)}, 0.0)
    large = calls_readings(1_000, {2: (9.0, 15.0)}, 0.0)
    verdict, _ = calls.judge(Readings.of(small.all + large.all))
    assert (verdict.met, verdict.size) == (False, 1_000)


@pytest.mark.parametrize(
    ("seconds", "refused", "met"),
    [(1_100.0, 0.0, True), (1_101.0, 0.0, False), (1_000.0, 1.0, False)],
)
def test_a_makespan_is_judged_by_the_floor_and_by_refusals(
    seconds: float, refused: float, *, met: bool
) -> None:
    """A tenth over the floor is enough, unless ARM refused anything."""
    readings = Readings.of(
        [
            Reading("makespan", makespan.FLOOR, 10_000, "makespan_s", 1_000.0),
            Reading("makespan", makespan.APP, 10_000, "makespan_s", seconds),
            Reading("makespan", makespan.APP, 10_000, "throttled", refused),
        ]
    )
    (verdict,) = makespan.judge(readings)
    assert verdict.met is met


def test_what_was_not_measured_is_not_judged() -> None:
    """Readings of other figures alone give no verdict."""
    others = Readings.of([Reading("cost", "app", 10, "arm_calls", 1.0)])
    assert calls.judge(others) == makespan.judge(others) == []


def test_a_scan_larger_than_the_target_is_for_is_shown_and_not_judged() -> None:
    """There the pace alone is nine tenths of ARM's."""
    readings = Readings.of(
        Reading("makespan", way, size, name, value)
        for size, seconds in ((10_000, 108.0), (100_000, 111.0))
        for way, name, value in (
            ("app", "makespan_s", seconds),
            ("app", "throttled", 0.0),
            ("floor", "makespan_s", 100.0),
        )
    )
    [verdict] = makespan.judge(readings)
    assert (verdict.size, verdict.met) == (10_000, True)
