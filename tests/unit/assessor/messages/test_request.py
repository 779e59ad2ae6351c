"""Requests: every form of the contract is read, and no message at all breaks the reader."""

import base64
import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import pytest
from cloudevents.core.bindings.amqp import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assessor.messages.request import (
    AssessmentRequest,
    FieldError,
    IncomingMessage,
    Rejection,
    ScanRequest,
    identity_of,
)
from assessor.messages.request_body import parse_request
from assessor.resource_id import Scope, VirtualMachineId
from tests.support.builders import (
    NOW,
    OTHER_SUBSCRIPTION,
    SUBSCRIPTION,
    TRACEPARENT,
    VM_ID,
    incoming,
    json_values,
    vm_ids,
)
from tests.support.properties import tries

EVENTS_TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
_NAMES = {
    "subscriptionId": VM_ID.subscription_id,
    "resourceGroupName": VM_ID.resource_group,
    "vmName": VM_ID.name,
}
_FIELDS = (
    "vmId",
    *_NAMES,
    "vmIds",
    "requestId",
    "requestedBy",
    "reason",
    "scope",
    "tags",
    "runningOnly",
    "traceparent",
    "unknown",
)
IDENTITY = identity_of("message-1")
_SCOPE = f"/subscriptions/{SUBSCRIPTION}"
_CLOUD_EVENTS = "application/cloudevents+json"


def _accepted(
    message: IncomingMessage, allowed: Sequence[Scope] = ()
) -> tuple[AssessmentRequest, ...]:
    parsed = parse_request(message, allowed)
    assert isinstance(parsed, tuple)
    return parsed


def _scan(message: IncomingMessage, allowed: Sequence[Scope] = ()) -> ScanRequest:
    parsed = parse_request(message, allowed)
    assert isinstance(parsed, ScanRequest)
    return parsed


def _rejected(message: IncomingMessage, allowed: Sequence[Scope] = ()) -> Rejection:
    parsed = parse_request(message, allowed)
    assert isinstance(parsed, Rejection)
    assert parsed.message is message
    return parsed


def _fields(rejection: Rejection) -> list[str]:
    return [error.field for error in rejection.errors]


@pytest.mark.parametrize("body", [{"vmId": str(VM_ID)}, _NAMES, {"vmIds": [str(VM_ID)]}])
def test_each_form_names_the_vm(body: dict[str, Any]) -> None:
    """By its ID, by its three names, or in a list: it is the same request."""
    assert _accepted(incoming(body)) == (
        AssessmentRequest(VM_ID, "message-1", NOW, identity=IDENTITY),
    )


def test_what_the_requester_adds_is_kept() -> None:
    """Its own ID, who it is and why; an unknown field is left out, and null is absent."""
    body = {
        "vmId": str(VM_ID),
        "requestId": "mine",
        "requestedBy": "ops",
        "reason": "monthly",
        "colour": "blue",
        "vmIds": None,
        "scope": None,
    }
    assert _accepted(incoming(body)) == (
        AssessmentRequest(VM_ID, "mine", NOW, "ops", "monthly", identity=IDENTITY),
    )


@given(st.lists(vm_ids(), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_a_list_gives_one_request_a_vm_in_its_order(
    ids: list[VirtualMachineId],
    random: Any,  # noqa: ANN401 - hypothesis' own type
) -> None:
    """A VM that is named twice, in whatever case, is assessed once."""
    texts = [random.choice([str(each), str(each).upper(), str(each).lower()]) for each in ids * 2]
    requests = _accepted(incoming({"vmIds": texts}))
    assert [each.vm for each in requests] == list(dict.fromkeys(ids))
    assert {each.request_id for each in requests} == {"message-1"}


@pytest.mark.parametrize("prefix", ["cloudEvents_", "cloudEvents:"])
def test_a_cloud_event_in_binary_mode_is_the_same_request(prefix: str) -> None:
    """As the CloudEvents SDK sends it, with either prefix of the AMQP binding."""
    event = CloudEvent({"type": "t", "source": "/s"}, {"vmId": str(VM_ID)})
    sent = to_binary_event(event)
    properties = {
        name.replace("cloudEvents_", prefix): value
        for name, value in sent.application_properties.items()
    }
    message = incoming(sent.application_data, properties=properties)
    assert _accepted(message) == (AssessmentRequest(VM_ID, "message-1", NOW, identity=IDENTITY),)


@pytest.mark.parametrize("content_type", [_CLOUD_EVENTS, "application/json", None])
@pytest.mark.parametrize(
    "data",
    [
        {"vmId": str(VM_ID)},
        json.dumps({"vmId": str(VM_ID)}),
        json.dumps({"vmId": str(VM_ID)}).encode(),
    ],
    ids=["object", "text", "bytes"],
)
def test_a_cloud_event_in_structured_mode_is_the_same_request(
    content_type: str | None,
    data: Any,  # noqa: ANN401 - each kind that the SDK writes
) -> None:
    """As the CloudEvents SDK writes it: data as an object, as text, or in base64."""
    sent = to_structured_event(CloudEvent({"type": "t", "source": "/s"}, data))
    message = incoming(sent.application_data, content_type=content_type)
    assert _accepted(message) == (AssessmentRequest(VM_ID, "message-1", NOW, identity=IDENTITY),)


def test_a_batch_of_cloud_events_is_refused() -> None:
    """One message, one request; the error says so."""
    rejection = _rejected(incoming(b"[]", content_type="application/cloudevents-batch+json"))
    assert (rejection.reason, _fields(rejection)) == ("NotUnderstood", ["body"])


def test_a_cloud_event_without_its_attributes_is_refused_by_their_names() -> None:
    """A message that says that it is an event is held to it."""
    body = {"specversion": "1.0", "data": {"vmId": str(VM_ID)}}
    rejection = _rejected(incoming(body))
    assert rejection.reason == "NotUnderstood"
    assert {"source", "type"} <= set(_fields(rejection))


@pytest.mark.parametrize("name", ["traceparent", "Diagnostic-Id"])
def test_the_trace_of_the_message_goes_along(name: str) -> None:
    """W3C's own property, or the one that Azure's SDKs send."""
    (request,) = _accepted(incoming({"vmId": str(VM_ID)}, properties={name: TRACEPARENT}))
    assert request.traceparent == TRACEPARENT


def test_the_messages_trace_goes_before_the_events() -> None:
    """The event's extension may be older: it is what the event was made with."""
    body = {
        "specversion": "1.0",
        "id": "1",
        "source": "s",
        "type": "t",
        "traceparent": EVENTS_TRACEPARENT,
        "data": {"vmId": str(VM_ID)},
    }
    assert _accepted(incoming(body))[0].traceparent == EVENTS_TRACEPARENT
    (request,) = _accepted(incoming(body, properties={"traceparent": TRACEPARENT}))
    assert request.traceparent == TRACEPARENT


@pytest.mark.parametrize(
    "odd",
    [
        5,
        b"00-1",
        {"a": 1},
        "",
        "00-1-1-00",
        TRACEPARENT.upper(),
        f"{TRACEPARENT}\x1b[2J",
        f"{TRACEPARENT}\n",
        f"ff{TRACEPARENT[2:]}",
        f"00-{'0' * 32}{TRACEPARENT[35:]}",
        f"{TRACEPARENT[:36]}{'0' * 16}-01",
        "|4bf92f3577b34da6.1.",
    ],
)
def test_a_trace_that_is_none_is_left_out(odd: object) -> None:
    """It is kept only if it is one, 55 characters; an odd one is no reason to refuse a request."""
    (request,) = _accepted(incoming({"vmId": str(VM_ID)}, properties={"traceparent": odd}))
    assert request.traceparent is None


@pytest.mark.parametrize(
    "body",
    [b"", b"vm", b"{", b"\xff\xfe{}", b'{"vmId": "\\ud800"}', b"[]", b"null", b'"text"', b"5"],
)
def test_what_is_no_json_object_is_not_understood(body: bytes) -> None:
    """It is answered under the message's ID, for it has none of its own."""
    rejection = _rejected(incoming(body))
    assert (rejection.reason, _fields(rejection)) == ("NotUnderstood", ["body"])
    assert rejection.request_id == "message-1"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"vmId"}),
        ({"vmId": "vm-1"}, {"vmId"}),
        ({"vmId": 7}, {"vmId"}),
        ({"vmId": ""}, {"vmId"}),
        ({"vmIds": []}, {"vmIds"}),
        ({"vmIds": str(VM_ID)}, {"vmIds"}),
        ({"vmIds": [str(VM_ID), "x", None, {}]}, {"vmIds[1]", "vmIds[2]", "vmIds[3]"}),
        ({"vmName": VM_ID.name}, {"subscriptionId", "resourceGroupName"}),
        ({"subscriptionId": "x", "vmName": "-"}, {"subscriptionId", "resourceGroupName", "vmName"}),
        ({"vmId": str(VM_ID), "vmIds": [str(VM_ID)]}, {"vmIds"}),
        ({"vmId": str(VM_ID), **_NAMES}, {"subscriptionId"}),
        ({"vmId": str(VM_ID), "scope": _SCOPE}, {"scope"}),
        ({"vmId": str(VM_ID), "tags": {"a": "b"}, "runningOnly": True}, {"tags", "runningOnly"}),
        ({"tags": {}}, {"vmId", "tags"}),
        ({"scope": ""}, {"scope"}),
        ({"scope": 5}, {"scope"}),
        ({"scope": "/"}, {"scope"}),
        ({"scope": str(VM_ID)}, {"scope"}),
        ({"scope": f"{_SCOPE}/resourceGroups/../x"}, {"scope"}),
        ({"scope": _SCOPE, "runningOnly": "yes"}, {"runningOnly"}),
        ({"scope": _SCOPE, "tags": ["a"]}, {"tags"}),
        ({"scope": _SCOPE, "tags": {"a": 5}}, {"tags.a"}),
        ({"scope": _SCOPE, "tags": {"a": "v" * 257}}, {"tags.a"}),
        ({"vmIds": [str(VM_ID)] * 1001}, {"vmIds"}),
        ({"vmId": str(VM_ID), "requestId": ""}, {"requestId"}),
        ({"vmId": str(VM_ID), "requestId": "r" * 129}, {"requestId"}),
        ({"vmId": str(VM_ID), "requestId": 5}, {"requestId"}),
        ({"vmId": str(VM_ID), "requestedBy": "r" * 257}, {"requestedBy"}),
        ({"vmId": str(VM_ID), "reason": ["r"]}, {"reason"}),
        (
            {"vmId": "x", "requestId": 5, "requestedBy": 5, "reason": 5, "vmName": "*"},
            {"vmId", "requestId", "requestedBy", "reason", "vmName", "subscriptionId"}
            | {"resourceGroupName"},
        ),
    ],
)
def test_every_error_is_told_at_once_and_names_its_field(
    body: dict[str, Any], fields: set[str]
) -> None:
    """Nothing that is right is named, and nothing that is wrong is kept back."""
    rejection = _rejected(incoming(body))
    assert rejection.reason == "Invalid"
    assert set(_fields(rejection)) == fields
    assert all(error.message for error in rejection.errors)


def test_an_error_shows_what_was_sent_and_no_more_than_256_characters() -> None:
    """Enough to find it in the sender's log, and no copy of the whole body."""
    (short,) = _rejected(incoming({"vmId": "vm-1"})).errors
    (long,) = _rejected(incoming({"vmId": "v" * 5000})).errors
    (listed,) = _rejected(incoming({"vmIds": {"a": 1}})).errors
    (missing,) = _rejected(incoming({})).errors
    assert (short.value, listed.value, missing.value) == ("vm-1", '{"a": 1}', None)
    assert long.value is not None
    assert len(long.value) == 256
    assert long.value.startswith("vvvv")


def test_the_requesters_id_is_found_in_an_invalid_body() -> None:
    """Else its answer would come under an ID that it never saw."""
    assert _rejected(incoming({"vmId": "x", "requestId": "mine"})).request_id == "mine"
    assert _rejected(incoming({"vmId": "x", "requestId": 5})).request_id == "message-1"
    assert _rejected(incoming({"vmId": "x", "requestId": ""})).request_id == "message-1"


def test_a_vm_outside_of_the_allowed_scopes_is_refused() -> None:
    """Each one that lies outside is named; one is enough to refuse all."""
    outside = VirtualMachineId(OTHER_SUBSCRIPTION, "rg", "vm")
    body = {"vmIds": [str(VM_ID), str(outside)], "requestId": "mine"}
    allowed = (Scope(SUBSCRIPTION),)
    rejection = _rejected(incoming(body), allowed)
    assert (rejection.reason, rejection.request_id) == ("OutOfScope", "mine")
    assert [(each.field, each.value) for each in rejection.errors] == [("vmIds[1]", str(outside))]
    assert len(_accepted(incoming({"vmIds": [str(VM_ID)]}), allowed)) == 1
    assert len(_accepted(incoming(body))) == 2


def test_a_scope_asks_for_all_of_its_vms() -> None:
    """With what narrows it down, and what the requester adds."""
    body = {
        "scope": f"{_SCOPE}/resourceGroups/rg",
        "tags": {"env": "prod"},
        "runningOnly": True,
        "requestId": "mine",
        "requestedBy": "ops",
        "reason": "monthly",
    }
    message = incoming(body, properties={"traceparent": TRACEPARENT})
    assert _scan(message) == ScanRequest(
        Scope(SUBSCRIPTION, "rg"),
        "mine",
        message.scan_identity,
        NOW,
        tags={"env": "prod"},
        running_only=True,
        requested_by="ops",
        reason="monthly",
        traceparent=TRACEPARENT,
    )
    message = incoming({"scope": _SCOPE})
    assert _scan(message) == ScanRequest(
        Scope(SUBSCRIPTION), "message-1", message.scan_identity, NOW
    )


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        (_SCOPE, True),
        (_SCOPE.upper(), True),
        (f"{_SCOPE}/resourceGroups/rg", True),
        (f"/subscriptions/{OTHER_SUBSCRIPTION}/resourceGroups/RG", True),
        (f"/subscriptions/{OTHER_SUBSCRIPTION}", False),
        (f"/subscriptions/{OTHER_SUBSCRIPTION}/resourceGroups/rg2", False),
    ],
)
def test_a_scope_must_lie_wholly_in_an_allowed_one(
    scope: str,
    allowed: bool,  # noqa: FBT001 - one of the table's columns
) -> None:
    """A resource group that is allowed does not allow the subscription around it."""
    scopes = (Scope(SUBSCRIPTION), Scope(OTHER_SUBSCRIPTION, "rg"))
    message = incoming({"scope": scope})
    if allowed:
        assert _scan(message, scopes).scope == Scope.parse(scope)
    else:
        rejection = _rejected(message, scopes)
        assert (rejection.reason, _fields(rejection)) == ("OutOfScope", ["scope"])


@pytest.mark.parametrize("value", ["0b1c2d3e-0000-5000-8000-000000000000", "x", 5])
@pytest.mark.parametrize("name", ["scanId", "freshSince"])
def test_what_only_the_app_says_of_its_own_requests_is_an_unknown_field(
    name: str, value: object
) -> None:
    """Nobody joins a scan, or says how old an answer may be, from outside."""
    (request,) = _accepted(incoming({"vmId": str(VM_ID), name: value}))
    assert request == AssessmentRequest(VM_ID, "message-1", NOW, identity=IDENTITY)
    assert (request.scan_id, request.fresh_since) == (None, None)


@pytest.mark.parametrize("form", ["vmId", "names"])
def test_each_form_is_held_to_the_allowed_scopes(form: str) -> None:
    """There is no way round the scopes by another way to name the VM."""
    body = {"vmId": str(VM_ID)} if form == "vmId" else _NAMES
    assert _rejected(incoming(body), (Scope(OTHER_SUBSCRIPTION),)).reason == "OutOfScope"


_PROPERTY_VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=20)
    | st.just(TRACEPARENT)
)
_PROPERTIES = st.dictionaries(
    st.sampled_from(
        [
            f"{prefix}{name}"
            for prefix in ("cloudEvents:", "cloudEvents_")
            for name in ("specversion", "id", "source", "type", "time", "datacontenttype", "x")
        ]
        + ["traceparent", "Diagnostic-Id"]
    )
    | st.text(max_size=10),
    _PROPERTY_VALUES | st.just("1.0"),
    max_size=8,
)
_CONTENT_TYPES = (
    st.none()
    | st.sampled_from(
        ["application/json", _CLOUD_EVENTS, "application/cloudevents-batch+json", "text/plain", ""]
    )
    | st.text(max_size=20)
)
_VALUES = json_values(8) | st.sampled_from([str(VM_ID), _SCOPE, *_NAMES.values()])
_REQUESTS = st.dictionaries(st.sampled_from(_FIELDS), _VALUES, max_size=6)
_EVENTS = st.fixed_dictionaries(
    {"specversion": st.just("1.0")},
    optional={
        "id": _VALUES,
        "source": _VALUES,
        "type": _VALUES,
        "time": _VALUES | st.datetimes().map(str),
        "traceparent": _VALUES,
        "datacontenttype": _VALUES,
        "data": _REQUESTS | _VALUES,
        "data_base64": _VALUES | st.binary().map(lambda each: base64.b64encode(each).decode()),
    },
)
_JSON_BODIES = (_REQUESTS | _EVENTS | json_values()).map(lambda each: json.dumps(each).encode())
_EVENT_START = b'{"specversion":"1.0","id":"1","source":"s","type":"t",'


@settings(max_examples=tries(1000))  # nothing else guards the queue against poison
@given(_JSON_BODIES | st.binary(), _CONTENT_TYPES, _PROPERTIES)
@example(_EVENT_START + b'"time":"9999-12-31T24:00:00Z","data":{}}', None, {})
@example(_EVENT_START + b'"data":"\\ud800"}', _CLOUD_EVENTS, {})
@example(_EVENT_START + b'"data":{"vmId":"\\ud800","requestId":"\\ud800"}}', _CLOUD_EVENTS, {})
@example(b'"\\ud800"', None, {f"cloudEvents:{n}": "1.0" for n in ("specversion", "type", "source")})
@example(b"{}", None, {"cloudEvents:specversion": "1.0", "cloudEvents:time": 10**400})
@example(b'{"vmId":' + b"1" * 4299 + b"}", None, {})
@example(b'{"vmId":' + b"1" * 5000 + b"}", _CLOUD_EVENTS, {})
@example(b'{"vmId":' + b"[" * 100_000, _CLOUD_EVENTS, {})
@example(_EVENT_START + b'"data":{"vmId":' + b"[" * 190 + b"]" * 190 + b"}}", None, {})
@example(b'{"vmId":NaN,"vmIds":[1e999]}', None, {})
def test_no_message_breaks_the_reader(
    body: bytes, content_type: str | None, properties: dict[str, Any]
) -> None:
    """Any bytes, any properties: requests, or a rejection with its errors and the message.

    What would be raised here instead would come back to the queue until it is dead-lettered, and
    nobody would be told why.
    """
    message = incoming(body, content_type=content_type, properties=properties)
    parsed = parse_request(message, ())
    if isinstance(parsed, Rejection):
        assert parsed.errors
        assert parsed.message is message
        assert 1 <= len(parsed.request_id) <= 128
        for error in parsed.errors:  # whatever is told can be written as UTF-8
            f"{error.field}{error.message}{error.value}{parsed.request_id}".encode()
    else:
        assert isinstance(parsed, ScanRequest) or all(
            isinstance(each, AssessmentRequest) for each in parsed
        )
        assert parsed != ()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_body_with_a_number_that_json_lacks_is_rejected(number: str) -> None:
    """RFC 8259 has no such numbers, in an event as little as in a plain request."""
    plain = f'{{"vmId": "{VM_ID}", "priority": {number}}}'
    event = f'{{"specversion": "1.0", "type": "t", "source": "s", "id": "1", "data": {plain}}}'
    for body, kind in ((plain, None), (event, None), (event, "application/cloudevents+json")):
        rejection = parse_request(incoming(body.encode(), content_type=kind), ())
        assert isinstance(rejection, Rejection)
        assert [error.field for error in rejection.errors] == ["body"]


@pytest.mark.parametrize("in_event", [False, True])
def test_a_request_within_a_json_string_is_understood(in_event: bool) -> None:  # noqa: FBT001 - a parameter
    """A client that makes JSON of its body, and was given JSON."""
    text = json.dumps({"vmId": str(VM_ID)})
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": text}
    (request,) = _accepted(incoming(event if in_event else json.dumps(text).encode()))
    assert request.vm == VM_ID


def test_what_the_retired_dotnet_package_made_of_a_text_is_that_text() -> None:
    """`new BrokeredMessage(text)` is serialised, whatever the text is: a request, an envelope."""
    text = json.dumps({"vmId": str(VM_ID), "requestId": "old \u00fc"}, ensure_ascii=False).encode()
    start = b"\x40\x06string\x083http://schemas.microsoft.com/2003/10/Serialization/"
    body = start + b"\x9b" + len(text).to_bytes(2, "little") + text
    (request,) = _accepted(incoming(body))
    assert request.request_id == "old \u00fc"
    assert request.vm == VM_ID


def test_a_body_that_can_not_be_read_is_rejected_with_what_it_is() -> None:
    """Whatever else the message says of itself."""
    message = dataclasses.replace(incoming(b"\0Sw"), body_problem="must be text; it is a map")
    rejection = _rejected(message)
    assert rejection.reason == "NotUnderstood"
    assert rejection.errors == (FieldError("body", "must be text; it is a map"),)


_EVENT = {"specversion": "1.0", "id": "e", "source": "/a", "type": "t"}


@pytest.mark.parametrize("strings", [1, 2, 3])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize(
    ("wrapped", "content_type"),
    [
        (None, None),
        (_EVENT, None),
        (_EVENT, "application/json"),
        (_EVENT, _CLOUD_EVENTS),
    ],
)
def test_json_in_json_strings_is_understood_with_its_envelope(
    strings: int, mark: str, wrapped: dict[str, str] | None, content_type: str | None
) -> None:
    """A client made JSON of JSON up to three times, with a byte order mark or not."""
    request: object = {"vmId": str(VM_ID), "requestId": "r"}
    text = json.dumps(request if wrapped is None else {**wrapped, "data": request})
    for _ in range(strings):
        text = json.dumps(mark + text)
    (accepted,) = _accepted(incoming((mark + text).encode(), content_type=content_type))
    assert (accepted.vm, accepted.request_id) == (VM_ID, "r")


@pytest.mark.parametrize(
    ("body", "shown"), [('"hello"', "hello"), ('"{no"', None), ('"\\ud800{"', None), ('""', "")]
)
def test_a_json_string_of_no_json_is_rejected_for_what_it_is(body: str, shown: str | None) -> None:
    """What is in it is shown, or what is wrong with it said."""
    (error,) = _rejected(incoming(body.encode())).errors
    assert error.field == "body"
    assert error.value == shown
