"""The app against a Service Bus that is named with `--service-bus CONNECTION_STRING`.

Microsoft's emulator (compose.yaml) or a namespace of one's own with the entities of
infra/servicebus.json; the local one if none is named. Nothing but the SDK is used, so that the test
is the same on all of them: what is on the bus from before is received and passed over.
"""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from tests.support.cloud_harness import REQUESTS, RESULTS, Plan, running, vm, vm_id
from tests.support.schemas import assert_received
from tests.support.waiting import BOUND_SECONDS

pytestmark = pytest.mark.integration

KINDS: Final = {
    "patches": "AssessmentCompleted",
    "clean": "AssessmentCompleted",
    "reboot-only": "AssessmentCompleted",
    "result-failed": "AssessmentFailed",
    "deallocated": "AssessmentSkipped",
}
"""The outcome of each kind of VM."""
CALLS: Final = 1
"""Messages of a queue at a time: the local host takes a connection for each, the app one for each
queue and topic that it sends to, and the emulator has ten."""

Event = Mapping[str, Any]

FIRST_VM: Final = uuid.uuid4().int % 1_000_000
"""A fleet of its own for each run: the local ARM repeats its activity IDs, and a bus that lasts
would take the second run's alerts for repeats of the first one's."""

FILTERS: Final[Mapping[str, Callable[[Event], bool]]] = {
    "rejected": lambda event: event["type"] == "PatchAssessor.RequestRejected",
    "failures": lambda event: event["type"] == "PatchAssessor.AssessmentFailed",
    "reboot-pending": lambda event: event["data"].get("rebootPending") is True,
    "critical": lambda event: (event["data"].get("criticalAndSecurityPatchCount") or 0) > 0,
}
"""The subscriptions of the results topic that filter, and what belongs there."""


@pytest.fixture
async def bus(tmp_path: Path, pytestconfig: pytest.Config) -> AsyncIterator[ServiceBusClient]:
    """A client of the bus that the app works with."""
    named: str | None = pytestconfig.getoption("--service-bus")
    vms = [vm(index, seconds=2, behaviour=kind) for index, kind in enumerate(KINDS, FIRST_VM)]
    settings = {"ServiceBus": named} if named else {}
    plan = Plan(vms, calls=CALLS, settings=settings)
    async with (
        running(tmp_path, plan) as harness,
        ServiceBusClient.from_connection_string(named or harness.cloud.connection_string) as client,
    ):
        yield client


class Reader:
    """Reads subscriptions for the events of one test."""

    def __init__(self, client: ServiceBusClient, mark: str) -> None:
        self._client = client
        self._mark = mark

    async def read(
        self, topic: str, subscription: str, enough: Callable[[list[Event]], bool]
    ) -> list[Event]:
        """Returns the events whose request ID has the mark, once there are enough of them."""
        found: list[Event] = []
        async with (
            asyncio.timeout(BOUND_SECONDS),
            self._client.get_subscription_receiver(topic, subscription) as receiver,
        ):
            while not enough(found):
                for message in await receiver.receive_messages(50, max_wait_time=1):
                    if (message.correlation_id or "").startswith(self._mark):
                        found.append(assert_received(message))
                    await receiver.complete_message(message)
        return found


async def test_what_is_asked_over_a_named_bus_is_told_by_its_topics_and_filters(
    bus: ServiceBusClient,
) -> None:
    """Scheduled messages, duplicate detection, correlation and SQL filters, as the app has them."""
    mark = f"{uuid.uuid4()}-"
    requests = [
        {"vmId": vm_id(index), "requestId": f"{mark}{kind}"}
        for index, kind in enumerate(KINDS, FIRST_VM)
    ]
    messages = [
        ServiceBusMessage(
            json.dumps(request), message_id=request["requestId"], content_type="application/json"
        )
        for request in (*requests, *requests)  # each twice: the queue drops one
    ]
    not_understood = ServiceBusMessage(b"\xff", message_id=f"{mark}bad")
    async with bus.get_queue_sender(REQUESTS) as sender:
        for message in (*messages, not_understood):
            await sender.send_messages(message)

    reader = Reader(bus, mark)
    outcomes = await reader.read(RESULTS, "all", lambda found: len(found) > len(KINDS))
    told = {each["data"]["request"]["requestId"].removeprefix(mark): each for each in outcomes}
    assert {kind: event["type"] for kind, event in told.items()} == {
        kind: f"PatchAssessor.{outcome}" for kind, outcome in KINDS.items()
    } | {"bad": "PatchAssessor.RequestRejected"}

    for subscription, belongs in FILTERS.items():
        expected = {each["id"] for each in outcomes if belongs(each)}
        assert expected, "the fleet has one of each"
        passed = await reader.read(RESULTS, subscription, partial(_are_all, expected))
        assert {each["id"] for each in passed} == expected

    (alert, *_) = await reader.read("patch-alerts", "sev1", bool)
    assert alert["data"]["data"]["essentials"]["severity"] == "Sev1"
    assert alert["data"]["data"]["alertContext"]["criticalAndSecurityPatchCount"] > 0


def _are_all(expected: set[str], found: list[Event]) -> bool:
    return {each["id"] for each in found} >= expected
