# ruff: noqa: INP001 - a function app is a directory that is no package
"""The function that most people would write: it waits for the poller in the worker's thread pool.

Measured against, not shipped. Left out is what its writer would leave out: anything that survives
the worker, or keeps to ARM's limits.
"""

import json
import os
import threading
from functools import lru_cache
from typing import Final

import azure.functions as func
from azure.identity import ManagedIdentityCredential
from azure.mgmt.compute import ComputeManagementClient
from azure.servicebus import ServiceBusClient, ServiceBusMessage

_CREDENTIAL: Final = ManagedIdentityCredential()
_BUS: Final = ServiceBusClient.from_connection_string(os.environ["ServiceBus"])  # noqa: SIM112 - the setting's name
_SENDER: Final = _BUS.get_topic_sender("assessment-results")
_SENDING: Final = threading.Lock()
"""The SDK's senders take one caller at a time."""

app = func.FunctionApp()


@lru_cache
def _compute(subscription_id: str) -> ComputeManagementClient:
    return ComputeManagementClient(
        _CREDENTIAL,
        subscription_id,
        base_url=os.environ["ARM_ENDPOINT"],
        credential_scopes=["https://management.azure.com/.default"],
        connection_verify=os.environ["SSL_CERT_FILE"],  # requests does not read it by itself
    )


@app.function_name("assess")
@app.service_bus_queue_trigger(
    arg_name="message", queue_name="assessment-requests", connection="ServiceBus"
)
def assess(message: func.ServiceBusMessage) -> None:
    """Assesses one VM and sends what was found."""
    vm_id = str(json.loads(message.get_body())["vmId"])
    _, _, subscription_id, _, group, _, _, _, name = vm_id.split("/")
    machines = _compute(subscription_id).virtual_machines
    result = machines.begin_assess_patches(group, name).result()
    outcome = ServiceBusMessage(
        json.dumps({"vmId": vm_id, "result": result.as_dict()}),
        message_id=message.message_id,
        content_type="application/json",
    )
    with _SENDING:
        _SENDER.send_messages(outcome)
