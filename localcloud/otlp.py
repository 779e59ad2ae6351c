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
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Final

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

from localcloud.guard import programs_only
from localcloud.otlp_records import Log, Point, Span, to_attributes, to_log, to_points, to_span

_HOST: Final = "127.0.0.1"
_MAX_BODY_BYTES: Final = 32 * 1024 * 1024
_PROTOBUF: Final = "application/x-protobuf"
_READ_SIZE: Final = 4096


class Collector:
    """Keeps what is exported to it."""

    def __init__(self, most: int = sys.maxsize) -> None:
        """Starts empty; keeps the latest `most` spans and as many log records."""
        self._most = most
        self.spans: list[Span] = []
        self.logs: list[Log] = []
        self._points: dict[tuple[str, str, str], Point] = {}

    @property
    def points(self) -> tuple[Point, ...]:
        """The latest value of each point of each metric, by process."""
        return tuple(self._points.values())

    def application(self) -> web.Application:
        """Returns the web application."""
        application = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[programs_only])
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
            resource = to_attributes(group.resource.attributes)
            for scope in group.scope_spans:
                self.spans += [to_span(each, resource) for each in scope.spans]
        del self.spans[: -self._most]
        return _taken(ExportTraceServiceResponse())

    async def _take_logs(self, request: web.Request) -> web.Response:
        message = ExportLogsServiceRequest()
        _parse(message, await request.read())
        for group in message.resource_logs:
            for scope in group.scope_logs:
                self.logs += [to_log(each) for each in scope.log_records]
        del self.logs[: -self._most]
        return _taken(ExportLogsServiceResponse())

    async def _take_metrics(self, request: web.Request) -> web.Response:
        message = ExportMetricsServiceRequest()
        _parse(message, await request.read())
        for group in message.resource_metrics:
            process = str(to_attributes(group.resource.attributes).get("service.instance.id", ""))
            for scope in group.scope_metrics:
                for metric in scope.metrics:
                    for point in to_points(metric, process):
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
async def collector(port: int = 0, most: int = sys.maxsize) -> AsyncIterator[tuple[Collector, str]]:
    """Runs a collector in this process.

    Args:
        port: Where to listen; 0 chooses a free one.
        most: How many spans and log records are kept, the latest ones.

    Yields:
        The collector and its endpoint.
    """
    taking = Collector(most)
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
