"""Where the local cloud is that `make up` runs here, as it tells in .localcloud/up.json."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from patch_assessor_cli.errors import CommandError

DIRECTORY: Final = Path(".localcloud")
UP_FILE: Final = DIRECTORY / "up.json"


@dataclass(frozen=True, slots=True)
class RunningCloud:
    """A local cloud that `up` runs.

    Attributes:
        pid: The process of `up`.
        connection_string: Of the bus.
        bus_control_url: Counts of messages; faults.
        arm_endpoint: ARM, over TLS.
        arm_control_url: The fleet, the calls; faults.
        ca_file: The authority that ARM's certificate is from.
        identity_endpoint: The managed identity.
        identity_header: The secret that goes with it.
        host_control_urls: The status of each host.
        logs: The directory of the log files.
        storage_connection_string: Of the tables; None without any.
        collector_url: Takes the app's telemetry and shows it; None without one.
    """

    pid: int
    connection_string: str = field(repr=False)
    bus_control_url: str
    arm_endpoint: str
    arm_control_url: str
    ca_file: str
    identity_endpoint: str
    identity_header: str = field(repr=False)
    host_control_urls: tuple[str, ...]
    logs: str
    storage_connection_string: str | None = field(default=None, repr=False)
    collector_url: str | None = None


def read_local_cloud(path: Path = UP_FILE) -> RunningCloud:
    """Returns the local cloud that runs.

    Raises:
        CommandError: None does.
    """
    found = find_local_cloud(path)
    if found is None:
        raise CommandError(
            f"No local cloud is running here ({path} names none). Start one with `make up`, or say "
            "where to go with --connection-string or --namespace."
        )
    return found


def find_local_cloud(path: Path = UP_FILE) -> RunningCloud | None:
    """Returns the local cloud that runs, or None; a file whose process is gone counts for nothing.

    Raises:
        CommandError: The file is not one of `up`'s.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
        hosts = tuple(content.pop("host_control_urls"))
        cloud = RunningCloud(**content, host_control_urls=hosts)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CommandError(f"{path} can't be used; remove it. ({error})") from error
    return cloud if _is_alive(cloud.pid) else None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
