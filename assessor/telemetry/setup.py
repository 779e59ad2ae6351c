"""OpenTelemetry, configured once for each worker and in this one place.

Telemetry goes to the OTLP endpoint that the standard OTEL_* variables name, over HTTP, and to Azure
Monitor when APPLICATIONINSIGHTS_CONNECTION_STRING is set; nowhere without either. Left out: OTLP
over gRPC, and Azure Monitor's live metrics and distro.
"""

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from azure.core.settings import settings as azure_settings
from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter
from opentelemetry.sdk.environment_variables import OTEL_METRIC_EXPORT_INTERVAL
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricReader,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from assessor.telemetry.attributes import ACTIVITY_ID, INSTRUMENTATION_SCOPE, SCHEMA_URL
from assessor.telemetry.context import AssessmentIdGenerator, current_activity_id
from assessor.telemetry.logs import OtlpHandler, quieten, stamp_records
from assessor.telemetry.metrics import VIEWS, Metrics
from assessor.telemetry.records import Records
from assessor.telemetry.sampler import sampler_of
from assessor.telemetry.telemetry import Telemetry

VERSION: Final = "0.1.0"
"""The app's own, as in pyproject.toml, which is not deployed."""
FLUSH_SECONDS: Final = 5.0
"""How long a worker that goes waits for its collector."""
METRICS_EVERY_MS: Final = 15_000.0
"""How often metrics go out where OTEL_METRIC_EXPORT_INTERVAL does not say.

The SDK's own minute is too long: a worker on Flex Consumption is killed without a signal, and what
it had counted goes with it. Spans leave after five seconds and log records after one, by the SDK's
own defaults.
"""
_AZURE_MONITOR: Final = "APPLICATIONINSIGHTS_CONNECTION_STRING"


@dataclass(frozen=True, slots=True)
class Exporters:
    """Where telemetry goes; each may be several places, or none."""

    spans: Sequence[SpanExporter] = ()
    metrics: Sequence[MetricExporter] = ()
    logs: Sequence[LogRecordExporter] = ()


class TelemetryPipeline:
    """Telemetry with the providers behind it."""

    def __init__(
        self,
        environment: Mapping[str, str],
        exporters: Exporters,
        readers: Sequence[MetricReader] = (),
    ) -> None:
        """Makes the providers.

        Raises:
            SamplerError: the environment names a sampler that there is not.
        """
        resource = resource_of(environment)
        ids, sampler = AssessmentIdGenerator(), sampler_of(environment)
        # The providers' own exit handlers wait for a dead collector for as long as it takes.
        self.tracers = TracerProvider(
            sampler=sampler, resource=resource, id_generator=ids, shutdown_on_exit=False
        )
        self.tracers.add_span_processor(ActivityIdProcessor())
        for span_exporter in exporters.spans:
            self.tracers.add_span_processor(BatchSpanProcessor(span_exporter))
        self.meters = MeterProvider(
            [*readers, *(metrics_every_so_often(each, environment) for each in exporters.metrics)],
            resource,
            views=VIEWS,
            shutdown_on_exit=False,
        )
        self.loggers = LoggerProvider(resource, shutdown_on_exit=False)
        for log_exporter in exporters.logs:
            self.loggers.add_log_record_processor(BatchLogRecordProcessor(log_exporter))
        self.log_handler = OtlpHandler(self.loggers) if exporters.logs else None
        self.telemetry = Telemetry(
            self.tracers.get_tracer(INSTRUMENTATION_SCOPE, schema_url=SCHEMA_URL),
            ids,
            sampler,
            Metrics(self.meters.get_meter(INSTRUMENTATION_SCOPE, schema_url=SCHEMA_URL)),
            Records(self.loggers.force_flush if exporters.logs else None),
        )
        self._closing = threading.Lock()
        self._closed = False

    def shutdown(self, seconds: float = FLUSH_SECONDS) -> None:
        """Exports what is left, and ends; gives up after `seconds`, so that no worker hangs.

        It blocks, and may be called again.
        """
        with self._closing:
            if self._closed:
                return
            self._closed = True
        if self.log_handler is not None:
            logging.getLogger().removeHandler(self.log_handler)
        # Side by side, in threads that end with the process: each may wait for a dead collector.
        steps: tuple[Callable[[], object], ...] = (
            self.tracers.shutdown,
            self.meters.shutdown,
            self.loggers.shutdown,
        )
        threads = [threading.Thread(target=step, daemon=True) for step in steps]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + seconds
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))


class ActivityIdProcessor(SpanProcessor):
    """Puts the activity ID on every span that is made while an assessment is being worked on."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Names the assessment on a span that does not name one already."""
        del parent_context
        activity_id = current_activity_id()
        if activity_id is not None and ACTIVITY_ID not in (span.attributes or {}):
            span.set_attribute(ACTIVITY_ID, activity_id)


def configure_telemetry(environment: Mapping[str, str]) -> TelemetryPipeline:
    """Sets OpenTelemetry and logging up for this worker; returns what it set up.

    Raises:
        SamplerError: the environment names a sampler that there is not.
    """
    azure_settings.tracing_enabled = False  # assessor.arm.tracing tells why
    pipeline = TelemetryPipeline(environment, exporters_of(environment))
    trace.set_tracer_provider(pipeline.tracers)
    metrics.set_meter_provider(pipeline.meters)
    quieten()
    stamp_records()
    if pipeline.log_handler is not None:
        logging.getLogger().addHandler(pipeline.log_handler)
    atexit.register(pipeline.shutdown)
    return pipeline


def metrics_every_so_often(
    exporter: MetricExporter, environment: Mapping[str, str]
) -> PeriodicExportingMetricReader:
    """Returns the reader that exports what was counted, each METRICS_EVERY_MS."""
    said = environment.get(OTEL_METRIC_EXPORT_INTERVAL)  # which the SDK reads itself
    return PeriodicExportingMetricReader(exporter, None if said else METRICS_EVERY_MS)


def exporters_of(environment: Mapping[str, str]) -> Exporters:
    """Returns the exporters that the environment asks for."""
    places = [_otlp_exporters(environment)]
    connection_string = environment.get(_AZURE_MONITOR)
    if connection_string:
        places.append(_azure_monitor_exporters(connection_string))
    return Exporters(
        spans=[each for place in places for each in place.spans],
        metrics=[each for place in places for each in place.metrics],
        logs=[each for place in places for each in place.logs],
    )


# Exporters are imported only where they are asked for: OTLP's take as long as a tenth of all else
# that a cold start imports, Azure Monitor's a third of a second.


def _otlp_exporters(environment: Mapping[str, str]) -> Exporters:
    spans: list[SpanExporter] = []
    meters: list[MetricExporter] = []
    logs: list[LogRecordExporter] = []
    if _otlp(environment, "TRACES"):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - see above
            OTLPSpanExporter,
        )

        spans.append(OTLPSpanExporter())
    if _otlp(environment, "METRICS"):
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import (  # noqa: PLC0415 - see above
            OTLPMetricExporter,
        )

        meters.append(OTLPMetricExporter())
    if _otlp(environment, "LOGS"):
        from opentelemetry.exporter.otlp.proto.http._log_exporter import (  # noqa: PLC0415 - see above
            OTLPLogExporter,
        )

        logs.append(OTLPLogExporter())
    return Exporters(spans, meters, logs)


def _azure_monitor_exporters(connection_string: str) -> Exporters:
    from assessor.telemetry import azure_monitor  # noqa: PLC0415 - see above

    # Who it is, it reads from APPLICATIONINSIGHTS_AUTHENTICATION_STRING itself.
    return Exporters(
        [azure_monitor.Spans(connection_string=connection_string)],
        [azure_monitor.AzureMonitorMetrics(connection_string=connection_string)],
        [azure_monitor.AzureMonitorLogExporter(connection_string=connection_string)],
    )


def resource_of(environment: Mapping[str, str]) -> Resource:
    """Returns what the telemetry is about: this app, and the worker process that it runs in.

    OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win over what is found here.
    """
    site = environment.get("WEBSITE_SITE_NAME")
    found: dict[str, str | int] = {
        "service.name": site or INSTRUMENTATION_SCOPE,
        "service.version": VERSION,
        "process.pid": os.getpid(),
    }
    if site:
        found |= {
            "cloud.provider": "azure",
            "cloud.platform": "azure.functions",
            "cloud.region": environment.get("REGION_NAME", ""),
            "faas.name": site,
            "faas.instance": environment.get("WEBSITE_INSTANCE_ID", ""),
        }
    named = OTELResourceDetector().detect().attributes
    return Resource.create(
        {name: value for name, value in found.items() if name not in named}, SCHEMA_URL
    )


def _otlp(environment: Mapping[str, str], signal: str) -> bool:
    """Whether a signal goes to an OTLP endpoint."""
    wanted = environment.get(f"OTEL_{signal}_EXPORTER", "otlp")
    return "otlp" in wanted.split(",") and any(
        environment.get(name)
        for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    )
