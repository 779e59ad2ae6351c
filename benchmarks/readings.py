"""What a benchmark reads off, and how that is held against its target.

A figure is a module of `benchmarks.figures`: its `measure` runs things and returns readings, its
`judge` looks at the readings alone. So verdicts, tables and plots can be made again from the JSON
of an earlier run.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reading:
    """One number that was read off.

    Attributes:
        figure: The figure that it is for: the module's name in `benchmarks.figures`.
        way: Who did the work: `app`, or what a user would do instead.
        size: How many VMs or assessments that was.
        name: What was measured, with its unit: `cpu_ms`, `peak_rss_mib`, `late_p50_s`.
        value: The number.
        note: How it was come by, where that is not plain: `extrapolated from 32 processes`.
    """

    figure: str
    way: str
    size: int
    name: str
    value: float
    note: str = ""


def read_off(
    figure: str, way: str, size: int, values: Mapping[str, float], note: str = ""
) -> list[Reading]:
    """Returns what one way came to at one size, each value by its name."""
    return [Reading(figure, way, size, name, value, note) for name, value in values.items()]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target in words, what was measured of it, whether that is enough, and at which size."""

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
        wanted = (figure, way, name)
        return sorted(
            {each.size for each in self.all if (each.figure, each.way, each.name) == wanted}
        )
