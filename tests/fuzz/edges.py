"""The places where the app reads what comes from outside, each as a function of mere bytes.

They are what a coverage-guided fuzzer is best at: it changes documents that are right, byte by
byte, and follows what leads to new code. One input takes a fraction of a millisecond, where the
whole app (test_fuzz.py) takes a hundred times as long.

What has headers, properties or settings beside a body is written as HTTP has it: a line for each,
an empty line, and the body.
"""

import asyncio
import base64
import json
import os
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NoReturn

from azure.identity.aio import ManagedIdentityCredential

from assessor.alerts.rules import ALERT_COLUMNS
from assessor.arm.access_token import Origin, RenewableCredential
from assessor.arm.client import ArmClient
from assessor.arm.continuation import TokenRefusedError, check, name_in
from assessor.arm.errors import ArmError, Phase, Verdict, judge
from assessor.arm.listing import read_page
from assessor.arm.reading import read_object
from assessor.arm.result import parse_error, parse_result
from assessor.arm.throttling import MOST_SECONDS, asked_to_wait, remaining_calls
from assessor.arm.virtual_machine import read_virtual_machine
from assessor.bus.amqp_body import read_body
from assessor.events.event import read_event, rule_for
from assessor.messages.in_progress import InProgressError, check_times, parse_in_progress
from assessor.messages.outcome import Finished, conclude, reject
from assessor.messages.outgoing import outcome_message
from assessor.messages.request import (
    AssessmentRequest,
    FirstEnqueued,
    IncomingMessage,
    Rejection,
    first_enqueued,
)
from assessor.messages.request_body import parse_request
from assessor.posture.outline import outline_of
from assessor.posture.row import RowError, durations_from_row, from_row
from assessor.resource_id import Scope
from assessor.settings import ArmCloud, SettingsError, read_settings
from assessor.telemetry.context import traceparent_in
from assessor.telemetry.sampler import SamplerError, sampler_of
from tests.fuzz import inputs
from tests.fuzz.world import Answer, OddArm
from tests.support import event_grid, samples
from tests.support.builders import (
    NOW,
    SUBSCRIPTION,
    TRACEPARENT,
    VM_ID,
    recorded_result,
    recording,
    vm_json,
)
from tests.support.schemas import examples

_ENDPOINT: Final = "https://management.azure.com"
_ORIGIN: Final = Origin(_ENDPOINT, SUBSCRIPTION)
_SCOPE: Final = Scope(SUBSCRIPTION)
_REQUEST: Final = AssessmentRequest(VM_ID, "change-4711", NOW)
_IDENTITY: Final = "http://127.0.0.1:1/msi/token"
_LOOP: Final = asyncio.new_event_loop()


@dataclass(frozen=True, slots=True)
class Edge:
    """A place where something from outside is read.

    Attributes:
        read: reads an input; whatever it raises is a finding.
        seeds: inputs that are right, to begin with; made when they are asked for.
        words: what stands in such inputs, and mere chance does not find.
    """

    read: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    words: tuple[bytes, ...] = ()


def _parted(data: bytes) -> tuple[dict[str, str], bytes]:
    """Returns the names and values before the empty line, and what comes after it."""
    head, _, body = data.partition(b"\n\n")
    lines = head.decode("latin-1").split("\n")
    pairs = (line.partition(":") for line in lines if line)
    return {name.strip(): value.strip() for name, _, value in pairs}, body


def _joined(named: Mapping[str, object], body: bytes = b"") -> bytes:
    head = "\n".join(f"{name}: {value}" for name, value in named.items())
    return head.encode("latin-1", "replace") + b"\n\n" + body


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _is_json(text: bytes) -> None:
    """It is JSON by RFC 8259: no NaN, no Infinity."""

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is no JSON")

    json.loads(text, parse_constant=refuse)


def _request(data: bytes) -> None:
    properties, body = _parted(data)
    own = FirstEnqueued(NOW, 7)
    assert first_enqueued(own, properties).at <= NOW
    message = IncomingMessage(
        body=body,
        message_id="message-1",
        content_type=properties.pop("content-type", None),
        application_properties=properties,
        enqueued_at=NOW,
    )
    read = parse_request(message, [_SCOPE])
    match read:
        case Rejection():
            _is_json(outcome_message(reject(read, NOW), None).body)
        case tuple():
            assert read
            assert all(_SCOPE.contains(each.vm) for each in read)
    trace = traceparent_in(properties.get("traceparent"))
    assert trace is None or trace.isascii()


def _request_seeds() -> list[bytes]:
    binary = {
        "content-type": "application/json",
        "cloudEvents:specversion": "1.0",
        "cloudEvents:type": "PatchAssessor.AssessmentRequested",
        "cloudEvents:source": "/me",
        "cloudEvents:id": "event-1",
        "cloudEvents:time": "2026-01-05T12:00:00+01:00",
    }
    structured = {"content-type": "application/cloudevents+json; charset=utf-8"}
    more = {"traceparent": TRACEPARENT, "firstEnqueued": "2026-01-05T11:00:00.000Z 7"}
    return [
        *(_joined(more, _json(each)) for each in examples("request-").values()),
        _joined(binary, _json(inputs.REQUEST)),
        _joined(structured, _json(inputs.CLOUD_EVENT)),
        _joined({}, _json(inputs.SCOPE)),
    ]


def _event(data: bytes) -> None:
    event = read_event(data)
    rule_for(event)
    _is_json(json.dumps(event.data, ensure_ascii=True).encode())
    assert event.key


def _event_seeds() -> list[bytes]:
    return [
        _json(event_grid.written()),
        _json(event_grid.deleted()),
        _json(event_grid.notified()),
        _json(event_grid.maintained(SUBSCRIPTION, "x")),
        _json(event_grid.requested(inputs.REQUEST)),
        _json(event_grid.as_cloud_event(event_grid.started())),
    ]


def _progress(data: bytes) -> None:
    with suppress(InProgressError):
        check_times(parse_in_progress(data), NOW)


def _progress_seeds() -> list[bytes]:
    folder = samples.FOLDER
    return [path.read_bytes() for path in sorted(folder.glob("*/in-progress/*.json"))]


def _token(data: bytes) -> None:
    """As it came, and what it holds: no chance change of base64 leads anywhere."""
    for token in (data.decode(errors="replace"), base64.b64encode(data).decode()):
        name_in(token)
        with suppress(TokenRefusedError):
            safe = check(token, _ORIGIN)
            assert check(safe, _ORIGIN) == safe


def _token_seeds() -> list[bytes]:
    texts = [path.read_bytes().strip() for path in sorted(samples.FOLDER.glob("*/tokens/*.txt"))]
    return [*texts, *map(base64.b64decode, texts)]


def _answer(data: bytes) -> None:
    headers, body = _parted(data)
    by_name = {name.lower(): value for name, value in headers.items()}
    wait = asked_to_wait({"Retry-After": by_name.get("retry-after", ""), **headers})
    assert wait is None or 0 <= wait <= MOST_SECONDS
    assert all(left >= 0 for left in remaining_calls(headers.values()).values())
    document = read_object(body, by_name)
    if document is None:
        return
    _is_json(_json(document))
    vm = read_virtual_machine(VM_ID, document)
    error = document.get("error")
    if isinstance(error, Mapping):
        judge(ArmError(Phase.POLL, 409, parse_error(error), wait))
    with suppress(ValueError):
        page = read_page(document, _SCOPE)
        assert all(_SCOPE.contains(each.id) for each in page.vms)
    ended = Finished(parse_result(document), NOW, 60.0)
    _is_json(outcome_message(conclude(_REQUEST, vm, ended), TRACEPARENT).body)


def _answer_seeds() -> list[bytes]:
    headers = {
        "content-type": "application/json; charset=utf-8",
        "retry-after": "15",
        "date": "Mon, 05 Jan 2026 12:00:00 GMT",
        "x-ms-ratelimit-remaining-resource": "Microsoft.Compute/AssessPatchesVM3Min;5,x;1",
    }
    compressed = zlib.compress(_json(recorded_result()))
    listed = {"value": [vm_json()], "nextLink": f"{inputs.OPERATION}?$skiptoken=1"}
    error = {"error": {"code": "Conflict", "message": "x", "details": [{"code": "y"}]}}
    return [
        _joined(headers, _json(vm_json())),
        _joined(headers, _json(recorded_result())),
        _joined(headers, _json(listed)),
        _joined({**headers, "retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, _json(error)),
        _joined({**headers, "content-encoding": "deflate"}, compressed),
        *(
            _joined({**headers, "retry-after": "PT1M"}, each["ResponseBody"].encode())
            for each in recording()[-2:]
        ),
    ]


def _identity(data: bytes) -> None:
    """ARM is called with a token that an endpoint's answer had in it, or not at all."""
    headers, body = _parted(data)
    first = headers.pop("status", "200")
    status = int(first) if first.isdecimal() and len(first) == len("200") else 200
    arm = OddArm([Answer(200, {}, _json(vm_json()))])
    endpoint = OddArm([Answer(status, {n.lower(): v for n, v in headers.items()}, body)], _IDENTITY)

    async def read() -> None:
        credential = RenewableCredential(
            lambda: ManagedIdentityCredential(transport=endpoint, retry_total=0)
        )
        client = ArmClient(credential, ArmCloud(_ENDPOINT, f"{_ENDPOINT}/.default"), arm)
        try:
            await client.read(VM_ID)
        except ArmError as error:
            assert judge(error).verdict is Verdict.WAIT  # noqa: PT017 - some inputs raise nothing
            assert error.error.code == "IdentityUnavailable"  # noqa: PT017
            assert not arm.calls

    _LOOP.run_until_complete(read())


def _identity_seeds() -> list[bytes]:
    os.environ.update(IDENTITY_ENDPOINT=_IDENTITY, IDENTITY_HEADER="x")
    token = {
        "access_token": "t",
        "expires_on": "4102444800",
        "resource": _ENDPOINT,
        "token_type": "Bearer",
    }
    headers = {"status": "200", "content-type": "application/json; charset=utf-8"}
    refused = {"statusCode": 400, "message": "No User Assigned or Delegated Managed Identity"}
    return [
        _joined(headers, _json(token)),
        _joined(headers, _json({**token, "expires_in": 86399, "expires_on": 4102444800})),
        _joined(headers, _json({**token, "expires_on": "11/05/2026 15:18:31 +00:00"})),
        _joined({**headers, "status": "400"}, _json(refused)),
        _joined({**headers, "status": "429", "retry-after": "3"}, b""),
        _joined({**headers, "content-type": "text/html", "status": "502"}, b"<html>"),
    ]


def _row(data: bytes) -> None:
    head, _, body = data.partition(b"\n")
    try:
        columns = samples.read_row(head.decode())
    except (ValueError, TypeError, OverflowError, RecursionError):
        return  # no row: the table's own SDK reads the wire
    if not isinstance(columns, dict):
        return
    row: dict[str, Any] = {"Parts": 1, "Part0": zlib.compress(body), **columns}
    durations_from_row(row)
    outline_of(row, ALERT_COLUMNS)
    with suppress(RowError):
        from_row(row, ALERT_COLUMNS)


def _row_seeds() -> list[bytes]:
    seeds = []
    for path in sorted(samples.FOLDER.glob("*/postures/*.json")):
        row = samples.read_row(path.read_text())
        parts = b"".join(row[f"Part{number}"] for number in range(row["Parts"]))
        fields = json.loads(path.read_text())
        head = {name: value for name, value in fields.items() if not name.startswith("Part")}
        seeds.append(_json(head) + b"\n" + zlib.decompress(parts))
    return seeds


def _settings(data: bytes) -> None:
    environment, _ = _parted(data)
    read_or_refuse(environment)
    with suppress(SamplerError):
        sampler_of(environment)


def read_or_refuse(environment: Mapping[str, str]) -> None:
    """Reads the app's settings; a refusal names the setting, in one line."""
    namespace = {"ServiceBus__fullyQualifiedNamespace": "contoso.servicebus.windows.net"}
    try:
        read_settings({**namespace, **environment})
    except SettingsError as error:
        assert error.name  # noqa: PT017 - most inputs raise nothing
        assert "\n" not in str(error)  # noqa: PT017


def _settings_seeds() -> list[bytes]:
    common = {
        "ALLOWED_SCOPES": f"/subscriptions/{SUBSCRIPTION}",
        "SCAN_SCHEDULE": "0 0 2 * * *",
        "SCAN_TAGS": "env=prod,x",
        "ALERT_TAGS": "owner,team",
        "ASSESS_DEADLINE_MINUTES": "120",
    }
    return [
        _joined(common),
        _joined({"SCAN_SCHEDULE": "*/15 8-17 * Jan-Mar Mon,Fri", "SCAN_SCOPES": "", **common}),
        _joined({"PostureStorage__tableServiceUri": "https://a.table.core.windows.net"}),
        _joined({"ARM_ENDPOINT": _ENDPOINT, "ARM_CLOUD": "AZURE_CHINA_CLOUD"}),
        _joined({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"}),
        _joined({"ServiceBus": "Endpoint=sb://a.example/;SharedAccessKeyName=n;SharedAccessKey=k"}),
        _joined({"PostureStorage": "UseDevelopmentStorage=true"}),
    ]


def _amqp(data: bytes) -> None:
    body = read_body(data)
    assert body.problem is None or body.problem.isprintable()
    assert len(body.content) <= 2 * len(data)


def _amqp_seeds() -> list[bytes]:
    text = _json(inputs.REQUEST)
    value = b"\x00\x53\x77\xb1" + len(text).to_bytes(4) + text
    section = b"\x00\x53\x75\xb0" + len(text).to_bytes(4) + text
    properties = b"\x00\x53\x73\xc0\x05\x01\xa1\x02id"
    return [section, value, properties + section, section + section, b"\x00\x53\x76\x45"]


_JSON_WORDS: Final = (
    b"null",
    b"1e999",
    b"NaN",
    b"-0",
    b'"\\ud83d"',
    b"[[[[",
    b"{}",
    b'""',
    b"9" * 40,
)
EDGES: Final[Mapping[str, Edge]] = {
    "request": Edge(_request, _request_seeds, (*_JSON_WORDS, b"vmIds", b"tags", b"data_base64")),
    "event": Edge(_event, _event_seeds, (*_JSON_WORDS, b"specversion", b"data_base64", b"claims")),
    "in-progress": Edge(_progress, _progress_seeds, _JSON_WORDS),
    "token": Edge(
        _token, _token_seeds, (*_JSON_WORDS, b"@evil.example", b"../", b"%2F", b"Location")
    ),
    "arm-answer": Edge(_answer, _answer_seeds, (*_JSON_WORDS, b"gzip", b"utf-16", b"P1DT")),
    "identity-answer": Edge(
        _identity, _identity_seeds, (*_JSON_WORDS, b"expires_on", b"status: 4")
    ),
    "row": Edge(_row, _row_seeds, (*_JSON_WORDS, b'{"time": "', b'{"base64": "')),
    "settings": Edge(_settings, _settings_seeds, (b"*/", b"L", b"#", b"://", b"%00", b"\xa0")),
    "amqp-body": Edge(_amqp, _amqp_seeds, (b"\x00\x53\x75", b"\xd0", b"\xff\xff\xff\xff")),
}
"""Whatever the app reads from outside, by its name."""


@cache
def seeds_of(name: str) -> tuple[bytes, ...]:
    """Returns the inputs that an edge begins with."""
    return tuple(EDGES[name].seeds())
