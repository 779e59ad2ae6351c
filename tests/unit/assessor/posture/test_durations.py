"""How long assessments take: what is learned of it, and when that says to look."""

import logging
import math
from bisect import bisect_left
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from statistics import mean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assessor.alerts.decision import decide_by_result
from assessor.alerts.rule import AlertPolicy
from assessor.arm.virtual_machine import PatchSummary, VirtualMachine
from assessor.clock import to_text
from assessor.expectation import (
    SHORTEST_SECONDS,
    WIDEST,
    Expectation,
)
from assessor.messages.outcome import Finished
from assessor.posture.durations import Durations, Learned
from assessor.posture.finding import duration_of
from assessor.posture.store import MemoryPosture, PostureError
from assessor.resource_id import VirtualMachineId
from tests.support.assessments import completed, failed, finding
from tests.support.builders import VM_ID

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
SECONDS = st.floats(min_value=0.001, max_value=86_400)
EXPECTATIONS = st.builds(Expectation, SECONDS, st.floats(min_value=0, max_value=WIDEST))


def polls(expected: Expectation, until: float) -> list[float]:
    """Returns when an operation of that length is polled; the last poll finds its end."""
    at: list[float] = []
    while not at or at[-1] < until:
        now = at[-1] if at else 0.0
        at.append(now + expected.next_poll(now))
    return at


def delays(expected: Expectation, ends: list[float]) -> tuple[float, float, float]:
    """Returns the mean number of polls, the median delay and the one that 95 % stay below."""
    at = polls(expected, max(ends))
    found = [bisect_left(at, end) for end in ends]
    late = sorted(at[index] - end for index, end in zip(found, ends, strict=True))
    return mean(found) + 1, median(late), late[int(0.95 * len(late))]


@pytest.mark.parametrize("expected", [Expectation(120, 0.7), Expectation(720, 0.45)])
def test_what_fails_within_half_a_minute_is_told_within_45_seconds(expected: Expectation) -> None:
    """Whatever the system: one early poll is spent on it."""
    for end in range(1, 31):
        assert polls(expected, end)[-1] - end <= 45


@pytest.mark.parametrize(
    ("expected", "most_polls", "most_median", "most_95"),
    [
        (Expectation(120, 0.7), 6, 15, 45),
        (Expectation(720, 0.45), 9, 40, 120),
        (Expectation(100, 0.125), 5, 8, 25),
        (Expectation(720, 0.15), 8, 18, 55),
    ],
    ids=["Linux", "Windows", "a known Linux", "a known Windows"],
)
def test_polls_come_closer_where_an_end_is_likelier(
    expected: Expectation, most_polls: float, most_median: float, most_95: float
) -> None:
    """Few polls, and outcomes on time, where durations are drawn as they are expected."""
    random = Random(7)
    ends = [expected.seconds * random.lognormvariate(0, expected.spread) for _ in range(1000)]
    count, middle, most = delays(expected, ends)
    assert (count <= most_polls, middle <= most_median, most <= most_95) == (True, True, True)


def test_an_operation_that_has_run_for_a_while_is_first_polled_when_it_is_due() -> None:
    """What counts is when it began, not when it was found."""
    expected = Expectation(660, 0.1)
    first, second, *_ = polls(expected, 600)
    assert first + expected.next_poll(first) == pytest.approx(second)
    assert first + expected.next_poll(first) > 400
    assert expected.next_poll(500) < 100


@given(EXPECTATIONS, st.floats(min_value=0, max_value=1e6), st.floats(min_value=1, max_value=100))
def test_polls_are_at_least_a_second_apart_and_rarer_where_they_are_dear(
    expected: Expectation, elapsed: float, dearness: float
) -> None:
    """However long it runs."""
    wait = expected.next_poll(elapsed)
    assert SHORTEST_SECONDS <= wait < math.inf
    assert expected.next_poll(elapsed, dearness) >= wait * 0.999


@given(EXPECTATIONS)
def test_an_operation_that_never_ends_is_polled_ever_more_rarely(expected: Expectation) -> None:
    """Up to ten times the expected duration it takes at most 140 polls, whatever that is."""
    assert len(polls(expected, expected.seconds * 10)) <= 140


def test_one_that_hangs_costs_less_than_a_hundred_polls_until_the_deadline() -> None:
    """Two hours, of an assessment that is expected to take minutes."""
    assert len(polls(Expectation(100, 0.1), 7200)) < 100
    assert len(polls(Expectation(720, 0.45), 7200)) < 100


@pytest.mark.parametrize("scale", [0.02, 60])
def test_polls_of_a_faster_or_slower_cloud_lie_in_proportion(scale: float) -> None:
    """What is late by a share of the duration is late by that share at any scale, or by less."""
    random = Random(7)
    expected = Expectation(660 * scale, 0.1)
    ends = [expected.seconds * random.lognormvariate(0, 0.1) for _ in range(500)]
    count, middle, _ = delays(expected, ends)
    assert count < 25
    assert middle < 0.06 * expected.seconds


@given(SECONDS, st.lists(SECONDS, max_size=30), st.integers(1, 50))
def test_what_is_learned_lies_among_what_was_seen(
    first: float, rest: list[float], memory: int
) -> None:
    """The expected duration is between the shortest and the longest one, at any memory."""
    learned = Learned.first(first)
    for each in rest:
        learned = learned.after(each, memory)
    seen = [first, *rest]
    for expected in (learned.of_one_vm(), learned.of_any_vm()):
        assert min(seen) * 0.999 <= expected.seconds <= max(seen) * 1.001
        assert 0 <= expected.spread <= WIDEST


def test_the_mean_and_the_spread_are_those_of_the_logarithms() -> None:
    """As long as nothing is forgotten."""
    seen = [400.0, 500.0, 800.0, 650.0]
    learned = Learned.first(seen[0])
    for each in seen[1:]:
        learned = learned.after(each, memory=100)
    logs = [math.log(each) for each in seen]
    assert learned.log_mean == pytest.approx(mean(logs))
    assert learned.log_variance == pytest.approx(mean((x - mean(logs)) ** 2 for x in logs))


def test_a_vm_that_becomes_slower_is_known_again_after_a_few_assessments() -> None:
    """The newest durations count most."""
    learned = Learned.first(600)
    for _ in range(20):
        learned = learned.after(600, memory=8)
    for _ in range(12):
        learned = learned.after(1200, memory=8)
    assert learned.of_one_vm().seconds > 1000


def test_one_duration_says_less_than_several_that_agree() -> None:
    """So the first look comes earlier."""
    one, many = Learned.first(600), Learned.first(600)
    for _ in range(5):
        many = many.after(600, memory=8)
    assert one.of_one_vm().spread > many.of_one_vm().spread > 0


def test_a_posture_learns_from_each_newer_completed_assessment() -> None:
    """One that comes late teaches nothing, like all else of it; one without a duration neither."""
    posture = None
    for day, seconds in ((1, 300.0), (2, None), (3, 600.0), (0, 9000.0)):
        found = finding(completed(day, seconds=seconds))
        posture = decide_by_result(posture, found, AlertPolicy()).posture
    assert posture is not None
    assert posture.durations == Learned.first(300).after(600, memory=8)


def test_a_duration_is_one_whose_end_was_seen() -> None:
    """Not a failed one's, not one from the instance view, and none of no time."""
    outcome = completed(0, seconds=300.0)
    assert isinstance(outcome.conclusion, Finished)
    lost = replace(outcome, conclusion=replace(outcome.conclusion, patches_missing="403"))
    assert duration_of(outcome) == 300
    assert duration_of(lost) is None
    assert duration_of(failed(0)) is None
    assert duration_of(completed(0, seconds=0.0)) is None
    assert duration_of(completed(0, seconds=None)) is None


class BrokenStore:
    """A store that does not answer."""

    async def durations(self, vm_id: VirtualMachineId) -> Learned | None:
        """Raises."""
        raise PostureError(vm_id, "no answer")


def machine(
    os_type: str | None = "Linux",
    told: tuple[float | None, float | None] | None = None,
    status: str = "Succeeded",
) -> VirtualMachine:
    """Returns a VM whose instance view tells of an assessment from and until those seconds."""
    summary = None
    if told is not None:
        began, ended = (
            None if each is None else to_text(NOW + timedelta(seconds=each)) for each in told
        )
        summary = PatchSummary({"status": status, "startTime": began, "lastModifiedTime": ended})
    return VirtualMachine(VM_ID, os_type=os_type, last_assessment=summary)


@pytest.mark.parametrize(
    ("os_type", "seconds", "spread"),
    [("Linux", 120, 0.7), ("windows", 720, 0.45), (None, 290, 1.0)],
)
async def test_an_unknown_vm_is_expected_by_what_is_known_of_its_system(
    os_type: str | None, seconds: float, spread: float
) -> None:
    """Linux takes minutes, Windows a quarter of an hour; of neither, something wide between."""
    expected = await Durations(MemoryPosture().durations).expect(machine(os_type))
    assert expected.seconds == pytest.approx(seconds)
    assert expected.spread == pytest.approx(spread)


async def test_the_setting_takes_the_place_of_what_is_known_of_systems() -> None:
    """Of what is learned of them too: whoever sets it wants just that."""
    durations = Durations(MemoryPosture().durations, 660)
    for _ in range(2000):
        durations.learn("Linux", 300)
    expected = await durations.expect(machine())
    assert expected.seconds == pytest.approx(660)
    assert expected.spread == pytest.approx(0.35)


async def test_a_vm_that_was_assessed_is_expected_by_its_own_durations() -> None:
    """Its posture has them, in each worker."""
    store = MemoryPosture()
    found = finding(completed(0, seconds=300.0))
    await store.save(decide_by_result(None, found, AlertPolicy()).posture, None)
    expected = await Durations(store.durations, 660).expect(machine(told=(0, 5000)))
    assert expected.seconds == pytest.approx(300)


async def test_the_last_assessment_of_the_instance_view_is_a_hint() -> None:
    """Whoever asked for it. ARM tells an end some seconds after the guest has it."""
    durations = Durations(MemoryPosture().durations)
    expected = await durations.expect(machine("Windows", told=(0, 1200)))
    assert 900 < expected.seconds < 1246
    assert expected.spread < 0.45


@pytest.mark.parametrize("told", [(0, 0), (0, 2.7), (0, 86_400), (600, 0), (None, 60), (0, None)])
async def test_a_summary_that_tells_no_assessments_duration_is_no_hint(
    told: tuple[float | None, float | None],
) -> None:
    """One of no time, of a day, of the wrong order, or without an end."""
    expected = await Durations(MemoryPosture().durations).expect(machine("Windows", told=told))
    assert expected.seconds == pytest.approx(720)


async def test_a_summary_of_an_assessment_that_runs_is_no_hint() -> None:
    """It tells when it was written last, not when it ends."""
    vm = machine("Linux", told=(0, 600), status="InProgress")
    assert (await Durations(MemoryPosture().durations).expect(vm)).seconds == pytest.approx(120)


async def test_a_new_vm_is_expected_by_others_of_its_operating_system() -> None:
    """Each system by itself, in any case of its name; a few do not outweigh what is known."""
    durations = Durations(MemoryPosture().durations)
    for _ in range(2000):
        durations.learn("Linux", 300)
    few = Durations(MemoryPosture().durations)
    few.learn("Linux", 300)
    assert 250 < (await durations.expect(machine("linux"))).seconds < 310
    assert (await durations.expect(machine("Windows"))).seconds == pytest.approx(720)
    assert (await few.expect(machine())).seconds < 125


async def test_a_store_that_does_not_answer_is_done_without_and_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It would only say when to poll."""
    with caplog.at_level(logging.WARNING):
        expected = await Durations(BrokenStore().durations).expect(machine())
    assert expected.seconds == pytest.approx(120)
    assert "no answer" in caplog.text
