"""What the benchmark figures make of what they read, and how processes are read."""

import os
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path

import pytest

from benchmarks.figures import cpu
from benchmarks.fleet import Fleet, paced, vm_id
from benchmarks.rig import Snapshot
from benchmarks.usage import Usage, UsageError, read_usage, reset_peak
from localcloud.arm.scenario import parse_scenario

STAT = (
    "4242 (py (a) b) S 1 4242 4242 0 -1 4194560 9000 0 3 0 "
    "1234 56 7 8 20 0 4 0 123456 300000000 25000 18446744073709551615"
)
STATUS = (
    "Name:\tpython\nVmPeak:\t  300000 kB\nVmHWM:\t  204800 kB\nVmRSS:\t  102400 kB\nThreads:\t4\n"
)
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def snapshot(worker: float, calls: dict[str, int], sends: int) -> Snapshot:
    return Snapshot(Usage(worker, 100.0), Usage(worker * 2, 50.0), calls, sends)


# Processes.


def test_a_process_is_read_by_its_number(tmp_path: Path) -> None:
    """Its name may have blanks and parentheses in it; the kernel counts ticks, and KiB as kB."""
    (tmp_path / "4242").mkdir()
    (tmp_path / "4242" / "stat").write_text(STAT)
    (tmp_path / "4242" / "status").write_text(STATUS)

    ticks = os.sysconf("SC_CLK_TCK")
    assert read_usage(4242, tmp_path) == Usage((1234 + 56) / ticks, peak_rss_mib=200.0)


def test_a_process_that_is_gone_is_named(tmp_path: Path) -> None:
    """The error names the process, for there are several in a run."""
    with pytest.raises(UsageError, match="process 4242 is gone") as caught:
        read_usage(4242, tmp_path)

    assert caught.value.pid == 4242


def test_a_process_that_has_ended_but_was_not_waited_for_has_no_memory(tmp_path: Path) -> None:
    """A zombie's status has no sizes: that is said, rather than counted as nothing."""
    (tmp_path / "4242").mkdir()
    (tmp_path / "4242" / "stat").write_text(STAT)
    (tmp_path / "4242" / "status").write_text("Name:\tpython\nState:\tZ (zombie)\n")

    with pytest.raises(UsageError, match="process 4242 has ended"):
        read_usage(4242, tmp_path)


def test_a_peak_is_begun_anew_by_the_kernels_own_word(tmp_path: Path) -> None:
    """Five is what resets the peak resident set; other numbers would clear other things."""
    (tmp_path / "4242").mkdir()

    reset_peak(4242, tmp_path)

    assert (tmp_path / "4242" / "clear_refs").read_text() == "5"


def test_a_peak_that_cannot_be_reset_is_an_error(tmp_path: Path) -> None:
    """Else the start's peak would be taken for the phase's."""
    with pytest.raises(UsageError, match="process 4242 keeps its peak"):
        reset_peak(4242, tmp_path)


# What lies between two snapshots.


def test_what_was_done_in_between_is_counted_alone() -> None:
    """What the warm-up used, called and sent is not the assessments'."""
    before = snapshot(worker=2.0, calls={"assess": 20, "operation": 60}, sends=100)
    after = snapshot(worker=6.0, calls={"assess": 120, "operation": 560}, sends=800)

    assert cpu.between(before, after, 100) == {
        "cpu_ms": 40.0,
        "host_cpu_ms": 80.0,
        "arm_calls": 6.0,
        "polls": 5.0,
        "sends": 7.0,
        "peak_rss_mib": 100.0,
    }


def test_calls_that_there_were_none_of_before_are_counted_from_nought() -> None:
    """An operation that was not called in the warm-up."""
    before = snapshot(worker=0.0, calls={}, sends=0)
    after = snapshot(worker=1.0, calls={"location": 5}, sends=0)

    assert cpu.between(before, after, 5)["arm_calls"] == 1.0


# Fleets and requests.


def test_a_fleet_is_a_scenario_that_arm_understands() -> None:
    """ARM makes from it as many VMs as were wanted, in as many regions."""
    made = parse_scenario(Fleet(vms=12, seconds=665.5, regions=3).scenario())

    assert len(made.vms) == 12
    assert len({vm.region.name for vm in made.vms}) == 3
    assert made.vms[5].id == vm_id(5)


def test_durations_fill_their_spread_evenly() -> None:
    """Any hundred VMs have the same mean, and none leaves the spread."""
    fleet = Fleet(vms=220, seconds=665.5, spread=60.0)

    durations = [fleet.duration(index) for index in range(120, 220)]

    assert sum(durations) / 100 == pytest.approx(665.5, abs=1.5)
    assert 605.5 <= min(durations) < 610
    assert 721 < max(durations) <= 725.5


def test_requests_come_at_their_pace() -> None:
    """The bus hands them out evenly, beginning with the first."""
    first, second, third = paced(range(3), NOON, per_second=4.0)

    assert first.scheduled_enqueue_time_utc == NOON
    assert second.scheduled_enqueue_time_utc == NOON + timedelta(seconds=0.25)
    assert third.scheduled_enqueue_time_utc == NOON + timedelta(seconds=0.5)


def test_requests_without_a_pace_come_all_at_once() -> None:
    """So a queue is full before the first of them is handed out."""
    assert {each.scheduled_enqueue_time_utc for each in paced(range(5), NOON, inf)} == {NOON}


# The floor.


@pytest.mark.parametrize("wanted", [2.0, 3.5, 6.0])
def test_the_floor_polls_as_often_as_the_app_did(wanted: float) -> None:
    """Over durations from all of the spread, its schedule comes to the polls asked for."""
    conditions = cpu.Conditions(time_scale=30.0, seconds=665.5, spread=60.0)
    settings = conditions.floor(wanted).settings
    first, gap = float(settings["FLOOR_FIRST_SECONDS"]), float(settings["FLOOR_GAP_SECONDS"])
    fleet = Fleet(1000, conditions.seconds, conditions.spread)

    def polls(seconds: float) -> int:
        made = 1
        while first + (made - 1) * gap < seconds:
            made += 1
        return made

    total = sum(polls(fleet.duration(index) / conditions.time_scale) for index in range(1000))

    assert total / 1000 == pytest.approx(wanted, rel=0.12)


def test_waiting_is_scaled_with_the_operations() -> None:
    """At thirty times the speed the hold and the expectation are a thirtieth."""
    settings = cpu.Conditions(time_scale=30.0, seconds=660.0, hold_seconds=15.0).settings

    assert settings == {
        "ASSESS_HOLD_SECONDS": "0.5",
        "ASSESS_EXPECTED_MINUTES": "0.366667",
    }
