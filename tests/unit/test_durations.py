"""How long assessments take: what is learned of it, and when that says to look."""

import logging
import math
from dataclasses import replace
from random import Random
from statistics import mean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assessor.alerts.decision import decide_by_result
from assessor.alerts.rule import AlertPolicy
from assessor.arm.virtual_machine import VirtualMachine
from assessor.expectation import (
    GAP,
    KNOWN,
    SHORTEST_SECONDS,
    WIDEST,
    Expectation,
)
from assessor.messages.outcome import Finished
from assessor.posture.durations import Durations
from assessor.posture.finding import duration_of
from assessor.posture.learned import Learned
from assessor.posture.store import MemoryPosture, PostureError
from assessor.resource_id import VirtualMachineId
from tests.support.assessments import completed, failed, finding
from tests.support.builders import VM_ID

SECONDS = st.floats(min_value=0.001, max_value=86_400)
EXPECTATIONS = st.builds(Expectation, SECONDS, st.floats(min_value=0, max_value=WIDEST))


def looks(expected: Expectation, until: float) -> list[float]:
    """Returns when an operation of that length is looked at; the last look finds its end."""
    at: list[float] = []
    while not at or at[-1] < until:
        now = at[-1] if at else 0.0
        at.append(now + expected.next_poll(now))
    return at


def test_the_first_look_is_one_spread_before_the_expected_end() -> None:
    """Nothing is looked at while hardly any assessment is over."""
    assert Expectation(660, 0.1).next_poll(0) == pytest.approx(660 * math.exp(-0.1))


def test_an_operation_that_has_run_for_a_while_is_first_looked_at_when_it_is_due() -> None:
    """What counts is when it began, not when it was found."""
    expected = Expectation(660, 0.1)
    assert expected.next_poll(500) == pytest.approx(expected.next_poll(0) - 500)


@given(EXPECTATIONS, st.floats(min_value=0, max_value=1e6))
def test_looks_are_a_share_of_the_duration_apart_and_never_less_than_a_second(
    expected: Expectation, elapsed: float
) -> None:
    """However long it runs: the gap grows with what it has taken already."""
    wait = expected.next_poll(elapsed)
    assert wait >= SHORTEST_SECONDS
    if elapsed >= expected.seconds and expected.spread <= KNOWN:
        assert wait == pytest.approx(max(GAP * elapsed, SHORTEST_SECONDS))


def test_the_less_is_known_the_wider_the_gap() -> None:
    """Four times the spread, twice the gap; below what is known well it does not matter."""
    seconds = 660.0
    known, vague, unknown = (
        Expectation(seconds, spread).next_poll(seconds) for spread in (0.1, KNOWN, 4 * KNOWN)
    )
    assert known == pytest.approx(vague)
    assert unknown == pytest.approx(2 * known)


@given(EXPECTATIONS)
def test_an_operation_that_never_ends_is_looked_at_ever_more_rarely(expected: Expectation) -> None:
    """Up to ten times the expected duration it takes at most 80 looks, whatever that is."""
    if expected.seconds * GAP >= SHORTEST_SECONDS:
        assert len(looks(expected, expected.seconds * 10)) <= 80


@pytest.mark.parametrize("scale", [1, 60])
def test_a_known_vm_takes_six_looks_and_tells_within_a_share_of_its_duration(scale: int) -> None:
    """With durations that vary by a tenth: four looks in the middle, the outcome 3 % late."""
    random = Random(7)
    expected = Expectation(660 * scale, 0.1)
    ends = [expected.seconds * random.lognormvariate(0, 0.1) for _ in range(2000)]
    told = [looks(expected, end) for end in ends]
    assert mean(map(len, told)) < 4
    assert median(at[-1] - end for at, end in zip(told, ends, strict=True)) < 20 * scale


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


def machine(os_type: str | None = "Linux") -> VirtualMachine:
    """Returns a VM."""
    return VirtualMachine(VM_ID, os_type=os_type)


async def test_nothing_known_is_what_the_setting_says() -> None:
    """With a wide spread."""
    expected = await Durations(MemoryPosture().durations, 660).expect(machine())
    assert expected.seconds == pytest.approx(660)
    assert expected.spread == pytest.approx(0.35)


async def test_a_vm_that_was_assessed_is_expected_by_its_own_durations() -> None:
    """Its posture has them, in each worker."""
    store = MemoryPosture()
    found = finding(completed(0, seconds=300.0))
    await store.save(decide_by_result(None, found, AlertPolicy()).posture, None)
    expected = await Durations(store.durations, 660).expect(machine())
    assert expected.seconds == pytest.approx(300)


async def test_a_new_vm_is_expected_by_others_of_its_operating_system() -> None:
    """Each system by itself, in any case of its name; a few do not outweigh the setting."""
    durations = Durations(MemoryPosture().durations, 660)
    for _ in range(2000):
        durations.learn("Linux", 300)
    few = Durations(MemoryPosture().durations, 660)
    few.learn("Linux", 300)
    assert (await durations.expect(machine("linux"))).seconds < 350
    assert (await durations.expect(machine("Windows"))).seconds == pytest.approx(660)
    assert (await durations.expect(machine(None))).seconds == pytest.approx(660)
    assert (await few.expect(machine())).seconds > 640


async def test_a_store_that_does_not_answer_is_done_without_and_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It would only say when to look."""
    with caplog.at_level(logging.WARNING):
        expected = await Durations(BrokenStore().durations, 660).expect(machine())
    assert expected.seconds == pytest.approx(660)
    assert "no answer" in caplog.text
