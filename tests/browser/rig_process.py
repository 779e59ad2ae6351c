"""Runs a console over a made-up memory as a process."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
START_SECONDS = 120


@asynccontextmanager
async def rig(vms: int, *words: str) -> AsyncIterator[str]:
    """Runs a console over a made-up memory; yields its address."""
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
        yield str(json.loads(line)["address"])
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(START_SECONDS):
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
