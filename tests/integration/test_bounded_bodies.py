"""Bodies without end: what bounds them holds while they are read, through the SDK's transport."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
from azure.core.exceptions import IncompleteReadError
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.rest import HttpRequest

from assessor import http
from assessor.arm.errors import ArmError, Phase, Verdict, judge
from assessor.arm.sdk_errors import arm_errors

pytestmark = pytest.mark.integration

LIMIT = 1_000_000
OBJECT = json.dumps({"value": ["x" * 100] * 1000}).encode()


def _deflated(body: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(body) + deflater.flush()


@dataclass
class Server:
    """Answers each call with the same head and body, the body over and over again if it is told.

    Attributes:
        head: the lines after the status.
        body: what follows.
        endless: whether it goes on until the client goes.
        sent: how many bytes of bodies it has written.
        connections: how often somebody connected.
    """

    head: bytes
    body: bytes
    endless: bool = False
    sent: int = 0
    connections: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers whoever has connected, until he goes."""
        self.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\n" + self.head + b"\r\n")
                await self._write(writer)
                while self.endless:
                    await self._write(writer)
        self.gone.set()
        writer.close()

    async def _write(self, writer: asyncio.StreamWriter) -> None:
        writer.write(self.body)
        await writer.drain()
        self.sent += len(self.body)


@asynccontextmanager
async def asked(server: Server) -> AsyncIterator[Callable[[], "asyncio.Task[bytes]"]]:
    """Gives what asks the server through a worker's transport."""
    async with AsyncExitStack() as stack:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        stack.callback(listening.close)
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
        transport = await http.open_transport(url, stack)
        yield lambda: asyncio.ensure_future(_body(transport, url))


async def _body(transport: AioHttpTransport, url: str) -> bytes:
    answer = await transport.send(HttpRequest("GET", url))
    body: bytes = await answer.read()
    return body


def _sized(body: bytes, encoding: str = "") -> Server:
    head = f"Content-Length: {len(body)}\r\n"
    return Server((head + (f"Content-Encoding: {encoding}\r\n" if encoding else "")).encode(), body)


@pytest.fixture(autouse=True)
def limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lowers the bound, which is 32 MiB, so that nobody has to send that much."""
    monkeypatch.setattr(http, "MOST_BYTES", LIMIT)


@pytest.mark.parametrize(
    "server",
    [
        pytest.param(_sized(OBJECT), id="plain"),
        pytest.param(_sized(gzip.compress(OBJECT), "gzip"), id="gzip"),
        pytest.param(_sized(_deflated(OBJECT), "deflate"), id="deflate"),
        pytest.param(_sized(b" " * (LIMIT - len(OBJECT)) + OBJECT), id="as large as may be"),
    ],
)
async def test_a_body_within_the_bound_is_read_and_its_connection_used_again(
    server: Server,
) -> None:
    """The bound costs nothing of what the pool is for."""
    async with asked(server) as ask:
        bodies = [(await ask()).strip() for _ in range(3)]
    assert bodies == [OBJECT] * 3
    assert server.connections == 1


@pytest.mark.parametrize(
    "head",
    [
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 99999999999\r\n",
        b"Connection: close\r\n",
    ],
)
async def test_a_body_without_end_is_no_answer_and_is_not_read_on(head: bytes) -> None:
    """It breaks off at the bound, the connection is closed, and the call counts as unanswered."""
    part = b"x" * 65536
    chunk = b"10000\r\n" + part + b"\r\n" if b"chunked" in head else part
    server = Server(head, chunk, endless=True)
    async with asked(server) as ask:
        with pytest.raises(ArmError) as refused, arm_errors(Phase.LIST):
            await ask()
        await server.gone.wait()
    assert refused.value.error.code == IncompleteReadError.__name__
    assert judge(refused.value).verdict is Verdict.WAIT
    assert server.sent < 64 * LIMIT  # what lay in the sockets' buffers, and no more


@pytest.mark.parametrize(("squeeze", "encoding"), [(gzip.compress, "gzip"), (_deflated, "deflate")])
async def test_a_body_that_inflates_beyond_the_bound_is_no_answer(
    squeeze: Callable[[bytes], bytes], encoding: str
) -> None:
    """It is found out by inflating no more than the bound; the SDK would inflate it whole."""
    server = _sized(squeeze(b" " * (64 * LIMIT)), encoding)
    async with asked(server) as ask:
        with pytest.raises(IncompleteReadError):
            await ask()
