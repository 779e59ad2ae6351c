"""A row for each VM over bare HTTP: the reads and writes that the app makes of its posture table.

Source: learn.microsoft.com, "Get Entity", "Insert Entity", "Update Entity" and "Create an account
SAS".
"""

import base64
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

import aiohttp
from azure.core.credentials import AzureNamedKeyCredential
from azure.data.tables import AccountSasPermissions, ResourceTypes, generate_account_sas
from yarl import URL

from benchmarks.ways.floor_errors import FloorError

_TABLE: Final = "vmposture"
_SELECT: Final = "&$select=DurationCount,DurationSeconds,DurationSpread"
_PACKED: Final = base64.b64encode(secrets.token_bytes(500)).decode()
"""As large as the app's compressed column; it is the bytes that cost, whatever they say."""
_HEADERS: Final = {
    "Accept": "application/json;odata=minimalmetadata",
    "Content-Type": "application/json;odata=nometadata",
    "DataServiceVersion": "3.0",
    "x-ms-version": "2019-02-02",
    "Prefer": "return-no-content",
}
_GIVEN: Final = frozenset({HTTPStatus.OK, HTTPStatus.NOT_FOUND})
_TAKEN: Final = frozenset({HTTPStatus.NO_CONTENT})


class Tables:
    """One table of an account."""

    def __init__(self, session: aiohttp.ClientSession, connection_string: str) -> None:
        """Keeps the session, and makes a signature that lasts as long as any run.

        Args:
            session: Whoever made it closes it.
            connection_string: The account's, with its key.
        """
        parts = dict(each.split("=", 1) for each in connection_string.split(";") if each)
        self._session = session
        self._endpoint = parts["TableEndpoint"]
        self._signature = generate_account_sas(
            AzureNamedKeyCredential(parts["AccountName"], parts["AccountKey"]),
            ResourceTypes(service=True, container=True, object=True),
            AccountSasPermissions(read=True, write=True, add=True, update=True, create=True),
            expiry=datetime.now(UTC) + timedelta(days=1),
        )

    async def make(self) -> None:
        """Makes the table, if it is not there."""
        there = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.CREATED, HTTPStatus.CONFLICT})
        await self._call("POST", "/Tables", there, {"TableName": _TABLE})

    async def durations(self, vm_id: str) -> None:
        """Reads three columns of a VM's row, which may not be there."""
        await self._call("GET", _path(vm_id), _GIVEN, select=_SELECT)

    async def load(self, vm_id: str) -> str | None:
        """Reads a VM's row; returns its ETag, or None if it is not there."""
        return await self._call("GET", _path(vm_id), _GIVEN)

    async def insert(self, vm_id: str, columns: Mapping[str, Any]) -> str | None:
        """Makes a VM's row; returns its ETag."""
        return await self._call("POST", f"/{_TABLE}", _TAKEN, _row(vm_id, columns))

    async def replace(self, vm_id: str, columns: Mapping[str, Any], etag: str) -> str | None:
        """Puts a row in the place of the one of that ETag; returns the new one's."""
        row = _row(vm_id, columns)
        return await self._call("PUT", _path(vm_id), _TAKEN, row, headers={"If-Match": etag})

    async def _call(  # noqa: PLR0913 - the parts of a request
        self,
        method: str,
        path: str,
        expected: frozenset[HTTPStatus],
        body: Mapping[str, Any] | None = None,
        *,
        select: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> str | None:
        url = URL(f"{self._endpoint}{path}?{self._signature}{select}", encoded=True)
        data = None if body is None else json.dumps(body).encode()
        async with self._session.request(
            method, url, data=data, headers={**_HEADERS, **(headers or {})}
        ) as answer:
            text = await answer.read()
            if answer.status not in expected:
                raise FloorError(f"{method} {path}", f"{answer.status} {text[:200]!r}")
            if answer.status == HTTPStatus.OK:
                json.loads(text)
            return answer.headers.get("ETag")


def _keys(vm_id: str) -> tuple[str, str]:
    _, _, subscription_id, _, group, _, _, _, name = vm_id.lower().split("/")
    return subscription_id, f"{group}|{name}"


def _path(vm_id: str) -> str:
    partition, row = _keys(vm_id)
    return f"/{_TABLE}(PartitionKey='{partition}',RowKey='{row.replace('|', '%7C')}')"


def _row(vm_id: str, columns: Mapping[str, Any]) -> dict[str, Any]:
    partition, row = _keys(vm_id)
    return {
        "PartitionKey": partition,
        "RowKey": row,
        "VmId": vm_id,
        **columns,
        "Assessed": True,
        "Retired": False,
        "OpenAlerts": 1,
        "UntoldAlerts": 0,
        "Format": 1,
        "DurationCount": 1,
        "DurationSeconds": 665.5,
        "DurationSpread": 0.0,
        "Parts": 1,
        "Part0": _PACKED,
        "Part0@odata.type": "Edm.Binary",
    }
