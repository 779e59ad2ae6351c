"""The subscriptions of infra/servicebus.json get of the app's messages what their names say."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from azure.servicebus.aio import ServiceBusClient

from assessor.alerts.decision import decide_by_result
from assessor.alerts.message import alert_message
from assessor.alerts.rule import AlertPolicy
from assessor.bus.message import OutgoingMessage
from assessor.bus.servicebus import ServiceBus as AppBus
from assessor.bus.servicebus import tls_context
from assessor.messages.outcome import reject
from assessor.messages.outgoing import outcome_message
from assessor.messages.request import Rejection
from assessor.messages.request_body import parse_request
from assessor.posture.model import Alert
from localcloud.servicebus.entities import load_entities
from localcloud.servicebus.server import ServiceBus
from tests.support.assessments import completed, failed, finding, skipped
from tests.support.builders import incoming

pytestmark = pytest.mark.integration

_ENTITIES = Path(__file__).parents[2] / "infra" / "servicebus.json"
_RESULTS, _ALERTS = "assessment-results", "patch-alerts"
_NOW = datetime(2026, 1, 5, tzinfo=UTC)


def _outcomes() -> dict[str, OutgoingMessage]:
    """One message for each way in which an outcome can concern somebody."""
    rejection = parse_request(incoming(b"?"), ())
    assert isinstance(rejection, Rejection)
    outcomes = {
        "clean": completed(0, [], count=0),
        "critical": completed(1, ["openssl"], count=1),
        "counted": completed(2, None, count=3),
        "reboot": completed(3, [], count=0, reboot=True),
        "both": completed(4, ["openssl"], count=1, reboot=True),
        "unknown": completed(5, [], count=None, reboot=None),
        "failed": failed(6),
        "skipped": skipped(7),
        "rejected": reject(rejection, _NOW),
    }
    return {name: outcome_message(outcome, None) for name, outcome in outcomes.items()}


def _alerts() -> dict[str, OutgoingMessage]:
    found: list[Alert] = []
    posture = None
    for outcome in (completed(0, ["openssl"], count=1, reboot=True), completed(1)):
        change = decide_by_result(posture, finding(outcome), AlertPolicy())
        posture = change.posture
        found += change.alerts
    return {f"{each.alert.rule} {each.change.value}": alert_message(each) for each in found}


async def _peek(client: ServiceBusClient, topic: str, subscription: str) -> list[str]:
    async with client.get_subscription_receiver(topic, subscription) as receiver:
        messages = await receiver.peek_messages(max_message_count=50)
        return [str(each.message_id) for each in messages]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def received() -> AsyncIterator[dict[str, list[str]]]:
    """What lies in each subscription after everything was published, by the names above."""
    messages = {_RESULTS: _outcomes(), _ALERTS: _alerts()}
    names = {each.message_id: name for all_ in messages.values() for name, each in all_.items()}
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(ServiceBus.start(load_entities(_ENTITIES)))
        client = await stack.enter_async_context(
            ServiceBusClient.from_connection_string(
                bus.connection_string, ssl_context=tls_context()
            )
        )
        app = AppBus(client, topics=(_RESULTS, _ALERTS))
        for topic, all_ in messages.items():
            await app.send(topic, list(all_.values()))
        subscriptions = [
            (topic.name, subscription.name)
            for topic in load_entities(_ENTITIES).topics
            for subscription in topic.subscriptions
        ]
        peeked = await asyncio.gather(*(_peek(client, *each) for each in subscriptions))
        yield {
            "/".join(subscription): [names[message_id] for message_id in found]
            for subscription, found in zip(subscriptions, peeked, strict=True)
        }


@pytest.mark.parametrize(
    ("subscription", "expected"),
    [
        (f"{_RESULTS}/all", [*_outcomes()]),
        (f"{_RESULTS}/failures", ["failed"]),
        (f"{_RESULTS}/rejected", ["rejected"]),
        (f"{_RESULTS}/reboot-pending", ["reboot", "both"]),
        (f"{_RESULTS}/critical", ["critical", "counted", "both"]),
        (f"{_ALERTS}/all", [*_alerts()]),
        (
            f"{_ALERTS}/sev1",
            [
                "CriticalOrSecurityPatchesAvailable Appeared",
                "CriticalOrSecurityPatchesAvailable Gone",
            ],
        ),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_subscription_gets_what_its_name_says(
    received: dict[str, list[str]], subscription: str, expected: list[str]
) -> None:
    """Published by the app's own code, filtered by the local bus."""
    assert received[subscription] == expected


@pytest.mark.asyncio(loop_scope="module")
async def test_every_subscription_is_tested(received: dict[str, list[str]]) -> None:
    """None of them is empty, and there are no others."""
    assert {name.split("/")[1] for name in received} == {
        *("all", "failures", "rejected", "reboot-pending", "critical", "sev1")
    }
    assert all(received.values())
