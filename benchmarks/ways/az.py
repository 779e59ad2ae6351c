"""`az vm assess-patches`, one process a VM, as scripts do.

What is counted is what the commands take: each process from its start to its end, with what it
starts itself. Not counted is what a script does once, such as signing in, and az's upload of
telemetry, which is off. The answers are the same as the app's: az polls until the assessment has
ended and prints its result.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from assessor.resource_id import VirtualMachineId
from localcloud.identity import SYSTEM_ASSIGNED
from localcloud.tasks import together

MAKE_TARGET: Final = "bench-az"
_AZ: Final = Path(__file__).resolve().parents[2] / ".venv" / "az" / "bin" / "az"
_CLOUD: Final = "LocalCloud"
_AUDIENCE: Final = "https://management.azure.com"
_LIMIT_SECONDS: Final = 900.0
_KIB_IN_MIB: Final = 1024
_SAID_CHARACTERS: Final = 1000
_ACCOUNTANT: Final = """
import json, os, sys
out, err = os.memfd_create("out"), os.memfd_create("err")
turned = [(os.POSIX_SPAWN_DUP2, out, 1), (os.POSIX_SPAWN_DUP2, err, 2)]
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=turned)
_, status, usage = os.wait4(pid, 0)
taken = {"code": os.waitstatus_to_exitcode(status), "kib": usage.ru_maxrss}
taken["seconds"] = usage.ru_utime + usage.ru_stime
for name, file in (("out", out), ("err", err)):
    taken[name] = os.pread(file, os.fstat(file).st_size, 0).decode(errors="replace")
json.dump(taken, sys.stdout)
"""
"""Runs one command and says what it took, as GNU time does.

The kernel counts into a process's peak RSS that of the process it was started from. So it has to
be started from a small one: this, in an interpreter with neither `site` nor anything imported.
"""


class AzError(Exception):
    """The Azure CLI did not do what it was asked for."""


class MissingAzError(AzError):
    """The Azure CLI is not installed.

    Attributes:
        path: Where it should be.
        make_target: What installs it.
    """

    def __init__(self, path: Path, make_target: str = MAKE_TARGET) -> None:
        super().__init__(f"there is no Azure CLI at {path}; `make {make_target}` installs it")
        self.path = path
        self.make_target = make_target


class AzFailedError(AzError):
    """A command of the Azure CLI failed, took too long, or printed something else than a result.

    Attributes:
        arguments: The command's arguments.
        problem: What happened.
        said: The end of what it wrote.
    """

    def __init__(self, arguments: Sequence[str], problem: str, said: str) -> None:
        self.arguments = tuple(arguments)
        self.problem = problem
        self.said = said.strip()[-_SAID_CHARACTERS:]
        super().__init__(f"az {' '.join(arguments)} {problem}: {self.said or '(nothing said)'}")


@dataclass(frozen=True, slots=True)
class ArmAddress:
    """Where a local ARM and its managed identity are.

    Attributes:
        endpoint: ARM's origin.
        ca_file: The certificate of the authority that vouches for it.
        identity_endpoint: Where the managed identity's tokens come from.
        identity_header: What has to be shown there.
    """

    endpoint: str
    ca_file: Path
    identity_endpoint: str
    identity_header: str = field(repr=False)

    @classmethod
    def of(cls, ready: Mapping[str, Any]) -> "ArmAddress":
        """Returns the address that `python -m localcloud.arm` prints when it is ready."""
        return cls(
            str(ready["armEndpoint"]),
            Path(str(ready["caFile"])),
            str(ready["identityEndpoint"]),
            str(ready["identityHeader"]),
        )


@dataclass(frozen=True, slots=True)
class AzProcess:
    """What one process took.

    Attributes:
        cpu_seconds: User and system time, with that of the processes it started.
        peak_rss_mib: The most memory that it, or one that it started, had resident.
    """

    cpu_seconds: float
    peak_rss_mib: float


@dataclass(frozen=True, slots=True)
class AzUsage:
    """What the processes took together.

    Attributes:
        processes: Each of them, in the order in which they ended.
        wall_seconds: From the first one's start to the last one's end.
    """

    processes: tuple[AzProcess, ...]
    wall_seconds: float

    @property
    def count(self) -> int:
        """How many they were: one a VM."""
        return len(self.processes)

    @property
    def cpu_seconds(self) -> float:
        """The CPU time of all of them, user and system."""
        return sum(each.cpu_seconds for each in self.processes)

    @property
    def peak_rss_mib(self) -> float:
        """The most memory that any one of them had resident."""
        return max((each.peak_rss_mib for each in self.processes), default=0.0)


async def assess(
    arm: ArmAddress,
    vm_ids: Sequence[str],
    *,
    side_by_side: int,
    limit_seconds: float = _LIMIT_SECONDS,
) -> AzUsage:
    """Assesses VMs with one `az vm assess-patches` for each.

    Args:
        arm: The running local ARM.
        vm_ids: VMs whose assessments complete: az fails for any other.
        side_by_side: How many processes there may be at a time.
        limit_seconds: How long each may take.

    Returns:
        What the processes took.

    Raises:
        MissingAzError: The Azure CLI is not installed.
        AzFailedError: A process failed, took too long, or printed no result; the others are
            ended then.
        ResourceIdError: A VM's ID is none.
    """
    if not _AZ.exists():
        raise MissingAzError(_AZ)
    turns = asyncio.Semaphore(side_by_side)
    processes: list[AzProcess] = []

    async def one(az: _Az, vm_id: str) -> None:
        arguments = ("vm", "assess-patches", "--ids", vm_id)
        async with turns:
            took, printed = await az.run(*arguments)
        check_result(arguments, printed)
        processes.append(took)

    with TemporaryDirectory(prefix="bench-az-") as folder:
        sign_in(Path(folder), arm, vm_ids)
        az = _Az(environment(arm, Path(folder)), limit_seconds)
        await az.run("vm", "assess-patches", "--help")  # makes what each first use of az makes
        began = time.perf_counter()
        await together(*(one(az, vm_id) for vm_id in vm_ids))
        wall_seconds = time.perf_counter() - began
    return AzUsage(tuple(processes), wall_seconds)


def environment(arm: ArmAddress, folder: Path) -> dict[str, str]:
    """Returns all of the environment that az gets: nothing of the user's own az, and no proxy."""
    return {
        "PATH": os.defpath,
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "AZURE_CONFIG_DIR": str(folder),
        "AZURE_CORE_COLLECT_TELEMETRY": "false",
        "AZURE_CORE_SURVEY_MESSAGE": "false",
        "AZURE_AUTO_UPGRADE_ENABLE": "false",
        "IDENTITY_ENDPOINT": arm.identity_endpoint,
        "IDENTITY_HEADER": arm.identity_header,
        "REQUESTS_CA_BUNDLE": str(arm.ca_file),
    }


def sign_in(folder: Path, arm: ArmAddress, vm_ids: Sequence[str]) -> None:
    """Leaves in az's directory what `az cloud register` and `az login --identity` would leave.

    The commands themselves ask ARM for its endpoints and subscriptions, which the local one does
    not have.

    Raises:
        ResourceIdError: A VM's ID is none.
    """
    ids = [VirtualMachineId.parse(vm_id).subscription_id for vm_id in vm_ids]
    (folder / "config").write_text(f"[cloud]\nname = {_CLOUD}\n", "utf-8")
    (folder / "clouds.config").write_text(cloud(arm), "utf-8")
    (folder / "azureProfile.json").write_text(json.dumps(profile(ids)), "utf-8")


def cloud(arm: ArmAddress) -> str:
    """Returns the registration of the cloud whose ARM is the local one, under its real audience."""
    return (
        f"[{_CLOUD}]\n"
        f"endpoint_resource_manager = {arm.endpoint}\n"
        f"endpoint_active_directory = {arm.endpoint}\n"  # never asked: the identity has its own
        f"endpoint_active_directory_resource_id = {_AUDIENCE}\n"
    )


def profile(subscription_ids: Sequence[str]) -> dict[str, Any]:
    """Returns the subscriptions, signed in to by the system-assigned managed identity."""
    # ARM tells no subscriptions apart by case, and az takes two such for an ambiguity.
    distinct = list({each.lower(): each for each in subscription_ids}.values())
    return {
        "subscriptions": [
            {
                "id": subscription_id,
                "name": subscription_id,
                "state": "Enabled",
                "isDefault": number == 0,
                "tenantId": SYSTEM_ASSIGNED.tenant_id,
                "environmentName": _CLOUD,
                "user": {
                    "name": "systemAssignedIdentity",
                    "type": "servicePrincipal",
                    "assignedIdentityInfo": "MSI",
                },
            }
            for number, subscription_id in enumerate(distinct)
        ]
    }


def check_result(arguments: Sequence[str], printed: str) -> None:
    """Holds what a process printed against what it should have: a result with a status.

    Raises:
        AzFailedError: It is something else.
    """
    try:
        result = json.loads(printed)
    except ValueError as error:
        raise AzFailedError(arguments, "printed no JSON", printed) from error
    if not isinstance(result, dict) or not result.get("status"):
        raise AzFailedError(arguments, "printed a result without a status", printed)


@dataclass(frozen=True, slots=True)
class _Az:
    """The command in one environment."""

    environment: Mapping[str, str] = field(repr=False)
    limit_seconds: float

    async def run(self, *arguments: str) -> tuple[AzProcess, str]:
        """Returns what a process took and printed; raises AzFailedError."""
        taken = await self._account(arguments)
        if taken["code"] != 0:
            problem = f"ended with exit code {taken['code']}"
            raise AzFailedError(arguments, problem, taken["err"])
        return AzProcess(taken["seconds"], taken["kib"] / _KIB_IN_MIB), taken["out"]

    async def _account(self, arguments: Sequence[str]) -> dict[str, Any]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-c", _ACCOUNTANT, str(_AZ), *arguments),
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # its group, az with it, can be ended as one
        )
        try:
            async with asyncio.timeout(self.limit_seconds):
                printed, said = await process.communicate()
        except TimeoutError as error:
            problem = f"took longer than {self.limit_seconds:g} s"
            raise AzFailedError(arguments, problem, "") from error
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode != 0:
            raise AzFailedError(arguments, "could not be started", said.decode(errors="replace"))
        taken: dict[str, Any] = json.loads(printed)
        return taken
