"""`az vm assess-patches`, one process a VM, as scripts do.

What is counted is what the commands take, with what they start themselves. Not counted is what a
script does once, such as signing in, and az's upload of telemetry, which is off. The answers are
the same as the app's: az polls until the assessment has ended and prints its result.
"""

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from tempfile import TemporaryDirectory
from typing import Any, Final

from localcloud.tasks import together

_AZ: Final = Path(__file__).resolve().parents[1] / ".venv" / "az" / "bin" / "az"
_CLOUD: Final = "LocalCloud"
_LIMIT_SECONDS: Final = 900.0
_SAID_CHARACTERS: Final = 1000


class AzError(Exception):
    """The Azure CLI is not there, failed, took too long, or printed something else than a result.

    Attributes:
        arguments: The command's arguments.
        said: The end of what it wrote.
    """

    def __init__(self, arguments: Sequence[str], problem: str, said: str = "") -> None:
        self.arguments = tuple(arguments)
        self.said = said.strip()[-_SAID_CHARACTERS:]
        super().__init__(f"az {' '.join(arguments)} {problem}: {self.said or '(nothing said)'}")


async def assess(arm: Mapping[str, Any], vm_ids: Sequence[str], *, side_by_side: int) -> float:
    """Assesses VMs with one `az vm assess-patches` for each.

    Args:
        arm: What `python -m localcloud.arm` said when it was ready.
        vm_ids: VMs whose assessments complete: az fails for any other.
        side_by_side: How many processes there may be at a time.

    Returns:
        The CPU time that a process took, in seconds, user and system, as a mean. Whoever calls
        this may wait for no other process meanwhile.

    Raises:
        AzError: The Azure CLI is not there, or a process did not print a result.
    """
    turns = asyncio.Semaphore(side_by_side)
    command = ("vm", "assess-patches")
    with TemporaryDirectory(prefix="bench-az-") as folder:
        given = environment(arm, Path(folder))
        endpoint = ("--endpoint-resource-manager", str(arm["armEndpoint"]))
        await _run(given, "cloud", "register", "--name", _CLOUD, *endpoint)
        await _run(given, "cloud", "set", "--name", _CLOUD)
        await _run(given, "login", "--identity")
        await _run(given, *command, "--help")  # makes what each first use of az makes

        async def one(vm_id: str) -> None:
            async with turns:
                printed = await _run(given, *command, "--ids", vm_id)
            check_result((*command, vm_id), printed)

        before = _children_seconds()
        await together(*(one(vm_id) for vm_id in vm_ids))
        return (_children_seconds() - before) / len(vm_ids)


def environment(arm: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Returns all of the environment that az gets: nothing of the user's own az, and no proxy."""
    return {
        "PATH": os.defpath,
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "AZURE_CONFIG_DIR": str(folder),
        "AZURE_CORE_COLLECT_TELEMETRY": "false",
        "AZURE_CORE_SURVEY_MESSAGE": "false",
        "AZURE_CORE_OUTPUT": "json",
        "AZURE_AUTO_UPGRADE_ENABLE": "false",
        "IDENTITY_ENDPOINT": str(arm["identityEndpoint"]),
        "IDENTITY_HEADER": str(arm["identityHeader"]),
        "REQUESTS_CA_BUNDLE": str(arm["caFile"]),
    }


def check_result(arguments: Sequence[str], printed: str) -> None:
    """Holds what a process printed against what it should have: a result with a status.

    Raises:
        AzError: It is something else.
    """
    try:
        result = json.loads(printed)
    except ValueError as error:
        raise AzError(arguments, "printed no JSON", printed) from error
    if not isinstance(result, dict) or not result.get("status"):
        raise AzError(arguments, "printed a result without a status", printed)


async def _run(environment: Mapping[str, str], *arguments: str) -> str:
    if not _AZ.exists():
        raise AzError(arguments, f"is not at {_AZ}; `make bench-az` installs it")
    process = await asyncio.create_subprocess_exec(
        *(str(_AZ), *arguments),
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_LIMIT_SECONDS):
            printed, said = await process.communicate()
    except TimeoutError as error:
        raise AzError(arguments, f"took longer than {_LIMIT_SECONDS:g} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        said_by_az = said.decode(errors="replace")
        raise AzError(arguments, f"ended with exit code {process.returncode}", said_by_az)
    return printed.decode()


def _children_seconds() -> float:
    usage = getrusage(RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
