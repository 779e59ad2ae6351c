"""What 1,000 assessments cost, from counts and list prices."""

import json

import pytest

from benchmarks.figures import calls, cost
from benchmarks.readings import Reading, Readings

KNOWN = calls.way_of(calls.ALL, calls.KNOWN)
COUNTS = {"arm_calls": 6.0, "invocations": 5.0, "handovers": 4.0}
SDK = {"arm_calls": 27.0, "waited_mean_s": 690.0}
PRICES = json.loads(cost.PRICES.read_text())


def counted(size: int = 1000) -> list[Reading]:
    """Returns what the figure of calls read off at one size."""
    return [
        Reading(calls.FIGURE, way, size, name, value)
        for way, values in ((KNOWN, COUNTS), (calls.way_of(calls.ALL, calls.SDK_DEFAULT), SDK))
        for name, value in values.items()
    ]


def costs(size: int = 1000) -> Readings:
    """Returns the costs that follow."""
    return Readings.of(cost.measure(Readings.of(counted(size))))


def test_counts_are_for_a_thousand_assessments() -> None:
    """Of VMs that are known; the other ways poll as the SDK does."""
    read = costs()
    assert read.value("cost", "app", 1000, "invocations") == 5000
    assert read.value("cost", "app", 1000, "arm_calls") == 6000
    assert read.value("cost", "app", 1000, "bus_operations") == 1000 * (3 * 5 + 5)
    for way in ("sync handler", "SDK poller"):
        assert read.value("cost", way, 1000, "invocations") == 1000
        assert read.value("cost", way, 1000, "arm_calls") == 27000
        assert read.value("cost", way, 1000, "bus_operations") == pytest.approx(
            1000 * (3 + 5 + 690 / 60)
        )


def test_an_instance_is_paid_for_while_anything_runs_on_it() -> None:
    """Waiting in an invocation is paid for whatever its length, and least where many share one."""
    read = costs()
    gb = PRICES["assumptions"]["instance_gb"]
    alone = 1000 * 690 * gb
    for way, shared in (("sync handler", 32), ("SDK poller", 64)):
        for window in cost.WINDOWS:
            paid = read.value("cost", way, 1000, f"gb_seconds_{window}")
            assert alone / shared <= paid <= alone
    assert read.value("cost", "app", 1000, "gb_seconds_day") <= 5000 * gb


def test_what_comes_packed_costs_no_more() -> None:
    """Within an hour invocations share instances that a day would pay for one by one."""
    read = costs()
    for way in ("app", "sync handler", "SDK poller"):
        assert read.value("cost", way, 1000, "dollars_hour") <= read.value(
            "cost", way, 1000, "dollars_day"
        )


def test_the_verdict_compares_with_the_cheaper_other_way() -> None:
    """At the largest size."""
    read = Readings.of([*costs(100).all, *costs(1000).all])
    [verdict] = cost.judge(read)
    assert verdict.size == 1000
    assert verdict.met
    dear = Readings.of(
        Reading(each.figure, each.way, each.size, each.name, 1e9)
        if each.way == "app" and each.name == "dollars_hour"
        else each
        for each in read.all
    )
    assert not cost.judge(dear)[0].met


def test_without_counts_there_are_no_costs() -> None:
    """And no verdict."""
    assert cost.measure(Readings.of([])) == []
    assert cost.judge(Readings.of([])) == []
