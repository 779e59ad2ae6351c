"""Plots of a run's growth, one for each figure, as SVG for the page that shows them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from benchmarks.readings import Readings

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType


class Plot(NamedTuple):
    """What is drawn: a figure's reading, what the upright axis says, and what the plot says."""

    figure: str
    name: str
    label: str
    title: str
    logarithmic: bool = False


PLOTS: Final[Mapping[str, Plot]] = {
    "cpu": Plot(
        "cpu", "cpu_ms", "CPU ms, worker", "CPU time for each assessment", logarithmic=True
    ),
    "calls": Plot("calls", "arm_calls", "ARM calls", "Calls of ARM for each assessment"),
    "delay": Plot("calls", "late_p50_s", "seconds", "Median delay of the outcome"),
    "makespan": Plot(
        "makespan",
        "makespan_s",
        "seconds",
        "A scan of one subscription and region",
        logarithmic=True,
    ),
    "cost": Plot(
        "cost", "dollars_day", "US dollars", "1,000 assessments over a day", logarithmic=True
    ),
}
_INCHES: Final = (6.4, 3.6)
_STYLE: Final[dict["RcKeyType", Any]] = {
    "svg.hashsalt": "patch-assessor",  # so that the same run gives the same file
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(readings: Readings, directory: Path) -> list[Path]:
    """Draws what there are readings of, and returns the files.

    Args:
        readings: A run's.
        directory: Where the files go.
    """
    import matplotlib as mpl  # noqa: PLC0415 - large; whoever draws nothing need not wait for it

    directory.mkdir(parents=True, exist_ok=True)
    drawn = []
    with mpl.rc_context(_STYLE):
        for name, plot in PLOTS.items():
            lines = _lines(readings, plot.figure, plot.name)
            if lines:
                drawn.append(_draw(plot, lines, directory / f"{name}.svg"))
    return drawn


def _lines(readings: Readings, figure: str, name: str) -> dict[str, tuple[list[int], list[float]]]:
    """Returns what is drawn, by way: sizes in ascending order, and the values there."""
    found = [each for each in readings.all if (each.figure, each.name) == (figure, name)]
    lines = {}
    for way in dict.fromkeys(each.way for each in found):
        sizes = list(readings.sizes(figure, way, name))
        lines[way] = (sizes, [readings.value(figure, way, size, name) for size in sizes])
    most = max((len(sizes) for sizes, _ in lines.values()), default=0)
    # What was read at one size alone is no line; where all was, points are all there is.
    return {way: line for way, line in lines.items() if len(line[0]) > 1 or most == 1}


def _draw(plot: Plot, lines: Mapping[str, tuple[list[int], list[float]]], path: Path) -> Path:
    from matplotlib.figure import Figure  # noqa: PLC0415 - as above

    figure = Figure(figsize=_INCHES, layout="constrained")
    axes = figure.add_subplot()
    for way, (sizes, values) in lines.items():
        axes.plot(sizes, values, marker="o", markersize=3, linewidth=1.2, label=way)
    axes.set_xscale("log")
    if plot.logarithmic:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel("VMs")
    axes.set_ylabel(plot.label)
    axes.set_title(plot.title)
    axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, format="svg", metadata={"Date": None})
    return path
