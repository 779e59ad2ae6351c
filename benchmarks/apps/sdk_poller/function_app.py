# ruff: noqa: INP001 - a function app is a directory that is no package
"""The same with the SDK's asynchronous clients: it awaits the poller on the worker's event loop.

Measured against, not shipped. Each assessment keeps its invocation, its message's lock and the
poller for as long as it takes.
"""

import asyncio
import json
import os
from functools import lru_cache
from typing import Final

import azure.functions as func
from azure.core.pipeline.transport import AioHttpTransport
from azure.identity.aio import ManagedIdentityCredential
from azure.mgmt.compute.aio import ComputeManagementClient
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender

_SENDING: Final = asyncio.Lock()
"""The SDK's senders take one caller at a time."""

app = func.FunctionApp()


# Clients belong to the event loop that uses them, so the first invocation makes them.


@lru_cache
def _credential() -> ManagedIdentityCredential:
    return ManagedIdentityCredential()


@lru_cache
def _transport() -> AioHttpTransport:
    return AioHttpTransport()


@lru_cache
def _compute(subscription_id: str) -> ComputeManagementClient:
    return ComputeManagementClient(
        _credential(),
        subscription_id,
        base_url=os.environ["ARM_ENDPOINT"],
        credential_scopes=["https://management.azure.com/.default"],
        transport=_transport(),
    )


@lru_cache
def _sender() -> ServiceBusSender:
    bus = ServiceBusClient.from_connection_string(os.environ["ServiceBus"])  # noqa: SIM112 - the setting's name
    return bus.get_topic_sender("assessment-results")


@app.function_name("assess")
@app.service_bus_queue_trigger(
    arg_name="message", queue_name="assessment-requests", connection="ServiceBus"
)
async def assess(message: func.ServiceBusMessage) -> None:
    """Assesses one VM and sends what was found."""
    vm_id = str(json.loads(message.get_body())["vmId"])
    _, _, subscription_id, _, group, _, _, _, name = vm_id.split("/")
    machines = _compute(subscription_id).virtual_machines
    poller = await machines.begin_assess_patches(group, name)
    result = await poller.result()
    outcome = ServiceBusMessage(
        json.dumps({"vmId": vm_id, "result": result.as_dict()}),
        message_id=message.message_id,
        content_type="application/json",
    )
    async with _SENDING:
        await _sender().send_messages(outcome)
