"""Where telemetry goes, what it is about, and that it never holds a worker up."""

import io
import threading
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from assessor.telemetry.setup import (
    Exporters,
    TelemetryPipeline,
    exporters_of,
    metrics_every_so_often,
    resource_of,
)

CONNECTION_STRING = (
    "InstrumentationKey=00000000-0000-0000-0000-000000000001;IngestionEndpoint=https://127.0.0.1:1/"
)


class Dead(SpanExporter):
    """A collector that takes what it is sent, and never answers."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.released = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        del spans
        self.asked.set()
        self.released.wait()
        return SpanExportResult.FAILURE


@pytest.mark.parametrize(
    ("environment", "signals"),
    [
        ({}, (0, 0, 0)),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, (1, 1, 1)),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, (0, 0, 0)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1"}, (1, 0, 0)),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_LOGS_EXPORTER": "none"},
            (1, 1, 0),
        ),
    ],
)
def test_otlp_goes_where_the_standard_variables_say(
    environment: dict[str, str], signals: tuple[int, int, int]
) -> None:
    exporters = exporters_of(environment)

    assert (len(exporters.spans), len(exporters.metrics), len(exporters.logs)) == signals


def test_the_resource_names_the_site_and_this_process() -> None:
    """By the conventions for cloud and FaaS; each process is an instance of its own."""
    site = {"WEBSITE_SITE_NAME": "patches", "REGION_NAME": "West Europe"}

    attributes = resource_of(site).attributes

    assert attributes["service.name"] == attributes["faas.name"] == "patches"
    assert attributes["cloud.platform"] == "azure.functions"
    assert attributes["service.instance.id"]


def test_the_standard_variables_name_the_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    """They win over what is found."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")

    attributes = resource_of({"WEBSITE_SITE_NAME": "patches"}).attributes

    assert attributes["service.name"] == "mine"
    assert attributes["deployment.environment.name"] == "test"


def test_a_dead_collector_holds_neither_the_work_nor_the_end_up() -> None:
    """Spans that it does not take are dropped; the shutdown gives up when its time is over."""
    dead = Dead()
    pipeline = TelemetryPipeline({}, Exporters(spans=[dead]))
    tracer = pipeline.tracers.get_tracer("test")

    for _ in range(5_000):  # more than the queue holds
        tracer.start_span("x").end()
    assert dead.asked.wait(30)
    pipeline.shutdown(seconds=0.2)

    assert not dead.released.is_set()  # the collector still keeps whoever waits for it
    dead.released.set()


def test_a_shutdown_may_come_twice() -> None:
    """At SIGTERM, and again when the interpreter exits."""
    pipeline = TelemetryPipeline({}, Exporters())

    pipeline.shutdown()
    pipeline.shutdown()


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, 15.0),
        ({"OTEL_METRIC_EXPORT_INTERVAL": ""}, 15.0),
        ({"OTEL_METRIC_EXPORT_INTERVAL": "90000"}, 90.0),
    ],
)
def test_metrics_go_out_every_few_seconds_unless_the_standard_variable_says(
    environment: dict[str, str], seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is killed takes with it what it had not sent."""
    monkeypatch.delenv("OTEL_METRIC_EXPORT_INTERVAL", raising=False)
    for name, text in environment.items():
        monkeypatch.setenv(name, text)

    reader = metrics_every_so_often(ConsoleMetricExporter(out=io.StringIO()), environment)
    reader.shutdown()

    assert reader._export_interval_millis == seconds * 1_000
