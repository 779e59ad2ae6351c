"""`run`: the demo. Assesses a fleet on the local cloud and shows what arrived."""

import asyncio
import contextlib
import sys
import time
import uuid
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Annotated, Final

import aiohttp
import typer
from azure.servicebus.aio import ServiceBusClient
from rich.console import Console

from commands import cloud_options
from commands.arrivals import Arrival
from commands.client import (
    ALERTS_TOPIC,
    REQUESTS_QUEUE,
    RESULTS_TOPIC,
    Connection,
    Subscription,
    follow,
    open_client,
    send,
)
from commands.control import read_fleet, read_waiting
from commands.display import Snapshot, make_console, make_display
from commands.errors import CommandError, ExitCode
from commands.fleet_requests import fleet_requests
from commands.ledger import Ledger
from commands.report import print_report
from commands.running import run as run_to_end
from localcloud.cloud import CloudOptions, LocalCloud

_SUBSCRIPTIONS: Final = (Subscription(RESULTS_TOPIC, "all"), Subscription(ALERTS_TOPIC, "all"))
_LOOK_SECONDS: Final = 0.25


def run(  # noqa: PLR0913 - one for each command line option
    *,
    vms: cloud_options.Vms = 25,
    seed: cloud_options.Seed = 1,
    time_scale: cloud_options.TimeScale = 60.0,
    workers: cloud_options.Workers = 1,
    out: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write every message that arrives here, as JSON lines."),
    ] = None,
    give_up_after: Annotated[
        float, typer.Option(min=1, help="Seconds after which missing outcomes are given up.")
    ] = 300.0,
    logs: cloud_options.Logs = cloud_options.DEFAULT_LOGS,
    setting: cloud_options.Setting = None,
) -> None:
    """Assess a fleet on the local cloud, and show what arrived.

    Starts a Service Bus, ARM and a managed identity on this machine, and the app in a Functions
    host. Asks for an assessment of each VM of a made-up fleet, stopped and missing ones included,
    in every form that a request can have, and sends one message that has to be rejected. Receives
    from both topics until each request has its one outcome.

    Exit code 0 when each request has its one outcome, 1 when one is missing or doubled.
    """
    options = cloud_options.make_options(
        vms=vms, seed=seed, time_scale=time_scale, workers=workers, logs=logs, settings=setting
    )
    run_to_end(_run(options, out, give_up_after))


async def _run(options: CloudOptions, out: Path | None, give_up_after: float) -> ExitCode:
    console = make_console(is_terminal=sys.stdout.isatty())
    with _output(out) as file:
        began = time.monotonic()
        console.print(
            f"Starting Service Bus, ARM with {options.vms} VMs, a managed identity and the app; "
            f"logs are in {options.logs}",
            soft_wrap=True,
        )
        async with cloud_options.start(options) as cloud:
            console.print(f"Ready after {time.monotonic() - began:.1f} s.")
            demo = _Demo(console, cloud, file)
            await cloud.guard(demo.assess_fleet(give_up_after))
    print_report(console, demo.ledger, demo.seconds, demo.dead_letters)
    return ExitCode.DONE if demo.ledger.is_right else ExitCode.FAILED


class _Demo:
    """One run: what is expected, what came, and how long it took."""

    def __init__(self, console: Console, cloud: LocalCloud, out: IO[str] | None) -> None:
        self.ledger = Ledger(())
        self.seconds = 0.0
        self.dead_letters = 0
        self._console = console
        self._cloud = cloud
        self._out = out

    async def assess_fleet(self, give_up_after: float) -> None:
        """Asks for all VMs, and returns when all is told or the time is over."""
        async with (
            aiohttp.ClientSession() as session,
            open_client(Connection(self._cloud.connection_string)) as client,
        ):
            vm_ids = await read_fleet(session, str(self._cloud.arm.ready["controlUrl"]))
            requests = fleet_requests(vm_ids, lambda: str(uuid.uuid4()))
            self.ledger = Ledger(each for request in requests for each in request.expected)
            began = time.monotonic()
            await send(client, REQUESTS_QUEUE, [request.message for request in requests])
            self._console.print(
                f"Sent {len(requests)} messages that ask for {len(vm_ids)} VMs; "
                "one of them has to be rejected."
            )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(give_up_after):
                    await self._follow(client, session, began)
            self.seconds = time.monotonic() - began

    async def _follow(
        self, client: ServiceBusClient, session: aiohttp.ClientSession, began: float
    ) -> None:
        tasks = [
            asyncio.create_task(follow(client, _SUBSCRIPTIONS, self._take)),
            asyncio.create_task(self._watch(session, began)),
        ]
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _take(self, arrival: Arrival) -> bool:
        self.ledger.take(arrival)
        if self._out is not None:
            self._out.write(f"{arrival.to_line()}\n")
        return True

    async def _watch(self, session: aiohttp.ClientSession, began: float) -> None:
        """Shows how far it is until nothing is on its way any more."""
        url = str(self._cloud.bus.ready["controlUrl"])
        with make_display(self._console) as display:
            while True:
                waiting = await read_waiting(session, url)
                self.dead_letters = waiting.dead
                display.show(
                    Snapshot(
                        seconds=time.monotonic() - began,
                        requested=len(self.ledger.expected),
                        waiting=waiting,
                        outcomes=self.ledger.outcomes_by_type(),
                        alerts=self.ledger.alerts_by_condition(),
                    )
                )
                if waiting.is_over:
                    return
                await asyncio.sleep(_LOOK_SECONDS)


def _output(path: Path | None) -> AbstractContextManager[IO[str] | None]:
    """Opens the file for what arrives.

    Raises:
        CommandError: It can't be written.
    """
    if path is None:
        return contextlib.nullcontext()
    try:
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} can't be written: {error.strerror}.") from error
