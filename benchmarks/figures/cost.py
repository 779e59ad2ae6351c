"""What 1,000 assessments cost, from what was counted in the run and list prices with their date.

The three ways are function apps on the same plan, and differ in how long an invocation lasts: the
app's end at once, the others' wait for as long as the operation takes. An instance is paid for
while anything runs on it, so it counts whether requests come evenly over a day or within an hour.
Prices and the least that is billed are those of docs/costs.json; free grants and the bus's base
price, which each way has alike, are left out.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import calls, cpu
from benchmarks.readings import Reading, Readings, Verdict, read_off
from infra.costs import bus_operations, gb_seconds

FIGURE: Final = "cost"
ASSESSMENTS: Final = 1_000
PRICES: Final = Path(__file__).resolve().parents[2] / "docs" / "costs.json"
WINDOWS: Final[Mapping[str, float]] = {"day": 86_400.0, "hour": 3_600.0}
"""Within which the assessments are asked for."""

_KNOWN: Final = calls.way_of(calls.ALL, calls.KNOWN)
_SDK: Final = calls.way_of(calls.ALL, calls.SDK_DEFAULT)
_LOCK_SECONDS: Final = 60.0
"""How often the host renews the lock of a message whose invocation lasts."""
_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Use:
    """What one assessment takes.

    Attributes:
        invocations: How many invocations.
        seconds: How long these run, each rounded up to the least that is billed.
        concurrency: How many of them run on one instance at the same time.
        bus: Operations of Service Bus.
        arm: Calls of ARM.
    """

    invocations: float
    seconds: float
    concurrency: float
    bus: float
    arm: float


def measure(readings: Readings) -> list[Reading]:
    """Returns the costs that follow from the readings of `calls`; none where there are none.

    Of a fleet that is known, at each size of that figure: the counts of a larger one are less a
    matter of chance.
    """
    data: Mapping[str, Any] = json.loads(PRICES.read_text())
    return [
        reading
        for size in readings.sizes(calls.FIGURE, _KNOWN, "arm_calls")
        for way, use in _uses(readings, size, data["assumptions"]).items()
        for reading in read_off(FIGURE, way, size, _numbers(use, data))
    ]


def judge(readings: Readings) -> list[Verdict]:
    """Returns whether the app is the cheapest of the three, however its requests come."""
    sizes = readings.sizes(FIGURE, cpu.APP, "dollars_day")
    if not sizes:
        return []
    size = sizes[-1]

    def dollars(way: str, window: str) -> float:
        return readings.value(FIGURE, way, size, f"dollars_{window}")

    times = {
        window: min(dollars(way, window) for way in (cpu.SYNC, cpu.SDK)) / dollars(cpu.APP, window)
        for window in WINDOWS
    }
    return [
        Verdict(
            "cheaper than either way that waits for the operation in an invocation",
            ", ".join(f"{each:.0f} times within a {window}" for window, each in times.items()),
            min(times.values()) > 1,
            size,
        )
    ]


def _uses(readings: Readings, size: int, assumptions: Mapping[str, Any]) -> dict[str, Use]:
    def read(name: str, of: str = _KNOWN) -> float:
        return readings.value(calls.FIGURE, of, size, name)

    least = float(assumptions["invocation_seconds"])
    lasts = read("waited_mean_s", _SDK)
    waiting = {
        "invocations": 1.0,
        "seconds": max(least, lasts),
        "bus": bus_operations({**assumptions, "polls": 0}) + lasts / _LOCK_SECONDS,
        "arm": read("arm_calls", _SDK),
    }
    return {
        cpu.APP: Use(
            invocations=read("invocations"),
            seconds=read("invocations") * least,
            concurrency=assumptions["concurrency"],
            bus=bus_operations({**assumptions, "polls": read("handovers")}),
            arm=read("arm_calls"),
        ),
        cpu.SYNC: Use(**waiting, concurrency=assumptions["threads"]),
        cpu.SDK: Use(**waiting, concurrency=assumptions["concurrency"]),
    }


def _numbers(use: Use, data: Mapping[str, Any]) -> dict[str, float]:
    prices, assumptions = data["prices"], data["assumptions"]
    numbers = {
        "invocations": use.invocations * ASSESSMENTS,
        "bus_operations": use.bus * ASSESSMENTS,
        "arm_calls": use.arm * ASSESSMENTS,
    }
    rest = (
        numbers["invocations"] * prices["functions_million_executions"]
        + numbers["bus_operations"] * prices["service_bus_standard_tiers"][1]["a_million"]
    ) / _MILLION
    for window, seconds in WINDOWS.items():
        memory = gb_seconds(
            use.seconds * ASSESSMENTS, seconds, use.concurrency, assumptions["instance_gb"]
        )
        numbers[f"gb_seconds_{window}"] = memory
        numbers[f"dollars_{window}"] = memory * prices["functions_gb_second"] + rest
    return numbers
