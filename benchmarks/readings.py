"""What a benchmark reads off, and how that is held against its target.

A figure is a module of `benchmarks.figures`: its `measure` runs things and returns readings, its
`judge` looks at the readings alone. So verdicts, tables and plots can be made again from the JSON
of an earlier run.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reading:
    """One number that was read off.

    Attributes:
        figure: The figure that it is for: the module's name in `benchmarks.figures`.
        way: Who did the work: `app`, or what a user would do instead.
        size: How many VMs, requests or assessments that was.
        name: What was measured, with its unit: `cpu_ms`, `peak_rss_mib`, `delay_median_s`.
        value: The number.
        note: How it was come by, where that is not plain: `extrapolated from 32 processes`.
    """

    figure: str
    way: str
    size: int
    name: str
    value: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target and whether a run met it.

    Attributes:
        figure: The figure.
        target: What was to be reached, in words.
        measured: What was measured, in words.
        met: Whether that is enough.
        size: At which size it was judged.
    """

    figure: str
    target: str
    measured: str
    met: bool
    size: int


class MissingReadingError(LookupError):
    """A verdict needs a reading that the run did not take.

    Attributes:
        wanted: The figure, way, size and name of it.
    """

    def __init__(self, wanted: tuple[str, str, int, str]) -> None:
        super().__init__("no reading of {}: {} at {}, {}".format(*wanted))
        self.wanted = wanted


@dataclass(frozen=True, slots=True)
class Readings:
    """The readings of one run, to be looked things up in."""

    all: tuple[Reading, ...]

    @classmethod
    def of(cls, readings: Iterable[Reading]) -> "Readings":
        """Returns the readings as one lot."""
        return cls(tuple(readings))

    def value(self, figure: str, way: str, size: int, name: str) -> float:
        """Returns one number; raises MissingReadingError."""
        for each in self.all:
            if (each.figure, each.way, each.size, each.name) == (figure, way, size, name):
                return each.value
        raise MissingReadingError((figure, way, size, name))

    def sizes(self, figure: str, way: str, name: str) -> Sequence[int]:
        """Returns the sizes at which something was read, in ascending order."""
        return sorted(
            {
                each.size
                for each in self.all
                if (each.figure, each.way, each.name) == (figure, way, name)
            }
        )

    def has(self, figure: str, way: str, size: int, name: str) -> bool:
        """Whether there is such a reading."""
        return size in self.sizes(figure, way, name)
