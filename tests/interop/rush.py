"""A rush of requests through the whole app, and all messages that come of them."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient

from localcloud.control import Addresses, Control
from patch_assessor_cli.local import read_local_cloud

_QUEUE: Final = "assessment-requests"
_TOPICS: Final = ("assessment-results", "patch-alerts")
_NONSENSE: Final = (b"{", b"\xff\x00", b'{"vmId": "/no/vm"}', b"[]", b'{"vmId": 7, "x": NaN}')
_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class Told:
    """A message of a topic, as a consumer gets it."""

    content_type: str
    message_id: str
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """The body as JSON."""
        event: dict[str, Any] = json.loads(self.body)
        return event


def _told(message: ServiceBusReceivedMessage) -> Told:
    body = b"".join(message.body)
    return Told(str(message.content_type), str(message.message_id), body)


async def rush(up: Path, times: int) -> tuple[Sequence[Told], int]:
    """Has each VM of the running local cloud assessed some times, and a scan, and sends nonsense.

    Args:
        up: the file that tells where the local cloud is.
        times: requests for each VM, and messages that are none.

    Returns:
        The outcomes and alerts, and how many outcomes are missing after five minutes.
    """
    cloud = read_local_cloud(up)
    async with aiohttp.ClientSession() as http:
        control = Control(http, Addresses(bus=cloud.bus_control_url, arm=cloud.arm_control_url))
        vm_ids = await control.vm_ids()
    requests = [
        json.dumps({"vmId": vm, "requestId": f"{turn}"}).encode()
        for turn in range(times)
        for vm in vm_ids
    ]
    nonsense = [_NONSENSE[turn % len(_NONSENSE)] for turn in range(times)]
    scope = json.dumps({"scope": "/".join(vm_ids[0].split("/")[:3]), "requestId": "all"}).encode()
    messages = [
        ServiceBusMessage(body, message_id=f"rush-{number}")
        for number, body in enumerate([*requests, *nonsense, scope])
    ]
    told: list[Told] = []
    async with ServiceBusClient.from_connection_string(cloud.connection_string) as client:
        async with client.get_queue_sender(_QUEUE) as sender:
            for begin in range(0, len(messages), 50):
                await sender.send_messages(messages[begin : begin + 50])
        owed = Counter({"requests": len(requests) + len(nonsense), "scans": 1})
        async with (
            client.get_subscription_receiver(_TOPICS[0], "all") as outcomes,
            client.get_subscription_receiver(_TOPICS[1], "all") as alerts,
        ):
            ends_at = asyncio.get_running_loop().time() + _SECONDS
            while owed.total() > 0 and asyncio.get_running_loop().time() < ends_at:
                for message in await outcomes.receive_messages(100, max_wait_time=5):
                    told.append(_told(message))
                    await outcomes.complete_message(message)
                    event = told[-1].event
                    is_scan = event["type"] == "PatchAssessor.ScanCompleted"
                    of_scan = event["data"].get("request", {}).get("requestId") == "all"
                    owed["scans" if is_scan else "requests"] -= is_scan or not of_scan
            while messages_left := await alerts.receive_messages(100, max_wait_time=5):
                for message in messages_left:
                    told.append(_told(message))
                    await alerts.complete_message(message)
    return told, owed.total()
