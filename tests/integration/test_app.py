"""The app, whole and unchanged, on the local cloud: what goes in, and what comes out."""

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.amqp import AmqpAnnotatedMessage, AmqpMessageProperties

from localcloud.arm.recorded import RECORDED_SUBSCRIPTION
from tests.support.cloud_harness import (
    IN_PROGRESS,
    REQUESTS,
    SUBSCRIPTIONS,
    Harness,
    Published,
    Request,
    vm_id,
)
from tests.support.shared_cloud import KINDS as SHARED_KINDS
from tests.support.shared_cloud import STOPPED, on_it

pytestmark = pytest.mark.integration

RECORDING: Final = Path(__file__, "../../recorded/arm-recording-assess-patches.json").resolve()
RECORDED_VM: Final = (
    f"/subscriptions/{RECORDED_SUBSCRIPTION}/resourceGroups/crptestps418"
    "/providers/Microsoft.Compute/virtualMachines/vmcrptestps418"
)
KINDS: Final = {
    "patches": ("AssessmentCompleted", "Succeeded"),
    "clean": ("AssessmentCompleted", "Succeeded"),
    "reboot-only": ("AssessmentCompleted", "Succeeded"),
    "counts-only": ("AssessmentCompleted", "Succeeded"),
    "warnings": ("AssessmentCompleted", "CompletedWithWarnings"),
    "unknown": ("AssessmentCompleted", "Unknown"),
    "odd": ("AssessmentCompleted", None),
    "huge": ("AssessmentCompleted", "Succeeded"),
    "result-failed": ("AssessmentFailed", "Failed"),
    "operation-failed": ("AssessmentFailed", "Failed"),
    "deallocated": ("AssessmentSkipped", "VmNotRunning"),
    "stopped": ("AssessmentSkipped", "VmNotRunning"),
    "no-agent": ("AssessmentSkipped", "VmAgentNotReady"),
    "deleting": ("AssessmentSkipped", "VmBeingDeleted"),
}
"""The outcome of each kind of VM: its type, and its status or reason."""


@on_it
async def test_each_kind_of_vm_has_its_outcome_and_nothing_is_left(shared: Harness) -> None:
    """Every outcome type of the contract, with every value that ARM sent, and empty queues."""
    assert tuple(KINDS) == SHARED_KINDS, "the shared cloud has one VM of each"
    requests = [Request(f"r-{kind}", vm_id(index)) for index, kind in enumerate(KINDS)]
    missing = Request("r-missing", vm_id(999))

    await shared.ask([*requests, missing])
    await shared.until_told(len(requests) + 1)

    told = {each.request_id: each for each in await shared.outcomes()}
    fleet = await shared.vms()
    for request, (kind, (event_type, status)) in zip(requests, KINDS.items(), strict=True):
        outcome = told[request.request_id]
        assert outcome.type == event_type, kind
        assert status in {None, outcome.data.get("status"), outcome.data.get("reason")}, kind
        assert outcome.data["vm"]["location"] == fleet[request.vm_id]["location"]
    assert told["r-missing"].type == "AssessmentFailed"
    assert told["r-missing"].error_code == "ResourceNotFound"
    assert (await shared.counts(REQUESTS)).dead_letter == 0
    assert (await shared.counts(IN_PROGRESS)).dead_letter == 0
    huge = told["r-huge"].data
    assert huge["availablePatchesOmitted"] > 0
    assert huge["criticalAndSecurityPatchCount"] + huge["otherPatchCount"] == (
        len(huge["availablePatches"]) + huge["availablePatchesOmitted"]
    )


@on_it
async def test_the_recorded_assessment_arrives_field_by_field(shared: Harness) -> None:
    """The outcome holds the recorded result verbatim, and the trace is its activity ID."""
    entries = json.loads(RECORDING.read_text("utf-8"))["Entries"]
    recorded: Mapping[str, Any] = json.loads(entries[-1]["ResponseBody"])
    await shared.ask([Request("r-recorded", RECORDED_VM)])
    await shared.until_told(1)
    (outcome,) = await shared.outcomes()

    assert outcome.type == "AssessmentCompleted"
    assert {name: outcome.data[name] for name in recorded} == recorded
    assert outcome.data["operationSeconds"] == pytest.approx(665.514, abs=0.01)
    assert outcome.data["completedDateTime"] == "2020-08-26T13:33:25.373Z"


@on_it
async def test_every_form_of_a_request_is_understood(shared: Harness) -> None:
    """By ID, by three names, by a list, and as a CloudEvent in both modes."""
    vms = [vm_id(index) for index in STOPPED]
    _, _, subscription, _, group, *_, name = vms[1].split("/")
    event = {"specversion": "1.0", "id": "e-1", "source": "/test", "type": "t"}
    bodies: list[ServiceBusMessage] = [
        _message({"vmId": vms[0], "requestId": "by-id"}),
        _message(
            {
                "subscriptionId": subscription,
                "resourceGroupName": group,
                "vmName": name,
                "requestId": "by-names",
            }
        ),
        _message({"vmIds": [vms[2], vms[3]], "requestId": "by-list"}),
        ServiceBusMessage(
            json.dumps({**event, "data": {"vmId": vms[4], "requestId": "structured"}}),
            content_type="application/cloudevents+json; charset=utf-8",
        ),
        ServiceBusMessage(
            json.dumps({"vmId": vms[5], "requestId": "binary"}),
            content_type="application/json",
            application_properties={f"cloudEvents:{key}": value for key, value in event.items()},
        ),
        ServiceBusMessage(json.dumps({"vmId": vms[6]}), message_id="by-message-id"),
    ]
    await shared.send(REQUESTS, bodies)
    await shared.until_told(7)
    told = await shared.outcomes()

    assert {(each.request_id, each.vm_id) for each in told} == {
        ("by-id", vms[0]),
        ("by-names", vms[1]),
        ("by-list", vms[2]),
        ("by-list", vms[3]),
        ("structured", vms[4]),
        ("binary", vms[5]),
        ("by-message-id", vms[6]),
    }
    assert {each.type for each in told} == {"AssessmentSkipped"}


@on_it
async def test_a_text_is_a_request_in_every_form_that_clients_give_it(shared: Harness) -> None:
    """JMS's TextMessage, which is an AMQP value; and what .NET's retired package serialised."""
    jms, old = (
        json.dumps({"vmId": vm_id(index), "requestId": name, "MessageId": "forged"})
        for index, name in zip(STOPPED, ("jms", "old"), strict=False)
    )
    kept = b"\x40\x06string\x083http://schemas.microsoft.com/2003/10/Serialization/\x9b"
    await shared.send(
        REQUESTS,
        [
            AmqpAnnotatedMessage(value_body=jms, properties=AmqpMessageProperties(message_id="m")),
            ServiceBusMessage(kept + len(old).to_bytes(2, "little") + old.encode()),
        ],
    )
    await shared.until_told(2)

    told = {each.request_id: each for each in await shared.outcomes()}
    assert {name: each.type for name, each in told.items()} == dict.fromkeys(
        ("jms", "old"), "AssessmentSkipped"
    )
    assert (await shared.counts(REQUESTS)).dead_letter == 0


@on_it
async def test_a_body_that_is_neither_bytes_nor_text_is_rejected_at_once(shared: Harness) -> None:
    """A map, a number, a sequence: each gets its answer, and none is a dead letter."""
    bodies: Mapping[str, Mapping[str, Any]] = {
        "map": {"value_body": {"vmId": vm_id(STOPPED[0])}},
        "number": {"value_body": 7},
        "sequence": {"sequence_body": [[vm_id(STOPPED[0])]]},
    }
    messages = [
        AmqpAnnotatedMessage(**body, properties=AmqpMessageProperties(message_id=name))
        for name, body in bodies.items()
    ]
    await shared.send(REQUESTS, messages)
    await shared.until_told(len(bodies))

    told = {each.request_id: each for each in await shared.outcomes()}
    assert {name: each.type for name, each in told.items()} == dict.fromkeys(
        bodies, "RequestRejected"
    )
    said = {name: each.data["errors"][0]["message"] for name, each in told.items()}
    assert said["map"].endswith("it is an AMQP value that is a map")
    assert said["number"].endswith("it is an AMQP value that is a number")
    assert said["sequence"].endswith("it is an AMQP sequence")
    assert vm_id(STOPPED[0]).encode() in _body(told["map"])
    assert (await shared.counts(REQUESTS)).dead_letter == 0


OUT_OF_SCOPE: Final = vm_id(0).replace(SUBSCRIPTIONS[0], "99999999-9999-4999-8999-999999999999")
BAD: Final[Mapping[str, bytes]] = {
    "not text": b"\xff\xfe\x00\x01",
    "empty": b"",
    "not JSON": b"{vmId: 1}",
    "not an object": b"[1, 2]",
    "deep": b"[" * 50_000,
    "nobody": b"{}",
    "wrong type": b'{"vmId": 7, "requestId": 7}',
    "not a VM": b'{"vmId": "/subscriptions/x/providers/Microsoft.Storage/storageAccounts/y"}',
    "two ways": json.dumps({"vmId": vm_id(0), "vmName": "x"}).encode(),
    "out of scope": json.dumps({"vmId": OUT_OF_SCOPE}).encode(),
    "a half of a pair": b'{"vmId": "\\ud800"}',
    "large": b'{"vmId": "' + b"x" * 250_000 + b'"}',
}


@on_it
async def test_no_bad_message_is_lost_or_stops_the_queue(shared: Harness) -> None:
    """Each is rejected with its reason and its own body; the good one behind them is served."""
    for name, body in BAD.items():  # one by one: together they are more than a batch holds
        await shared.send(REQUESTS, [ServiceBusMessage(body, message_id=name)])
    await shared.ask([Request("good", vm_id(STOPPED[0]))])
    await shared.until_told(len(BAD) + 1)
    told = {each.request_id: each for each in await shared.outcomes()}
    dead = (await shared.counts(REQUESTS)).dead_letter

    assert told.pop("good").type == "AssessmentSkipped"
    assert set(told) == set(BAD)
    assert {each.type for each in told.values()} == {"RequestRejected"}
    assert all(each.data["errors"] for each in told.values())
    large = told.pop("large")
    assert {name: _body(each) for name, each in told.items()} == {
        name: body for name, body in BAD.items() if name != "large"
    }
    assert BAD["large"].startswith(_body(large))
    assert len(_body(large)) + large.data["bodyOmittedCharacters"] == len(BAD["large"])
    assert large.data["bodySha256"] == hashlib.sha256(BAD["large"]).hexdigest()
    assert dead == 0


def _message(body: Mapping[str, object]) -> ServiceBusMessage:
    return ServiceBusMessage(json.dumps(body), content_type="application/json")


def _body(rejected: Published) -> bytes:
    body: str = rejected.data["body"]
    if rejected.data["bodyEncoding"] == "base64":
        return base64.b64decode(body)
    return body.encode()
