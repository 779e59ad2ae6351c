"""Run the host: `python -m localcloud.host --app DIR`.

Prints one JSON line on stdout when the app is indexed and the listeners are attached, and logs to
stderr. SIGTERM and SIGINT drain it. Exit codes: 0 after a drain, 1 when the app, its settings or
the worker can't be used.
"""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from localcloud.host.errors import HostError
from localcloud.host.host import FunctionsHost
from localcloud.host.logs import PlainFormatter
from localcloud.host.options import HostOptions
from localcloud.host.supervisor import RestartPolicy
from localcloud.host.timers import Timers
from localcloud.host.webhooks import event_grid_webhook

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def main() -> int:
    """Parse the command line and run.

    Returns:
        The exit code.
    """
    arguments = _parser().parse_args()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainFormatter("%(asctime)s %(levelname)s host %(message)s"))
    logging.basicConfig(level=arguments.log_level, handlers=[handler])
    logging.getLogger("azure").setLevel(logging.ERROR)  # outages are the host's to report
    options = HostOptions(
        app=arguments.app,
        environment=dict(os.environ),
        local_settings=arguments.settings,
        drain_seconds=arguments.drain_seconds,
        control_port=arguments.control_port,
        restart=replace(RestartPolicy(), failure_limit=arguments.worker_failure_limit),
        listeners={"timerTrigger": Timers(arguments.timer_state).listener},
    )
    try:
        asyncio.run(
            _run(
                options,
                event_grid_port=arguments.event_grid_port,
                exit_with_parent=arguments.exit_with_parent,
            )
        )
    except HostError as error:
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="localcloud.host", description="A local Functions host")
    parser.add_argument("--app", type=Path, required=True, help="the function app's directory")
    parser.add_argument("--settings", type=Path, help="a local.settings.json")
    parser.add_argument("--control-port", type=int, default=0)
    parser.add_argument("--event-grid-port", type=int, default=0, help="of Event Grid's webhook")
    parser.add_argument("--timer-state", type=Path, help="keeps the timers' last occurrences")
    parser.add_argument("--drain-seconds", type=float, default=60.0)
    parser.add_argument(
        "--worker-failure-limit",
        type=int,
        default=RestartPolicy().failure_limit,
        help="the worker failure within 30 minutes with which the host gives up",
    )
    parser.add_argument(
        "--exit-with-parent", action="store_true", help="drain when stdin is closed"
    )
    parser.add_argument("--log-level", choices=_LEVELS, default="INFO")
    return parser


async def _run(options: HostOptions, *, event_grid_port: int, exit_with_parent: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if exit_with_parent:
        await _watch_stdin(stop)
    async with AsyncExitStack() as stack:
        webhook = await stack.enter_async_context(event_grid_webhook(event_grid_port))
        listeners = {**options.listeners, "eventGridTrigger": webhook.listener}
        host = await stack.enter_async_context(FunctionsHost(replace(options, listeners=listeners)))
        ready = {
            "functions": [function.name for function in host.functions],
            "controlUrl": host.control_url,
            "eventGridUrl": webhook.url,
        }
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        stopping = asyncio.create_task(stop.wait())
        failing = asyncio.create_task(host.failed())
        await asyncio.wait({stopping, failing}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not failing.done():
            failing.cancel()
        elif not failing.cancelled():
            failing.result()


async def _watch_stdin(stop: asyncio.Event) -> None:
    """Set the event when stdin ends, which it does when the parent dies."""

    class UntilEnd(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
            stop.set()

    await asyncio.get_running_loop().connect_read_pipe(UntilEnd, sys.stdin)


if __name__ == "__main__":
    sys.exit(main())
