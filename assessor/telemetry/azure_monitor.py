"""Azure Monitor's exporters, given what they make readable rows of.

The exporter names a call by the path of its URL and leaves `http.*`, `messaging.*`, `server.*`,
`url.*` and `error.type` out of what can be asked for. So what docs and queries need goes along
under the app's own prefix, and the names that people read are put where it looks for them. Other
backends get the spans as OpenTelemetry's conventions have them.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from azure.monitor.opentelemetry.exporter import (
    AzureMonitorLogExporter,
    AzureMonitorMetricExporter,
    AzureMonitorTraceExporter,
)
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import StatusCode
from opentelemetry.util.types import AttributeValue

from assessor.telemetry.attributes import (
    ARM_RETRY_AFTER,
    DELIVERY_COUNT,
    ENTITY,
    ERROR,
    ERROR_TYPE,
    HTTP_METHOD,
    HTTP_RETRY_AFTER,
    MESSAGE_ID,
    MESSAGING_DELIVERY_COUNT,
    MESSAGING_DESTINATION,
    MESSAGING_MESSAGE_ID,
    MESSAGING_SYSTEM,
    TO_ITSELF,
)
from assessor.telemetry.metrics import ARM_CALLS
from assessor.telemetry.telemetry import WAIT

__all__ = ["AzureMonitorLogExporter", "AzureMonitorMetrics", "Spans"]

_MIRRORED: Final = {
    HTTP_RETRY_AFTER: ARM_RETRY_AFTER,
    ERROR_TYPE: ERROR,
    MESSAGING_DESTINATION: ENTITY,
    MESSAGING_MESSAGE_ID: MESSAGE_ID,
    MESSAGING_DELIVERY_COUNT: DELIVERY_COUNT,
}
"""What the exporter drops, and the name that it has in Properties."""
_NAMESPACE: Final = "az.namespace"
_SERVICE_BUS: Final = "Microsoft.ServiceBus"


class Spans(AzureMonitorTraceExporter):
    """Exports spans."""

    def export(self, spans: Sequence[ReadableSpan], **_kwargs: Any) -> SpanExportResult:  # noqa: ANN401 - the base's
        """Exports what is worth a row.

        A wait shows as the gap that it is, and a message to the app itself as the invocation that
        it brings, unless it failed.
        """
        told = [readable(span) for span in spans if not _goes_without_saying(span)]
        return super().export(told) if told else SpanExportResult.SUCCESS


class AzureMonitorMetrics(AzureMonitorMetricExporter):
    """Exports metrics but for the calls: those Application Insights counts by their spans."""

    def export(
        self,
        metrics_data: MetricsData,
        timeout_millis: float = 10_000,
        **kwargs: Any,  # noqa: ANN401 - the base's
    ) -> MetricExportResult:
        """Exports what was counted."""
        return super().export(without_calls(metrics_data), timeout_millis, **kwargs)


def readable(span: ReadableSpan) -> ReadableSpan:
    """Returns the span with what the exporter makes a readable row of."""
    attributes = dict(span.attributes or {})
    more: dict[str, AttributeValue] = {}
    for name, own in _MIRRORED.items():
        value = attributes.get(name)
        if isinstance(value, str | int):
            more[own] = value
        elif isinstance(value, Sequence):
            more[own] = ", ".join(map(str, value))
    if HTTP_METHOD in attributes:
        # It names the call by the path in here, and takes the target from server.address.
        more |= {"url.full": span.name.partition(" ")[2], "url.scheme": "https"}
    elif MESSAGING_SYSTEM in attributes:
        more[_NAMESPACE] = _SERVICE_BUS
    if not more:
        return span
    return ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes=attributes | more,
        events=span.events,
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def without_calls(data: MetricsData) -> MetricsData:
    """Returns the metrics without the calls' durations.

    The exporter would make a standard metric of them, with other dimensions, beside the one that
    Application Insights makes of the spans.
    """
    return MetricsData(
        [
            replace(
                each,
                scope_metrics=[
                    replace(scope, metrics=[m for m in scope.metrics if m.name != ARM_CALLS])
                    for scope in each.scope_metrics
                ],
            )
            for each in data.resource_metrics
        ]
    )


def _goes_without_saying(span: ReadableSpan) -> bool:
    if span.status.status_code is StatusCode.ERROR:
        return False
    return span.name == WAIT or bool((span.attributes or {}).get(TO_ITSELF))
