"""Keeps one language worker running, and gives up where the real host does.

The real host's RpcFunctionInvocationDispatcher: a worker that ends by itself counts as an error;
errors older than 30 minutes (measured to the latest one) are forgotten; with the third, for one
worker process, the host stops. A restart because of a function timeout is no error. Invocations
that come while the worker restarts wait for it. Left out: several worker processes.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from localcloud.host.errors import (
    HostError,
    InvocationTimeoutError,
    WorkerFailureLimitError,
    WorkerLostError,
)
from localcloud.host.wire import IndexedFunction, Invoke, Invoked

_LOG = logging.getLogger(__name__)
_CLOSE_SECONDS = 10.0  # the real host's processShutdownTimeout


class Worker(Protocol):
    """What is supervised; `process.WorkerProcess` is one."""

    functions: tuple[IndexedFunction, ...]
    lost: asyncio.Future[str]

    @property
    def pid(self) -> int:
        """The process ID."""
        ...

    async def invoke(self, request: Invoke) -> Invoked:
        """Run an invocation."""
        ...

    def terminate(self) -> None:
        """Send SIGTERM."""
        ...

    async def kill(self, reason: str) -> None:
        """End it at once."""
        ...

    async def close(self, grace_seconds: float) -> None:
        """End it in order."""
        ...


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """When to start a worker again, and when to give up.

    Attributes:
        failure_limit: The failure with which the host gives up.
        forget_after: A failure this long after the one before starts the count anew.
        pause: The least time between two starts, in seconds (the real processRestartInterval is
            10; a local worker is back sooner by default).
    """

    failure_limit: int = 3
    forget_after: timedelta = timedelta(minutes=30)
    pause: float = 1.0


class Supervisor:
    """Starts, watches and restarts the worker.

    Attributes:
        gave_up: Done with an exception when there will be no worker any more.
        restarts: How often the worker was started again.
    """

    def __init__(
        self,
        start_worker: Callable[[], Awaitable[Worker]],
        policy: RestartPolicy,
        clock: Callable[[], float],
    ) -> None:
        self._start_worker = start_worker
        self._policy = policy
        self._clock = clock
        self._worker: Worker | None = None
        self._ready = asyncio.Event()
        self._stopping = False
        self._failures: list[float] = []
        self._restarting: set[Worker] = set()
        self._watcher: asyncio.Task[None] | None = None
        self.gave_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.restarts = 0

    @property
    def worker_pid(self) -> int | None:
        """The running worker's process ID; None while there is none."""
        return self._worker.pid if self._worker is not None and self._ready.is_set() else None

    async def start(self) -> tuple[IndexedFunction, ...]:
        """Start the first worker.

        Returns:
            The app's functions.

        Raises:
            AppIndexingError: The app raised.
            WorkerLostError: The worker could not be used.
        """
        self._worker = await self._start_worker()
        self._ready.set()
        self._watcher = asyncio.create_task(self._watch(self._worker))
        return self._worker.functions

    async def invoke(self, function: str, request: Invoke, limit: float | None) -> Invoked:
        """Run an invocation, waiting for a worker that is being restarted.

        Args:
            function: The function's name, for the error.
            request: The invocation.
            limit: Seconds that it may take; None is unbounded.

        Returns:
            How it ended.

        Raises:
            InvocationTimeoutError: It took longer; the worker is restarted.
            WorkerLostError: The worker went away under it, or there will be none.
        """
        await self._ready.wait()
        worker = self._worker
        if worker is None:
            raise WorkerLostError("the host is stopping")
        try:
            async with asyncio.timeout(limit):
                return await worker.invoke(request)
        except TimeoutError as error:
            if not worker.lost.done():
                self._restarting.add(worker)
            await worker.kill(f"restarted, as {function} exceeded its timeout")
            raise InvocationTimeoutError(function, limit or 0.0) from error

    def terminate(self) -> None:
        """Pass SIGTERM on; from now on a worker that ends is not replaced."""
        self._stopping = True
        if self._worker is not None:
            self._worker.terminate()
        else:
            self._ready.set()  # nothing to wait for: what waits for a worker fails

    async def stop(self) -> None:
        """End the worker; whatever is still in flight fails."""
        self._stopping = True
        worker = self._worker
        if worker is not None:
            await worker.close(_CLOSE_SECONDS)
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        self._worker = None
        self._ready.set()  # lets waiting invocations fail
        if not self.gave_up.done():
            self.gave_up.cancel()

    async def _watch(self, worker: Worker) -> None:
        current: Worker | None = worker
        while current is not None:
            reason = await current.lost
            self._ready.clear()
            if self._stopping:
                self._worker = None
                self._ready.set()
                return
            if current in self._restarting:
                self._restarting.discard(current)
                _LOG.warning("language worker %d: %s", current.pid, reason)
            else:
                _LOG.error("language worker %d ended: %s", current.pid, reason)
                self._count_failure()
            current = await self._replace()

    async def _replace(self) -> Worker | None:
        """Start workers until one is usable.

        At the limit invocations are left waiting until the host stops, so that their messages
        are given back once and not pulled and failed until none of their deliveries is left.
        """
        self._worker = None
        while len(self._failures) < self._policy.failure_limit:
            if self._stopping:
                self._ready.set()
                return None
            if self._failures:
                await asyncio.sleep(self._policy.pause)
            try:
                self._worker = await self._start_worker()
            except HostError as error:
                _LOG.error("language worker not started: %s", error)
                self._count_failure()
                continue
            self.restarts += 1
            self._ready.set()
            _LOG.info("language worker %d started", self._worker.pid)
            return self._worker
        self.gave_up.set_exception(WorkerFailureLimitError(len(self._failures)))
        return None

    def _count_failure(self) -> None:
        now = self._clock()
        if self._failures and now - self._failures[-1] > self._policy.forget_after.total_seconds():
            self._failures.clear()
        self._failures.append(now)
