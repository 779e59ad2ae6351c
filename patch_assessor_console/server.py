"""The console's server: its pages, its files, and the readers beside them."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Final

import aiohttp
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import Response
from nicegui import ui

from patch_assessor_cli.errors import CommandError
from patch_assessor_console.guard import OwnPagesOnly
from patch_assessor_console.memory import Memory
from patch_assessor_console.model.address import to_query
from patch_assessor_console.model.csv_text import fleet_csv
from patch_assessor_console.model.fleet import select
from patch_assessor_console.page.act_page import act_page
from patch_assessor_console.page.charts_page import charts_page
from patch_assessor_console.page.fleet_page import fleet_page
from patch_assessor_console.page.flow_page import flow_page
from patch_assessor_console.page.patches_page import patches_page
from patch_assessor_console.page.shell import Context
from patch_assessor_console.page.vm_page import vm_page
from patch_assessor_console.readers.loops import read_all
from patch_assessor_console.target import Target

_HOST: Final = "127.0.0.1"


async def serve(
    target: Target, *, port: int, stale_after: timedelta, ready: Callable[[str], None]
) -> None:
    """Serves the console until it is cancelled.

    Args:
        target: Where to read.
        port: Where to listen, on the loopback interface; 0 chooses a free one.
        stale_after: The age from which an assessment counts as stale.
        ready: Called with the address once it serves.

    Raises:
        CommandError: The port is taken.
    """
    memory = Memory(lambda: datetime.now(UTC), stale_after)
    async with aiohttp.ClientSession() as http:
        context = Context(memory, target, http)
        reading = asyncio.create_task(read_all(target, memory, http))
        try:
            await serve_pages(context, port=port, ready=ready)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def serve_pages(context: Context, *, port: int, ready: Callable[[str], None]) -> None:
    """Serves the pages of what is known until it is cancelled; see `serve`."""
    try:
        listening = socket.create_server((_HOST, port))
    except OSError as error:
        raise CommandError(f"The console can't listen on port {port}: {error.strerror}.") from error
    port = listening.getsockname()[1]
    application = _application(context)
    server = _Server(
        uvicorn.Config(
            OwnPagesOnly(application, port),
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
    )
    server.on_started = lambda: ready(f"http://{_HOST}:{port}")
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        await asyncio.shield(serving)
    finally:
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        listening.close()


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs it, and says when it serves."""

    on_started: Callable[[], None] = staticmethod(lambda: None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.on_started()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _application(context: Context) -> FastAPI:
    application = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    style = (
        resources.files("patch_assessor_console.page").joinpath("console.css").read_text("utf-8")
    )

    @application.get("/console.css")
    async def get_style() -> Response:
        return Response(style, media_type="text/css")

    @application.get("/fleet.csv")
    async def get_csv(request: Request) -> Response:
        rows = select(context.memory.rows(), to_query(request.query_params))
        return Response(fleet_csv(rows), media_type="text/csv; charset=utf-8")

    @ui.page("/")
    def show_fleet(request: Request) -> None:
        parameters = request.query_params
        fleet_page(context, to_query(parameters), parameters.get("by", ""))

    @ui.page("/patches")
    def show_patches(request: Request) -> None:
        patches_page(context, request.query_params.get("q", ""))

    @ui.page("/vm")
    def show_vm(request: Request) -> None:
        vm_page(context, request.query_params.get("id", ""))

    @ui.page("/flow")
    def show_flow() -> None:
        flow_page(context)

    @ui.page("/act")
    def show_act(request: Request) -> None:
        act_page(context, request.query_params.getlist("vm"))

    @ui.page("/charts")
    def show_charts() -> None:
        charts_page(context)

    ui.run_with(
        application,
        title="Patch Assessor",
        dark=None,
        language="en-US",
        tailwind=False,
        reconnect_timeout=10,
        show_welcome_message=False,
        binding_refresh_interval=None,
    )
    return application
