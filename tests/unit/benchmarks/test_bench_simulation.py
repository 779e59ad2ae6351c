"""The figures that the benchmarks read off the simulated world."""

import pytest

from benchmarks.figures import calls, makespan
from benchmarks.readings import Reading, Readings, read_off
from tests.simulation.bus import Traffic
from tests.simulation.endpoint import ArmCalls
from tests.simulation.fleet import FleetSpec, make_vms
from tests.simulation.rounds import PublishedOutcome, Round


@pytest.mark.deep  # it scans a fleet twice
def test_a_known_fleet_is_polled_less_often() -> None:
    """The second scan costs fewer calls than the first: the app has learned."""
    readings = Readings.of(calls.readings_of([calls.scan_twice(calls.spec_of(12))]))

    def made(when: str) -> float:
        return readings.value("calls", calls.way_of(calls.ALL, when), 12, "arm_calls")

    assert made(calls.KNOWN) < made(calls.FIRST) < made(calls.SDK_DEFAULT)


def test_the_sdk_polls_at_the_begin_each_30_s_and_for_the_result() -> None:
    """An operation of 665 s takes 23 polls after a wait until it is seen to be over, 25 s late."""
    spec = FleetSpec(1)
    (vm,) = make_vms(spec)
    done = Round(
        started_at=0.0,
        published=(PublishedOutcome(vm.key, "any", 700.0, begun_at=10.0, ended_at=675.0),),
        calls=ArmCalls(),
        traffic=Traffic(),
        handed_over=0,
    )
    scans = calls.Scans(spec, {calls.FIRST: done, calls.KNOWN: done})
    readings = Readings.of(calls.readings_of([scans]))
    sdk = calls.way_of(calls.ALL, calls.SDK_DEFAULT)
    assert readings.value("calls", sdk, 1, "arm_calls") == 1 + 1 + 23 + 1
    assert readings.value("calls", sdk, 1, "waited_mean_s") == pytest.approx(690.0)
    late = calls.way_of(vm.image.os_type, calls.SDK_DEFAULT)
    assert readings.value("calls", late, 1, "late_p50_s") == pytest.approx(25.0)


def test_the_floor_is_what_the_bucket_holds_and_then_its_refill() -> None:
    """600 begin at once, each further one 0.3 s after the one before."""
    assert makespan.token_at(0) == makespan.token_at(599) == 0.0
    assert makespan.token_at(600) == pytest.approx(0.3)
    assert makespan.token_at(9_999) == pytest.approx(9_400 * 0.3)


@pytest.mark.deep  # it scans a fleet
def test_no_scan_is_faster_than_the_floor() -> None:
    """The same durations in the same order: a scan ends after the floor does, and soon after."""
    readings = Readings.of(makespan.measure([12]))
    least = readings.value("makespan", makespan.FLOOR, 12, "makespan_s")
    assert least < readings.value("makespan", makespan.APP, 12, "makespan_s") < 1.5 * least


@pytest.mark.parametrize(
    ("median", "made", "refused", "met"),
    [
        (8.0, 7.0, 0.0, [True, True]),
        (8.1, 7.0, 0.0, [False, True]),
        (8.0, 7.1, 0.0, [True, False]),
        (8.0, 7.0, 1.0, [True, False]),
    ],
)
def test_delays_calls_and_refusals_are_judged_each_by_its_target(
    median: float, made: float, refused: float, met: list[bool]
) -> None:
    """Here of Linux VMs that are known, of a fleet with no others; the first scan was well."""
    values = {
        calls.way_of("Linux", calls.KNOWN): {
            "late_p50_s": median,
            "late_p95_s": 25.0,
            "late_p100_s": 60.0,
        },
        calls.way_of(calls.ALL, calls.FIRST): {"arm_calls": 9.0, "throttled": 0.0},
        calls.way_of(calls.ALL, calls.KNOWN): {"arm_calls": made, "throttled": refused},
    }
    verdicts = calls.judge(
        Readings.of(
            reading
            for way, named in values.items()
            for reading in read_off("calls", way, 1_000, named)
        )
    )
    late, first, known = verdicts
    assert [late.met, known.met] == met
    assert first.met
    assert {each.size for each in verdicts} == {1_000}


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
