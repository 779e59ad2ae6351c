"""The bus's one surface that Azure hasn't: HTTP for tests and for showing progress.

`GET /health`, `GET /entities`, `POST /faults`, `DELETE /faults`, `POST /locks/expire`,
`POST /connections/drop`, `POST /duplicate`; JSON both ways, errors as `{"error": …}`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt, StringConstraints
from pydantic import ValidationError as InvalidBody
from pydantic.alias_generators import to_camel

from localcloud.guard import programs_only
from localcloud.servicebus.errors import BusError
from localcloud.servicebus.faults import Operation
from localcloud.servicebus.server import ServiceBus

_HOST = "127.0.0.1"
_Condition = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9.]*(:[a-z0-9\-.]+)+$")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    entity: str


class _Fault(_Body):
    operation: Operation
    condition: _Condition
    count: PositiveInt | None = None
    seconds: PositiveFloat | None = None


class _Duplicates(_Body):
    count: PositiveInt = 1


class BusControl:
    """The handlers.

    Args:
        bus: what they look at and act on.
    """

    def __init__(self, bus: ServiceBus) -> None:
        self._bus = bus

    def application(self) -> web.Application:
        """The web application."""
        application = web.Application(middlewares=[programs_only, _errors_as_json])
        application.add_routes(
            [
                web.get("/health", self.health),
                web.get("/entities", self.entities),
                web.post("/faults", self.add_fault),
                web.delete("/faults", self.clear_faults),
                web.post("/locks/expire", self.expire_locks),
                web.post("/connections/drop", self.drop_connections),
                web.post("/duplicate", self.duplicate),
            ]
        )
        return application

    async def health(self, _request: web.Request) -> web.Response:
        """Say that the bus runs."""
        return web.json_response({"status": "ok"})

    async def entities(self, _request: web.Request) -> web.Response:
        """The counts of every queue and subscription."""
        counts = {
            name: {to_camel(key): value for key, value in asdict(each).items()}
            for name, each in self._bus.counts().items()
        }
        return web.json_response(counts)

    async def add_fault(self, request: web.Request) -> web.Response:
        """Let the next operations fail."""
        fault = _Fault.model_validate_json(await request.read())
        self._bus.faults.add(
            fault.entity,
            fault.operation,
            fault.condition,
            count=fault.count,
            duration=None if fault.seconds is None else round(fault.seconds * 1000),
        )
        return web.json_response({}, status=201)

    async def clear_faults(self, _request: web.Request) -> web.Response:
        """End all faults."""
        self._bus.faults.clear()
        return web.json_response({})

    async def expire_locks(self, request: web.Request) -> web.Response:
        """End all locks of an entity."""
        body = _Body.model_validate_json(await request.read())
        return web.json_response({"expired": self._bus.expire_locks(body.entity)})

    async def drop_connections(self, _request: web.Request) -> web.Response:
        """Cut every connection."""
        return web.json_response({"dropped": self._bus.drop_connections()})

    async def duplicate(self, request: web.Request) -> web.Response:
        """Let the next deliveries of an entity happen twice."""
        body = _Duplicates.model_validate_json(await request.read())
        self._bus.duplicate_next(body.entity, body.count)
        return web.json_response({})


@web.middleware
async def _errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except InvalidBody as error:
        problems = [f"{each['loc']}: {each['msg']}" for each in error.errors()]
        return web.json_response({"error": "; ".join(problems)}, status=400)
    except BusError as error:
        return web.json_response({"error": error.description}, status=error.status_code)


@asynccontextmanager
async def serve_control(bus: ServiceBus, port: int = 0) -> AsyncIterator[str]:
    """Serve the control surface for as long as the context lasts.

    Args:
        bus: what it controls.
        port: where to listen; 0 for a free one.

    Yields:
        Its URL.

    Raises:
        OSError: the port is taken.
    """
    runner = web.AppRunner(BusControl(bus).application(), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, _HOST, port)
        await site.start()
        yield f"http://{_HOST}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
