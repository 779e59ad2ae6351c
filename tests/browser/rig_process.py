"""Runs a console over a made-up memory as a process."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
START_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Rig:
    """A console that runs, at its address, as a process."""

    address: str
    pid: int

    def processor_seconds(self) -> float:
        """Returns what it has computed since its start."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        user, system = fields[11:13]  # proc_pid_stat(5): the 14th and 15th, in ticks
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def rig(vms: int, *words: str) -> AsyncIterator[Rig]:
    """Runs a console over a made-up memory."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.browser.console_rig",
        str(vms),
        *words,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        async with asyncio.timeout(START_SECONDS):
            line = await process.stdout.readline()
        yield Rig(str(json.loads(line)["address"]), process.pid)
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(START_SECONDS):
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
