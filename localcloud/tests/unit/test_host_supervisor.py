"""The supervisor on fake workers: timeouts, restarts, giving up, stopping."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from localcloud.host.errors import (
    AppIndexingError,
    InvocationTimeoutError,
    WorkerFailureLimitError,
    WorkerLostError,
)
from localcloud.host.supervisor import RestartPolicy, Supervisor, Worker
from localcloud.host.wire import IndexedFunction, Invoke, Invoked

REQUEST = Invoke("i", "f", {}, {}, "", "")
SOON = 0.001
FUNCTIONS = (IndexedFunction("f", "f", ()),)


class FakeWorker:
    """A worker that answers when told to, and dies when told to."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.functions: tuple[IndexedFunction, ...] = FUNCTIONS
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.answer = asyncio.Event()
        self.terminated = False

    async def invoke(self, request: Invoke) -> Invoked:
        """Wait for the answer or the loss."""
        await until(lambda: self.answer.is_set() or self.lost.done())
        if self.lost.done():
            raise WorkerLostError(self.lost.result())
        return Invoked(request.invocation_id, None)

    def die(self, reason: str = "exit code -9") -> None:
        """End."""
        if not self.lost.done():
            self.lost.set_result(reason)

    def terminate(self) -> None:
        """Note SIGTERM."""
        self.terminated = True

    async def kill(self, reason: str) -> None:
        """End at once."""
        self.die(reason)

    async def close(self, grace_seconds: float) -> None:
        """End in order."""
        assert grace_seconds > 0
        self.die("closed")


class Fleet:
    """Starts fake workers, and a supervisor of them on a clock that tests set."""

    def __init__(self, limit: int = 3) -> None:
        self.started: list[FakeWorker] = []
        self.refuse: list[Exception] = []
        self.now = 0.0
        policy = RestartPolicy(failure_limit=limit, forget_after=timedelta(minutes=30), pause=0)
        self.supervisor = Supervisor(self._start, policy, lambda: self.now)

    async def _start(self) -> Worker:
        if self.refuse:
            raise self.refuse.pop(0)
        self.started.append(FakeWorker(len(self.started) + 1))
        return self.started[-1]


async def until(condition: Callable[[], bool]) -> None:
    """Let tasks run until a condition holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - conditions here have no event
            await asyncio.sleep(0)


async def test_invocation_is_answered() -> None:
    """The worker's answer is the result."""
    fleet = Fleet()
    assert await fleet.supervisor.start() == FUNCTIONS
    fleet.started[0].answer.set()
    assert await fleet.supervisor.invoke("f", REQUEST, None) == Invoked("i", None)
    await fleet.supervisor.stop()


async def test_app_that_cannot_be_indexed_at_start_is_reported() -> None:
    """The first start is not retried."""
    fleet = Fleet()
    fleet.refuse = [AppIndexingError("ValueError: no")]
    with pytest.raises(AppIndexingError):
        await fleet.supervisor.start()
    await fleet.supervisor.stop()


async def test_timeout_restarts_the_worker_and_fails_its_siblings() -> None:
    """The late one times out, the sibling is lost with the worker, and no failure is counted."""
    fleet = Fleet(limit=1)
    await fleet.supervisor.start()
    sibling = asyncio.create_task(fleet.supervisor.invoke("f", REQUEST, None))
    with pytest.raises(InvocationTimeoutError) as late:
        await fleet.supervisor.invoke("f", REQUEST, SOON)
    assert (late.value.function, late.value.seconds) == ("f", SOON)
    with pytest.raises(WorkerLostError):
        await sibling
    await until(lambda: fleet.supervisor.worker_pid == 2)
    assert fleet.supervisor.restarts == 1
    assert not fleet.supervisor.gave_up.done()
    await fleet.supervisor.stop()


async def test_invocation_waits_for_the_next_worker() -> None:
    """While a worker is being started, invocations wait instead of failing."""
    fleet = Fleet()
    await fleet.supervisor.start()
    fleet.started[0].die()
    await until(lambda: fleet.supervisor.worker_pid is None)
    waiting = asyncio.create_task(fleet.supervisor.invoke("f", REQUEST, None))
    await until(lambda: len(fleet.started) == 2)
    fleet.started[1].answer.set()
    assert (await waiting).error is None
    await fleet.supervisor.stop()


async def test_third_failure_is_the_last() -> None:
    """Two failures are repaired; the third gives up, and invocations wait for the stop."""
    fleet = Fleet(limit=3)
    await fleet.supervisor.start()
    for count in (1, 2, 3):
        fleet.started[-1].die()
        await until(lambda n=count: len(fleet.started) > n or fleet.supervisor.gave_up.done())  # type: ignore[misc] # the default binds the loop's value
    with pytest.raises(WorkerFailureLimitError):
        await fleet.supervisor.gave_up
    assert len(fleet.started) == 3
    waiting = asyncio.create_task(fleet.supervisor.invoke("f", REQUEST, None))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    fleet.supervisor.terminate()
    with pytest.raises(WorkerLostError):
        await waiting
    await fleet.supervisor.stop()


async def test_failures_long_apart_are_forgotten() -> None:
    """More than 30 minutes after the one before, a failure counts as the first."""
    fleet = Fleet(limit=2)
    await fleet.supervisor.start()
    for count in range(1, 6):
        fleet.now += timedelta(minutes=31).total_seconds()
        fleet.started[-1].die()
        await until(lambda n=count: len(fleet.started) == n + 1)  # type: ignore[misc] # the default binds the loop's value
    assert not fleet.supervisor.gave_up.done()
    await fleet.supervisor.stop()


async def test_worker_that_cannot_start_again_counts_as_a_failure() -> None:
    """A restart that fails is tried again up to the limit."""
    fleet = Fleet(limit=3)
    await fleet.supervisor.start()
    fleet.refuse = [WorkerLostError("no")]
    fleet.started[0].die()
    await until(lambda: fleet.supervisor.worker_pid == 2)
    fleet.refuse = [WorkerLostError("no")]
    fleet.started[1].die()
    with pytest.raises(WorkerFailureLimitError):
        await fleet.supervisor.gave_up
    await fleet.supervisor.stop()


async def test_stop_ends_the_worker_and_replaces_it_no_more() -> None:
    """SIGTERM goes to the worker; its end is no failure; what is in flight is lost."""
    fleet = Fleet(limit=1)
    await fleet.supervisor.start()
    running = asyncio.create_task(fleet.supervisor.invoke("f", REQUEST, None))
    await asyncio.sleep(0)
    fleet.supervisor.terminate()
    assert fleet.started[0].terminated
    await fleet.supervisor.stop()
    with pytest.raises(WorkerLostError):
        await running
    assert len(fleet.started) == 1
    with pytest.raises(WorkerLostError):
        await fleet.supervisor.invoke("f", REQUEST, None)
