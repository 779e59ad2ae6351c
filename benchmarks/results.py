"""Results in a file: each figure with its readings, and where and when they were taken.

Figures may be measured again one by one; the ratios of a figure are always those of one run.
"""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.readings import Reading, Readings


class ResultsError(Exception):
    """A file holds no results.

    Attributes:
        path: The file.
        problem: What is wrong with it.
    """

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path} holds no results of benchmarks: {problem}")
        self.path = path
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Run:
    """One figure's run.

    Attributes:
        at: When it ended, in UTC.
        machine: Where: its CPUs and its Python.
        readings: What was read off.
    """

    at: str
    machine: str
    readings: tuple[Reading, ...]


def run_of(readings: list[Reading], now: datetime) -> Run:
    """Returns the run of this machine that took these readings."""
    machine = f"{os.cpu_count()} CPUs, {platform.system()}, Python {platform.python_version()}"
    return Run(now.astimezone(UTC).isoformat(timespec="minutes"), machine, tuple(readings))


def readings_of(runs: Mapping[str, Run]) -> Readings:
    """Returns the readings of all figures as one lot."""
    return Readings.of(reading for run in runs.values() for reading in run.readings)


def load(path: Path) -> dict[str, Run]:
    """Returns the runs in a file by figure; none if there is no such file.

    Raises:
        ResultsError: The file holds something else.
    """
    if not path.exists():
        return {}
    try:
        content: Mapping[str, Mapping[str, Any]] = json.loads(path.read_text("utf-8"))
        return {
            figure: Run(
                run["at"], run["machine"], tuple(Reading(**each) for each in run["readings"])
            )
            for figure, run in content.items()
        }
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ResultsError(path, f"{type(error).__name__}: {error}") from error


def save(path: Path, runs: Mapping[str, Run]) -> None:
    """Writes the runs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {figure: asdict(run) for figure, run in runs.items()}
    path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
