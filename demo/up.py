"""`up`: leaves the local cloud and the app running, and says how to reach them."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import aiohttp

from demo import cloud_options
from demo.console import shown_in_console, with_console_entities
from demo.tables import with_tables
from demo.traces import collected, collector_url
from localcloud.cloud import CloudOptions, LocalCloud
from localcloud.control import Control
from patch_assessor_cli.errors import CommandError, ExitCode
from patch_assessor_cli.local import UP_FILE, RunningCloud, find_local_cloud
from patch_assessor_cli.running import run as run_to_end

_SHOWN_VMS = 3


def up(  # noqa: PLR0913 - one for each command line option
    *,
    vms: cloud_options.Vms = 25,
    seed: cloud_options.Seed = 1,
    time_scale: cloud_options.TimeScale = 20.0,
    workers: cloud_options.Workers = 1,
    logs: cloud_options.Logs = cloud_options.DEFAULT_LOGS,
    setting: cloud_options.Setting = None,
) -> None:
    """Leave the local cloud and the app running until Ctrl-C.

    Prints how to reach each part, and writes it to .localcloud/up.json, where the other
    commands look. Nothing outlives this command.

    Exit code 130 after Ctrl-C, 1 when a part ends by itself.
    """
    options = cloud_options.make_options(
        vms=vms, seed=seed, time_scale=time_scale, workers=workers, logs=logs, settings=setting
    )
    run_to_end(_up(options))


async def _up(options: CloudOptions) -> ExitCode:
    other = find_local_cloud()
    if other is not None:
        raise CommandError(
            f"A local cloud runs here already, as process {other.pid}. Stop it first, with Ctrl-C "
            f"where it was started or with `kill {other.pid}`."
        )
    options = await with_tables(with_console_entities(options), _tell)
    async with collected(options) as (options, collector), cloud_options.start(options) as cloud:
        running = describe(cloud, collector_url(options, collector))
        async with aiohttp.ClientSession() as session:
            vm_ids = await Control(session, cloud.control_addresses).vm_ids()
        write_local_cloud(running)
        try:
            sys.stdout.write(welcome(running, vm_ids))
            sys.stdout.flush()
            async with shown_in_console(UP_FILE, options.logs, _tell_console):
                await cloud.failed()
        finally:
            UP_FILE.unlink(missing_ok=True)


def write_local_cloud(cloud: RunningCloud, path: Path = UP_FILE) -> None:
    """Writes the file, readable by this user alone, all at once.

    Raises:
        OSError: It can't be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(cloud), file, indent=2)
        file.write("\n")
    draft.replace(path)


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _tell_console(address: str) -> None:
    _tell(f"The console is at {address}")


def describe(cloud: LocalCloud, collector: str | None = None) -> RunningCloud:
    """Returns where the parts of a local cloud are, and the collector beside it."""
    bus, arm = cloud.bus.ready, cloud.arm.ready
    return RunningCloud(
        pid=os.getpid(),
        connection_string=cloud.connection_string,
        bus_control_url=str(bus["controlUrl"]),
        arm_endpoint=str(arm["armEndpoint"]),
        arm_control_url=str(arm["controlUrl"]),
        ca_file=str(arm["caFile"]),
        identity_endpoint=str(arm["identityEndpoint"]),
        identity_header=str(arm["identityHeader"]),
        host_control_urls=tuple(str(host.ready["controlUrl"]) for host in cloud.hosts),
        logs=str(cloud.options.logs),
        storage_connection_string=cloud.storage_connection_string,
        collector_url=collector,
    )


def welcome(cloud: RunningCloud, vm_ids: list[str]) -> str:
    """Returns what `up` prints: how to reach each part, and what to try."""
    hosts = [(f"host {number}", url) for number, url in enumerate(cloud.host_control_urls, 1)]
    parts: list[tuple[str, Any]] = [
        ("Service Bus", cloud.connection_string),
        ("  counts, faults", f"{cloud.bus_control_url}/entities"),
        ("ARM", cloud.arm_endpoint),
        ("  its authority", cloud.ca_file),
        ("  fleet, calls, faults", f"{cloud.arm_control_url}/fleet"),
        ("managed identity", cloud.identity_endpoint),
        ("  its header", cloud.identity_header),
        *_tables(cloud),
        *((name, f"{url}/admin/host/status") for name, url in hosts),
        ("logs", cloud.logs),
    ]
    lines = [
        "The local cloud and the app are running; Ctrl-C stops them.",
        "",
        *(f"{name:24}{value}" for name, value in parts),
        "",
        "Some of the VMs:",
        *(f"  {vm_id}" for vm_id in vm_ids[:_SHOWN_VMS]),
        "",
        "To try, in other terminals:",
        "  make watch",
    ]
    if vm_ids:
        lines.append(f"  make send ARGS='{vm_ids[0]}'")
    if cloud.storage_connection_string is not None:
        lines.append("  make posture")
    return "\n".join([*lines, "  make dead-letters ARGS=list", "", ""])


def _tables(cloud: RunningCloud) -> list[tuple[str, str]]:
    storage = cloud.storage_connection_string
    return [] if storage is None else [("tables", storage)]
