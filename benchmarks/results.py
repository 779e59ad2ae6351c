"""Results in a file: each figure with its readings, and where and when they were taken.

Figures may be measured again one by one; the ratios of a figure are always those of one run.
"""

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from benchmarks.readings import Reading, Readings


class ResultsError(Exception):
    """A file holds no results.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path} holds no results of benchmarks: {problem}")
        self.path = path


@dataclass(frozen=True, slots=True)
class Run:
    """One figure's run: when it ended in UTC, its machine's CPUs and Python, and what was read."""

    at: str
    machine: str
    readings: tuple[Reading, ...]


_RUNS: Final = TypeAdapter(dict[str, Run])


def run_of(readings: Sequence[Reading], now: datetime) -> Run:
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
        return _RUNS.validate_json(path.read_bytes())
    except ValidationError as error:
        raise ResultsError(path, str(error)) from error


def save(path: Path, runs: Mapping[str, Run]) -> None:
    """Writes the runs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_RUNS.dump_json(dict(runs), indent=1) + b"\n")
