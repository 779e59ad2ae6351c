"""Serves ARM, the managed identity and the control surface until told to stop.

Prints one line of JSON when ready: ``armEndpoint``, ``caFile``, ``identityEndpoint``,
``identityHeader``, ``controlUrl``.
"""

import asyncio
import json
import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from localcloud.arm.fleet import Fleet, make_fleet
from localcloud.arm.running import ArmOptions, run_arm
from localcloud.arm.scenario import ScenarioError, parse_scenario
from localcloud.arm.server import PAGE_SIZE


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        fleet = _fleet(options)
    except (OSError, ValueError, ScenarioError) as error:
        sys.stderr.write(f"--scenario {options.scenario}: {error}\n")
        return 2
    asyncio.run(_run(fleet, options))
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m localcloud.arm", description=__doc__)
    parser.add_argument("--vms", type=int, default=50, help="VMs to make, besides two recorded")
    parser.add_argument("--seed", type=int, default=1, help="makes the same fleet again")
    parser.add_argument("--time-scale", type=float, default=1, help="times faster than real")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--identity-port", type=int, default=0)
    parser.add_argument("--control-port", type=int, default=0)
    parser.add_argument("--ca-file", type=Path, help="where the authority's certificate goes")
    parser.add_argument("--scenario", type=Path, help="JSON with VMs, in place of --vms")
    parser.add_argument("--page-size", type=int, default=PAGE_SIZE, help="VMs of a list's page")
    parser.add_argument("--enforce-buckets", action="store_true", help="refuse above the limits")
    parser.add_argument(
        "--signed-urls", action="store_true", help="sign operations' URLs, and refuse others"
    )
    parser.add_argument(
        "--exit-with-parent", action="store_true", help="end when stdin, a pipe, closes"
    )
    return parser


def _fleet(options: Namespace) -> Fleet:
    if options.scenario is None:
        return make_fleet(options.seed, options.vms)
    return parse_scenario(json.loads(options.scenario.read_text("utf-8")))


async def _run(fleet: Fleet, options: Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if options.exit_with_parent:
        loop.add_reader(sys.stdin, _on_input, stop)
    arm_options = ArmOptions(
        seed=options.seed,
        time_scale=options.time_scale,
        port=options.port,
        identity_port=options.identity_port,
        control_port=options.control_port,
        ca_file=options.ca_file,
        enforce_buckets=options.enforce_buckets,
        page_size=options.page_size,
        signed_urls=options.signed_urls,
    )
    async with run_arm(fleet, arm_options) as arm:
        sys.stdout.write(json.dumps(arm.announcement()) + "\n")
        sys.stdout.flush()
        await stop.wait()


def _on_input(stop: asyncio.Event) -> None:
    """Ends the run at the end of input; what is written there means nothing."""
    if not os.read(sys.stdin.fileno(), 4096):
        stop.set()


if __name__ == "__main__":
    sys.exit(main())
