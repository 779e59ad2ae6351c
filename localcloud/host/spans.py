"""The spans of the host's own, which it exports in host.json's telemetryMode OpenTelemetry.

The real host exports the activities of the Azure SDKs and of ASP.NET Core; of an invocation that is
the Service Bus client's ProcessMessage, or the request to Event Grid's webhook, with the host's
`faas.*` tags. A timer has none. Parented as the message says, they are the roots of what came
without a trace. OTLP over HTTP alone, to OTEL_EXPORTER_OTLP_ENDPOINT; left out are gRPC, Azure
Monitor, and the host's log records.

Sources: OpenTelemetryConfigurationExtensions.cs and GrpcWorkerChannel.cs (azure-functions-host),
ReceiverManager.cs (azure-sdk-for-net).
"""

import asyncio
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from localcloud.host.settings import AppSettings
from localcloud.host.tracecontext import TraceContext

_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
_DELAY: Final = "OTEL_BSP_SCHEDULE_DELAY"
_DELAY_MS: Final = 5000.0
_EXPORT_SECONDS: Final = 2.0
_CLOSE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Activity:
    """What the host has under way while a function runs.

    Attributes:
        source: Which library's it is.
        name: The span's.
        kind: Whether it takes a message or serves a request.
        attributes: The span's.
    """

    source: str
    name: str
    kind: Literal["CONSUMER", "SERVER"]
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ended:
    """An activity that came to its end.

    Attributes:
        activity: What it was.
        trace: Its IDs.
        started: In nanoseconds since 1970.
        ended: Likewise.
        failed: Whether the function did.
    """

    activity: Activity
    trace: TraceContext
    started: int
    ended: int
    failed: bool


class Spans(Protocol):
    """Where spans go."""

    def add(self, ended: Ended) -> None:
        """Export a span some time later; never waits, never raises."""
        ...

    async def close(self) -> None:
        """Export what is left, within a bounded time."""
        ...


class NoSpans:
    """Keeps nothing: the host's telemetry goes elsewhere, or nowhere."""

    def add(self, ended: Ended) -> None:
        """Forget it."""

    async def close(self) -> None:
        """Nothing is open."""


class OtlpSpans:
    """Exports by the SDK's own batches, in a thread of its own."""

    def __init__(self, endpoint: str, delay_ms: float) -> None:
        # A third of the host's start, for what only an endpoint needs.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        self._resource = Resource.create(
            {"process.pid": os.getpid(), "ai.sdk.prefix": "azurefunctions:4"}
        )
        self._processor = BatchSpanProcessor(
            OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_SECONDS),
            schedule_delay_millis=delay_ms,
        )

    def add(self, ended: Ended) -> None:
        """Put it into the next batch; one whose trace isn't kept is dropped."""
        from opentelemetry.sdk.trace import ReadableSpan  # noqa: PLC0415 - as above
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: PLC0415
        from opentelemetry.trace import (  # noqa: PLC0415
            SpanContext,
            SpanKind,
            Status,
            StatusCode,
            TraceFlags,
        )

        _, trace_id, span_id, flags = ended.trace.parent.split("-")

        def context(span: str) -> SpanContext:
            return SpanContext(
                int(trace_id, 16),
                int(span, 16),
                is_remote=False,
                trace_flags=TraceFlags(int(flags, 16)),
            )

        origin = ended.trace.origin
        self._processor.on_end(
            ReadableSpan(
                ended.activity.name,
                context=context(span_id),
                parent=context(origin) if origin else None,
                resource=self._resource,
                attributes=dict(ended.activity.attributes),
                kind=SpanKind[ended.activity.kind],
                status=Status(StatusCode.ERROR if ended.failed else StatusCode.UNSET),
                start_time=ended.started,
                end_time=ended.ended,
                instrumentation_scope=InstrumentationScope(ended.activity.source),
            )
        )

    async def close(self) -> None:
        """Export what is left; a collector that doesn't answer is not waited for."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._processor.shutdown()  # type: ignore[no-untyped-call] # the SDK's own
            loop.call_soon_threadsafe(done.set)

        # Not the loop's own threads: it would wait for them at its end, however long that takes.
        threading.Thread(target=shut_down, name="spans", daemon=True).start()
        try:
            await asyncio.wait_for(done.wait(), _CLOSE_SECONDS)
        except TimeoutError:
            return


def open_spans(telemetry_mode: str, settings: AppSettings) -> Spans:
    """Prepare the export that host.json and the settings ask for.

    Returns:
        It, or what forgets all spans.
    """
    endpoint = settings.get(_ENDPOINT)
    if telemetry_mode != "OpenTelemetry" or endpoint is None:
        return NoSpans()
    try:
        delay = float(settings.get(_DELAY) or _DELAY_MS)
    except ValueError:
        delay = _DELAY_MS
    return OtlpSpans(endpoint, delay)
