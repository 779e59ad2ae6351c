"""`console`: serves the page, and says where."""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Coroutine
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from patch_assessor_cli.client import (
    ALERTS_TOPIC,
    IN_PROGRESS_QUEUE,
    REQUESTS_QUEUE,
    RESULTS_TOPIC,
    Connection,
    Subscription,
    choose_connection,
)
from patch_assessor_cli.connection_options import ConnectionString, Namespace
from patch_assessor_cli.errors import ExitCode
from patch_assessor_cli.local import UP_FILE, RunningCloud, read_local_cloud
from patch_assessor_cli.running import run as run_to_end
from patch_assessor_console.target import SUBSCRIPTION, LocalParts, Target

_GIVE_WAY: Final = 10


def console(  # noqa: PLR0913 - one for each command line option
    *,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where to listen, on 127.0.0.1; 0 is a free one.")
    ] = 8321,
    stale_hours: Annotated[
        float, typer.Option(min=0, help="From which age on an assessment counts as stale.")
    ] = 48.0,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Offer nothing that sends or changes.")
    ] = False,
    subscription: Annotated[
        str, typer.Option(help="The subscription of either topic that is the console's own.")
    ] = SUBSCRIPTION,
    results_topic: Annotated[str, typer.Option(envvar="RESULTS_TOPIC")] = RESULTS_TOPIC,
    alerts_topic: Annotated[str, typer.Option(envvar="ALERTS_TOPIC")] = ALERTS_TOPIC,
    requests_queue: Annotated[str, typer.Option(envvar="REQUESTS_QUEUE")] = REQUESTS_QUEUE,
    in_progress_queue: Annotated[str, typer.Option(envvar="IN_PROGRESS_QUEUE")] = IN_PROGRESS_QUEUE,
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage", envvar="PostureStorage", show_envvar=True, help="The storage account."
        ),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(
            "--table-service-uri",
            envvar="PostureStorage__tableServiceUri",
            metavar="URI",
            help="The account's table endpoint, with whichever identity DefaultAzureCredential "
            "finds.",
        ),
    ] = None,
    table: Annotated[str, typer.Option(envvar="POSTURE_TABLE", help="The table.")] = "vmposture",
    collector: Annotated[
        str | None, typer.Option(metavar="URL", help="The local cloud's collector of traces.")
    ] = None,
    local_cloud: Annotated[
        Path, typer.Option(help="The file that names a running local cloud.", dir_okay=False)
    ] = UP_FILE,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the address as a JSON object.")
    ] = False,
    exit_with_parent: Annotated[
        bool,
        typer.Option(
            "--exit-with-parent",
            help="End when stdin is closed, and give way to other processes.",
            hidden=True,
        ),
    ] = False,
    connection_string: ConnectionString = None,
    namespace: Namespace = None,
) -> None:
    """Serve a page on this machine that shows the fleet and the system at work.

    Receives from a subscription of its own of either topic, reads the posture table and the
    entities' counts, and looks into the in-progress queue without receiving from it. On a real
    namespace it goes with your own sign-in, and shows what that may read.
    """
    if find_spec("nicegui") is None:
        sys.stderr.write("The console needs its libraries: pip install 'patch-assessor[console]'\n")
        raise typer.Exit(ExitCode.FAILED)

    async def main() -> ExitCode:
        from patch_assessor_console.server import serve  # noqa: PLC0415 - needs its libraries

        logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
        logging.getLogger("azure").setLevel(logging.CRITICAL)  # outages are the page's to tell
        running = _local(local_cloud, connection_string or namespace)
        if running is not None:
            connection = Connection(running.connection_string)
        else:
            connection = choose_connection(connection_string, namespace)
        target = Target(
            connection,
            results=Subscription(results_topic, subscription),
            alerts=Subscription(alerts_topic, subscription),
            requests_queue=requests_queue,
            in_progress_queue=in_progress_queue,
            storage=storage or (running.storage_connection_string if running else None),
            table_endpoint=endpoint,
            table=table,
            collector=collector or (running.collector_url if running else None),
            local=LocalParts.of(running) if running else None,
            may_send=not read_only,
        )
        serving = serve(
            target,
            port=port,
            stale_after=timedelta(hours=stale_hours),
            ready=lambda address: _tell(address, as_json=as_json),
        )
        if exit_with_parent:
            os.nice(_GIVE_WAY)
            await _until_stdin_ends(serving)
        else:
            await serving
        return ExitCode.DONE

    run_to_end(main())


def _local(file: Path, elsewhere: str | None) -> RunningCloud | None:
    """Returns the local cloud to go to; None where another namespace was named.

    Raises:
        CommandError: None was named, and no local cloud runs.
    """
    return None if elsewhere else read_local_cloud(file)


async def _until_stdin_ends(work: Coroutine[Any, Any, None]) -> None:
    """Runs `work`, and ends it when whoever started this is gone."""
    reader, loop = asyncio.StreamReader(), asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    working, ending = asyncio.create_task(work), asyncio.create_task(reader.read())
    try:
        done, _ = await asyncio.wait({working, ending}, return_when=asyncio.FIRST_COMPLETED)
        if working in done:
            working.result()
    finally:
        for task in (working, ending):
            task.cancel()
        await asyncio.gather(working, ending, return_exceptions=True)


def _tell(address: str, *, as_json: bool) -> None:
    sys.stdout.write(
        json.dumps({"address": address}) if as_json else f"The console is at {address}"
    )
    sys.stdout.write("\n")
    sys.stdout.flush()
