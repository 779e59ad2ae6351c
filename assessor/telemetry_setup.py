"""OpenTelemetry, configured once for each worker and in this one place."""

from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from assessor.telemetry import AssessmentIdGenerator


def configure_telemetry(environment: Mapping[str, str]) -> AssessmentIdGenerator:
    """Sets the global tracer provider up; returns its ID generator.

    Spans go to the OTLP endpoint that the standard variables name, and nowhere without one.
    """
    ids = AssessmentIdGenerator()
    provider = TracerProvider(id_generator=ids)
    if any(
        environment.get(name)
        for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    ):
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return ids
