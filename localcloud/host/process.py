"""One language worker process as the host sees it."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from localcloud.host.errors import AppIndexingError, FrameError, WorkerLostError
from localcloud.host.wire import (
    Indexed,
    IndexedFunction,
    IndexingFailed,
    Invoke,
    Invoked,
    encode,
    read_message,
)

_LOG = logging.getLogger(__name__)
_OUTPUT_SECONDS = 2.0
_IMPORT_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How to start a worker.

    Attributes:
        app: The function app's directory, absolute.
        environment: All of the worker's environment, app settings included.
        log_level: host.json's default log level, in lower case.
        startup_seconds: How long it may take to index: the real host's processStartupTimeout, but
            three times its 60 s, as long as any part of the local cloud may take on a busy machine.
        output: Gets what the worker writes to stdout and stderr, line by line.
    """

    app: Path
    environment: Mapping[str, str]
    output: Callable[[str], None]
    log_level: str = "information"
    startup_seconds: float = 180.0


class WorkerProcess:
    """A running worker. Made by `start_worker`.

    Attributes:
        functions: What it indexed.
        lost: Done with the reason once the worker is gone.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        output: asyncio.Task[None],
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._output = output
        self._pending: dict[str, asyncio.Future[Invoked]] = {}
        self._reason: str | None = None
        self._receiver: asyncio.Task[None] | None = None
        self.functions: tuple[IndexedFunction, ...] = ()
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def pid(self) -> int:
        """The process ID."""
        return self._process.pid

    async def indexed(self) -> None:
        """Wait for the app's functions and begin to serve.

        Raises:
            AppIndexingError: The app raised.
            WorkerLostError: The worker ended without a word.
        """
        first = await read_message(self._reader)
        match first:
            case Indexed(functions):
                self.functions = functions
                self._receiver = asyncio.create_task(self._receive())
            case IndexingFailed(reason, traceback):
                _LOG.debug("indexing failed\n%s", traceback)
                raise AppIndexingError(reason)
            case None:
                raise WorkerLostError("it ended before the app was indexed")
            case other:
                raise FrameError(f"{type(other).__name__} before the functions")

    async def invoke(self, request: Invoke) -> Invoked:
        """Run an invocation.

        Returns:
            How it ended.

        Raises:
            WorkerLostError: The worker went away before it answered.
        """
        if self.lost.done():
            raise WorkerLostError(self.lost.result())
        answer: asyncio.Future[Invoked] = asyncio.get_running_loop().create_future()
        self._pending[request.invocation_id] = answer
        try:
            self._writer.write(encode(request))
            with contextlib.suppress(ConnectionError):  # then the answer fails with the loss
                await self._writer.drain()
            return await answer
        finally:
            self._pending.pop(request.invocation_id, None)

    def terminate(self) -> None:
        """Send SIGTERM, as the platform does before it takes an instance away."""
        self._signal(signal.SIGTERM)

    async def kill(self, reason: str) -> None:
        """End the worker at once; everything in flight fails with the reason."""
        self._reason = self._reason or reason
        self._signal(signal.SIGKILL)
        await self._ended()

    async def close(self, grace_seconds: float) -> None:
        """Close the socket, which asks the worker to end, and make sure that it does."""
        self._reason = self._reason or "the host closed it"
        self._writer.close()
        try:
            async with asyncio.timeout(grace_seconds):
                await self._ended()
        except TimeoutError:
            await self.kill("it did not end in time")

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def _ended(self) -> None:
        code = await self._process.wait()
        self._lose(self._reason or f"exit code {code}")
        self._writer.close()
        tasks = [self._output, *([self._receiver] if self._receiver is not None else [])]
        # A process that the app has left behind can hold the output open: it is not waited for.
        _, still_open = await asyncio.wait(tasks, timeout=_OUTPUT_SECONDS)
        for task in still_open:
            task.cancel()

    async def _receive(self) -> None:
        try:
            while (message := await read_message(self._reader)) is not None:
                if isinstance(message, Invoked):
                    answer = self._pending.get(message.invocation_id)
                    if answer is not None and not answer.done():
                        answer.set_result(message)
        except FrameError as error:
            self._reason = self._reason or str(error)
            self._signal(signal.SIGKILL)
        code = await self._process.wait()
        self._lose(self._reason or f"exit code {code}")

    def _lose(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(WorkerLostError(reason))


async def start_worker(options: WorkerOptions) -> WorkerProcess:
    """Start a worker and wait until it has indexed the app.

    Returns:
        The worker, ready for invocations.

    Raises:
        AppIndexingError: The app raised.
        WorkerLostError: The worker ended, or took too long.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "localcloud.host.worker",
            f"--app={options.app}",
            f"--socket={theirs.fileno()}",
            f"--log-level={options.log_level}",
            cwd=_IMPORT_ROOT,
            env={**options.environment, "PYTHONUNBUFFERED": "1"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,  # Ctrl-C is the host's to handle
        )
    reader, writer = await asyncio.open_connection(sock=ours)
    if process.stdout is None:
        raise WorkerLostError("it has no output")
    output = asyncio.create_task(_forward(process.stdout, options.output))
    worker = WorkerProcess(process, reader, writer, output)
    try:
        async with asyncio.timeout(options.startup_seconds):
            await worker.indexed()
    except TimeoutError as error:
        await worker.kill("it did not index in time")
        raise WorkerLostError(f"not indexed within {options.startup_seconds:g} s") from error
    except BaseException:
        await worker.kill("it could not be used")
        raise
    return worker


async def _forward(stream: asyncio.StreamReader, output: Callable[[str], None]) -> None:
    """Pass on whole lines, of any length."""
    rest = b""
    while chunk := await stream.read(65536):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            output(line.decode("utf-8", errors="replace"))
    if rest:
        output(rest.decode("utf-8", errors="replace"))
