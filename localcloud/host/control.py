"""The host's control endpoint: `GET /admin/host/status`.

The real host has an endpoint of this name behind a master key, with other content; this one is
for tests and progress displays, on the loopback interface only.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from localcloud.guard import programs_only


@asynccontextmanager
async def control_server(status: Callable[[], dict[str, object]], port: int) -> AsyncIterator[str]:
    """Serve the status while the block runs.

    Args:
        status: Makes the answer.
        port: Where to listen; 0 chooses a free port.

    Yields:
        The base URL.
    """

    async def get_status(_: web.Request) -> web.Response:
        return web.json_response(status())

    application = web.Application(middlewares=[programs_only])
    application.router.add_get("/admin/host/status", get_status)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        host, bound = runner.addresses[0][:2]
        yield f"http://{host}:{bound}"
    finally:
        await runner.cleanup()
