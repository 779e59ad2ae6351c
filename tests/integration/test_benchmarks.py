"""The benchmarks' command, at a size that tells whether it works and nothing else."""

import asyncio
import sys
from pathlib import Path

import pytest

from benchmarks.figures import cpu
from benchmarks.readings import Readings

pytestmark = [pytest.mark.integration, pytest.mark.deep]

ROOT = Path(__file__).parents[2]


async def bench(*arguments: str) -> tuple[int, str, str]:
    """Returns the exit code and what was said."""
    return await run("benchmarks", "--no-keep", *arguments)


async def run(*arguments: str) -> tuple[int, str, str]:
    """Runs a module as a command; returns the exit code and what was said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *arguments),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await process.communicate()
    return process.returncode or 0, said.decode(), complained.decode()


async def test_figures_are_measured_and_told() -> None:
    """The fleets in simulation; each figure's table, then the targets."""
    code, said, complained = await bench("--figures=calls,makespan", "--simulated=40", "--sizes=4")
    assert code == 0, complained
    for title in ("Calls of ARM", "A scan of one subscription"):
        assert title in said
    assert "| target | at | measured | met |" in said


@pytest.mark.takes(60)
async def test_ways_are_measured_side_by_side() -> None:
    """The app and the bare exchange, through the real SDKs on the local cloud."""
    fast = cpu.Conditions(time_scale=100)
    readings = Readings.of(await cpu.measure((4,), fast, others=False))
    for way in (cpu.APP, cpu.FLOOR):
        assert readings.value("cpu", way, 4, "cpu_ms") > 0
        assert readings.value("cpu", way, 4, "sends") >= 1


async def test_questions_to_the_posture_table_are_answered_as_a_plain_scan_answers_them() -> None:
    """Else the benchmark fails; and of those that are overdue the second look tells nobody."""
    code, said, complained = await run("benchmarks.posture", "--vms", "100", "--overdue", "0.5")
    assert code == 0, complained
    first, second = said.splitlines()[-2:]
    assert " 0 alerts" not in first
    assert " 0 alerts" in second
