"""The host's own spans: what is exported, and when nothing is."""

import asyncio
import random
import time
from collections.abc import AsyncIterator

import pytest

from localcloud.host.bindings import Function, OtherTrigger, Queue, ServiceBusTrigger
from localcloud.host.invocations import Invocations
from localcloud.host.messages import BusMessage
from localcloud.host.settings import AppSettings, ConnectionString, IdentityConnection
from localcloud.host.spans import Activity, Ended, NoSpans, OtlpSpans, open_spans
from localcloud.host.tracecontext import TraceContext
from localcloud.host.wire import Invoke, Invoked
from localcloud.otlp import Collector
from localcloud.otlp import collector as run_collector
from localcloud.tests.unit.test_host_triggerdata import message

TRACE, SPAN, SENDER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "b7ad6b7169203331"
_TRIGGER = ServiceBusTrigger(
    "m", Queue("work"), ConnectionString("Endpoint=sb://bus.example:5672;x=y"), "bytes"
)
_FUNCTION = Function("start", "id", _TRIGGER)


class Kept:
    """Keeps spans."""

    def __init__(self) -> None:
        self.ended: list[Ended] = []

    def add(self, ended: Ended) -> None:
        """Keep it."""
        self.ended.append(ended)

    async def close(self) -> None:
        """Nothing is open."""


def _invocations(spans: Kept, error: str | None = None) -> tuple[Invocations, list[Invoke]]:
    invoked: list[Invoke] = []

    async def run(function: str, request: Invoke, limit: float | None) -> Invoked:  # noqa: ARG001 - the port's
        invoked.append(request)
        return Invoked(request.invocation_id, error)

    return Invocations(run, None, time.monotonic, random.Random(1), spans), invoked


async def _run(received: BusMessage, error: str | None = None) -> tuple[Ended, Invoke]:
    kept = Kept()
    invocations, invoked = _invocations(kept, error)
    await invocations.on_message(_FUNCTION, _TRIGGER, received)
    return kept.ended[0], invoked[0]


async def test_a_message_without_a_trace_has_the_hosts_span_for_its_root() -> None:
    """The very span that the worker is told of, and it ends after the function."""
    ended, invoke = await _run(message())
    assert ended.trace.parent == invoke.trace_parent
    assert ended.trace.origin == ""
    assert ended.started <= ended.ended
    assert not ended.failed
    assert ended.activity.name == "ServiceBusProcessor.ProcessMessage"
    assert ended.activity.attributes == {
        "az.namespace": "Microsoft.ServiceBus",
        "messaging.system": "servicebus",
        "messaging.operation": "process",
        "messaging.destination.name": "work",
        "server.address": "bus.example",
        "faas.name": "start",
        "faas.trigger": "serviceBusTrigger",
        "faas.invocation_id": invoke.invocation_id,
    }


async def test_a_messages_own_trace_goes_on_beneath_its_sender() -> None:
    """And a function that fails makes the span one that failed."""
    traced = message(application_properties={"traceparent": f"00-{TRACE}-{SENDER}-01"})
    ended, invoke = await _run(traced, "RuntimeError: no")
    assert ended.trace.parent == invoke.trace_parent
    assert ended.trace.parent.startswith(f"00-{TRACE}-")
    assert ended.trace.origin == SENDER
    assert ended.failed


async def test_a_timer_has_neither_span_nor_trace() -> None:
    """The real host has no activity for it: the app's span is the root."""
    kept = Kept()
    invocations, invoked = _invocations(kept)
    nightly = Function("nightly", "id", OtherTrigger("timerTrigger", "t", {}))
    await invocations.run(nightly, invocations.request(nightly, {}, {}, {}), "timer")
    assert invoked[0].trace_parent == ""
    assert kept.ended == []


@pytest.mark.parametrize(
    ("mode", "settings"),
    [
        ("ApplicationInsights", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}),
        ("OpenTelemetry", {}),
    ],
)
def test_nothing_is_exported_unless_asked_for(mode: str, settings: dict[str, str]) -> None:
    """It takes host.json's mode and an endpoint."""
    assert isinstance(open_spans(mode, AppSettings(settings)), NoSpans)


@pytest.mark.parametrize(
    ("connection", "host"),
    [
        (ConnectionString("Endpoint=sb://127.0.0.1:5672/;SharedAccessKey=a"), "127.0.0.1"),
        (ConnectionString("SharedAccessKey=a;endpoint=sb://bus.example"), "bus.example"),
        (ConnectionString("nonsense"), ""),
        (IdentityConnection("bus.example", None), "bus.example"),
    ],
)
def test_a_connection_knows_its_namespaces_host(
    connection: ConnectionString | IdentityConnection, host: str
) -> None:
    """By its endpoint or its name; a string that names none has none."""
    assert connection.host == host


@pytest.fixture
async def collector() -> AsyncIterator[tuple[Collector, str]]:
    """A collector in this process, and its endpoint."""
    async with run_collector() as running:
        yield running


async def test_spans_reach_the_collector_as_they_were(collector: tuple[Collector, str]) -> None:
    """With their IDs and parents; one whose trace isn't kept does not."""
    kept, endpoint = collector
    spans = OtlpSpans(endpoint, 60_000)
    activity = Activity("lib", "ServiceBusProcessor.ProcessMessage", "CONSUMER", {"a": "b"})
    spans.add(Ended(activity, TraceContext(f"00-{TRACE}-{SPAN}-01", "", SENDER), 1, 2, failed=True))
    spans.add(Ended(activity, TraceContext(f"00-{TRACE}-{SENDER}-00", ""), 1, 2, failed=False))
    await spans.close()

    (span,) = kept.spans
    assert (span.trace_id, span.span_id, span.parent_id) == (TRACE, SPAN, SENDER)
    assert (span.name, span.kind, span.is_error) == (activity.name, "CONSUMER", True)
    assert (span.start, span.end, span.attributes) == (1, 2, {"a": "b"})


async def test_a_collector_that_is_not_there_is_not_waited_for() -> None:
    """The host ends all the same."""
    spans = OtlpSpans("http://127.0.0.1:9", 60_000)
    activity = Activity("lib", "name", "CONSUMER")
    spans.add(Ended(activity, TraceContext(f"00-{TRACE}-{SPAN}-01", ""), 1, 2, failed=False))
    async with asyncio.timeout(10):
        await spans.close()
