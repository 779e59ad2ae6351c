"""Charts, as options of ECharts: numbers and texts only, so that nothing in them is obeyed."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from patch_assessor_console.model.vm import Vm

Options = dict[str, Any]
_AGES: Final = (
    ("under a day", timedelta(days=1)),
    ("1 to 3 days", timedelta(days=3)),
    ("3 to 7 days", timedelta(days=7)),
    ("1 to 4 weeks", timedelta(weeks=4)),
    ("longer", timedelta.max),
)
_MOST_SYSTEMS: Final = 12


@dataclass(frozen=True, slots=True)
class Sample:
    """The fleet at one moment: its grave patches, and the VMs that lack some."""

    at: datetime
    critical: int
    lacking: int


@dataclass(frozen=True, slots=True)
class Spread:
    """Durations of one operating system, in seconds."""

    system: str
    count: int
    shortest: float
    median: float
    longest: float

    @property
    def range(self) -> tuple[float, float, float]:
        """The shortest, the median and the longest."""
        return self.shortest, self.median, self.longest


def over_time(samples: Sequence[Sample]) -> Options:
    """Returns the chart of grave patches over time."""
    return {
        **_common(),
        "legend": {"top": 0},
        "xAxis": {"type": "time"},
        "yAxis": {"type": "value", "minInterval": 1},
        "series": [
            _line("critical and security patches", [(each.at, each.critical) for each in samples]),
            _line("VMs that lack some", [(each.at, each.lacking) for each in samples]),
        ],
    }


def outcome_mix(outcomes: Mapping[str, int]) -> Options:
    """Returns the chart of how many outcomes of each kind there were."""
    ordered = sorted(outcomes.items(), key=lambda each: each[1])
    return _bars([name for name, _ in ordered], [count for _, count in ordered])


def durations(spreads: Sequence[Spread]) -> Options:
    """Returns the chart of how long assessments take, by operating system: the medians."""
    ordered = sorted(spreads, key=lambda each: each.median)[-_MOST_SYSTEMS:]
    options = _bars([e.system for e in ordered], [round(e.median, 1) for e in ordered])
    options["xAxis"] |= {"name": "seconds, median", "nameLocation": "middle", "nameGap": 28}
    return options


def reboot_ages(ages: Sequence[tuple[str, int]]) -> Options:
    """Returns the chart of how long reboots have been pending."""
    ordered = list(reversed(ages))
    return _bars([name for name, _ in ordered], [count for _, count in ordered])


def spreads_of(vms: Iterable[Vm], seen: Iterable[tuple[str, float]] = ()) -> list[Spread]:
    """Returns how long assessments take on each operating system, the slowest first.

    Args:
        vms: The fleet, with what is known of each one's assessments.
        seen: Durations of outcomes, each with its operating system; they win over the fleet's.
    """
    found: dict[str, list[float]] = {}
    for system, seconds in seen:
        found.setdefault(system or "unknown", []).append(seconds)
    if not found:
        for vm in vms:
            if vm.seconds is not None:
                found.setdefault(vm.system or vm.os_type or "unknown", []).append(vm.seconds)
    spreads = [
        Spread(system, len(each), min(each), sorted(each)[len(each) // 2], max(each))
        for system, each in found.items()
    ]
    return sorted(spreads, key=lambda each: -each.median)


def ages_of(vms: Iterable[Vm], now: datetime) -> list[tuple[str, int]]:
    """Returns how many VMs have had a reboot pending for how long; every class, even if empty."""
    ages = [now - vm.reboot_since for vm in vms if vm.reboot_since is not None]
    bounds = [timedelta.min, *(bound for _, bound in _AGES)]
    return [
        (name, sum(low <= age < high for age in ages))
        for (name, _), (low, high) in zip(_AGES, pairwise(bounds), strict=True)
    ]


def _common() -> Options:
    return {
        "animation": False,  # nothing moves while data streams
        "aria": {"enabled": False},  # the table beside each chart says it better
        "grid": {"left": 8, "right": 24, "top": 36, "bottom": 36, "containLabel": True},
        "tooltip": {"trigger": "axis", "renderMode": "richText"},  # text, where HTML is the default
    }


def _bars(names: Sequence[str], values: Sequence[float]) -> Options:
    return {
        **_common(),
        "xAxis": {"type": "value", "minInterval": 1 if _are_whole(values) else 0},
        "yAxis": {"type": "category", "data": list(names)},
        "series": [
            {
                "type": "bar",
                "data": list(values),
                "barMaxWidth": 24,
                "label": {"show": True, "position": "right"},
            }
        ],
    }


def _line(name: str, points: Iterable[tuple[datetime, int]]) -> Options:
    data = [[_millis(at), value] for at, value in points]
    return {"type": "line", "name": name, "step": "end", "showSymbol": False, "data": data}


def _are_whole(values: Iterable[float]) -> bool:
    return all(math.isfinite(each) and each == int(each) for each in values)


def _millis(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
