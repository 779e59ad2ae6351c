"""Azure Monitor's ingestion endpoint on loopback, and the workspace's tables of what it took.

Columns are those of https://learn.microsoft.com/azure/azure-monitor/reference/tables-category, and
the mapping is Application Insights' own ("workspace-based resources"). Left out: adaptive sampling,
the columns of clients and users, and what ingestion itself adds.
"""

import gzip
import json
import re
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import duckdb
from aiohttp import web

INSTRUMENTATION_KEY: Final = "00000000-0000-0000-0000-000000000001"
_DURATION: Final = re.compile(r"(?:(\d+)\.)?(\d+):(\d+):(\d+(?:\.\d+)?)")
_COMMON: Final = {
    "TimeGenerated": "TIMESTAMP",
    "OperationId": "VARCHAR",
    "ParentId": "VARCHAR",
    "OperationName": "VARCHAR",
    "Properties": "JSON",
    "AppRoleName": "VARCHAR",
    "AppRoleInstance": "VARCHAR",
    "ItemCount": "INTEGER",
}
_TABLES: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "RequestData": (
        "AppRequests",
        {
            "Id": "VARCHAR",
            "Name": "VARCHAR",
            "Source": "VARCHAR",
            "Success": "BOOLEAN",
            "ResultCode": "VARCHAR",
            "DurationMs": "DOUBLE",
        },
    ),
    "RemoteDependencyData": (
        "AppDependencies",
        {
            "Id": "VARCHAR",
            "Name": "VARCHAR",
            "Target": "VARCHAR",
            "DependencyType": "VARCHAR",
            "Data": "VARCHAR",
            "Success": "BOOLEAN",
            "ResultCode": "VARCHAR",
            "DurationMs": "DOUBLE",
        },
    ),
    "MessageData": ("AppTraces", {"Message": "VARCHAR", "SeverityLevel": "INTEGER"}),
    "ExceptionData": ("AppExceptions", {"ExceptionType": "VARCHAR", "OuterMessage": "VARCHAR"}),
    "MetricData": (
        "AppMetrics",
        {"Name": "VARCHAR", "Sum": "DOUBLE", "Min": "DOUBLE", "Max": "DOUBLE"},
    ),
    "EventData": ("AppEvents", {"Name": "VARCHAR"}),
}


@dataclass
class Ingestion:
    """Keeps what is tracked, and with which token."""

    items: list[dict[str, Any]] = field(default_factory=list)
    authorizations: set[str] = field(default_factory=set)
    bytes: int = 0

    async def track(self, request: web.Request) -> web.Response:
        """Takes a batch."""
        body = await request.read()
        text = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
        items = json.loads(text)
        self.bytes += len(text)
        self.items += items
        self.authorizations.add(request.headers.get("Authorization", ""))
        count = len(items)
        return web.json_response({"itemsReceived": count, "itemsAccepted": count, "errors": []})

    def of_type(self, base_type: str) -> list[dict[str, Any]]:
        """Returns what was tracked of one kind."""
        return [each for each in self.items if each["data"]["baseType"] == base_type]

    def tables(self) -> duckdb.DuckDBPyConnection:
        """Returns the workspace's tables of what was tracked."""
        connection = duckdb.connect()
        connection.execute("SET TimeZone='UTC'")
        for kind, (table, own) in _TABLES.items():
            columns = {**_COMMON, **own}
            declared = ", ".join(f'"{name}" {form}' for name, form in columns.items())
            connection.execute(f"CREATE TABLE {table} ({declared})")
            rows = [_row(item, columns) for item in self.of_type(kind)]
            if rows:
                marks = ", ".join("?" * len(columns))
                connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608 - names from above
        return connection


@asynccontextmanager
async def ingestion(context: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Ingestion, str]]:
    """Runs the endpoint, over TLS where a context is given."""
    taking = Ingestion()
    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.router.add_post("/{version:.*}/track", taking.track)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        port = runner.addresses[0][1]
        yield taking, f"https://localhost:{port}/" if context else f"http://127.0.0.1:{port}/"
    finally:
        await runner.cleanup()


def _row(item: Mapping[str, Any], columns: Mapping[str, str]) -> list[object]:
    tags, data = item.get("tags") or {}, item["data"]["baseData"]
    told = {
        "TimeGenerated": datetime.fromisoformat(item["time"]).replace(tzinfo=None),
        "OperationId": tags.get("ai.operation.id") or "",
        "ParentId": tags.get("ai.operation.parentId") or "",
        "OperationName": tags.get("ai.operation.name") or "",
        "Properties": json.dumps(data.get("properties") or {}),
        "AppRoleName": tags.get("ai.cloud.role") or "",
        "AppRoleInstance": tags.get("ai.cloud.roleInstance") or "",
        "ItemCount": round(100 / (item.get("sampleRate") or 100)),
        "Id": data.get("id"),
        "Name": data.get("name"),
        "Source": data.get("source") or "",
        "Target": data.get("target") or "",
        "DependencyType": data.get("type") or "",
        "Data": data.get("data") or "",
        "Success": data.get("success"),
        "ResultCode": str(data.get("resultCode") or data.get("responseCode") or ""),
        "DurationMs": _milliseconds(data.get("duration")),
        "Message": data.get("message"),
        "SeverityLevel": data.get("severityLevel"),
    } | _inner(data)
    return [told.get(name) for name in columns]


def _inner(data: Mapping[str, Any]) -> dict[str, object]:
    exceptions: Sequence[Mapping[str, Any]] = data.get("exceptions") or ()
    metrics: Sequence[Mapping[str, Any]] = data.get("metrics") or ()
    if exceptions:
        first = exceptions[0]
        return {"ExceptionType": first.get("typeName"), "OuterMessage": first.get("message")}
    if not metrics:
        return {}
    point = metrics[0]
    value = point["value"]
    return {
        "Name": point["name"],
        "Sum": value,
        "Min": value if point.get("min") is None else point["min"],
        "Max": value if point.get("max") is None else point["max"],
        "ItemCount": point.get("count") or 1,
    }


def _milliseconds(text: str | None) -> float | None:
    match = _DURATION.fullmatch(text or "")
    if match is None:
        return None
    days, hours, minutes, seconds = match.groups()
    return ((int(days or 0) * 24 + int(hours)) * 60 + int(minutes)) * 60_000 + float(seconds) * 1000
