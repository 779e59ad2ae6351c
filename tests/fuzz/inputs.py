"""What may come from outside: well-formed things with something wrong in them, and mere bytes.

Most of what is drawn is nearly right, for mere noise never passes the first check.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from azure.core.exceptions import ServiceRequestError, ServiceResponseError
from hypothesis import strategies as st

from tests.fuzz.world import Answer
from tests.support.builders import ACTIVITY_ID, SUBSCRIPTION, VM_ID, json_values, recording, vm_json

_BASE: Final = f"https://management.azure.com/subscriptions/{SUBSCRIPTION}"
OPERATION: Final = f"{_BASE}/providers/Microsoft.Compute/locations/eastus/operations/{ACTIVITY_ID}"
"""Where ARM shows the operation."""
_ODD_NUMBERS: Final = ["1e999", "-1e999", "NaN", "9" * 5_000, "-0", "1" + "0" * 400, "0.1e-400"]
_ODD_TEXTS: Final = [
    '"\\ud83d"',
    '"\\u0000"',
    '"' + "x" * 70_000 + '"',
    "[" * 1_000 + "]" * 1_000,
    '{"a":' * 1_000 + "1" + "}" * 1_000,
]


def _places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:  # noqa: ANN401 - any JSON
    found = [path]
    if isinstance(value, Mapping):
        for name, each in value.items():
            found += _places(each, (*path, name))
    if isinstance(value, list):
        for index, each in enumerate(value):
            found += _places(each, (*path, index))
    return found


def _replaced(value: Any, path: tuple[str | int, ...], new: Any) -> Any:  # noqa: ANN401 - any JSON
    if not path:
        return new
    copy: Any = dict(value) if isinstance(value, Mapping) else list(value)
    copy[path[0]] = _replaced(copy[path[0]], path[1:], new)
    return copy


_MARK: Final = "\N{SNOWMAN} here"


@st.composite
def nearly(draw: st.DrawFn, document: Any) -> bytes:  # noqa: ANN401 - any JSON
    """Returns a JSON document with up to three of its values replaced by others of any type."""
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(_places(document)))
        if draw(st.integers(0, 9)):
            document = _replaced(document, path, draw(json_values(5)))
            continue
        odd = draw(st.sampled_from([*_ODD_NUMBERS, *_ODD_TEXTS]))
        text = json.dumps(_replaced(document, path, _MARK))
        return text.replace(json.dumps(_MARK), odd).encode()
    encoding = draw(st.sampled_from(["utf-8"] * 8 + ["utf-8-sig", "utf-16"]))
    return json.dumps(document, ensure_ascii=draw(st.booleans())).encode(encoding, "surrogatepass")


_HEADERS: Final = st.fixed_dictionaries(
    {},
    optional={
        "content-type": st.sampled_from(
            ["application/json; charset=utf-8", "text/html", "application/json; charset=utf-7"]
        ),
        "content-encoding": st.sampled_from(["gzip", "deflate", "br", "identity", ""]),
        "retry-after": st.sampled_from(
            ["0", "15", "-1", "soon", "1e9", "Wed, 21 Oct 2026 07:28:00", "15, 15", "9" * 40]
        )
        | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
        "location": st.sampled_from([OPERATION, "http://evil.example/", "/", "//x", ""]),
        "azure-asyncoperation": st.sampled_from(
            [OPERATION, OPERATION + "?t=1&c=x", "https://management.azure.com@evil.example/x", ""]
        ),
        "www-authenticate": st.sampled_from(
            [
                'Bearer realm="https://evil.example/", error="insufficient_claims", claims="e30="',
                'Bearer claims="%%%"',
                "Basic",
                "",
            ]
        ),
        "date": st.sampled_from(["Mon, 05 Jan 2026 12:00:00 GMT", "Mon, 99 Jan 0000", "x"]),
        "x-ms-request-id": st.sampled_from([ACTIVITY_ID, "x" * 300, ""]),
        "x-ms-ratelimit-remaining-resource": st.sampled_from(
            ["Microsoft.Compute/AssessPatchesVM3Min;0", "a;b;c", ";", "x;-5,y;99999999999999999999"]
        ),
        "x-ms-ratelimit-remaining-subscription-reads": st.sampled_from(["0", "249", "-1", "x"]),
    },
)
"""Headers of ARM's that the app or the SDK reads."""
_ACCEPTED: Final = {"azure-asyncoperation": OPERATION, "location": OPERATION, "retry-after": "15"}
_ENDED: Final = json.loads(
    next(
        each["ResponseBody"]
        for each in reversed(recording())
        if '"Succeeded"' in each["ResponseBody"] and '"startTime"' in each["ResponseBody"]
    )
)
_ERROR: Final = {"error": {"code": "Conflict", "message": "x", "details": [{"code": "y"}]}}
_LIST: Final = {"value": [vm_json()], "nextLink": f"{_BASE}/providers/x?$skiptoken=1"}


def _answers(document: Any, *statuses: int) -> st.SearchStrategy[Answer]:  # noqa: ANN401 - any JSON
    return st.builds(Answer, st.sampled_from(statuses), _HEADERS, nearly(document))


def answers() -> st.SearchStrategy[list[Answer]]:
    """Returns what ARM answers to the calls of an assessment, in turn: a VM, a 202, polls."""
    breaks = st.sampled_from([ServiceRequestError("x"), ServiceResponseError("y"), OSError("z")])
    odd = (
        st.builds(Answer, st.integers(200, 599), _HEADERS, st.binary(max_size=200))
        | _answers(_ERROR, 400, 401, 403, 404, 408, 409, 410, 412, 429, 500, 503)
        | st.builds(Answer, breaks=breaks)
    )
    vm = st.just(Answer(200, {}, json.dumps(vm_json()).encode())) | _answers(vm_json(), 200) | odd
    accepted = (
        st.just(Answer(202, dict(_ACCEPTED)))
        | st.builds(Answer, st.just(202), _HEADERS.map(lambda each: _ACCEPTED | each), st.just(b""))
        | odd
    )
    running = {"status": "InProgress", "name": ACTIVITY_ID, "startTime": "2026-01-05T12:00:00Z"}
    polls = st.lists(
        _answers(running, 200, 202) | _answers(_ENDED, 200, 201, 204) | odd, max_size=5
    )
    return st.builds(lambda first, second, more: [first, second, *more], vm, accepted, polls)


def pages() -> st.SearchStrategy[list[Answer]]:
    """Returns what ARM answers to the calls of a scan's lists, in turn."""
    return st.lists(
        _answers(_LIST, 200) | answers().map(lambda each: each[0]), min_size=1, max_size=4
    )


REQUEST: Final = {
    "vmId": str(VM_ID),
    "requestId": "change-4711",
    "requestedBy": "ops",
    "reason": "before the window",
}
SCOPE: Final = {"scope": f"/subscriptions/{SUBSCRIPTION}", "tags": {"env": "prod", "x": None}}
CLOUD_EVENT: Final = {
    "specversion": "1.0",
    "type": "PatchAssessor.ScanRequested",
    "source": "/me",
    "id": "event-1",
    "time": "2026-01-05T12:00:00+01:00",
    "datacontenttype": "application/json",
    "data": REQUEST,
}
CONTENT_TYPES: Final = st.none() | st.sampled_from(
    [
        "application/json",
        "application/cloudevents+json; charset=utf-8",
        "application/cloudevents-batch+json",
        "text/plain",
        "",
    ]
)
PROPERTIES: Final = st.dictionaries(
    st.sampled_from(
        [
            *("cloudEvents:specversion", "cloudEvents:type", "cloudEvents:source"),
            *("cloudEvents:id", "cloudEvents_time", "cloudEvents:dataschema"),
            *("Diagnostic-Id", "traceparent", "type", "requestId"),
        ]
    ),
    st.text(max_size=60) | st.integers() | st.booleans() | st.sampled_from(["1.0", "0.3"]),
    max_size=6,
)
"""Application properties: CloudEvents in binary mode, trace context, and others."""


def bodies(*documents: Any) -> st.SearchStrategy[bytes]:  # noqa: ANN401 - any JSON
    """Returns bodies of messages: nearly one of the documents, any JSON, any bytes."""
    either = [nearly(each) for each in documents]
    return st.one_of(*either, *either, st.binary(max_size=300), json_values().map(_as_json))


def _as_json(value: Any) -> bytes:  # noqa: ANN401 - any JSON
    return json.dumps(value).encode("utf-8", "surrogatepass")
