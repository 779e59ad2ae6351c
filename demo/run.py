"""`run`: the demo. Assesses a fleet on the local cloud and shows what arrived."""

import contextlib
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import IO, Annotated, Final

import typer
from rich.console import Console

from demo import cloud_options
from demo.console import shown_in_console, with_console_entities
from demo.demo import Demo
from demo.report import print_verdict
from demo.tables import with_tables
from demo.traces import collected, collector_url, print_trace
from demo.up import describe, write_local_cloud
from localcloud.cloud import CloudOptions
from patch_assessor_cli.console import make_console
from patch_assessor_cli.errors import CommandError, ExitCode
from patch_assessor_cli.local import DIRECTORY, RunningCloud
from patch_assessor_cli.running import run as run_to_end

_RUN_FILE: Final = DIRECTORY / "run.json"
"""Not the file of `up`: commands are not to find a demo that is over in a minute."""


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

    Starts a Service Bus, ARM, a managed identity and tables on this machine, and the app in a
    Functions host. Asks for an assessment of each VM of a made-up fleet, stopped and missing ones
    included, in every form that a request can have, and sends one message that has to be rejected.
    Receives from both topics until each request has its one outcome. Then one VM lacks a patch,
    lacks another one, and lacks none again; it is assessed after each change. Ends with the trace
    of the assessment that went through the most invocations.

    Exit code 0 when each request has its one outcome and each change its one alert, 1 when one is
    missing or doubled.
    """
    options = cloud_options.make_options(
        vms=vms, seed=seed, time_scale=time_scale, workers=workers, logs=logs, settings=setting
    )
    run_to_end(_run(options, out, give_up_after))


async def _run(options: CloudOptions, out: Path | None, give_up_after: float) -> ExitCode:
    console = make_console(is_terminal=sys.stdout.isatty())
    with _output(out) as file:
        options = await with_tables(
            with_console_entities(options), lambda line: console.print(line, soft_wrap=True)
        )
        async with collected(options) as (options, collector):
            began = time.monotonic()
            console.print(_starting(options), soft_wrap=True)
            async with cloud_options.start(options) as cloud:
                console.print(f"Ready after {time.monotonic() - began:.1f} s.")
                demo = Demo(console, cloud, file, give_up_after)
                running = describe(cloud, collector_url(options, collector))
                async with _shown(running, options.logs, console):
                    await cloud.guard(demo.perform())
        # The hosts are drained, so all that they had to tell has been told.
        print_trace(console, collector, demo.changes.trace_ids if demo.changes else ())
    print_verdict(
        console, demo.ledger, demo.changes, seconds=demo.seconds, dead_letters=demo.dead_letters
    )
    return ExitCode.DONE if demo.is_right else ExitCode.FAILED


@asynccontextmanager
async def _shown(running: RunningCloud, logs: Path, console: Console) -> AsyncIterator[None]:
    """Shows the demo in the console while the block runs, and says where."""
    write_local_cloud(running, _RUN_FILE)
    try:
        async with shown_in_console(
            _RUN_FILE, logs, lambda address: console.print(f"Watch it at {address}")
        ):
            yield
    finally:
        _RUN_FILE.unlink(missing_ok=True)


def _starting(options: CloudOptions) -> str:
    tables = " Azurite's tables," if options.tables else ""
    return (
        f"Starting Service Bus, ARM with {options.vms} VMs, a managed identity,{tables} and the "
        f"app; logs are in {options.logs}"
    )


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
