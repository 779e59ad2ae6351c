"""Calls to ARM told: a span by the conventions, metrics by policy, nothing that is secret."""

import asyncio
import time
from contextlib import ExitStack
from typing import Any

import pytest
from azure.core.exceptions import ServiceRequestError
from azure.core.pipeline import AsyncPipeline
from azure.core.pipeline.transport import HttpRequest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import INVALID_SPAN, SpanKind, StatusCode

from assessor.arm.tracing import TracingPolicy, throttling_policy
from assessor.telemetry.attributes import ARM_POLICY
from assessor.telemetry.context import Call, InvocationContext, entered
from assessor.telemetry.metrics import (
    ARM_CALLS,
    ARM_POLICY_CALLS,
    ARM_REMAINING,
    ARM_THROTTLES,
)
from tests.support.scripted_wire import Answer, Wire
from tests.support.telemetry_rig import Rig

SUBSCRIPTION = "e37510d7-33b6-4676-886f-ee75bcc01871"
ARM = "https://management.azure.com"
VM = (
    f"{ARM}/subscriptions/{SUBSCRIPTION}/resourceGroups/secret-group"
    "/providers/Microsoft.Compute/virtualMachines/secret-vm"
)
OPERATION = (
    f"{ARM}/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/locations/eastus"
    "/operations/14e074b4-2fd7-4d20-8b3b-5339add89570?t=1&c=secret-cert&s=secret-signature&h=secret"
)
REMAINING = "Microsoft.Compute/GetOperation3Min;14999,Microsoft.Compute/GetOperation30Min;29998"
SECOND = 1_000_000_000


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def call(rig: Rig, method: str, url: str, answer: Answer | BaseException) -> ReadableSpan:
    """Makes one call of half a second through the policy, and returns its span."""
    times = iter((10 * SECOND, 10 * SECOND + SECOND // 2))
    policy = TracingPolicy(rig.telemetry, lambda: next(times))
    request = HttpRequest(method, url, headers={"Authorization": "Bearer secret-token"})
    pipeline: AsyncPipeline[Any, Any] = AsyncPipeline(Wire(answer), [policy])
    if isinstance(answer, BaseException):
        with pytest.raises(type(answer)):
            await pipeline.run(request)
    else:
        await pipeline.run(request)
    (span,) = rig.spans
    return span


async def test_a_call_is_a_client_span_by_the_conventions(rig: Rig) -> None:
    """Named by its route, with the times that it took."""
    answer = Answer(200, {"x-ms-request-id": "abc", "Retry-After": "30"}, "{}")

    span = await call(rig, "GET", OPERATION, answer)

    assert (span.name, span.kind) == ("GET locations/operations", SpanKind.CLIENT)
    assert (span.start_time, span.end_time) == (10 * SECOND, 10 * SECOND + SECOND // 2)
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.response.header.retry-after": ("30",),
        "server.address": "management.azure.com",
        "server.port": 443,
        "url.template": "/subscriptions/{subscription}/providers/Microsoft.Compute"
        "/locations/{location}/operations/{operation}",
        "azure.resource_provider.namespace": "Microsoft.Compute",
        "azure.service.request.id": "abc",
        "cloud.account.id": SUBSCRIPTION,
    }
    assert span.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize(
    ("method", "url", "name"),
    [
        ("GET", f"{VM}?$expand=instanceView", "GET virtualMachines"),
        ("POST", f"{VM}/assessPatches?api-version=1", "POST virtualMachines/assessPatches"),
        ("GET", VM.upper().replace("HTTPS", "https"), "GET virtualMachines"),
        ("GET", f"{VM.rpartition('/')[0]}?$skiptoken=x", "GET resourceGroups/virtualMachines"),
        (
            "GET",
            f"{ARM}/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines",
            "GET subscriptions/virtualMachines",
        ),
        ("GET", f"{VM}/", "GET virtualMachines"),
        ("GET", VM.replace("secret-vm", "X"), "GET virtualMachines"),
        ("GET", f"{ARM}/somewhere/else", "GET elsewhere"),
        ("GET", VM.replace("secret-group", ""), "GET elsewhere"),
        ("GET", VM.replace("Compute", "KeyVault"), "GET elsewhere"),
        ("GET", f"{VM}/extensions", "GET elsewhere"),
    ],
)
async def test_each_route_has_a_name(rig: Rig, method: str, url: str, name: str) -> None:
    """Case-insensitive, as ARM is; a route that is unknown makes no name of its own."""
    span = await call(rig, method, url, Answer(200, {}, "{}"))

    assert span.name == name


async def test_a_route_that_is_unknown_is_told_by_no_part_of_its_path(rig: Rig) -> None:
    """Neither is a subscription; the port is the endpoint's own, where it has one."""
    span = await call(rig, "DELETE", "https://127.0.0.1:8443/a/b", Answer(200, {}, "{}"))

    assert (span.name, dict(span.attributes or {})) == (
        "DELETE elsewhere",
        {
            "http.request.method": "DELETE",
            "http.response.status_code": 200,
            "server.address": "127.0.0.1",
            "server.port": 8443,
            "url.template": "/",
            "azure.resource_provider.namespace": "Microsoft.Compute",
            "cloud.account.id": "",
        },
    )


async def test_a_subscription_is_told_in_small_letters(rig: Rig) -> None:
    """Whatever case a VM's ID has it in: it is one and the same account."""
    span = await call(rig, "GET", VM.replace(SUBSCRIPTION, "E37510D7"), Answer(200, {}, "{}"))

    assert (span.attributes or {})["cloud.account.id"] == "e37510d7"


async def test_a_call_is_timed_by_the_machines_clock(rig: Rig) -> None:
    """In nanoseconds since 1970."""
    before = time.time_ns()
    policy = TracingPolicy(rig.telemetry)
    pipeline: AsyncPipeline[Any, Any] = AsyncPipeline(Wire(Answer(200, {}, "{}")), [policy])
    answer = await pipeline.run(HttpRequest("GET", VM))

    (span,) = rig.spans
    assert before <= (span.start_time or 0) <= (span.end_time or 0) <= time.time_ns()
    assert answer.http_response.status_code == 200


async def test_a_call_that_begins_an_operation_waits_for_its_trace(rig: Rig) -> None:
    """A POST with a 202; it is kept whole, and no span of another trace."""
    work = InvocationContext(None, 0, INVALID_SPAN, ExitStack())
    times = iter((10, 15))
    policy = TracingPolicy(rig.telemetry, lambda: next(times))
    pipeline: AsyncPipeline[Any, Any] = AsyncPipeline(Wire(Answer(202, {}, "")), [policy])
    with entered(work):
        await pipeline.run(HttpRequest("POST", f"{VM}/assessPatches"))

    assert rig.spans == []
    assert work.begin == Call(
        name="POST virtualMachines/assessPatches",
        started=10,
        ended=15,
        attributes={
            "http.request.method": "POST",
            "http.response.status_code": 202,
            "server.address": "management.azure.com",
            "server.port": 443,
            "url.template": "/subscriptions/{subscription}/resourceGroups/{group}"
            "/providers/Microsoft.Compute/virtualMachines/{vm}/assessPatches",
            "azure.resource_provider.namespace": "Microsoft.Compute",
            "cloud.account.id": SUBSCRIPTION,
        },
        error=None,
        begins=True,
    )


@pytest.mark.parametrize(("method", "status"), [("GET", 202), ("POST", 200), ("POST", 409)])
async def test_any_other_call_is_told_at_once(rig: Rig, method: str, status: int) -> None:
    """Where it belongs is known."""
    work = InvocationContext(None, 0, INVALID_SPAN, ExitStack())
    with entered(work):
        await call(rig, method, VM, Answer(status, {}, ""))

    assert work.begin is None


@pytest.mark.parametrize("status", [200, 429, 500])
async def test_nothing_secret_is_told(rig: Rig, status: int) -> None:
    """No token, no query, no body, and no VM in a metric."""
    body = '{"error": {"code": "secret-code", "message": "secret-message"}}'

    span = await call(rig, "GET", OPERATION, Answer(status, {"x-secret": "secret"}, body))

    assert "secret" not in span.to_json()
    for metric in (ARM_CALLS, ARM_POLICY_CALLS, ARM_REMAINING, ARM_THROTTLES):
        assert "secret" not in str(rig.points(metric))


async def test_an_answer_that_refuses_nothing_is_no_failure(rig: Rig) -> None:
    """Whatever else it is."""
    span = await call(rig, "GET", VM, Answer(399, {}, ""))

    assert span.status.status_code is StatusCode.UNSET
    assert "error.type" not in (span.attributes or {})


@pytest.mark.parametrize("status", [404, 409, 429])
async def test_what_the_app_expects_is_no_failure(rig: Rig, status: int) -> None:
    """Its status is told all the same; the metric counts it by its status, with the port."""
    span = await call(rig, "GET", VM, Answer(status, {}, ""))

    assert span.status.status_code is StatusCode.UNSET
    assert (span.attributes or {})["http.response.status_code"] == status
    (point,) = rig.points(ARM_CALLS)
    assert point.labels["error.type"] == str(status)
    assert point.labels["server.port"] == 443


@pytest.mark.parametrize(("status", "error"), [(400, "400"), (403, "403"), (503, "503")])
async def test_a_refusal_is_an_error_with_its_status(rig: Rig, status: int, error: str) -> None:
    span = await call(rig, "GET", VM, Answer(status, {}, ""))

    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes is not None
    assert span.attributes["error.type"] == error


@pytest.mark.parametrize(
    "failure", [ServiceRequestError("secret"), TimeoutError(), asyncio.CancelledError()]
)
async def test_a_call_without_an_answer_is_told_and_raised_on(
    rig: Rig, failure: BaseException
) -> None:
    """A call that is cut off by its time limit as well."""
    span = await call(rig, "GET", VM, failure)

    assert span.attributes is not None
    assert span.attributes["error.type"] == type(failure).__name__
    assert "http.response.status_code" not in span.attributes
    (point,) = rig.points(ARM_CALLS)
    assert "http.response.status_code" not in point.labels
    assert point.value == 0.5


async def test_each_policy_is_counted_with_what_it_has_left(rig: Rig) -> None:
    """As the answer's header said; the subscription is what the quota belongs to."""
    await call(
        rig, "GET", OPERATION, Answer(200, {"x-ms-ratelimit-remaining-resource": REMAINING}, "{}")
    )

    drawn = {str(each.labels[ARM_POLICY]): each.value for each in rig.points(ARM_POLICY_CALLS)}
    left = {
        (each.labels[ARM_POLICY], each.labels["cloud.account.id"]): each.value
        for each in rig.points(ARM_REMAINING)
    }
    assert drawn == {
        "Microsoft.Compute/GetOperation3Min": 1,
        "Microsoft.Compute/GetOperation30Min": 1,
    }
    assert left == {
        ("Microsoft.Compute/GetOperation3Min", SUBSCRIPTION): 14999,
        ("Microsoft.Compute/GetOperation30Min", SUBSCRIPTION): 29998,
    }


async def test_a_throttle_is_counted_by_its_policy(rig: Rig) -> None:
    body = (
        '{"error": {"code": "OperationNotAllowed", "message": "…", "details": '
        '[{"code": "TooManyRequests", "target": "UpdateVM3Min", "message": "…"}]}}'
    )

    span = await call(
        rig, "POST", f"{VM}/assessPatches", Answer(429, {"Retry-After": "1200"}, body)
    )

    assert [(each.labels[ARM_POLICY], each.value) for each in rig.points(ARM_THROTTLES)] == [
        ("UpdateVM3Min", 1)
    ]
    assert span.attributes is not None
    assert span.attributes["http.response.header.retry-after"] == ("1200",)


async def test_a_policys_name_that_can_be_none_makes_no_series(rig: Rig) -> None:
    body = '{"error": {"details": [{"target": "' + "x" * 500 + '"}]}}'

    await call(rig, "GET", VM, Answer(429, {}, body))

    assert [each.labels[ARM_POLICY] for each in rig.points(ARM_THROTTLES)] == ["_OTHER"]


def test_a_429_that_names_no_policy_is_put_down_to_the_empty_one() -> None:
    assert throttling_policy("{}", {"a": 3, "b": 0}) == "b"
    assert throttling_policy("{}", {"a": 1}) == throttling_policy("{}", {}) == "unknown"


def test_a_429_names_its_policy_in_the_first_detail_that_names_one() -> None:
    """Before any that has nothing left."""
    body = '{"error": {"details": [{"target": ""}, {"target": 5}, {"target": "c"}]}}'
    assert throttling_policy(body, {"b": 0}) == "c"


@given(st.text() | st.recursive(st.none() | st.text(), st.lists).map(str))
def test_no_body_of_a_429_breaks_the_call(body: str) -> None:
    assert throttling_policy(body, {}) == "unknown"


@pytest.mark.parametrize(
    "body",
    [
        '{"error": []}',
        '{"error": {"details": {"target": 1}}}',
        '{"error": {"details": [1, {}]}}',
        "[]",
    ],
)
def test_no_odd_shape_of_a_429_breaks_the_call(body: str) -> None:
    assert throttling_policy(body, {}) == "unknown"
