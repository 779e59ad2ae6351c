"""Connection pools for the Azure SDKs: one for each service, for each worker.

The SDK's transport reads an answer whole before anybody sees it, and decompresses it whole. So what
bounds a body is beneath it, in the response that aiohttp makes.
"""

import zlib
from contextlib import AsyncExitStack
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport

MOST_BYTES: Final = 32 * 1024 * 1024
"""Of a body, before and after decompression; a page of 1,000 instance views has some 5 MB."""
_MOST_INFLATION: Final = 1032
"""How many bytes deflate makes of one at the most: what is short enough need not be tried."""
_WINDOWS: Final = {"gzip": 16 + zlib.MAX_WBITS, "deflate": -zlib.MAX_WBITS}
"""What azure-core decompresses, and how."""
_CONNECTIONS: Final = 100
"""Connections of one pool at the most: each takes about 320 KiB with TLS."""
_CONNECT_SECONDS: Final = 10.0
_READ_SECONDS: Final = 30.0


class BoundedResponse(aiohttp.ClientResponse):
    """An answer that breaks off where its body grows beyond MOST_BYTES, as it comes or inflated."""

    async def read(self) -> bytes:
        """Returns the body as it came.

        Raises:
            ClientPayloadError: it is too large, or the connection broke.
        """
        if self._body is None:
            try:
                body = await self._bounded()
            except BaseException:
                self.close()  # what has not been read yet is never taken off the network
                raise
            self._body = body
        return await super().read()

    async def _bounded(self) -> bytes:
        body = bytearray()
        async for part in self.content.iter_any():
            body += part
            if len(body) > MOST_BYTES:
                raise aiohttp.ClientPayloadError(f"the body has more than {MOST_BYTES} bytes")
        encoding = self.headers.get("Content-Encoding", "").lower()
        if encoding in _WINDOWS and _inflates_beyond(body, _WINDOWS[encoding]):
            raise aiohttp.ClientPayloadError(f"the body inflates to more than {MOST_BYTES} bytes")
        return bytes(body)


def _inflates_beyond(body: bytearray, window: int) -> bool:
    """Whether more than MOST_BYTES would come of `body`; what can't be inflated is not judged."""
    if len(body) * _MOST_INFLATION <= MOST_BYTES:
        return False
    inflater = zlib.decompressobj(window)
    try:
        return len(inflater.decompress(body, MOST_BYTES + 1)) > MOST_BYTES
    except zlib.error:
        return False


async def open_transport(endpoint: str, stack: AsyncExitStack) -> AioHttpTransport:
    """Returns a transport for the SDK's clients of `endpoint`, which `stack` closes.

    The proxy is the one that aiohttp's own `trust_env` would take from the environment, looked up
    once: aiohttp asks for it, and for a .netrc, with two jumps into threads for each request, and
    that took a tenth of a worker's processor time.
    """
    session = await stack.enter_async_context(
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            response_class=BoundedResponse,
            proxy=proxy_of(endpoint),
        )
    )
    return AioHttpTransport(
        session=session,
        session_owner=False,
        connection_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
    )


def proxy_of(endpoint: str) -> str | None:
    """Returns the proxy that the environment names for `endpoint`; None for none.

    HTTPS_PROXY or HTTP_PROXY by the endpoint's scheme, unless NO_PROXY has its host.
    """
    parts = urlsplit(endpoint)
    if not parts.hostname or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return getproxies().get(parts.scheme)
