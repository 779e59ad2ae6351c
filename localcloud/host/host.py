"""The host put together: worker, listeners and control endpoint, from start to drain.

The order of a shutdown is the platform's at scale-in: no further triggers, SIGTERM to the worker,
time for what is in flight, settlement, the worker's end. What is left after the drain grace fails
and is abandoned.
"""

import asyncio
import logging
import random
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from localcloud.host.bindings import Function, OtherTrigger, ServiceBusTrigger, read_function
from localcloud.host.bus import BusClients
from localcloud.host.control import control_server
from localcloud.host.errors import ConfigurationError
from localcloud.host.hostjson import HostConfig, parse_host_json
from localcloud.host.invocations import Invocations
from localcloud.host.listeners import ServiceBusListener, Surroundings
from localcloud.host.messages import BusMessage
from localcloud.host.options import HostOptions
from localcloud.host.ports import HandleMessage, Listener
from localcloud.host.process import WorkerOptions, WorkerProcess, start_worker
from localcloud.host.settings import AppSettings, merge_settings
from localcloud.host.spans import open_spans
from localcloud.host.supervisor import Supervisor

_LOG = logging.getLogger(__name__)
_SETTLE_SECONDS = 15.0


class FunctionsHost:
    """A running host; an async context manager.

    Entering starts the worker, indexes the app and attaches the listeners, or raises a
    `HostError`. Leaving drains.

    Attributes:
        control_url: The control endpoint's base URL.
        functions: The app's functions.
    """

    def __init__(self, options: HostOptions) -> None:
        self._options = options
        self._source = random.Random(options.seed)
        self._stack = AsyncExitStack()
        self._listeners: list[Listener] = []
        self._state = "Starting"
        self._supervisor: Supervisor | None = None
        self._invocations: Invocations | None = None
        self.control_url = ""
        self.functions: tuple[Function, ...] = ()

    async def __aenter__(self) -> Self:
        """Start."""
        try:
            await self._start()
        except BaseException:
            await self.drain()
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Drain and stop."""
        await self.drain()
        await self._stack.aclose()

    @property
    def functions_by_name(self) -> dict[str, Function]:
        """The app's functions by name."""
        return {function.name: function for function in self.functions}

    async def failed(self) -> None:
        """Wait for what the host can't go on from.

        Raises:
            WorkerFailureLimitError: The worker failed too often.
        """
        if self._supervisor is None:
            raise RuntimeError("the host was not started")
        await asyncio.shield(self._supervisor.gave_up)

    async def drain(self) -> None:
        """Stop pulling, let what is in flight end, settle it, and end the worker."""
        if self._state not in ("Running", "Starting") or self._supervisor is None:
            return
        self._state = "Stopping"
        for listener in self._listeners:
            listener.stop()
        self._supervisor.terminate()
        drained = asyncio.gather(*(listener.drained() for listener in self._listeners))
        _, unfinished = await asyncio.wait({drained}, timeout=self._options.drain_seconds)
        if unfinished:
            _LOG.warning("drain grace of %g s is over", self._options.drain_seconds)
        await self._supervisor.stop()  # what is still in flight fails now, and is abandoned
        _, unfinished = await asyncio.wait({drained}, timeout=_SETTLE_SECONDS)
        if unfinished:
            drained.cancel()
        await asyncio.gather(drained, return_exceptions=True)
        self._state = "Stopped"

    def status(self) -> dict[str, object]:
        """Describe the host.

        Returns:
            What the control endpoint answers.
        """
        tally = self._invocations.tally if self._invocations else None
        supervisor = self._supervisor
        return {
            "state": self._state,
            "functions": [function.name for function in self.functions],
            "inFlight": tally.in_flight if tally else 0,
            "workerPid": supervisor.worker_pid if supervisor else None,
            "workerRestarts": supervisor.restarts if supervisor else 0,
            "invocations": {
                "succeeded": tally.succeeded if tally else 0,
                "failed": tally.failed if tally else 0,
            },
            "longestInvocationSeconds": dict(tally.longest_seconds) if tally else {},
        }

    async def _start(self) -> None:
        options = self._options
        app = options.app.resolve()
        config = parse_host_json(_read(app / "host.json", "host.json"))
        local = options.local_settings
        settings = merge_settings(
            options.environment, _read(local, "local settings") if local else None
        )
        self.control_url = await self._stack.enter_async_context(
            control_server(self.status, options.control_port)
        )
        supervisor = self._supervise(app, config, settings)
        self._supervisor = supervisor
        self._stack.push_async_callback(supervisor.stop)
        indexed = await supervisor.start()
        self.functions = tuple(read_function(each, settings) for each in indexed)
        timeout = config.function_timeout
        spans = open_spans(config.telemetry_mode, settings)
        self._stack.push_async_callback(spans.close)
        invocations = Invocations(
            supervisor.invoke,
            timeout.total_seconds() if timeout is not None else None,
            time.monotonic,
            self._source,
            spans,
        )
        self._invocations = invocations
        await self._attach(config, settings, invocations)
        self._state = "Running"

    def _supervise(self, app: Path, config: HostConfig, settings: AppSettings) -> Supervisor:
        worker_options = WorkerOptions(
            app=app,
            environment={
                "FUNCTIONS_WORKER_RUNTIME": "python",
                "FUNCTIONS_EXTENSION_VERSION": "~4",
                "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
                "AzureWebJobsScriptRoot": str(app),
                **settings.environment,
            },
            output=self._options.worker_output,
            log_level=config.default_log_level.lower(),
        )

        async def start() -> WorkerProcess:
            return await start_worker(worker_options)

        return Supervisor(start, self._options.restart, time.monotonic)

    def _attach_other(
        self,
        function: Function,
        trigger: OtherTrigger,
        settings: AppSettings,
        invocations: Invocations,
    ) -> None:
        factory = self._options.listeners.get(trigger.kind)
        if factory is None:
            _LOG.warning("function %s: %s is not served yet", function.name, trigger.kind)
        else:
            self._listeners.append(factory(function, trigger, settings, invocations))

    async def _attach(
        self, config: HostConfig, settings: AppSettings, invocations: Invocations
    ) -> None:
        clients = await self._stack.enter_async_context(BusClients())
        surroundings = Surroundings(lambda: datetime.now(UTC), self._source)
        for function in self.functions:
            match function.trigger:
                case ServiceBusTrigger() as trigger:
                    listener = ServiceBusListener(
                        trigger.entity.path,
                        await clients.opener(trigger),
                        _handler(invocations, function, trigger),
                        config.service_bus,
                        surroundings,
                    )
                    self._listeners.append(listener)
                case OtherTrigger() as other:
                    self._attach_other(function, other, settings, invocations)
        await asyncio.gather(*(listener.start() for listener in self._listeners))


def _handler(
    invocations: Invocations, function: Function, trigger: ServiceBusTrigger
) -> HandleMessage:
    async def handle(message: BusMessage) -> bool:
        return await invocations.on_message(function, trigger, message)

    return handle


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigurationError(
            what, expected=f"a readable file {path}", actual=error.strerror or "an error"
        ) from error
