"""The console beside the demo and `up`: a process of its own, which nothing waits for."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from localcloud.cloud import CloudOptions
from localcloud.processes import Part, PartError, PartOptions, start_part
from localcloud.tasks import cancel

_SUBSCRIPTION: Final = "console"
_TIME_TO_LIVE: Final = "PT10M"
"""Nobody may look: what nobody receives goes by itself."""
_START_SECONDS: Final = 120.0
_PASSED_ON: Final = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH")


def with_console_entities(options: CloudOptions) -> CloudOptions:
    """Returns the options with a subscription for the console on each topic.

    It is the local cloud's alone: in Azure one would fill up while nobody looks. Where there is no
    console, the options stay as they are.
    """
    if find_spec("nicegui") is None:
        return options
    entities = json.loads(options.entities.read_text("utf-8"))
    options.logs.mkdir(parents=True, exist_ok=True)
    path = options.logs / "entities.json"
    path.write_text(json.dumps(console_entities(entities), indent=2), "utf-8")
    return replace(options, entities=path)


def console_entities(entities: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the emulator's configuration with the console's subscriptions."""
    changed: dict[str, Any] = deepcopy(dict(entities))
    for namespace in changed["UserConfig"]["Namespaces"]:
        for topic in namespace["Topics"]:
            topic["Subscriptions"].append(
                {
                    "Name": _SUBSCRIPTION,
                    "Properties": {
                        "DeadLetteringOnMessageExpiration": False,
                        "DefaultMessageTimeToLive": _TIME_TO_LIVE,
                        "LockDuration": "PT1M",
                        "MaxDeliveryCount": 10,
                        "RequiresSession": False,
                    },
                    "Rules": [],
                }
            )
    return changed


@asynccontextmanager
async def shown_in_console(
    local_cloud: Path, logs: Path, tell: Callable[[str], object]
) -> AsyncIterator[None]:
    """Runs the console while the block runs. Nothing waits for it, and nothing fails with it.

    Args:
        local_cloud: The file that names the running local cloud.
        logs: The directory of its log file.
        tell: Gets its address once it serves; never called where its libraries are missing.
    """
    showing = asyncio.create_task(_show(local_cloud, logs, tell))
    try:
        yield
    finally:
        await cancel(showing)


async def _show(local_cloud: Path, logs: Path, tell: Callable[[str], object]) -> None:
    if find_spec("nicegui") is None:
        return
    try:
        part = await _start(local_cloud, logs)
    except PartError:
        return  # its log says why
    try:
        tell(str(part.ready["address"]))
        await part.ended
    finally:
        await part.stop()


async def _start(local_cloud: Path, logs: Path) -> Part:
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return await start_part(
        PartOptions(
            name="console",
            module="patch_assessor_console",
            arguments=(
                "--json",
                "--port=0",
                f"--local-cloud={Path.cwd() / local_cloud}",
                "--exit-with-parent",
            ),
            environment=kept,
            log=logs / "console.log",
            start_seconds=_START_SECONDS,
        )
    )
