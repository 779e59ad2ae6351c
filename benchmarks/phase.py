"""A stretch of a run: what was used and done between its begin and its end, and for each VM."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.readings import Reading
from benchmarks.snapshot import Snapshot
from benchmarks.usage import Usage

_MS: Final = 1000.0


@dataclass(frozen=True, slots=True)
class Phase:
    """What lies between two snapshots.

    Attributes:
        before: At its begin.
        after: At its end.
        assessments: How many were done in it.
    """

    before: Snapshot
    after: Snapshot
    assessments: int

    @property
    def worker_seconds(self) -> float:
        """The worker's CPU time, user and system."""
        return _cpu(self.before.worker, self.after.worker)

    @property
    def worker_ms(self) -> float:
        """The worker's CPU time for each assessment, in milliseconds."""
        return self._each(self.worker_seconds * _MS)

    @property
    def host_ms(self) -> float:
        """The same of the process that receives and settles."""
        return self._each(_cpu(self.before.host, self.after.host) * _MS)

    @property
    def calls(self) -> float:
        """ARM's calls for each assessment."""
        return self._each(sum(self._called().values()))

    @property
    def polls(self) -> float:
        """Those of them that ask for the operation."""
        return self._each(self._called().get("operation", 0))

    @property
    def sends(self) -> float:
        """The messages that were sent for each assessment, hand-overs and alerts included."""
        return self._each(self.after.sends - self.before.sends)

    @property
    def peak_rss_mib(self) -> float:
        """The worker's most memory; since the begin, if its peak was reset there."""
        return self.after.worker.memory.peak_rss_mib

    def _called(self) -> Mapping[str, int]:
        before = self.before.calls
        return {name: often - before.get(name, 0) for name, often in self.after.calls.items()}

    def _each(self, all_of_it: float) -> float:
        return all_of_it / self.assessments


@dataclass(frozen=True, slots=True)
class Page:
    """Where readings of one way at one size go."""

    figure: str
    way: str
    size: int

    def read(self, values: Mapping[str, float], note: str = "") -> list[Reading]:
        """Returns the values as readings, each by its name."""
        return [
            Reading(self.figure, self.way, self.size, name, value, note)
            for name, value in values.items()
        ]


def _cpu(before: Usage, after: Usage) -> float:
    return (after.cpu - before.cpu).seconds
