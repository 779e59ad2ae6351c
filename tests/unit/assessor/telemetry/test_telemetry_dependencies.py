"""Calls to the tables and to the identity told: whom a person knows, nothing that is secret."""

from collections.abc import Callable
from typing import Any

import pytest
from azure.core.exceptions import ServiceRequestError
from azure.core.pipeline.transport import HttpRequest
from azure.monitor.opentelemetry.exporter.export.trace._exporter import _convert_span_to_envelope
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from assessor.telemetry import azure_monitor
from assessor.telemetry.attributes import ERROR_TYPE, HTTP_STATUS
from assessor.telemetry.dependencies import IDENTITY, Service, TracedTransport, tables
from assessor.telemetry.metrics import ARM_CALLS
from tests.support.scripted_wire import Answer, Wire
from tests.support.telemetry_rig import Rig

ACCOUNT = "https://account.table.core.windows.net"
ROW = f"{ACCOUNT}/vmposture(PartitionKey='secret-group',RowKey='secret-vm')?$select=Secret"
TOKEN = "http://127.0.0.1:41741/msi/token?resource=secret&client_id=secret"
SECOND = 1_000_000_000


async def call(
    rig: Rig,
    url: str = ROW,
    answer: Answer | BaseException | int = 200,
    service: Service | None = None,
    took: int = 0,
) -> None:
    """Makes one call of the rig's."""
    ticks = iter([SECOND, SECOND + took])
    now: Callable[[], int] = lambda: next(ticks)  # noqa: E731 - typed
    wire = Wire(Answer(answer, {}, "") if isinstance(answer, int) else answer)
    traced = TracedTransport(wire, service or tables(ACCOUNT), rig.telemetry, now)
    await traced.send(HttpRequest("GET", url))


def row(span: ReadableSpan) -> Any:  # noqa: ANN401 - the exporter's own, untyped
    """Returns what the exporter sends of a span."""
    return _convert_span_to_envelope(azure_monitor.readable(span))


@pytest.mark.parametrize(
    ("endpoint", "path", "name"),
    [
        (ACCOUNT, "/vmposture(PartitionKey='secret',RowKey='secret')", "GET vmposture"),
        (ACCOUNT, "/vmposture()", "GET vmposture"),
        (ACCOUNT, "/Tables", "GET Tables"),
        (ACCOUNT, "/$batch", "GET $batch"),
        ("http://127.0.0.1:10002/devstoreaccount1", "/devstoreaccount1/vmscans()", "GET vmscans"),
        (ACCOUNT, "/", "GET elsewhere"),
    ],
)
async def test_a_call_to_a_table_is_named_by_the_table(endpoint: str, path: str, name: str) -> None:
    """In the cloud and in an emulator; no key of a row, which is a VM's name, is in any of it."""
    rig = Rig()
    await call(rig, endpoint.removesuffix("/devstoreaccount1") + path, service=tables(endpoint))

    (span,) = rig.spans
    assert span.name == name
    assert "secret" not in f"{span.name} {span.attributes} {rig.collected()}"


async def test_the_map_shows_the_account_and_the_identity() -> None:
    """By the account's host, and by a name in place of an address of the machine."""
    rig = Rig()
    await call(rig)
    await call(rig, TOKEN, service=IDENTITY)

    table, token = (row(span).data.base_data for span in rig.spans)
    assert (table.name, table.target, table.type) == (
        "GET vmposture",
        "account.table.core.windows.net",
        "HTTP",
    )
    assert (token.name, token.target, token.type) == ("GET token", "managed-identity", "HTTP")
    assert "secret" not in str([row(span).as_dict() for span in rig.spans])


@pytest.mark.parametrize("status", [404, 409, 412])
async def test_what_the_app_expects_of_a_table_is_no_failure(status: int) -> None:
    """A VM of which nothing is known, a row or table that is there, and one that has changed."""
    rig = Rig()
    await call(rig, answer=status)

    (span,) = rig.spans
    assert span.status.status_code is not StatusCode.ERROR
    assert row(span).data.base_data.success


@pytest.mark.parametrize(
    ("answer", "service", "error"),
    [
        (503, tables(ACCOUNT), "503"),
        (403, tables(ACCOUNT), "403"),
        (404, IDENTITY, "404"),
    ],
)
async def test_an_answer_that_nobody_expects_is_a_failure(
    answer: int, service: Service, error: str
) -> None:
    """Each attempt of the SDK's is one."""
    rig = Rig()
    await call(rig, answer=answer, service=service)

    (span,) = rig.spans
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})[ERROR_TYPE] == error
    assert not row(span).data.base_data.success


async def test_a_call_without_an_answer_is_told_by_its_exception() -> None:
    """By the type alone; it is raised on."""
    rig = Rig()
    with pytest.raises(ServiceRequestError):
        await call(rig, answer=ServiceRequestError("secret"))

    (span,) = rig.spans
    assert (span.attributes or {})[ERROR_TYPE] == "ServiceRequestError"
    assert HTTP_STATUS not in (span.attributes or {})
    (point,) = rig.points(ARM_CALLS)
    assert point.labels[ERROR_TYPE] == "ServiceRequestError"


async def test_of_the_calls_that_went_well_one_row_stands_for_many() -> None:
    """So that the map counts right; one row in so many goes out, and says for how many."""
    rig = Rig()
    calls = 3_000
    for _ in range(calls):
        await call(rig)

    rows = [row(span) for span in rig.spans if not azure_monitor._goes_without_saying(span)]
    assert {each.sample_rate for each in rows} == {100 / azure_monitor.TABLE_CALLS_A_ROW}
    # IDs are random: six standard deviations from 60.
    assert 15 < len(rows) < 105


@pytest.mark.parametrize(("answer", "took"), [(500, 0), (200, azure_monitor.SLOW_TABLE_CALL)])
async def test_failed_and_slow_calls_have_each_a_row_of_their_own(answer: int, took: int) -> None:
    """Which stands for itself."""
    rig = Rig()
    for _ in range(5):
        await call(rig, answer=answer, took=took)

    assert not any(azure_monitor._goes_without_saying(span) for span in rig.spans)
    assert {row(span).sample_rate for span in rig.spans} == {None}


async def test_every_token_has_a_row() -> None:
    """There is one an hour for each worker and service."""
    rig = Rig()
    await call(rig, TOKEN, service=IDENTITY)

    (span,) = rig.spans
    assert not azure_monitor._goes_without_saying(span)
    assert row(span).sample_rate is None
