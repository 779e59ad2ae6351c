"""The console's command and its guard, by raw requests; its pages are in tests/browser."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest
import pytest_asyncio

from tests.browser.rig_process import rig
from tests.integration.commands_harness import ROOT
from tests.support.waiting import BOUND_SECONDS

if find_spec("nicegui") is None:
    pytest.skip("the console's libraries are not installed", allow_module_level=True)

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

_SOCKET = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}
_SOCKET_PATH = "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port() -> AsyncIterator[int]:
    """The port of a console over a small fleet."""
    async with rig(3) as running:
        yield int(running.address.rpartition(":")[2])


async def status(port: int, path: str, headers: list[tuple[str, str]]) -> int:
    """Returns the status that a request of exactly these headers gets."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        async with asyncio.timeout(BOUND_SECONDS):
            line = await reader.readline()
        return int(line.split()[1])
    finally:
        writer.close()


def _with(port: int, more: Mapping[str, str]) -> list[tuple[str, str]]:
    headers = {"Host": f"127.0.0.1:{port}", **more}
    return [(name, value.replace("PORT", str(port))) for name, value in headers.items()]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "localhost:PORT"},
        {"Host": "LOCALHOST:PORT", "Origin": "http://localhost:PORT"},
        {"Host": "[::1]:PORT"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:PORT"},
        {"Sec-Fetch-Site": "none"},
    ],
)
async def test_the_consoles_own_pages_are_answered(port: int, headers: dict[str, str]) -> None:
    """By each name of the loopback interface, pages and web sockets alike."""
    assert await status(port, "/", _with(port, headers)) == 200
    assert await status(port, "/fleet.csv", _with(port, headers)) == 200
    assert await status(port, _SOCKET_PATH, _with(port, headers | _SOCKET)) == 101


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example:PORT"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1:1"},
        {"Host": "127.0.0.1.evil.example:PORT"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:PORT"},
        {"Origin": "https://127.0.0.1:PORT"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_another_host_or_origin_is_refused(port: int, headers: dict[str, str]) -> None:
    """DNS rebinding, cross-site requests and cross-site web sockets."""
    for path, more in (("/", {}), ("/fleet.csv", {}), (_SOCKET_PATH, _SOCKET)):
        assert await status(port, path, _with(port, headers | more)) in {400, 403}, path


async def test_two_hosts_are_none(port: int) -> None:
    """Whoever stands between may take another one of them for the true one."""
    twice = [*_with(port, {}), ("Host", "evil.example")]
    assert await status(port, "/", twice) in {400, 403}


async def test_every_answer_forbids_what_is_from_elsewhere(port: int) -> None:
    """And that another page shows it in a frame."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        async with asyncio.timeout(BOUND_SECONDS):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    finally:
        writer.close()
    assert "content-security-policy: default-src 'self'" in head
    assert "frame-ancestors 'none'" in head


async def test_a_console_says_where_it_is_and_ends_with_whoever_started_it(tmp_path: Path) -> None:
    """It serves while the namespace is away, and says so on its pages alone."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "patch_assessor_cli", "console", "--json", "--port", "0"),
        "--exit-with-parent",
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "ServiceBus": _NOBODY, "HOME": str(tmp_path)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(BOUND_SECONDS):
            address = json.loads(await process.stdout.readline())["address"]
            port = int(address.rpartition(":")[2])
            assert await status(port, "/flow", _with(port, {})) == 200
            _, complaints = await process.communicate()  # closes its stdin
        assert process.returncode == 0, complaints
        assert b"Traceback" not in complaints
        assert b"secret" not in complaints
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


_NOBODY = (
    "Endpoint=sb://localhost:1;SharedAccessKeyName=x;SharedAccessKey=secret;"
    "UseDevelopmentEmulator=true"
)
