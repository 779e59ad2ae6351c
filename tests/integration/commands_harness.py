"""What the commands' integration tests share: running a command, and what it leaves behind."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import BOUND_SECONDS, eventually

ROOT = Path(__file__).parents[2]
_OF_THE_DEMO = ("run", "up")


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    code: int | None
    out: str
    err: str


@dataclass(frozen=True)
class Place:
    """A directory of its own for commands; what they start is told by it."""

    directory: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a command; TMPDIR is passed on to all that it starts."""
        names = ("PATH", "HOME", "LANG")
        kept = {name: os.environ[name] for name in names if name in os.environ}
        return {**kept, "TMPDIR": str(self.directory), "PYTHONPATH": str(ROOT), "COLUMNS": "100"}

    def processes(self) -> dict[int, str]:
        """The command lines of the living processes that were started here."""
        mark = f"TMPDIR={self.directory}\0".encode()
        found = {}
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                if mark in (entry / "environ").read_bytes() + b"\0":
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                    found[int(entry.name)] = line.decode()
        return found

    async def start(self, *arguments: str, stdin: int = asyncio.subprocess.PIPE) -> "Running":
        """Starts a command."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "demo" if arguments[0] in _OF_THE_DEMO else "patch_assessor_cli",
            *arguments,
            cwd=self.directory,
            env=self.environment,
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        return Running(self, process)

    async def run(self, *arguments: str, stdin: bytes | None = None) -> Ended:
        """Runs a command to its end."""
        return await (await self.start(*arguments)).end(stdin)

    async def watched(self, text: str, *arguments: str) -> str:
        """Watches until a line with this text, and returns all up to it.

        An alert may come before an outcome or after it, so no count of messages says that it came.
        """
        running = await self.start("watch", *arguments)
        try:
            return await running.printed(text)
        finally:
            running.kill()
            await running.process.wait()

    async def empty(self) -> None:
        """Waits until nothing that was started here is alive."""
        await eventually(lambda: not self.processes(), lambda: f"left behind: {self.processes()}")


@dataclass(frozen=True)
class Running:
    """A running command."""

    place: Place
    process: asyncio.subprocess.Process

    async def end(self, stdin: bytes | None = None) -> Ended:
        """Waits for the end."""
        try:
            async with asyncio.timeout(BOUND_SECONDS):
                out, err = await self.process.communicate(stdin)
        finally:
            self.kill()
        return Ended(self.process.returncode, out.decode(), err.decode())

    async def printed(self, text: str) -> str:
        """Waits for a line with this text, and returns all up to it."""
        assert self.process.stdout is not None
        seen = ""
        async with asyncio.timeout(BOUND_SECONDS):
            while text not in seen:
                line = await self.process.stdout.readline()
                assert line, f"{text!r} was never printed, but {seen!r}"
                seen += line.decode()
        return seen

    def kill(self) -> None:
        """Ends the command if it still runs."""
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.kill()


@asynccontextmanager
async def up(place: Place, *arguments: str) -> AsyncIterator[Running]:
    """Leaves `up` running; its logs are in the place."""
    running = await place.start("up", *arguments)
    try:
        yield running
    finally:
        running.kill()
        await running.process.wait()
        await place.empty()
