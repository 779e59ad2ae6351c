"""Messages: valid CloudEvents with the contract's properties, in a size that Service Bus takes."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus._pyamqp._encode import encode_payload
from azure.servicebus._transport._pyamqp_transport import PyamqpTransport
from cloudevents.core.bindings.amqp import AMQPMessage, from_structured_event
from hypothesis import given
from hypothesis import strategies as st

from assessor.arm.result import ApiError, parse_patch
from assessor.arm.virtual_machine import SkipReason, VirtualMachine
from assessor.bus.message import OutgoingMessage
from assessor.messages.outcome import Conclusion, Outcome, Refused, Skipped, conclude, reject
from assessor.messages.outgoing import (
    MAX_BODY_BYTES,
    event_message,
    fit,
    outcome_message,
    properties_of,
)
from assessor.messages.patches import is_critical_or_security
from assessor.messages.request import FieldError, Rejection
from tests.support.builders import (
    ACTIVITY_ID,
    NOW,
    TRACEPARENT,
    VM_ID,
    finished,
    incoming,
    json_values,
    machine,
    request,
)

_STANDARD_TIER_BYTES = 256 * 1024


def _outcome(conclusion: Conclusion, vm: VirtualMachine | None = None) -> Outcome:
    return conclude(request(), vm or machine(), conclusion)


def _rejected(body: bytes, errors: tuple[FieldError, ...]) -> Outcome:
    return reject(Rejection("request-1", "Invalid", errors, incoming(body)), NOW)


def _event(message: OutgoingMessage) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(message.body)
    return read


def _wire(message: OutgoingMessage) -> bytes:
    """Returns the bytes that the Service Bus SDK makes of the message."""
    properties: dict[str | bytes, Any] = {}
    properties.update(message.application_properties.items())
    sent = ServiceBusMessage(
        message.body,
        application_properties=properties,
        message_id=message.message_id,
        correlation_id=message.correlation_id,
        content_type=message.content_type,
        subject=message.subject,
    )
    amqp = PyamqpTransport.to_outgoing_amqp_message(sent.raw_amqp_message)
    return bytes(encode_payload(bytearray(), amqp))


_OUTCOMES = [
    _outcome(finished()),
    _outcome(finished(status="Failed")),
    _outcome(Refused(ApiError("DeadlineExceeded", "No result."), NOW)),
    _outcome(Skipped(SkipReason.NOT_RUNNING, "It is off.", NOW)),
    _rejected(b"\xff", (FieldError("body", "must be JSON"),)),
]


@pytest.mark.parametrize("outcome", _OUTCOMES, ids=lambda each: each.type.name)
def test_every_outcome_is_a_valid_cloud_event(outcome: Outcome) -> None:
    """The CloudEvents SDK reads back what the outcome says."""
    message = outcome_message(outcome, TRACEPARENT)
    event = from_structured_event(
        AMQPMessage({"content-type": message.content_type}, {}, message.body)
    )
    assert event.get_type() == outcome.type.value
    assert event.get_id() == outcome.id
    assert event.get_time() == outcome.time
    assert event.get_subject() == (str(outcome.vm_id) if outcome.vm_id else None)
    assert event.get_datacontenttype() == "application/json"
    assert event.get_data() == outcome.data


@pytest.mark.parametrize("outcome", _OUTCOMES, ids=lambda each: each.type.name)
def test_the_messages_ids_are_the_events_and_the_requests(outcome: Outcome) -> None:
    """Duplicate detection sees the event's ID; answers are found by the request's."""
    message = outcome_message(outcome, None)
    assert message.content_type == "application/cloudevents+json"
    assert message.message_id == _event(message)["id"] == outcome.id
    assert message.correlation_id == "request-1"
    assert message.subject == _event(message).get("subject")
    assert message.enqueue_at is None


def test_the_properties_are_those_of_the_contract() -> None:
    """By name and by value, for SQL and correlation filters."""
    assert dict(outcome_message(_outcome(finished()), TRACEPARENT).application_properties) == {
        "type": "PatchAssessor.AssessmentCompleted",
        "status": "Succeeded",
        "subscriptionId": VM_ID.subscription_id,
        "resourceGroupName": VM_ID.resource_group,
        "vmName": VM_ID.name,
        "vmId": str(VM_ID),
        "location": "eastus",
        "osType": "Windows",
        "criticalAndSecurityPatchCount": 0,
        "otherPatchCount": 3,
        "rebootPending": True,
        "assessmentActivityId": ACTIVITY_ID,
        "requestId": "request-1",
        "traceparent": TRACEPARENT,
    }


def test_what_is_not_known_is_no_property() -> None:
    """An absent property is NULL for a filter; a None in its place could not be sent."""
    refused = outcome_message(
        conclude(request(), None, Refused(ApiError("Code", "Why."), NOW)), None
    )
    assert set(refused.application_properties) == {
        "type",
        "status",
        "subscriptionId",
        "resourceGroupName",
        "vmName",
        "vmId",
        "requestId",
    }
    rejected = outcome_message(_rejected(b"", (FieldError("body", "must be JSON"),)), None)
    assert dict(rejected.application_properties) == {
        "type": "PatchAssessor.RequestRejected",
        "requestId": "request-1",
    }


@given(
    st.dictionaries(
        st.sampled_from(["status", "rebootPending", "otherPatchCount", "vmName", "vm", "location"]),
        json_values(6)
        | st.integers(-(2**64), 2**64)
        | st.dictionaries(st.sampled_from(["location", "osType"]), json_values(3)),
    )
)
def test_whatever_arm_sends_its_properties_can_be_sent(data: dict[str, Any]) -> None:
    """The Service Bus SDK itself encodes them: it takes 32-bit ints only, and no list or map."""
    properties = properties_of(data)
    assert _wire(OutgoingMessage(b"", "i", "c", "t", properties))
    for name, value in data.items():
        if isinstance(value, str) and name != "vm":
            assert name not in properties or properties[name] == value


def test_an_event_may_not_be_told_under_a_foreign_type_or_request() -> None:
    """`type` and `requestId` are the event's, whatever the given properties say."""
    message = event_message(
        event_type="T",
        event_id="i",
        request_id="r",
        subject=None,
        time=datetime(2026, 1, 1, tzinfo=UTC),
        data={},
        properties={"type": "other", "requestId": "other", "kept": 1},
        traceparent=None,
    )
    assert dict(message.application_properties) == {"type": "T", "requestId": "r", "kept": 1}


_CLASSIFICATIONS = st.lists(
    st.sampled_from(["Critical", "Security", "Updates", "Other", "Definition Updates"]), max_size=2
)
_PATCHES = st.lists(
    st.builds(
        lambda name, classifications: {"name": name, "classifications": classifications},
        st.text(max_size=30),
        _CLASSIFICATIONS,
    ),
    max_size=12,
)


def _numbered(patches: list[dict[str, Any]], times: int, padding: int) -> list[dict[str, Any]]:
    """Returns so many copies of the patches, each with its place and some ballast in it."""
    return [
        {**patch, "patchId": str(index), "ballast": "x" * padding}
        for index, patch in enumerate(patches * times)
    ]


@given(_PATCHES, st.integers(1, 150), st.integers(0, 600))
def test_a_long_list_of_patches_is_cut_to_size_from_the_least_important_on(
    patches: list[dict[str, Any]], times: int, padding: int
) -> None:
    """Critical and security patches go last, each list keeps its order, and the counts add up."""
    every = _numbered(patches, times, padding)
    message = outcome_message(_outcome(finished(availablePatches=every)), TRACEPARENT)
    assert len(message.body) <= MAX_BODY_BYTES
    data = _event(message)["data"]
    kept = data["availablePatches"]
    important = [each for each in every if is_critical_or_security(parse_patch(each))]
    ranked = important + [each for each in every if not is_critical_or_security(parse_patch(each))]
    if "availablePatchesOmitted" in data:
        assert kept == ranked[: len(kept)]
        assert data["availablePatchesOmitted"] == len(every) - len(kept) > 0
        # Nothing was given up that would have fitted.
        next_patch = len(json.dumps(ranked[len(kept)]).encode()) + len(", ")
        assert len(message.body) + next_patch > MAX_BODY_BYTES - 64
    else:
        assert kept == every
    assert data["otherPatchCount"] == 3


@given(st.dictionaries(st.text(), json_values(), max_size=4))
def test_what_fits_is_left_as_it_is(data: dict[str, Any]) -> None:
    """The very same object: nothing is marked as omitted, or put into another order."""
    assert fit(data, len(json.dumps(data).encode())) is data


_LONG_TEXTS = st.builds(
    lambda text, times: text * times,
    st.sampled_from(["x", "é", "界", "\U0001f600", '"', "\n", "\x00"]),
    st.integers(0, 30_000),
)


@given(_LONG_TEXTS, _LONG_TEXTS, st.integers(0, 40))
def test_an_error_with_many_words_is_cut_to_size(text: str, inner: str, details: int) -> None:
    """An exception's dump, or a message for each of many disks, does not keep the outcome back."""
    detail = {"code": "Detail", "message": text, "target": text}
    error = ApiError("Code", text, None, (detail,) * details, {"errordetail": inner})
    message = outcome_message(_outcome(Refused(error, NOW)), None)
    assert len(message.body) <= MAX_BODY_BYTES
    told = _event(message)["data"]["error"]
    assert told["code"] == "Code"
    assert text.startswith(told["message"])
    assert inner.startswith(told["innererror"]["errordetail"])


@given(st.binary(max_size=64) | _LONG_TEXTS.map(str.encode), st.integers(1, 8))
def test_a_rejected_body_is_cut_to_size_and_says_so(body: bytes, times: int) -> None:
    """Control characters take six bytes of JSON each; what is told is the start of the body."""
    message = outcome_message(_rejected(body * times, (FieldError("body", "must be JSON"),)), None)
    assert len(message.body) <= MAX_BODY_BYTES
    data = _event(message)["data"]
    whole = reject(Rejection("request-1", "Invalid", (), incoming(body * times)), NOW).data["body"]
    assert data["body"] == whole[: len(data["body"])]
    assert len(whole) - len(data["body"]) == data.get("bodyOmittedCharacters", 0)
    assert data["errors"]


@given(st.integers(1, 1500), _LONG_TEXTS.map(lambda each: each[:200]))
def test_any_number_of_errors_is_told_in_a_message_that_can_be_sent(
    count: int, message_text: str
) -> None:
    """A list of thousands of wrong IDs makes thousands of errors: the first ones are told."""
    errors = tuple(FieldError(f"vmIds[{index}]", message_text, "v" * 256) for index in range(count))
    message = outcome_message(_rejected(b"{}" * count, errors), None)
    assert len(message.body) <= MAX_BODY_BYTES
    data = _event(message)["data"]
    assert len(data["errors"]) + data.get("errorsOmitted", 0) == count
    assert [each["field"] for each in data["errors"]] == [
        each.field for each in errors[: len(data["errors"])]
    ]


def test_tags_are_given_up_where_nothing_else_is_left() -> None:
    """Fifty long tags are the VM's own; whoever needs them can read them there."""
    tags = {f"tag-{index}": "\U0001f600" * 256 for index in range(100)}
    vm = VirtualMachine(VM_ID, location="eastus", tags=tags)
    message = outcome_message(_outcome(finished(availablePatches=[]), vm), None)
    assert len(message.body) <= MAX_BODY_BYTES
    assert _event(message)["data"]["vm"]["tags"] is None
    assert _event(message)["data"]["vm"]["location"] == "eastus"


def test_the_largest_message_leaves_room_for_properties_and_framing() -> None:
    """What the SDK puts on the wire for it stays below what a Standard namespace takes."""
    patches = _numbered([{"name": "p", "classifications": ["Security"]}], 2000, 200)
    message = outcome_message(_outcome(finished(availablePatches=patches)), TRACEPARENT)
    wire = _wire(message)
    assert len(message.body) > MAX_BODY_BYTES - 1024
    assert len(wire) < _STANDARD_TIER_BYTES - 8 * 1024
