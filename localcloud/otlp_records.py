"""OTLP as plain data: spans, log records and points of metrics, out of their protobuf form."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord as ProtoLogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

Attributes = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Link:
    """A link from one span to another."""

    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True)
class Span:
    """A span as it was exported.

    Attributes:
        trace_id: 32 hex digits.
        span_id: 16 hex digits.
        parent_id: likewise; empty for a root.
        name: what it is.
        kind: `INTERNAL`, `CLIENT`, `PRODUCER`, `CONSUMER` or `SERVER`.
        start: in nanoseconds since 1970.
        end: likewise.
        is_error: whether its status says so.
        attributes: its own.
        resource: of the process that made it.
        links: to other spans.
    """

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    start: int
    end: int
    is_error: bool
    attributes: Attributes = field(default_factory=dict)
    resource: Attributes = field(default_factory=dict)
    links: tuple[Link, ...] = ()

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Span":
        """Returns the span that `GET /spans` shows as these fields."""
        return cls(**{**fields, "links": tuple(Link(**each) for each in fields["links"])})


@dataclass(frozen=True, slots=True)
class Log:
    """A log record as it was exported."""

    trace_id: str
    span_id: str
    severity: str
    body: str
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a metric.

    Attributes:
        name: the metric.
        attributes: what it is told apart by.
        value: its sum or last value; for a histogram the sum.
        count: how many measurements a histogram has; 1 for the others.
        exemplar_trace_ids: the traces that the SDK hung on it.
        process: the `service.instance.id` of the process that measured it.
    """

    name: str
    attributes: Attributes
    value: float
    count: int
    exemplar_trace_ids: tuple[str, ...]
    process: str

    def after(self, before: "Point") -> "Point":
        """Returns this point with the exemplars of the one before it: the SDK sends each once."""
        both = (*before.exemplar_trace_ids, *self.exemplar_trace_ids)
        return replace(self, exemplar_trace_ids=tuple(dict.fromkeys(both)))


def to_span(span: ProtoSpan, resource: Attributes) -> Span:
    """Returns a span, with the attributes of the process that made it."""
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=span.name,
        kind=ProtoSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        is_error=span.status.code == Status.STATUS_CODE_ERROR,
        attributes=to_attributes(span.attributes),
        resource=resource,
        links=tuple(Link(each.trace_id.hex(), each.span_id.hex()) for each in span.links),
    )


def to_log(record: ProtoLogRecord) -> Log:
    """Returns a log record."""
    return Log(
        trace_id=record.trace_id.hex(),
        span_id=record.span_id.hex(),
        severity=record.severity_text,
        body=record.body.string_value,
        attributes=to_attributes(record.attributes),
    )


def to_points(metric: Metric, process: str) -> Iterable[Point]:
    """Yields the points of a metric that one process measured; of sums, gauges and histograms."""
    for number in (*metric.sum.data_points, *metric.gauge.data_points):
        yield Point(
            name=metric.name,
            attributes=to_attributes(number.attributes),
            value=number.as_double or number.as_int,
            count=1,
            exemplar_trace_ids=tuple(each.trace_id.hex() for each in number.exemplars),
            process=process,
        )
    for histogram in metric.histogram.data_points:
        yield Point(
            name=metric.name,
            attributes=to_attributes(histogram.attributes),
            value=histogram.sum,
            count=histogram.count,
            exemplar_trace_ids=tuple(each.trace_id.hex() for each in histogram.exemplars),
            process=process,
        )


def to_attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """Returns attributes as JSON."""
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:  # noqa: ANN401 - any JSON
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    if kind == "kvlist_value":
        return to_attributes(value.kvlist_value.values)
    if kind == "bytes_value":
        return value.bytes_value.hex()
    return getattr(value, kind)
