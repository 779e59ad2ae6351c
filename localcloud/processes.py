"""Parts of the local cloud as processes: started, watched, and stopped without a trace.

A part is a Python module that prints one line of JSON when it is ready and ends when its stdin is
closed. So even a parent that is killed leaves nothing behind. Each part leads a process group of
its own: a terminal's Ctrl-C reaches the parent alone, which then stops its parts in order.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

_ROOT = Path(__file__).resolve().parents[1]
_TAIL_LINES = 15
_TAIL_BYTES = 16 * 1024


class PartError(Exception):
    """A part did not start, or ended when it should not have.

    Attributes:
        name: The part.
        problem: What happened, as the end of a sentence that begins with the part's name.
        log: Its log file.
        log_tail: The log's last lines.
    """

    def __init__(self, name: str, problem: str, log: Path) -> None:
        self.name = name
        self.problem = problem
        self.log = log
        self.log_tail = _tail(log)
        said = "\n".join(f"  {line}" for line in self.log_tail) or "  (nothing)"
        super().__init__(f"The {name} {problem}. The last lines of its log, {log}:\n{said}")


@dataclass(frozen=True, slots=True)
class PartOptions:
    """How to run a part.

    Attributes:
        name: What people call it.
        module: The Python module to run.
        arguments: Its command line.
        environment: All of its environment.
        log: Where its output goes; an existing file is continued.
        start_seconds: How long it may take to be ready.
        stop_seconds: How long it may take to end after SIGTERM; then it is killed.
    """

    name: str
    module: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    log: Path
    start_seconds: float = 180.0
    stop_seconds: float = 15.0


class Part:
    """A running part. Made by `start_part`.

    Attributes:
        options: How it was started.
        ready: What it printed when it was ready.
        ended: Done with the exit code once the process is gone.
        stopping: Whether its end is wanted.
    """

    def __init__(
        self,
        options: PartOptions,
        process: asyncio.subprocess.Process,
        ready: Mapping[str, Any],
        output: "asyncio.Task[None]",
    ) -> None:
        self.options = options
        self.ready = ready
        self.stopping = False
        self.ended = asyncio.create_task(process.wait())
        self._process = process
        self._output = output

    @property
    def name(self) -> str:
        """What people call it."""
        return self.options.name

    @property
    def pid(self) -> int:
        """The process ID."""
        return self._process.pid

    def ended_early(self) -> PartError:
        """Returns the error that tells of an end that nobody wanted."""
        return PartError(
            self.name, f"ended unexpectedly, {_how_it_ended(self._process)}", self.options.log
        )

    async def stop(self) -> None:
        """Asks the part to end, and kills it if it does not in time, or if nobody waits for it."""
        self.stopping = True
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
        try:
            await asyncio.wait({self.ended}, timeout=self.options.stop_seconds)
        finally:
            _kill_group(self._process)
        await self._gone()

    async def kill(self) -> None:
        """Ends the part at once, as a machine that loses power does."""
        self.stopping = True
        _kill_group(self._process)
        await self._gone()

    async def _gone(self) -> None:
        await self.ended
        await self._output
        if self._process.stdin is not None:
            self._process.stdin.close()


async def start_part(options: PartOptions) -> Part:
    """Starts a part and waits until it is ready.

    Returns:
        The running part.

    Raises:
        PartError: It ended, said something else, or took too long.
        OSError: The log file can't be written.
    """
    options.log.parent.mkdir(parents=True, exist_ok=True)
    log = options.log.open("ab")
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            options.module,
            *options.arguments,
            cwd=_ROOT,
            env={**options.environment, "PYTHONUNBUFFERED": "1"},
            stdin=asyncio.subprocess.PIPE,  # its end tells the part that its parent is gone
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    except BaseException:
        log.close()
        raise
    try:
        async with asyncio.timeout(options.start_seconds):
            ready = await _ready(options, process)
    except BaseException as error:
        _kill_group(process)
        await process.wait()
        log.close()
        if isinstance(error, TimeoutError):
            raise PartError(
                options.name, f"was not ready within {options.start_seconds:g} s", options.log
            ) from error
        raise
    return Part(options, process, ready, asyncio.create_task(_log_output(process, log)))


async def _ready(options: PartOptions, process: asyncio.subprocess.Process) -> Mapping[str, Any]:
    line = await process.stdout.readline() if process.stdout is not None else b""
    if not line:
        await process.wait()
        raise PartError(options.name, f"did not start, {_how_it_ended(process)}", options.log)
    try:
        ready = json.loads(line)
    except ValueError as error:
        raise PartError(
            options.name, "said something else than it is ready", options.log
        ) from error
    if not isinstance(ready, dict):
        raise PartError(options.name, "said something else than it is ready", options.log)
    return ready


async def _log_output(process: asyncio.subprocess.Process, log: IO[bytes]) -> None:
    """Keeps what comes after the first line, so that a talkative part never blocks."""
    with log:
        while process.stdout is not None and (chunk := await process.stdout.read(_TAIL_BYTES)):
            log.write(chunk)
            log.flush()


def _kill_group(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _how_it_ended(process: asyncio.subprocess.Process) -> str:
    code = process.returncode
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"with exit code {code}"


def _tail(log: Path) -> tuple[str, ...]:
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError as error:
        return (f"(the log can't be read: {error.strerror})",)
    return tuple(text.splitlines()[-_TAIL_LINES:])
