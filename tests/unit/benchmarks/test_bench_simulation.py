"""The figures that the benchmarks read off the simulated world."""

import pytest

from benchmarks.figures import calls, makespan
from benchmarks.readings import Reading, Readings
from tests.simulation.rounds import PublishedOutcome


def test_a_known_fleet_is_looked_at_less_often() -> None:
    """The second round costs fewer polls than the first: the app has learned."""
    readings = Readings.of(calls.measure([12], rounds=2))
    first, second = (readings.value("calls", calls.way_of(n), 12, "polls") for n in (1, 2))
    assert second < first
    assert readings.value("calls", calls.SDK_DEFAULT, 12, "polls") > first


def test_the_sdk_polls_at_the_begin_each_30_s_and_for_the_result() -> None:
    """An operation of 665 s takes 24 polls until it is seen to be over, 25 s late."""
    numbers = calls._sdk_numbers(
        [PublishedOutcome("vm", "any", 700.0, begun_at=10.0, ended_at=675.0)]
    )
    assert numbers["polls"] == 24 + 1
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
    readings = Readings.of(makespan.measure([12]))
    least = readings.value("makespan", makespan.FLOOR, 12, "makespan_s")
    assert least < readings.value("makespan", makespan.APP, 12, "makespan_s") < 1.5 * least


def calls_readings(size: int, rounds: dict[int, tuple[float, float]], refused: float) -> Readings:
    """Returns readings of calls and delays by round."""
    values = {
        number: {
            "arm_calls": made,
            "delay_median_s": delay,
            "polls_throttled": refused,
            "polls_busiest_minute": 900.0,
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
