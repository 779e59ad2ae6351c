"""Connection pools for the Azure SDKs: one for each service, for each worker."""

from contextlib import AsyncExitStack
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport

_CONNECTIONS: Final = 100
"""Connections of one pool at the most: each takes about 320 KiB with TLS."""
_CONNECT_SECONDS: Final = 10.0
_READ_SECONDS: Final = 30.0


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
