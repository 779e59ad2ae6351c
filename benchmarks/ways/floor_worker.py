"""The floor's worker: one assessment is a begin, polls at given delays, and an end."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

import aiohttp
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender

from benchmarks.ways.floor_errors import FloorError
from benchmarks.ways.floor_messages import (
    ALERTS,
    IN_PROGRESS,
    REQUESTS,
    RESULTS,
    Underway,
    about,
    alerts,
    from_body,
    handover,
    outcome,
)
from benchmarks.ways.floor_tables import Tables

_API_VERSION: Final = "api-version=2026-04-01"
_CONNECTIONS: Final = 100
"""As many as the app has to ARM at the most."""


@dataclass(frozen=True, slots=True)
class PollTimes:
    """When an operation is polled, in seconds since its begin, however late it was before.

    Attributes:
        first: When for the first time.
        gap: How long after that again, and again.
    """

    first: float
    gap: float

    def at(self, begun_at: datetime, handovers: int) -> datetime:
        """Returns when to poll after so many polls before."""
        return begun_at + timedelta(seconds=self.first + handovers * self.gap)


@dataclass(frozen=True, slots=True)
class FloorPlan:
    """What an assessment takes.

    Attributes:
        polls: When it is polled.
        alerts: Whether alerts are sent where there is something to tell.
        tables: Whether each VM has a row.
    """

    polls: PollTimes
    alerts: bool
    tables: bool


@dataclass(frozen=True, slots=True)
class _Line:
    """A sender and its turn: the SDK's senders take one caller at a time."""

    sender: ServiceBusSender
    turn: asyncio.Lock

    async def send(self, messages: list[ServiceBusMessage]) -> None:
        async with self.turn:
            await self.sender.send_messages(messages[0] if len(messages) == 1 else messages)


class Floor:
    """Takes messages one step further, each as it came from its queue."""

    def __init__(
        self,
        plan: FloorPlan,
        arm: "Arm",
        lines: Mapping[str, _Line],
        tables: Tables | None,
    ) -> None:
        self._plan = plan
        self._arm = arm
        self._lines = lines
        self._tables = tables

    async def take(self, queue: str, body: str) -> None:
        """Begins, or polls; raises FloorError."""
        if queue == REQUESTS:
            await self._begin(json.loads(body))
        else:
            await self._poll(from_body(body))

    async def _begin(self, request: dict[str, Any]) -> None:
        vm_id = request["vmId"]
        vm = await self._arm.read(vm_id)
        if self._tables is not None:
            await self._tables.durations(vm_id)
        operation = await self._arm.begin(vm_id)
        await self._hand_over(Underway(request, about(vm), operation, datetime.now(UTC)))

    async def _poll(self, underway: Underway) -> None:
        status = await self._arm.poll(underway.operation)
        match status["status"]:
            case "InProgress":
                await self._hand_over(replace(underway, handovers=underway.handovers + 1))
            case "Succeeded":
                await self._conclude(underway, status["properties"]["output"], status["endTime"])
            case other:
                raise FloorError("GET operation", other)

    async def _hand_over(self, underway: Underway) -> None:
        enqueue_at = self._plan.polls.at(underway.begun_at, underway.handovers)
        await self._lines[IN_PROGRESS].send([handover(underway, enqueue_at)])

    async def _conclude(self, underway: Underway, result: Mapping[str, Any], ended_at: str) -> None:
        await self._lines[RESULTS].send([outcome(underway, result, ended_at)])
        published = alerts(underway, result, ended_at) if self._plan.alerts else []
        etag = await self._remember(underway, result)
        if published:
            await self._lines[ALERTS].send(published)
            if self._tables is not None and etag is not None:  # as published, where it was not
                await self._tables.replace(underway.vm_id, _columns(underway, result), etag)

    async def _remember(self, underway: Underway, result: Mapping[str, Any]) -> str | None:
        if self._tables is None:
            return None
        etag, columns = await self._tables.load(underway.vm_id), _columns(underway, result)
        if etag is None:
            return await self._tables.insert(underway.vm_id, columns)
        return await self._tables.replace(underway.vm_id, columns, etag)


def _columns(underway: Underway, result: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "Location": underway.vm["location"],
        "OsType": underway.vm["osType"],
        "AssessedAt": result["startDateTime"],
        "Status": result["status"],
        "AssessmentActivityId": underway.activity_id,
        "CriticalAndSecurityPatchCount": result["criticalAndSecurityPatchCount"],
        "OtherPatchCount": result["otherPatchCount"],
        "RebootPending": result["rebootPending"],
    }


class Arm:
    """ARM over one pool of connections and with one token."""

    def __init__(self, session: aiohttp.ClientSession, endpoint: str, token: str) -> None:
        """Keeps the session; whoever made it closes it."""
        self._session = session
        self._endpoint = endpoint
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}

    async def read(self, vm_id: str) -> Mapping[str, Any]:
        """Returns a VM with its instance view; raises FloorError."""
        url = f"{self._endpoint}{vm_id}?$expand=instanceView&{_API_VERSION}"
        return await self._get(url)

    async def begin(self, vm_id: str) -> str:
        """Begins an assessment and returns its operation's URL; raises FloorError."""
        url = f"{self._endpoint}{vm_id}/assessPatches?{_API_VERSION}"
        async with self._session.post(url, headers=self._headers) as answer:
            text = await answer.read()
            if answer.status != HTTPStatus.ACCEPTED:
                raise FloorError("POST assessPatches", f"{answer.status} {text[:200]!r}")
            return answer.headers["Azure-AsyncOperation"]

    async def poll(self, operation: str) -> Mapping[str, Any]:
        """Returns what an operation says of itself; raises FloorError."""
        return await self._get(operation)

    async def _get(self, url: str) -> Mapping[str, Any]:
        async with self._session.get(url, headers=self._headers) as answer:
            text = await answer.read()
            if answer.status != HTTPStatus.OK:
                raise FloorError(f"GET {url}", f"{answer.status} {text[:200]!r}")
            fields: Mapping[str, Any] = json.loads(text)
            return fields


async def work(
    plan: FloorPlan,
    settings: Mapping[str, str],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Works on what comes, until nothing comes any more.

    Args:
        plan: What an assessment takes.
        settings: The app settings of the local cloud.
        reader: Where messages come from, each a line.
        writer: Where the numbers go of those that are done; an empty line says that it is ready.
    """
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        floor = await _open(plan, settings, stack)

        async def one(item: Mapping[str, Any]) -> None:
            await floor.take(item["queue"], item["body"])
            writer.write(b"%d\n" % item["id"])

        writer.write(b"\n")
        while line := await reader.readline():
            tasks.create_task(one(json.loads(line)))


async def _open(plan: FloorPlan, settings: Mapping[str, str], stack: AsyncExitStack) -> Floor:
    session = await stack.enter_async_context(
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS), cookie_jar=aiohttp.DummyCookieJar()
        )
    )
    client = await stack.enter_async_context(
        ServiceBusClient.from_connection_string(settings["ServiceBus"])
    )
    lines = {
        IN_PROGRESS: _Line(client.get_queue_sender(IN_PROGRESS), asyncio.Lock()),
        RESULTS: _Line(client.get_topic_sender(RESULTS), asyncio.Lock()),
        ALERTS: _Line(client.get_topic_sender(ALERTS), asyncio.Lock()),
    }
    tables = None
    if plan.tables:
        tables = Tables(session, settings["PostureStorage"])
        await tables.make()
    arm = Arm(session, settings["ARM_ENDPOINT"], await _token(session, settings))
    return Floor(plan, arm, lines, tables)


async def _token(session: aiohttp.ClientSession, settings: Mapping[str, str]) -> str:
    query = {"resource": "https://management.azure.com", "api-version": "2019-08-01"}
    headers = {"X-IDENTITY-HEADER": settings["IDENTITY_HEADER"]}
    async with session.get(settings["IDENTITY_ENDPOINT"], params=query, headers=headers) as answer:
        answer.raise_for_status()
        token: str = (await answer.json())["access_token"]
        return token
