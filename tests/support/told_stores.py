"""Stores in memory that tell of calls to the tables as the pipeline beneath the real ones does."""

import inspect
from collections.abc import Mapping
from typing import Any, Final

from azure.core.pipeline.transport import AsyncHttpTransport, HttpRequest

from assessor.posture.store import MemoryPosture
from assessor.scans.store import MemoryScans
from assessor.telemetry.dependencies import IDENTITY, TracedTransport, tables
from assessor.telemetry.telemetry import Telemetry

_ACCOUNT: Final = "https://account.table.core.windows.net"
_METHODS: Final[Mapping[str, str]] = {"save": "PUT", "record": "PUT", "expect": "POST"}
"""What is no GET of one row."""


class _Answer:
    status_code = 200


class _Wire(AsyncHttpTransport[Any, Any]):
    async def send(self, request: object, **_: object) -> _Answer:
        """Answers."""
        del request
        return _Answer()

    async def open(self) -> None:
        """Opens nothing."""

    async def close(self) -> None:
        """Closes nothing."""

    async def __aexit__(self, *_: object) -> None:
        """Has nothing to close."""


class _Told:
    """A store of which each call is one call to its table."""

    def __init__(self, store: object, table: str, telemetry: Telemetry) -> None:
        self._store = store
        self._table = table
        self._wire = TracedTransport(_Wire(), tables(_ACCOUNT), telemetry)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the store's own
        found = getattr(self._store, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def told(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - the store's own
            method = _METHODS.get(name, "GET")
            await self._wire.send(HttpRequest(method, f"{_ACCOUNT}/{self._table}()"))
            return await found(*arguments, **options)

        return told


def told_postures(telemetry: Telemetry) -> Any:  # noqa: ANN401 - a PostureStore by its methods
    """Returns postures in memory, whose calls are told of."""
    return _Told(MemoryPosture(), "vmposture", telemetry)


def told_scans(telemetry: Telemetry) -> Any:  # noqa: ANN401 - a ScanStore by its methods
    """Returns scans in memory, whose calls are told of."""
    return _Told(MemoryScans(), "vmscans", telemetry)


async def ask_for_token(telemetry: Telemetry) -> None:
    """Tells of a call of the managed identity's endpoint."""
    url = "http://127.0.0.1:41741/msi/token?resource=https://management.azure.com"
    await TracedTransport(_Wire(), IDENTITY, telemetry).send(HttpRequest("GET", url))
