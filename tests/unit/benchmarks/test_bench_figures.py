"""What the benchmark figures make of what they read, and how processes are read."""

import json
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.crew import FunctionApp, merged
from benchmarks.figures import cpu
from benchmarks.fleet import Fleet, paced, vm_id
from benchmarks.phase import Page, Phase
from benchmarks.readings import Reading, Verdict
from benchmarks.snapshot import Snapshot
from benchmarks.usage import (
    Cpu,
    Memory,
    Usage,
    UsageError,
    parse_cpu,
    parse_memory,
    read_usage,
    reset_peak,
)
from benchmarks.ways.floor_worker import PollTimes
from localcloud.arm.scenario import parse_scenario

STAT = (
    "4242 (py (a) b) S 1 4242 4242 0 -1 4194560 9000 0 3 0 "
    "1234 56 7 8 20 0 4 0 123456 300000000 25000 18446744073709551615"
)
STATUS = (
    "Name:\tpython\nVmPeak:\t  300000 kB\nVmHWM:\t  204800 kB\nVmRSS:\t  102400 kB\nThreads:\t4\n"
)
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def usage(seconds: float, peak: float = 100.0) -> Usage:
    return Usage(Cpu(seconds, 0.0), Memory(90.0, peak))


def snapshot(at: float, worker: float, calls: dict[str, int], sends: int) -> Snapshot:
    return Snapshot(
        at=at,
        worker=usage(worker),
        host=usage(worker * 2),
        bus=usage(0.0),
        arm=usage(0.0),
        calls=calls,
        sends=sends,
    )


def cpu_ms(way: str, size: int, value: float) -> Reading:
    return Reading(cpu.FIGURE, way, size, "cpu_ms", value)


def only(verdicts: list[Verdict]) -> Verdict:
    (verdict,) = verdicts
    return verdict


# Processes.


def test_cpu_time_is_read_behind_a_name_with_parentheses() -> None:
    """A command's name may have blanks and parentheses in it; the fields behind it count."""
    assert parse_cpu(STAT, ticks_per_second=100) == Cpu(12.34, 0.56)


def test_cpu_time_is_user_and_system_and_can_be_subtracted() -> None:
    """What a phase used is the later reading less the earlier one, in both kinds."""
    used = Cpu(12.5, 1.0) - Cpu(10.0, 0.5)

    assert used == Cpu(2.5, 0.5)
    assert used.seconds == 3.0


def test_memory_is_read_in_mib() -> None:
    """The kernel writes kB and means KiB."""
    assert parse_memory(STATUS) == Memory(rss_mib=100.0, peak_rss_mib=200.0)


def test_a_process_is_read_by_its_number(tmp_path: Path) -> None:
    """Its stat and its status file together tell what it used."""
    (tmp_path / "4242").mkdir()
    (tmp_path / "4242" / "stat").write_text(STAT)
    (tmp_path / "4242" / "status").write_text(STATUS)

    found = read_usage(4242, tmp_path)

    assert found.memory == Memory(100.0, 200.0)
    assert found.cpu.user > 0


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


# Phases.


def test_a_phase_counts_what_was_done_in_it_alone() -> None:
    """What the warm-up used, called and sent is not the assessments'."""
    before = snapshot(10.0, worker=2.0, calls={"assess": 20, "operation": 60}, sends=100)
    after = snapshot(30.0, worker=6.0, calls={"assess": 120, "operation": 560}, sends=800)

    phase = Phase(before, after, assessments=100)

    assert phase.worker_ms == 40.0
    assert phase.host_ms == 80.0
    assert (phase.calls, phase.polls, phase.sends) == (6.0, 5.0, 7.0)


def test_a_phase_counts_calls_that_there_were_none_of_before() -> None:
    """An operation that was not called in the warm-up is counted from nought."""
    before = snapshot(0.0, worker=0.0, calls={}, sends=0)
    after = snapshot(1.0, worker=1.0, calls={"location": 5}, sends=0)

    assert Phase(before, after, assessments=5).calls == 1.0


def test_a_page_says_where_its_values_are_from() -> None:
    """Every reading of a page has its figure, way and size, and its note."""
    (reading,) = Page("cpu", "az", 100).read({"cpu_ms": 995.0}, "extrapolated")

    assert reading == Reading("cpu", "az", 100, "cpu_ms", 995.0, "extrapolated")


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


# Crews.


def test_a_copied_app_has_other_calls_and_the_same_rest(tmp_path: Path) -> None:
    """Only the one number of its host.json is another, and its code is as it was."""
    source = tmp_path / "source"
    (source / "assessor").mkdir(parents=True)
    (source / "assessor" / "x.py").write_text("x = 1\n")
    (source / "function_app.py").write_text("app = None\n")
    service_bus = {"prefetchCount": 0, "maxConcurrentCalls": 64}
    config = {"version": "2.0", "extensions": {"serviceBus": service_bus}}
    (source / "host.json").write_text(json.dumps(config))

    place = FunctionApp(source, ("assessor",), calls=7).copy_to(tmp_path / "app")

    changed = json.loads((place / "host.json").read_text())
    assert changed["extensions"]["serviceBus"] == {"prefetchCount": 0, "maxConcurrentCalls": 7}
    assert changed["version"] == "2.0"
    assert (place / "assessor" / "x.py").read_text() == "x = 1\n"


def test_merging_replaces_what_is_no_object() -> None:
    """Objects are merged at any depth; the given one is left as it is."""
    config = {"a": {"b": 1, "c": [1, 2]}, "d": 1}

    assert merged(config, {"a": {"c": [3]}, "e": 2}) == {"a": {"b": 1, "c": [3]}, "d": 1, "e": 2}
    assert config == {"a": {"b": 1, "c": [1, 2]}, "d": 1}


# The floor.


def test_the_floors_polls_do_not_drift() -> None:
    """Each poll is counted from the begin, so a late one does not put off those after it."""
    polls = PollTimes(first=14.0, gap=1.1)

    assert polls.at(NOON, 0) == NOON + timedelta(seconds=14.0)
    assert polls.at(NOON, 10) == NOON + timedelta(seconds=25.0)


@pytest.mark.parametrize("wanted", [2.0, 3.5, 6.0])
def test_the_floor_polls_as_often_as_the_app_did(wanted: float) -> None:
    """Over durations from all of the spread, its schedule comes to the polls asked for."""
    conditions = cpu.Conditions(time_scale=30.0, seconds=665.5, spread=60.0)
    arguments = dict(
        each.removeprefix("--").split("=")
        for each in conditions.floor(wanted, tables=False).arguments
        if "=" in each
    )
    first, gap = float(arguments["first"]), float(arguments["gap"])
    fleet = Fleet(1000, conditions.seconds, conditions.spread)

    def polls(seconds: float) -> int:
        made = 1
        while first + (made - 1) * gap < seconds:
            made += 1
        return made

    total = sum(polls(fleet.duration(index) / conditions.time_scale) for index in range(1000))

    assert total / 1000 == pytest.approx(wanted, rel=0.12)


def test_the_floor_gets_tables_only_where_the_app_has_them() -> None:
    """Otherwise it would make more of an exchange than the app it is held against."""
    conditions = cpu.Conditions()

    assert "--tables" in conditions.floor(3.0, tables=True).arguments
    assert "--tables" not in conditions.floor(3.0, tables=False).arguments


def test_waiting_is_scaled_with_the_operations() -> None:
    """At thirty times the speed the hold and the expectation are a thirtieth."""
    settings = cpu.Conditions(time_scale=30.0, seconds=660.0, hold_seconds=15.0).settings

    assert settings == {
        "ASSESS_HOLD_SECONDS": "0.5",
        "ASSESS_EXPECTED_MINUTES": "0.366667",
    }


# az.


def test_az_is_told_for_each_of_its_processes() -> None:
    """Its number stands at each size, with a note of how many processes it is from."""
    cost = SimpleNamespace(count=32, cpu_seconds=32.0)

    assert cpu.az_readings((100, 1000), cost) == [
        Reading("cpu", "az", size, "cpu_ms", 1000.0, "extrapolated from 32 processes")
        for size in (100, 1000)
    ]
