"""The benchmarks' command, at a size that tells whether it works and nothing else."""

import asyncio
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.deep]

ROOT = Path(__file__).parents[2]


async def bench(*arguments: str) -> tuple[int, str, str]:
    """Returns the exit code and what was said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks", "--no-keep", *arguments),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await process.communicate()
    return process.returncode or 0, said.decode(), complained.decode()


async def test_figures_are_measured_and_told() -> None:
    """The imports for real, the fleets in simulation; each figure's table, then the targets."""
    code, said, complained = await bench(
        "--figures=coldstart,calls,makespan", "--simulated=40", "--sizes=4"
    )
    assert code == 0, complained
    for title in ("Import before the first message", "Calls of ARM", "A scan of one subscription"):
        assert title in said
    assert "| target | at | measured | met |" in said


async def test_ways_are_measured_side_by_side() -> None:
    """The app and the bare loop, through the real SDKs on the local cloud."""
    code, said, complained = await bench("--figures=throughput", "--sizes=4")
    assert code == 0, complained
    for way in ("app", "receive, send, complete"):
        assert f"| {way} | 4 |" in said


async def test_a_figure_that_there_is_not_is_named() -> None:
    """With those that there are."""
    code, _, complained = await bench("--figures=speed")
    assert code == 2
    assert "speed" in complained
    assert "coldstart" in complained


async def test_sizes_are_numbers() -> None:
    """Above zero."""
    for sizes in ("many", "0", ""):
        code, _, complained = await bench(f"--sizes={sizes}")
        assert code == 2
        assert "number" in complained
