"""The local cloud put together: a bus, ARM with a managed identity, tables, and hosts with the app.

Each part is a process (`localcloud.processes`), so that tests can kill one as Azure takes machines
away. The app gets app settings and nothing else. Left out of what a real environment has: the
host's own blobs in the storage, and any scaling by load: there are as many hosts as were asked for.
Event Grid's events go to a host's webhook: `localcloud.eventgrid`.
"""

import asyncio
import os
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn, Self, TypeVar

from localcloud.arm.model import DEFAULT_DURATION_SECONDS
from localcloud.azurite import install
from localcloud.control import Addresses
from localcloud.processes import Part, PartError, PartOptions, start_part
from localcloud.tasks import cancel, together

_ROOT = Path(__file__).resolve().parents[1]
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
_PASSED_ON_PREFIX = "OTEL_"
_REAL_MINUTES = DEFAULT_DURATION_SECONDS / 60
_SETTLE_SECONDS = 25.0
"""What the host may take to settle and to end its worker after the drain."""
_DEMO_SETTINGS = {
    "FUNCTIONS_WORKER_RUNTIME": "python",
    "PYTHON_ENABLE_OPENTELEMETRY": "true",
    "ASSESS_HOLD_SECONDS": "2",
    "OTEL_SERVICE_NAME": "patch-assessor",
}

_TRUSTS_NOBODY = {"SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull}
"""For parts that nothing but the loopback interface leads to: aiohttp reads all authorities that
the machine trusts when it is imported, which is a tenth of such a part's start."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CloudOptions:
    """What the local cloud is made of.

    Attributes:
        logs: The directory that the parts log to, one file for each.
        app: The function app's directory.
        entities: The bus's queues and topics, in the official emulator's format.
        vms: How many VMs the fleet has, besides the two recorded ones.
        seed: Makes the same fleet again.
        time_scale: How many times faster than real assessments run.
        scenario: A JSON file with the fleet's VMs, in place of `vms`.
        page_size: How many VMs a page of ARM's lists has; None for what ARM does by itself.
        enforce_limits: Whether ARM refuses calls above its documented limits.
        signed_urls: Whether ARM signs operations' URLs, and refuses others.
        tables: Whether the app gets tables, of an Azurite (`localcloud.azurite`); without them
            each worker remembers by itself, and no longer than it lives.
        hosts: How many hosts, each with one worker, run the app.
        drain_seconds: How long a host may take to end what it works on.
        settings: More app settings; they win over what the local cloud sets.
    """

    logs: Path
    app: Path = _ROOT
    entities: Path = _ROOT / "infra" / "servicebus.json"
    vms: int = 25
    seed: int = 1
    time_scale: float = 60.0
    scenario: Path | None = None
    enforce_limits: bool = False
    page_size: int | None = None
    signed_urls: bool = False
    tables: bool = False
    hosts: int = 1
    drain_seconds: float = 20.0
    settings: Mapping[str, str] = field(default_factory=dict)


class LocalCloud:
    """A running local cloud; an async context manager.

    Entering starts the parts and waits until the hosts serve; leaving drains the hosts, then stops
    the rest. Nothing outlives it, not even when the process that has it is killed.

    Attributes:
        options: What it is made of.
        hosts: The hosts, each a process.
    """

    def __init__(self, options: CloudOptions) -> None:
        self.options = options
        self.hosts: list[Part] = []
        self._hosts_made = 0
        self._bus: Part | None = None
        self._arm: Part | None = None
        self._azurite: Part | None = None
        self._state = TemporaryDirectory(prefix="localcloud-bus-")
        self._failure: asyncio.Future[PartError] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        """Starts the parts.

        Raises:
            PartError: One of them does not start.
            AzuriteError: There should be tables, and Azurite could not be installed.
        """
        for name in ("bus", "arm", "azurite", "host-*"):
            for log in self.options.logs.glob(f"{name}.log"):
                log.unlink(missing_ok=True)
        try:
            await together(self._start_bus(), self._start_arm(), self._start_azurite())
            await together(*(self.add_host() for _ in range(self.options.hosts)))
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Drains the hosts and stops the rest."""
        await self._stop()

    @property
    def bus(self) -> Part:
        """The bus, a process."""
        return _running(self._bus)

    @property
    def arm(self) -> Part:
        """ARM and the managed identity, a process."""
        return _running(self._arm)

    @property
    def connection_string(self) -> str:
        """What clients connect to the bus with."""
        return str(self.bus.ready["connectionString"])

    @property
    def storage_connection_string(self) -> str | None:
        """What clients connect to the tables with; None if there are none."""
        return None if self._azurite is None else str(self._azurite.ready["connectionString"])

    @property
    def control_addresses(self) -> Addresses:
        """Where the bus and ARM are controlled, by `localcloud.control`."""
        return Addresses(
            bus=str(self.bus.ready["controlUrl"]), arm=str(self.arm.ready["controlUrl"])
        )

    @property
    def app_settings(self) -> dict[str, str]:
        """The app settings that the hosts get."""
        arm, storage = self.arm.ready, self.storage_connection_string
        return {
            **_DEMO_SETTINGS,
            "ASSESS_EXPECTED_MINUTES": f"{_REAL_MINUTES / self.options.time_scale:g}",
            **({} if storage is None else {"PostureStorage": storage}),
            "ServiceBus": self.connection_string,
            "ARM_ENDPOINT": str(arm["armEndpoint"]),
            "SSL_CERT_FILE": str(arm["caFile"]),
            "IDENTITY_ENDPOINT": str(arm["identityEndpoint"]),
            "IDENTITY_HEADER": str(arm["identityHeader"]),
            **self.options.settings,
        }

    async def add_host(self) -> Part:
        """Starts one more host, as a scale-out does.

        Returns:
            The host, serving.

        Raises:
            PartError: It does not start.
        """
        self._hosts_made += 1
        drain = self.options.drain_seconds
        host = await self._start(
            f"host {self._hosts_made}",
            "localcloud.host",
            f"--app={self.options.app}",
            f"--drain-seconds={drain:g}",
            environment=self.app_settings,
            stop_seconds=drain + _SETTLE_SECONDS,
        )
        self.hosts.append(host)
        return host

    async def stop_host(self, host: Part) -> None:
        """Drains a host, as a scale-in does."""
        self.hosts.remove(host)
        await host.stop()

    async def kill_host(self, host: Part) -> None:
        """Ends a host at once; its worker ends with it."""
        self.hosts.remove(host)
        await host.kill()

    async def restart_bus(self) -> None:
        """Stops the bus and starts it again at the same address with the same messages.

        Raises:
            PartError: It does not start again.
        """
        port, control_url = int(self.bus.ready["amqpPort"]), str(self.bus.ready["controlUrl"])
        await self.bus.stop()
        await self._start_bus(f"--port={port}", f"--control-port={control_url.rpartition(':')[2]}")

    async def failed(self) -> NoReturn:
        """Waits for a part to end that should run.

        Raises:
            PartError: One did.
        """
        raise await asyncio.shield(self._failure)

    async def guard(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs `work` for as long as every part runs.

        Returns:
            What the work returns.

        Raises:
            PartError: A part ended first; the work is cancelled then.
        """
        working, failing = asyncio.create_task(work), asyncio.create_task(self.failed())
        try:
            await asyncio.wait({working, failing}, return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else failing.result()
        finally:
            await cancel(working, failing)

    async def _start_bus(self, *arguments: str) -> None:
        self._bus = await self._start(
            "bus",
            "localcloud.servicebus",
            f"--config={self.options.entities}",
            f"--state={Path(self._state.name, 'bus.json')}",
            *arguments,
            environment=_TRUSTS_NOBODY,
        )

    async def _start_arm(self) -> None:
        options = self.options
        self._arm = await self._start(
            "ARM",
            "localcloud.arm",
            f"--seed={options.seed}",
            f"--time-scale={options.time_scale:g}",
            f"--scenario={options.scenario}" if options.scenario else f"--vms={options.vms}",
            *([f"--page-size={options.page_size}"] if options.page_size else []),
            *(["--enforce-buckets"] if options.enforce_limits else []),
            *(["--signed-urls"] if options.signed_urls else []),
            environment=_TRUSTS_NOBODY,
        )

    async def _start_azurite(self) -> None:
        if self.options.tables:
            await install()  # here, where npm finds its settings
            self._azurite = await self._start("Azurite", "localcloud.azurite")

    async def _start(
        self,
        name: str,
        module: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        stop_seconds: float = 15.0,
    ) -> Part:
        part = await start_part(
            PartOptions(
                name=name,
                module=module,
                arguments=(*arguments, "--exit-with-parent"),
                environment={**_inherited(), **(environment or {})},
                log=self.options.logs / f"{name.lower().replace(' ', '-')}.log",
                stop_seconds=stop_seconds,
            )
        )
        part.ended.add_done_callback(lambda _: self._on_end(part))
        return part

    def _on_end(self, part: Part) -> None:
        if not part.stopping and not self._failure.done():
            self._failure.set_result(part.ended_early())

    async def _stop(self) -> None:
        try:
            await asyncio.gather(*(host.stop() for host in self.hosts))
            rest = [part for part in (self._bus, self._arm, self._azurite) if part is not None]
            await asyncio.gather(*(part.stop() for part in rest))
        finally:
            self._state.cleanup()


def _running(part: Part | None) -> Part:
    if part is None:
        raise RuntimeError("the local cloud was not started")
    return part


def _inherited() -> dict[str, str]:
    """Returns what the parts get of this process's environment.

    Not all of it: a proxy or an Azure setting of the shell would change what the app does.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIX)
    }
