"""The schemas: true of all that the app says, of no less than what it takes, and open."""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from assessor.arm.result import ApiError, parse_result
from assessor.arm.virtual_machine import SkipReason
from assessor.messages.contract import DATA_SCHEMAS
from assessor.messages.outcome import (
    Conclusion,
    Finished,
    Outcome,
    Refused,
    Skipped,
    conclude,
    reject,
)
from assessor.messages.outgoing import outcome_message
from assessor.messages.request import Rejection
from assessor.messages.request_body import parse_request
from tests.support import examples
from tests.support.builders import (
    NOW,
    REFERENCE_RESULT,
    VM_ID,
    incoming,
    json_values,
    machine,
    recorded_result,
    request,
)
from tests.support.properties import tries
from tests.support.schemas import (
    EVENT_SCHEMAS,
    assert_event,
    assert_published,
    names,
    schema,
    validator,
)
from tests.support.schemas import examples as examples_of

RESULTS = examples.results()
REQUEST_EXAMPLES = examples_of("request-")
PLAIN_REQUESTS = {
    name: example
    for name, example in REQUEST_EXAMPLES.items()
    if name not in {"request-cloud-event.example.json", "request-rejected.example.json"}
}


def assert_told(outcome: Outcome) -> None:
    """The outcome's message is one of the contract."""
    assert_published(outcome_message(outcome, None))


# The schemas themselves.


@pytest.mark.parametrize("name", names())
def test_each_file_is_a_schema_named_and_versioned_by_its_id(name: str) -> None:
    """`urn:patch-assessor:message:{file}:{version}`; data has `…:data:…`, of the same version."""
    found = schema(name)
    Draft202012Validator.check_schema(found)
    assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    kind, file, version = found["$id"].removeprefix("urn:patch-assessor:").split(":")
    assert (kind, file) == ("message", name)
    assert int(version) > 0
    data = found.get("properties", {}).get("data", {}).get("$id")
    if name in EVENT_SCHEMAS.values():
        assert data == f"urn:patch-assessor:data:{name}:{version}"


@pytest.mark.parametrize("name", names())
def test_each_schema_is_open(name: str) -> None:
    """ARM adds fields, and so may the app, without a new version."""
    for part in _parts(schema(name)):
        assert part.get("additionalProperties") is not False
        assert "unevaluatedProperties" not in part


@pytest.mark.parametrize(("event_type", "data_schema"), DATA_SCHEMAS.items())
def test_each_event_names_the_schema_of_its_data(event_type: str, data_schema: str) -> None:
    """`dataschema` is the `$id` of the data in the file that describes the type."""
    properties = schema(EVENT_SCHEMAS[event_type])["properties"]
    assert properties["dataschema"]["const"] == data_schema
    assert properties["data"]["$id"] == data_schema
    assert event_type in {properties["type"].get("const"), *properties["type"].get("enum", ())}


def test_there_is_a_schema_for_each_type_of_event() -> None:
    """And none for a type that the app does not have."""
    assert EVENT_SCHEMAS.keys() == DATA_SCHEMAS.keys()


# Results.


@pytest.mark.parametrize("name", RESULTS)
def test_the_examples_are_what_the_app_publishes(name: str) -> None:
    """To write them anew: `python -m tests.support.examples`."""
    (example,) = examples_of(name).values()
    assert example == RESULTS[name]
    assert_event(example)


@pytest.mark.parametrize("name", RESULTS)
def test_the_schema_misses_each_field_that_has_to_be_there(name: str) -> None:
    """So a field can't go without a new version."""
    for path in _paths(RESULTS[name]):
        if path[-1] in {"errorsOmitted", "subject"}:
            continue
        event = deepcopy(RESULTS[name])
        parent = event
        for part in path[:-1]:
            parent = parent[part]
        del parent[path[-1]]
        fits = validator(name).is_valid(event)
        # what is inside of ARM's own objects, and tags, is theirs
        is_theirs = {"availablePatches", "error", "tags"} & set(path[:-1])
        assert fits == bool(is_theirs), path


@pytest.mark.parametrize("name", RESULTS)
def test_a_schema_takes_its_own_type_alone(name: str) -> None:
    """Each type has its schema."""
    for other, example in RESULTS.items():
        assert validator(name).is_valid(example) == (name == other)


@pytest.mark.parametrize("result", [REFERENCE_RESULT, recorded_result()])
def test_real_results_are_told_by_the_schema(result: Mapping[str, Any]) -> None:
    """The reference's sample and the recorded one."""
    assert_told(conclude(request(), machine(), Finished(parse_result(result), NOW, 1.0)))


@given(
    st.dictionaries(
        st.sampled_from([*REFERENCE_RESULT, "request", "vm", "newField"]) | st.text(),
        json_values(10),
    ),
    st.none() | st.floats(0, 1e6),
    st.none() | st.text(min_size=1),
)
def test_whatever_arm_answers_is_told_by_the_schema(
    result: dict[str, Any], seconds: float | None, missing: str | None
) -> None:
    """Values of any type, fields that nobody knows, and such as have names of the app's own."""
    assert_told(conclude(request(), None, Finished(parse_result(result), NOW, seconds, missing)))


@given(
    st.builds(
        Refused,
        st.builds(
            ApiError,
            st.text(min_size=1),
            st.text(),
            st.none() | st.text(),
            st.lists(st.dictionaries(st.text(), json_values(3)), max_size=3).map(tuple),
            st.none() | st.dictionaries(st.text(), json_values(3)),
        ),
        st.just(NOW),
        st.none() | st.uuids().map(str),
        st.none() | st.floats(0, 1e6),
    )
    | st.builds(Skipped, st.sampled_from(SkipReason), st.text(), st.just(NOW))
)
def test_whatever_else_becomes_of_a_request_is_told_by_the_schema(conclusion: Conclusion) -> None:
    """Refusals with any words, and every reason to skip."""
    assert_told(conclude(request(), machine(), conclusion))


@settings(max_examples=tries(30))
@given(st.integers(1000, 4000), st.sampled_from(["x", "é", '"']))
def test_what_was_cut_to_size_is_told_by_the_schema(count: int, letter: str) -> None:
    """A list of patches, and a rejected body, that are too large for a message."""
    patches = [{"name": letter * 200, "classifications": ["Security"]} for _ in range(count)]
    assert_told(
        conclude(
            request(), machine(), Finished(parse_result({"availablePatches": patches}), NOW, 1.0)
        )
    )
    rejection = parse_request(incoming({"vmIds": [letter * 200] * count}), ())
    assert isinstance(rejection, Rejection)
    assert_told(reject(rejection, NOW))


@given(st.binary() | json_values(5).map(json.dumps).map(str.encode))
def test_whatever_is_rejected_is_told_by_the_schema(body: bytes) -> None:
    """Any bytes, any JSON."""
    rejection = parse_request(incoming(body), ())
    assert isinstance(rejection, Rejection)
    assert_told(reject(rejection, NOW))


# Requests.


@pytest.mark.parametrize("name", PLAIN_REQUESTS)
def test_each_example_of_a_request_is_one(name: str) -> None:
    """The app takes it, and the schema says so."""
    validator("request").validate(PLAIN_REQUESTS[name])
    assert not isinstance(parse_request(incoming(PLAIN_REQUESTS[name]), ()), Rejection)


def test_the_example_of_an_event_is_a_request() -> None:
    """The schema describes its data."""
    event = REQUEST_EXAMPLES["request-cloud-event.example.json"]
    validator("request").validate(event["data"])
    message = incoming(event, content_type="application/cloudevents+json")
    assert not isinstance(parse_request(message, ()), Rejection)


_NAME = st.sampled_from(["vm-1", "vm_1", "-vm", "vm.", "v" * 80, "v" * 81, "", "v m", "v/m", "é"])
_GROUP = st.sampled_from(["rg", "rg.", "(é)_1", "r" * 90, "r" * 91, "", "r g", "r/g", "r%", "~"])
_GUID = st.sampled_from([VM_ID.subscription_id, VM_ID.subscription_id.upper(), "8c0bb04e", ""])
_VM_IDS = st.builds(
    "{}{}{}{}{}{}".format,
    st.sampled_from(["/subscriptions/", "/Subscriptions/", "subscriptions/", "/subscription/"]),
    _GUID,
    st.sampled_from(["/resourceGroups/", "/resourcegroups/", "/"]),
    _GROUP,
    st.sampled_from(
        [
            "/providers/Microsoft.Compute/virtualMachines/",
            "/PROVIDERS/microsoft.compute/VIRTUALMACHINES/",
            "/providers/Microsoft.Compute/disks/",
            "/providers/MicrosoftXCompute/virtualMachines/",
        ]
    ),
    _NAME,
)
_LEGAL_VM_ID = st.just(str(VM_ID)) | st.just(str(VM_ID).upper())
_SCOPES = st.builds(
    "/subscriptions/{}{}{}{}".format,
    _GUID,
    st.sampled_from(["/resourceGroups/", "/resourcegroups/", ""]),
    _GROUP,
    st.sampled_from(["", "/", "//", "/providers/Microsoft.Compute/virtualMachines/vm-1"]),
) | st.just(f"/subscriptions/{VM_ID.subscription_id}")
_OTHERS: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.just([]) | st.just({})
)
_FIELDS = {
    "vmId": _VM_IDS | _LEGAL_VM_ID | _OTHERS,
    "subscriptionId": _GUID | _OTHERS,
    "resourceGroupName": _GROUP | _OTHERS,
    "vmName": _NAME | _OTHERS,
    "vmIds": st.lists(_VM_IDS | _LEGAL_VM_ID | st.none(), max_size=2) | _OTHERS,
    "scope": _SCOPES | _OTHERS,
    "tags": st.dictionaries(st.sampled_from(["", "env", "x" * 513]), st.just("prod") | _OTHERS)
    | st.just({str(number): "x" for number in range(51)})
    | _OTHERS,
    "runningOnly": st.booleans() | _OTHERS,
    "requestId": st.sampled_from(["", "r", "r" * 128, "r" * 129]) | _OTHERS,
    "requestedBy": st.sampled_from(["", "r" * 256, "r" * 257]) | _OTHERS,
    "reason": st.sampled_from(["", "r" * 1024, "r" * 1025]) | _OTHERS,
    "scanId": st.sampled_from(["", VM_ID.subscription_id, VM_ID.subscription_id.upper()]) | _OTHERS,
    "freshSince": st.just("2026-01-05T12:00:00Z") | _OTHERS,
    "priority": _OTHERS,
}


@st.composite
def _requests(draw: st.DrawFn) -> dict[str, Any]:
    """Returns bodies of which many are nearly a request, and some are one."""
    forms: list[tuple[str, ...]] = [
        ("vmId",),
        ("subscriptionId", "resourceGroupName", "vmName"),
        ("vmIds",),
        ("scope",),
        ("scope", "tags", "runningOnly"),
    ]
    fields = set(draw(st.sampled_from(forms))) | draw(
        st.sets(st.sampled_from(sorted(_FIELDS)), max_size=3)
    )
    return {field: draw(_FIELDS[field]) for field in sorted(fields)}


@settings(max_examples=tries(1000))
@given(_requests())
def test_the_schema_takes_what_the_app_takes_and_nothing_else(body: dict[str, Any]) -> None:
    """One truth in two notations."""
    taken = not isinstance(parse_request(incoming(body), ()), Rejection)
    assert validator("request").is_valid(body) == taken


def _parts(value: object) -> Iterator[Mapping[str, Any]]:
    """Yields each object in a JSON value."""
    if isinstance(value, Mapping):
        yield value
    if isinstance(value, Mapping | list):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _parts(part)


def _paths(value: object, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """Yields the way to each field in a JSON value, at any depth."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield (*path, name)
            yield from _paths(part, *path, name)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _paths(part, *path, index)
