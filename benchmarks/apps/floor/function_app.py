# ruff: noqa: INP001 - a function app is a directory that is no package
"""The floor: the exchange that an assessment takes, and nothing else.

The same calls of ARM and as many messages of the app's size, over bare aiohttp and
azure-servicebus: no checks, no retries, no traces, no memory, nothing that survives a crash. What
the app takes above it is what being this app costs.
"""

import asyncio
import json
import os
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import aiohttp
import azure.functions as func
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender

_API_VERSION: Final = "api-version=2026-04-01"
_CONNECTIONS: Final = 100
"""As many as the app has to ARM at the most."""
_IN_PROGRESS: Final = "assessments-in-progress"
_BYTES: Final = {_IN_PROGRESS: 2100, "assessment-results": 2600, "patch-alerts": 3200}
"""What the app's own messages have on average over a fleet of `patches`."""
_FIRST: Final = timedelta(seconds=float(os.environ["FLOOR_FIRST_SECONDS"]))
_GAP: Final = timedelta(seconds=float(os.environ["FLOOR_GAP_SECONDS"]))
_SENDING: Final = asyncio.Lock()
"""The SDK's senders take one caller at a time."""

app = func.FunctionApp()


# Clients belong to the event loop that uses them, so the first invocation makes them.


@lru_cache
def _session() -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=_CONNECTIONS)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


@lru_cache
def _bus() -> ServiceBusClient:
    return ServiceBusClient.from_connection_string(os.environ["ServiceBus"])  # noqa: SIM112 - the setting's name


@lru_cache
def _sender(entity: str) -> ServiceBusSender:
    client = _bus()
    return (
        client.get_queue_sender(entity)
        if entity == _IN_PROGRESS
        else client.get_topic_sender(entity)
    )


@lru_cache
def _token() -> "asyncio.Task[str]":
    async def ask() -> str:
        query = {"resource": "https://management.azure.com", "api-version": "2019-08-01"}
        headers = {"X-IDENTITY-HEADER": os.environ["IDENTITY_HEADER"]}
        endpoint = os.environ["IDENTITY_ENDPOINT"]
        async with _session().get(endpoint, params=query, headers=headers) as answer:
            return str((await answer.json())["access_token"])

    return asyncio.ensure_future(ask())


async def _ask(method: str, url: str) -> tuple[dict[str, Any], str]:
    """Returns ARM's body, and the URL of the operation where one was begun."""
    headers = {"Authorization": f"Bearer {await _token()}", "Accept": "application/json"}
    async with _session().request(method, url, headers=headers) as answer:
        answer.raise_for_status()
        text = await answer.read()
        return json.loads(text or b"{}"), answer.headers.get("Azure-AsyncOperation", "")


async def _send(
    entity: str, name: str, fields: dict[str, Any], enqueue_at: datetime | None = None
) -> None:
    filler = _BYTES[entity] - len(json.dumps(fields))
    message = ServiceBusMessage(
        json.dumps({**fields, "filler": "." * filler}),
        message_id=f"{fields['request']['requestId']} {name}",
        content_type="application/json",
        application_properties={"vmId": fields["request"]["vmId"], "type": name},
        scheduled_enqueue_time_utc=enqueue_at,
    )
    async with _SENDING:
        await _sender(entity).send_messages(message)


@app.function_name("begin")
@app.service_bus_queue_trigger(
    arg_name="message", queue_name="assessment-requests", connection="ServiceBus"
)
async def begin(message: func.ServiceBusMessage) -> None:
    """Reads the VM, begins, and hands over until the first poll."""
    request = json.loads(message.get_body())
    vm_url = f"{os.environ['ARM_ENDPOINT']}{request['vmId']}"
    vm, _ = await _ask("GET", f"{vm_url}?$expand=instanceView&{_API_VERSION}")
    _, operation = await _ask("POST", f"{vm_url}/assessPatches?{_API_VERSION}")
    at = datetime.now(UTC) + _FIRST
    fields = {"request": request, "location": vm["location"], "operation": operation}
    await _send(_IN_PROGRESS, "0", {**fields, "at": at.isoformat(), "handovers": 0}, at)


@app.function_name("poll")
@app.service_bus_queue_trigger(arg_name="message", queue_name=_IN_PROGRESS, connection="ServiceBus")
async def poll(message: func.ServiceBusMessage) -> None:
    """Polls; hands over until the next time, or sends the outcome and its alerts."""
    fields = json.loads(message.get_body())
    del fields["filler"]
    answer, _ = await _ask("GET", fields["operation"])
    if answer["status"] == "InProgress":
        # Counted from the begin, so that a late poll does not put off those after it.
        at = datetime.fromisoformat(fields["at"]) + _GAP
        again = {**fields, "at": at.isoformat(), "handovers": fields["handovers"] + 1}
        await _send(_IN_PROGRESS, str(again["handovers"]), again, at)
        return
    result = answer["properties"]["output"]
    await _send("assessment-results", "outcome", {**fields, "result": result})
    important = [
        patch
        for patch in result["availablePatches"]
        if not {"Critical", "Security"}.isdisjoint(patch["classifications"])
    ]
    if important:
        await _send("patch-alerts", "patches", {**fields, "patches": important})
    if result["rebootPending"]:
        await _send("patch-alerts", "reboot", {**fields, "patches": []})
