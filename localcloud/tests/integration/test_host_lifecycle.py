"""The host's life: timeouts, dying workers, a bus that goes away, start and drain."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from azure.servicebus import ServiceBusMessage

from localcloud.host.bindings import Function, OtherTrigger
from localcloud.host.datum import Datum
from localcloud.host.errors import ConfigurationError, WorkerFailureLimitError
from localcloud.host.host import FunctionsHost
from localcloud.host.invocations import Invocations
from localcloud.host.options import HostOptions
from localcloud.host.ports import Listener
from localcloud.host.settings import AppSettings
from localcloud.host.supervisor import RestartPolicy
from localcloud.servicebus.server import ServiceBus
from localcloud.tests.integration.host_harness import (
    Reports,
    entities,
    environment,
    rig,
    write_app,
)
from localcloud.tests.integration.servicebus_clients import client as client_of
from tests.support.waiting import BOUND_SECONDS, eventually

pytestmark = pytest.mark.integration

_REPOSITORY = Path(__file__).resolve().parents[3]


def alive(pid: int) -> bool:
    """Whether a process of this ID runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@asynccontextmanager
async def host_process(
    app: Path, settings: dict[str, str], *options: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the host's command; whatever happens, it is gone afterwards."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "localcloud.host",
        f"--app={app}",
        *options,
        cwd=_REPOSITORY,
        env=settings,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def listen(process: asyncio.subprocess.Process, reports: Reports) -> None:
    """Pass a host process's log on to the reports."""
    assert process.stderr is not None
    while line := await process.stderr.readline():
        reports.take(line.decode().rstrip("\n"))


async def ready(process: asyncio.subprocess.Process) -> dict[str, object]:
    """Wait for the host's ready line."""
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), BOUND_SECONDS)
    found: dict[str, object] = json.loads(line)
    return found


async def send(bus: ServiceBus, message_id: str, **order: object) -> None:
    """Tell the `work` function what to do."""
    async with (
        client_of(bus) as client,
        client.get_queue_sender("work") as sender,
    ):
        await sender.send_messages(ServiceBusMessage(json.dumps(order), message_id=message_id))


async def test_timeout_fails_the_invocation_and_restarts_the_worker() -> None:
    """Past functionTimeout the worker is replaced, its sibling invocation fails with it."""
    async with rig(host_json={"functionTimeout": "00:00:02"}) as it:
        await it.order("hangs", seconds_first=60)
        (first,) = await it.reports.wait(event="begun", id="hangs")
        await it.order("sibling", seconds_first=60)
        (again,) = await it.reports.wait(event="done", id="hangs", delivery=2)
        await it.reports.wait(event="done", id="sibling", delivery=2)
        assert again["pid"] != first["pid"]
        await eventually(it.is_empty, "the queue is empty")
        assert it.host.status()["workerRestarts"] == 1


async def test_killed_worker_is_replaced_and_its_message_comes_again() -> None:
    """After kill -9 the message in flight is abandoned and the next worker handles it."""
    async with rig() as it:
        await it.order("survivor", seconds_first=60)
        (begun,) = await it.reports.wait(event="begun", id="survivor")
        assert it.host.status()["workerPid"] == begun["pid"]
        os.kill(begun["pid"], signal.SIGKILL)
        (done,) = await it.reports.wait(event="done", id="survivor", delivery=2)
        assert done["pid"] != begun["pid"]
        await eventually(it.is_empty, "the queue is empty")


async def test_host_gives_up_when_the_worker_fails_too_often() -> None:
    """The failure that reaches the limit ends the host."""
    async with rig(restart=RestartPolicy(failure_limit=1)) as it:
        pid = it.host.status()["workerPid"]
        assert isinstance(pid, int)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(WorkerFailureLimitError):
            await asyncio.wait_for(it.host.failed(), BOUND_SECONDS)


async def test_bus_restart_is_survived(tmp_path: Path) -> None:
    """The bus goes away and comes back on its port: pulling goes on, in flight or not."""
    reports, state = Reports(), tmp_path / "bus.json"
    app = write_app(tmp_path)
    bus_entities = entities()
    async with ServiceBus.start(bus_entities, state=state) as bus:
        port = bus.port
        options = HostOptions(
            app=app, environment=environment(bus), worker_output=reports.take, drain_seconds=5
        )
        host = await FunctionsHost(options).__aenter__()
        await send(bus, "before", seconds=1.5)
        await reports.wait(event="begun", id="before")
    try:
        await reports.wait(event="done", id="before")
        async with ServiceBus.start(bus_entities, port=port, state=state) as bus:
            await send(bus, "after")
            await reports.wait(event="done", id="after")
            await eventually(lambda: bus.counts()["work"].active == 0, "nothing waits")
            await host.drain()
    finally:
        await host.__aexit__(None, None, None)


async def test_sigterm_drains(tmp_path: Path) -> None:
    """What is in flight ends and is settled, nothing more is pulled, no process is left."""
    async with ServiceBus.start(entities()) as bus:
        async with host_process(write_app(tmp_path), environment(bus)) as process:
            reports = Reports()
            listener = asyncio.create_task(listen(process, reports))
            line = await ready(process)
            assert set(line) == {"functions", "controlUrl", "eventGridUrl"}
            await send(bus, "in flight", seconds=1.5, hook=True)
            (begun,) = await reports.wait(event="begun", id="in flight")
            process.terminate()
            await reports.wait(event="sigterm")
            await send(bus, "too late")
            assert await asyncio.wait_for(process.wait(), BOUND_SECONDS) == 0
            await listener
        assert reports.matching(event="done", id="in flight")
        assert not reports.matching(id="too late")
        counts = bus.counts()["work"]
        assert (counts.active, counts.locked) == (1, 0)
        assert not alive(begun["pid"])


async def test_host_ends_with_its_parent_and_the_worker_with_the_host(tmp_path: Path) -> None:
    """A closed stdin drains the host; a host killed outright takes its worker along."""
    async with ServiceBus.start(entities()) as bus:
        app, settings = write_app(tmp_path), environment(bus)
        async with host_process(app, settings, "--exit-with-parent") as process:
            await ready(process)
            assert process.stdin is not None
            process.stdin.close()
            assert await asyncio.wait_for(process.wait(), BOUND_SECONDS) == 0
        async with host_process(app, settings) as process:
            line = await ready(process)
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{line['controlUrl']}/admin/host/status") as answer,
            ):
                status = await answer.json()
            assert status["state"] == "Running"
            process.kill()
            await process.wait()
        await eventually(lambda: not alive(status["workerPid"]), "the worker is gone")


INDEXING = "ValueError: WORK_QUEUE must be lower case but is 'Work'"
CONNECTION = "expected the app setting ServiceBus or ServiceBus__fullyQualifiedNamespace"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"WORK_QUEUE": "Work"}, f"The function app could not be indexed: {INDEXING}"),
        ({}, f"function work: connection ServiceBus: {CONNECTION}, got neither"),
    ],
    ids=["the app raises", "a connection is missing"],
)
async def test_unusable_app_ends_the_host_with_one_line(
    tmp_path: Path, settings: dict[str, str], said: str
) -> None:
    """Exit code 1, nothing on stdout, and the last line on stderr says what is wrong."""
    base = {**os.environ, "WORK_QUEUE": "work", "ServiceBus": ""}
    async with host_process(write_app(tmp_path), {**base, **settings}) as process:
        out, error = await asyncio.wait_for(process.communicate(), BOUND_SECONDS)
    assert process.returncode == 1
    assert out == b""
    assert error.decode().splitlines()[-1] == said
    assert "Traceback" not in error.decode()


async def test_missing_host_json_is_named(tmp_path: Path) -> None:
    """A directory that is no function app is refused before anything starts."""
    with pytest.raises(ConfigurationError, match=r"host\.json"):
        async with FunctionsHost(HostOptions(app=tmp_path, environment={})):
            pass


class _Once:
    """A listener that fires one timer when it starts."""

    def __init__(self, function: Function, trigger: OtherTrigger, invocations: Invocations) -> None:
        self._function = function
        self._trigger = trigger
        self._invocations = invocations
        self.succeeded: bool | None = None

    async def start(self) -> None:
        """Fire."""
        timer = Datum.json({"IsPastDue": True, "Schedule": {}, "ScheduleStatus": None})
        request = self._invocations.request(
            self._function, {self._trigger.parameter: timer}, {}, {}
        )
        self.succeeded = await self._invocations.run(self._function, request, "a test")

    def stop(self) -> None:
        """Fire no more, which it doesn't anyway."""

    async def drained(self) -> None:
        """Nothing is ever in flight after the start."""


async def test_further_triggers_can_be_served(tmp_path: Path) -> None:
    """A listener given for a binding type runs that type's functions."""
    reports, made = Reports(), list[_Once]()

    def make(
        function: Function, trigger: OtherTrigger, _: AppSettings, invocations: Invocations
    ) -> Listener:
        made.append(_Once(function, trigger, invocations))
        return made[-1]

    async with ServiceBus.start(entities()) as bus:
        options = HostOptions(
            app=write_app(tmp_path),
            environment=environment(bus),
            worker_output=reports.take,
            listeners={"timerTrigger": make},
        )
        async with FunctionsHost(options):
            (report,) = await reports.wait(event="timer")
    assert report["past_due"] is True
    assert [each.succeeded for each in made] == [True]
