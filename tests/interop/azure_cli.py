"""The Azure CLI against the local ARM: it registers the cloud, signs in, lists, and assesses.

Prints a line of JSON for each scenario, as `make interop` reads them.
"""

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from localcloud.arm.fleet import make_fleet
from localcloud.arm.running import ArmOptions, LocalArm, run_arm


def _tell(scenario: str, *, ok: bool) -> None:
    sys.stdout.write(json.dumps({"scenario": scenario, "ok": ok}) + "\n")
    sys.stdout.flush()


async def _az(arm: LocalArm, configuration: Path, *arguments: str) -> Any:  # noqa: ANN401 - any JSON
    """Returns what the command says; None where it failed, which is told on stderr."""
    process = await asyncio.create_subprocess_exec(
        "az",
        *arguments,
        "--output",
        "json",
        env={
            **os.environ,
            **arm.settings(),
            "REQUESTS_CA_BUNDLE": str(arm.ca_file),
            "AZURE_CONFIG_DIR": str(configuration),
            "AZURE_CORE_COLLECT_TELEMETRY": "no",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complaint = await process.communicate()
    if process.returncode:
        sys.stderr.write(complaint.decode())
        return None
    return json.loads(said or b"{}")


async def _try_all(configuration: Path) -> None:
    fleet = make_fleet(1, 20)
    vm = fleet.find("patches")
    async with run_arm(fleet, ArmOptions(time_scale=600)) as arm:

        async def az(*arguments: str) -> Any:  # noqa: ANN401 - any JSON
            return await _az(arm, configuration, *arguments)

        registered = await az(
            "cloud", "register", "--name", "Local", "--endpoint-resource-manager", arm.endpoint
        )
        _tell("cloud register finds the endpoints", ok=registered is not None)
        _tell("cloud set", ok=await az("cloud", "set", "--name", "Local") is not None)
        accounts = await az("login", "--identity") or []
        _tell(
            "login --identity shows the fleet's subscriptions",
            ok={each["id"] for each in accounts} == {each.subscription_id for each in fleet.vms},
        )
        chosen = ("--subscription", vm.subscription_id)
        groups = await az("group", "list", *chosen) or []
        _tell("group list", ok=vm.resource_group in {each["name"] for each in groups})
        vms = await az("vm", "list", *chosen) or []
        _tell("vm list", ok=vm.name in {each["name"] for each in vms})
        result = await az("vm", "assess-patches", "--ids", vm.id) or {}
        _tell("vm assess-patches follows it to its end", ok=result.get("status") == "Succeeded")


def main() -> None:
    """Tries them all."""
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(_try_all(Path(directory)))


if __name__ == "__main__":
    main()
