"""The demo's requests, held against the app's own parser, and the account of what came."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assessor.messages.request import AssessmentRequest, IncomingMessage, Rejection
from assessor.messages.request_body import parse_request
from demo.fleet_requests import Expected, Request, fleet_requests
from demo.ledger import Ledger
from patch_assessor_cli.arrivals import Arrival
from patch_assessor_cli.client import ALERTS_TOPIC, RESULTS_TOPIC

SUBSCRIPTION = "e37510d7-33b6-4676-886f-ee75bcc01871"


def vm_id(number: int) -> str:
    """The resource ID of a VM."""
    return (
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-Web"
        f"/providers/Microsoft.Compute/virtualMachines/web-{number:04d}"
    )


def requests_for(vms: int) -> list[Request]:
    """The demo's requests for so many VMs, with IDs that count up."""
    numbers: Iterator[int] = count()
    return fleet_requests([vm_id(number) for number in range(vms)], lambda: f"id-{next(numbers)}")


def parsed(request: Request) -> tuple[AssessmentRequest, ...] | Rejection:
    """What the app makes of a request."""
    message = request.message
    understood = parse_request(
        IncomingMessage(
            body=message.body,
            message_id=message.message_id,
            content_type=message.content_type,
            application_properties=message.application_properties,
            enqueued_at=datetime(2026, 1, 5, tzinfo=UTC),
        ),
        (),
    )
    assert isinstance(understood, tuple | Rejection)
    return understood


def outcome(request_id: str, vm: str | None, topic: str = RESULTS_TOPIC) -> Arrival:
    """A message as it could come from a topic."""
    data = {"vmId": vm} if vm else {}
    body = {"type": "PatchAssessor.AssessmentCompleted", "data": data}
    return Arrival(topic, "m", request_id, vm, None, None, {}, body)


@given(st.integers(min_value=1, max_value=300))
def test_the_app_reads_in_each_request_exactly_what_the_demo_expects_of_it(vms: int) -> None:
    """Request IDs and VMs as the app parses them are those that the demo waits for."""
    requests = requests_for(vms)
    asked: list[str] = []
    for request in requests:
        understood = parsed(request)
        if isinstance(understood, Rejection):
            assert request.expected == (Expected(understood.request_id, None),)
            continue
        found = {Expected.of(each.request_id, str(each.vm)) for each in understood}
        assert found == set(request.expected)
        asked += [str(each.vm) for each in understood]
    assert sorted(asked) == [vm_id(number) for number in range(vms)]


def test_every_form_of_a_request_is_used_and_one_message_is_rejected() -> None:
    """Six VMs are enough for all five forms."""
    requests = requests_for(6)
    bodies = [json.loads(request.message.body) for request in requests]
    assert sum("vmName" in body for body in bodies) == 1
    assert sum("vmIds" in body for body in bodies) == 1
    assert sum("specversion" in body for body in bodies) == 1
    binary = [
        each
        for each in requests
        if "cloudEvents:specversion" in each.message.application_properties
    ]
    assert len(binary) == 1
    assert sum(isinstance(parsed(request), Rejection) for request in requests) == 1


def test_no_message_names_more_vms_than_fit_into_it() -> None:
    """A large fleet makes several lists, each well under the 256 KB of a Standard namespace."""
    assert max(len(request.message.body) for request in requests_for(5000)) < 64 * 1024


def test_an_empty_fleet_asks_for_nothing() -> None:
    """There is no VM whose disk could be named."""
    assert requests_for(0) == []


@given(st.permutations(range(7)))
def test_the_account_is_right_when_each_outcome_came_once_in_any_order(order: list[int]) -> None:
    """ARM's IDs are compared without their case."""
    ledger = Ledger(Expected.of("r", vm_id(number)) for number in range(7))
    for number in order:
        assert not ledger.is_right
        ledger.take(outcome("r", vm_id(number).upper()))
    assert ledger.is_right


@pytest.mark.parametrize(
    ("came", "missing", "repeated", "unasked"),
    [
        ([], ["r"], [], []),
        (["r", "r"], [], ["r"], []),
        (["r", "other"], [], [], ["other"]),
        (["other"], ["r"], [], ["other"]),
    ],
)
def test_the_account_names_what_is_wrong(
    came: list[str], missing: list[str], repeated: list[str], unasked: list[str]
) -> None:
    """A missing outcome, a second one, and one that nobody asked for."""
    ledger = Ledger([Expected.of("r", vm_id(1))])
    for request_id in came:
        ledger.take(outcome(request_id, vm_id(1)))
    assert [each.request_id for each in ledger.missing] == missing
    assert [each.request_id for each in ledger.repeated] == repeated
    assert [each.request_id for each in ledger.unasked] == unasked
    assert not ledger.is_right


def test_an_alert_is_no_outcome() -> None:
    """What comes from the alerts topic is kept apart."""
    ledger = Ledger([Expected.of("r", vm_id(1))])
    ledger.take(outcome("r", vm_id(1), ALERTS_TOPIC))
    assert ledger.missing
    assert len(ledger.alerts) == 1
