"""Calls to the tables and to the identity as spans and metrics: a transport beneath the SDK.

It sees each attempt, the SDK's repeats among them, and names it by the table, or as what asks for
a token: never by a key, a row or an identity. ARM's calls, which begin traces, have their own
(assessor.arm.tracing).
"""

import asyncio
import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Self
from urllib.parse import urlsplit

from azure.core.pipeline.transport import AsyncHttpTransport
from opentelemetry.util.types import AttributeValue

from assessor.telemetry import attributes as names
from assessor.telemetry.context import Call
from assessor.telemetry.telemetry import Telemetry

_PORTS: Final = {"http": 80, "https": 443}
_TABLE: Final = re.compile(r"/(\$?[A-Za-z0-9]{1,63})")


@dataclass(frozen=True, slots=True)
class Service:
    """What is called.

    `provider` is as the SDK's own tracing names it, `route` returns the part of a name that stands
    for a URL's path, without any ID, and `peer` is the service's name where its host tells nobody
    what it is. The app expects the `handled` answers and does something about them: they are no
    failures of the call.
    """

    provider: str
    route: Callable[[str], str]
    peer: str | None = None
    handled: Collection[int] = ()


def tables(endpoint: str) -> Service:
    """Returns the tables of that endpoint; a row may not be there, be there, or have changed."""
    base = urlsplit(endpoint).path.rstrip("/")

    def table(path: str) -> str:
        found = _TABLE.match(path.removeprefix(base))
        return found[1] if found else "elsewhere"

    handled = {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED}
    return Service(names.TABLES, table, handled=handled)


IDENTITY: Final = Service("Microsoft.AAD", lambda _: "token", peer="managed-identity")
"""The managed identity's endpoint, which is an address of the machine that the worker runs on."""


class TracedTransport(AsyncHttpTransport[Any, Any]):
    """Makes a span and a measurement of each call; it changes neither the call nor the answer."""

    def __init__(
        self,
        transport: AsyncHttpTransport[Any, Any],
        service: Service,
        telemetry: Telemetry,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        """Wraps the transport that makes the calls."""
        self._transport = transport
        self._service = service
        self._telemetry = telemetry
        self._now = now

    async def send(self, request: Any, **options: Any) -> Any:  # noqa: ANN401 - the SDK's own
        """Passes the call on, and tells of it when it has come to its end."""
        started = self._now()
        try:
            answer = await self._transport.send(request, **options)
        except (Exception, asyncio.CancelledError) as error:  # told of, and raised on
            self._tell(request, started, None, type(error).__name__)
            raise
        status: int = answer.status_code
        failed = status >= HTTPStatus.BAD_REQUEST and status not in self._service.handled
        self._tell(request, started, status, str(status) if failed else None)
        return answer

    def _tell(self, request: Any, started: int, status: int | None, error: str | None) -> None:  # noqa: ANN401 - see send
        url = urlsplit(request.url)
        route = self._service.route(url.path)
        told: Mapping[str, AttributeValue | None] = {
            names.HTTP_METHOD: request.method,
            names.HTTP_STATUS: status,
            names.SERVER_ADDRESS: url.hostname or "",
            names.SERVER_PORT: url.port or _PORTS.get(url.scheme),
            names.URL_TEMPLATE: f"/{route}",
            names.AZURE_PROVIDER: self._service.provider,
            names.PEER_SERVICE: self._service.peer,
        }
        attributes = {name: value for name, value in told.items() if value is not None}
        self._telemetry.called(
            Call(f"{request.method} {route}", started, self._now(), attributes, error=error)
        )

    async def open(self) -> None:
        """Opens what the calls go through."""
        await self._transport.open()

    async def close(self) -> None:
        """Closes it."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        """Opens what the calls go through."""
        await self._transport.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        """Closes it."""
        await self._transport.__aexit__(*error)  # type: ignore[arg-type] # what Python hands over
