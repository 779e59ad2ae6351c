"""An OpenTelemetry collector for tests and the demo: takes OTLP over HTTP, shows what it took.

    python -m localcloud.otlp

Prints one line of JSON on stdout when it is ready: `endpoint`, for OTEL_EXPORTER_OTLP_ENDPOINT.
What came is read back as JSON: `GET /spans?traceId=…`, `GET /logs?traceId=…`, `GET /metrics`.
Left out of what a collector does: gRPC, OTLP's JSON, partial success, and passing anything on; all
is kept in memory.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from aiohttp import ClientSession, web
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord as ProtoLogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

_HOST: Final = "127.0.0.1"
_MAX_BODY_BYTES: Final = 32 * 1024 * 1024
_PROTOBUF: Final = "application/x-protobuf"
_READ_SIZE: Final = 4096

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


class Collector:
    """Keeps what is exported to it."""

    def __init__(self) -> None:
        """Starts empty."""
        self.spans: list[Span] = []
        self.logs: list[Log] = []
        self._points: dict[tuple[str, str, str], Point] = {}

    @property
    def points(self) -> tuple[Point, ...]:
        """The latest value of each point of each metric, by process."""
        return tuple(self._points.values())

    def application(self) -> web.Application:
        """Returns the web application."""
        application = web.Application(client_max_size=_MAX_BODY_BYTES)
        application.add_routes(
            [
                web.post("/v1/traces", self._take_traces),
                web.post("/v1/logs", self._take_logs),
                web.post("/v1/metrics", self._take_metrics),
                web.get("/spans", self._show_spans),
                web.get("/logs", self._show_logs),
                web.get("/metrics", self._show_metrics),
            ]
        )
        return application

    async def _take_traces(self, request: web.Request) -> web.Response:
        message = ExportTraceServiceRequest()
        _parse(message, await request.read())
        for group in message.resource_spans:
            resource = _attributes(group.resource.attributes)
            for scope in group.scope_spans:
                self.spans += [_span(each, resource) for each in scope.spans]
        return _taken(ExportTraceServiceResponse())

    async def _take_logs(self, request: web.Request) -> web.Response:
        message = ExportLogsServiceRequest()
        _parse(message, await request.read())
        for group in message.resource_logs:
            for scope in group.scope_logs:
                self.logs += [_log(each) for each in scope.log_records]
        return _taken(ExportLogsServiceResponse())

    async def _take_metrics(self, request: web.Request) -> web.Response:
        message = ExportMetricsServiceRequest()
        _parse(message, await request.read())
        for group in message.resource_metrics:
            process = str(_attributes(group.resource.attributes).get("service.instance.id", ""))
            for scope in group.scope_metrics:
                for metric in scope.metrics:
                    for point in _points(metric, process):
                        key = (point.name, json.dumps(point.attributes, sort_keys=True), process)
                        before = self._points.get(key)
                        self._points[key] = point.after(before) if before else point
        return _taken(ExportMetricsServiceResponse())

    async def _show_spans(self, request: web.Request) -> web.Response:
        return _show(request, self.spans)

    async def _show_logs(self, request: web.Request) -> web.Response:
        return _show(request, self.logs)

    async def _show_metrics(self, request: web.Request) -> web.Response:
        del request
        return web.json_response([asdict(each) for each in self.points])


@asynccontextmanager
async def collector(port: int = 0) -> AsyncIterator[tuple[Collector, str]]:
    """Runs a collector in this process.

    Yields:
        The collector and its endpoint.
    """
    taking = Collector()
    runner = web.AppRunner(taking.application(), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, _HOST, port)
        await site.start()
        address = runner.addresses[0]
        yield taking, f"http://{_HOST}:{address[1]}"
    finally:
        await runner.cleanup()


async def read_spans(http: ClientSession, endpoint: str, trace_id: str = "") -> list[Span]:
    """Returns the spans that a collector has of a trace, or of all."""
    async with http.get(f"{endpoint}/spans", params={"traceId": trace_id}) as response:
        response.raise_for_status()
        return [Span.from_json(each) for each in await response.json()]


def _parse(
    message: ExportTraceServiceRequest | ExportLogsServiceRequest | ExportMetricsServiceRequest,
    body: bytes,
) -> None:
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise web.HTTPBadRequest(text="the body is not OTLP in protobuf") from error


def _taken(
    response: ExportTraceServiceResponse | ExportLogsServiceResponse | ExportMetricsServiceResponse,
) -> web.Response:
    return web.Response(body=response.SerializeToString(), content_type=_PROTOBUF)


def _show(request: web.Request, records: Iterable[Span | Log]) -> web.Response:
    wanted = request.query.get("traceId", "").replace("-", "").lower()
    return web.json_response(
        [asdict(each) for each in records if not wanted or each.trace_id == wanted]
    )


def _span(span: ProtoSpan, resource: Attributes) -> Span:
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=span.name,
        kind=ProtoSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        is_error=span.status.code == Status.STATUS_CODE_ERROR,
        attributes=_attributes(span.attributes),
        resource=resource,
        links=tuple(Link(each.trace_id.hex(), each.span_id.hex()) for each in span.links),
    )


def _log(record: ProtoLogRecord) -> Log:
    return Log(
        trace_id=record.trace_id.hex(),
        span_id=record.span_id.hex(),
        severity=record.severity_text,
        body=record.body.string_value,
        attributes=_attributes(record.attributes),
    )


def _points(metric: Metric, process: str) -> Iterable[Point]:
    for number in (*metric.sum.data_points, *metric.gauge.data_points):
        yield Point(
            name=metric.name,
            attributes=_attributes(number.attributes),
            value=number.as_double or number.as_int,
            count=1,
            exemplar_trace_ids=tuple(each.trace_id.hex() for each in number.exemplars),
            process=process,
        )
    for histogram in metric.histogram.data_points:
        yield Point(
            name=metric.name,
            attributes=_attributes(histogram.attributes),
            value=histogram.sum,
            count=histogram.count,
            exemplar_trace_ids=tuple(each.trace_id.hex() for each in histogram.exemplars),
            process=process,
        )


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:  # noqa: ANN401 - any JSON
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    if kind == "bytes_value":
        return value.bytes_value.hex()
    return getattr(value, kind)


async def _run(port: int, *, exit_with_parent: bool) -> None:
    stop = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    watcher = asyncio.create_task(_end_of_stdin(stop)) if exit_with_parent else None
    try:
        async with collector(port) as (_, endpoint):
            sys.stdout.write(json.dumps({"endpoint": endpoint}) + "\n")
            sys.stdout.flush()
            await stop.wait()
    finally:
        if watcher is not None:
            watcher.cancel()


async def _end_of_stdin(stop: asyncio.Event) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(_READ_SIZE):
        pass
    stop.set()


def main() -> int:
    """Runs a collector until it is told to stop; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m localcloud.otlp", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="a free one by default")
    parser.add_argument("--exit-with-parent", action="store_true", help="stop when stdin is closed")
    arguments = parser.parse_args()
    asyncio.run(_run(arguments.port, exit_with_parent=arguments.exit_with_parent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
