"""Telemetry whose spans, metrics and log records are read back in the same process."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from assessor.telemetry.setup import Exporters, TelemetryPipeline
from assessor.telemetry.telemetry import Telemetry

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


class Rig:
    """The pipeline as a worker has it, with the SDK's in-memory exporters."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._spans = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.log_exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call] # untyped SDK
        self.pipeline = TelemetryPipeline(
            environment or {}, Exporters(logs=[self.log_exporter]), readers=[self._reader]
        )
        self.pipeline.tracers.add_span_processor(SimpleSpanProcessor(self._spans))

    @property
    def telemetry(self) -> Telemetry:
        """What the app is given."""
        return self.pipeline.telemetry

    @property
    def spans(self) -> list[ReadableSpan]:
        """All spans, in the order of their ends."""
        return list(self._spans.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        """The spans of that name."""
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        """The only span of that name."""
        (span,) = self.named(name)
        return span

    def collected(self) -> MetricsData:
        """All metrics, since the rig was made."""
        data = self._reader.get_metrics_data()
        return data or MetricsData([])

    def points(self, metric: str) -> list["Point"]:
        """The points of a metric, since the rig was made."""
        data = self._reader.get_metrics_data()
        return [
            Point(
                dict(point.attributes or {}),
                point.value if isinstance(point, NumberDataPoint) else point.sum,
                [each.trace_id for each in point.exemplars if each.trace_id],
            )
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for each_metric in scope.metrics
            if each_metric.name == metric
            for point in each_metric.data.data_points
        ]

    def logs(self) -> list["Record"]:
        """The log records that were exported."""
        self.pipeline.loggers.force_flush()
        return [
            Record(
                str(each.log_record.body),
                dict(each.log_record.attributes or {}),
                each.log_record.trace_id or 0,
                each.log_record.span_id or 0,
            )
            for each in self.log_exporter.get_finished_logs()
        ]


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a metric."""

    labels: Mapping[str, object]
    value: float
    exemplar_trace_ids: list[int]


@dataclass(frozen=True, slots=True)
class Record:
    """A log record."""

    body: str
    attributes: Mapping[str, object]
    trace_id: int
    span_id: int


def parent_id(span: ReadableSpan) -> int | None:
    """Returns the ID of the span's parent."""
    return span.parent.span_id if span.parent else None


def span_id(span: ReadableSpan) -> int:
    """Returns the span's own ID."""
    return span.context.span_id if span.context else 0


def trace_id(span: ReadableSpan) -> int:
    """Returns the span's trace ID."""
    return span.context.trace_id if span.context else 0
