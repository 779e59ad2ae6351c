"""What the pages show works: commands to the letter, programs but for where they connect."""

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.integration.commands_harness import ROOT, Ended, Place
from tests.support.docs_commands import START, WITH_CLOUD, python_blocks
from tests.support.waiting import BOUND_SECONDS, eventually

pytestmark = [pytest.mark.integration, pytest.mark.deep]

_REAL_CLIENT = 'ServiceBusClient("example.servicebus.windows.net", DefaultAzureCredential())'
_LOCAL_CLIENT = 'ServiceBusClient.from_connection_string(__import__("os").environ["SERVICE_BUS"])'


class Shell:
    """Runs command lines in a directory of its own, whose `make` is this repository's."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.variables: dict[str, str] = {}
        programs = place.directory / "programs"
        programs.mkdir()
        make = programs / "make"
        # The environment that runs the tests is ready: make neither looks at it nor makes it anew.
        make.write_text(
            f"#!/bin/sh\nexec {shutil.which('make')} --no-print-directory --file={ROOT}/Makefile "
            f'--old-file={sys.prefix}/.ready VENV={sys.prefix} "$@"\n'
        )
        make.chmod(0o755)

    async def start(self, line: str) -> asyncio.subprocess.Process:
        """Starts a command line."""
        environment = {**self._place.environment, **self.variables}
        environment["PATH"] = f"{self._place.directory}/programs:{environment['PATH']}"
        return await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            f"exec {line}",
            cwd=self._place.directory,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, line: str) -> Ended:
        """Runs a command line to its end."""
        process = await self.start(line)
        async with asyncio.timeout(BOUND_SECONDS):
            out, err = await process.communicate()
        return Ended(process.returncode, out.decode(), err.decode())


@asynccontextmanager
async def started(place: Place) -> AsyncIterator[Shell]:
    """A shell beside a running local cloud, with variables that name one of its VMs."""
    shell = Shell(place)
    file = place.directory / ".localcloud" / "up.json"
    cloud = await shell.start(START)
    try:
        await eventually(
            lambda: file.exists() or cloud.returncode is not None, lambda: "up.json was not written"
        )
        assert cloud.returncode is None, await cloud.communicate()
        running = json.loads(file.read_text("utf-8"))
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{running['arm_control_url']}/fleet") as response,
        ):
            vm_id = (await response.json())["vms"][0]["id"]
        shell.variables = {
            "VM_ID": vm_id,
            "SUBSCRIPTION": vm_id.split("/")[2],
            "SERVICE_BUS": running["connection_string"],
        }
        yield shell
    finally:
        if cloud.returncode is None:
            cloud.terminate()
        await cloud.communicate()
        await place.empty()


@pytest.mark.takes(40)
async def test_what_the_pages_show_works_on_a_running_local_cloud(tmp_path: Path) -> None:
    """Each command ends with 0; what one program asks for, the other one is told."""
    async with started(Place(tmp_path)) as shell:
        for line in WITH_CLOUD:
            ended = await shell.run(line)
            assert ended.code == 0, (line, ended)
        sending, receiving = python_blocks("docs/integrate.md")
        for name, program in (("send", sending), ("receive", receiving)):
            assert program.count(_REAL_CLIENT) == 1
            local = program.replace(_REAL_CLIENT, _LOCAL_CLIENT)
            (tmp_path / f"{name}.py").write_text(
                local.replace("max_wait_time=60", "max_wait_time=20")
            )
        sent = await shell.run(f"{sys.executable} send.py")
        assert sent.code == 0, sent
        received = await shell.run(f"{sys.executable} receive.py")
        assert received.code == 0, received
        assert "vm-1 SubscriptionNotFound" in received.out, "what it asks for is not in the fleet"


async def test_the_example_of_a_validator_works() -> None:
    """As it stands, in the repository."""
    (program,) = python_blocks("schemas/README.md")
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, cwd=ROOT)
    assert await process.wait() == 0
