"""Azure Monitor's exporters, given what they make readable rows of.

The exporter names a call by the path of its URL and leaves `http.*`, `messaging.*`, `server.*`,
`url.*` and `error.type` out of what can be asked for. So what docs and queries need goes along
under the app's own prefix, and the names that people read are put where it looks for them. Other
backends get the spans as OpenTelemetry's conventions have them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final

from azure.monitor.opentelemetry.exporter import (
    AzureMonitorLogExporter,
    AzureMonitorMetricExporter,
    AzureMonitorTraceExporter,
)
from opentelemetry.sdk.metrics.export import Gauge, Metric, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.util.types import AttributeValue

from assessor.telemetry import attributes as names
from assessor.telemetry.metrics import ARM_CALLS, ARM_REMAINING
from assessor.telemetry.telemetry import WAIT

__all__ = ["AzureMonitorLogExporter", "AzureMonitorMetrics", "Spans"]

_HTTPS_PORT: Final = 443
_MIRRORED: Final = {
    names.HTTP_RETRY_AFTER: names.ARM_RETRY_AFTER,
    names.ERROR_TYPE: names.ERROR,
    names.MESSAGING_DESTINATION: names.ENTITY,
    names.MESSAGING_MESSAGE_ID: names.MESSAGE_ID,
    names.MESSAGING_DELIVERY_COUNT: names.DELIVERY_COUNT,
}
"""What the exporter drops, and the name that it has in Properties."""
_SAYING_NOTHING: Final = frozenset(
    {"ai.device.locale", "ai.device.type", "ai.internal.nodeName"}  # C, Other, the role's instance
)
EXPORTS_A_REMAINDER: Final = 20
"""At one export each 15 seconds, five minutes."""
TABLE_CALLS_A_ROW: Final = 50
"""Of the calls to the tables that went well one has a row, which stands for so many."""
SLOW_TABLE_CALL: Final = 1_000_000_000
"""Nanoseconds from which on a call to the tables has a row of its own."""


class Spans(AzureMonitorTraceExporter):
    """Exports spans."""

    def export(self, spans: Sequence[ReadableSpan], **_kwargs: Any) -> SpanExportResult:  # noqa: ANN401 - the base's
        """Exports what is worth a row.

        A wait shows as the gap that it is, and a message to the app itself as the invocation that
        it brings, unless it failed. Five calls to the tables an assessment would be a fifth of all
        rows: TABLE_CALLS_A_ROW of those that went well share one.
        """
        told = [readable(span) for span in spans if not _goes_without_saying(span)]
        return super().export(told) if told else SpanExportResult.SUCCESS

    def _span_to_envelope(self, span: ReadableSpan) -> Any:  # noqa: ANN401 - the base's own type
        """Leaves out of a row what says nothing: a tenth of it."""
        row = super()._span_to_envelope(span)
        tags = (row.tags or {}).items()
        row.tags = {name: value for name, value in tags if name not in _SAYING_NOTHING}
        return row


class AzureMonitorMetrics(AzureMonitorMetricExporter):
    """Exports metrics but for the calls: those Application Insights counts by their spans.

    What ARM's policies have left is a row for each policy at each export, which would be half of
    all rows: it goes out every EXPORTS_A_REMAINDER exports, with the least that it was since.
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - the base's
        super().__init__(**options)
        self._least = LeastOf(ARM_REMAINING, EXPORTS_A_REMAINDER)

    def export(
        self,
        metrics_data: MetricsData,
        timeout_millis: float = 10_000,
        **kwargs: Any,  # noqa: ANN401 - the base's
    ) -> MetricExportResult:
        """Exports what was counted."""
        return super().export(
            self._least.thinned(without_calls(metrics_data)), timeout_millis, **kwargs
        )


def readable(span: ReadableSpan) -> ReadableSpan:
    """Returns the span with what the exporter makes a readable row of."""
    attributes = dict(span.attributes or {})
    more: dict[str, AttributeValue] = {}
    left_out = set(_said_elsewhere(span))
    for name in left_out:
        attributes.pop(name, None)
    for name, own in _MIRRORED.items():
        value = attributes.get(name)
        if own in left_out or (value == 1 and own == names.DELIVERY_COUNT):
            continue  # a first delivery goes without saying
        if isinstance(value, str | int):
            more[own] = value
        elif isinstance(value, Sequence):
            more[own] = ", ".join(map(str, value))
    if names.HTTP_METHOD in attributes:
        more |= _call(span)
    elif names.MESSAGING_SYSTEM in attributes:
        more |= _peer(attributes)
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


def _said_elsewhere(span: ReadableSpan) -> Iterator[str]:
    """Yields the attributes that cost a row more than they tell: 8 of 10 rows are looks."""
    attributes = span.attributes or {}
    yield from (names.AZURE_PROVIDER, names.CLOUD_ACCOUNT)
    status = attributes.get(names.HTTP_STATUS)
    if isinstance(status, int) and status < HTTPStatus.BAD_REQUEST:
        yield names.AZURE_REQUEST_ID  # which Azure's support asks for where a call failed
    if span.kind is SpanKind.CONSUMER and names.ACTIVITY_ID in attributes:
        yield names.REQUEST_ID  # the assessment's own span and its record have it
        if attributes.get(names.MESSAGING_DELIVERY_COUNT, 1) == 1:
            yield names.MESSAGING_MESSAGE_ID  # of the app's own message, which nobody else has seen
    is_transfer = span.kind in {SpanKind.CONSUMER, SpanKind.PRODUCER}
    if is_transfer and span.status.status_code is not StatusCode.ERROR:
        yield names.ENTITY  # it is in the row's Source or Target, and in its name


def _call(span: ReadableSpan) -> dict[str, AttributeValue]:
    """Returns what names a call, which the exporter does by the path in `url.full`.

    Its target is `server.address`. Where that is an address of the worker's own machine, it is
    replaced by what answers there.
    """
    attributes = span.attributes or {}
    more: dict[str, AttributeValue] = {
        "url.full": span.name.partition(" ")[2],
        "url.scheme": "https",
    }
    if names.PEER_SERVICE in attributes:
        more |= {
            names.SERVER_ADDRESS: attributes[names.PEER_SERVICE],
            names.SERVER_PORT: _HTTPS_PORT,
        }
    if _is_routine(span):
        more[names.SAMPLE_RATE] = 100 / TABLE_CALLS_A_ROW
    return more


def _peer(attributes: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
    """Returns the old names by which the exporter finds the namespace and the entity of a transfer.

    It keeps none of them as properties.
    """
    address, entity = (
        attributes.get(names.SERVER_ADDRESS),
        attributes.get(names.MESSAGING_DESTINATION),
    )
    if address is None or entity is None:
        return {}
    return {
        "peer.service": f"{address}/{entity}",
        "net.peer.name": address,
        "messaging.destination": entity,
    }


def without_calls(data: MetricsData) -> MetricsData:
    """Returns the metrics without the calls' durations.

    The exporter would make a standard metric of them, with other dimensions, beside the one that
    Application Insights makes of the spans.
    """
    return _each_metric(data, lambda metric: None if metric.name == ARM_CALLS else metric)


class LeastOf:
    """Thins a gauge out: of so many exports the last one tells the least that each series was."""

    def __init__(self, name: str, exports: int) -> None:
        self._name = name
        self._exports = exports
        self._seen = 0
        self._least: dict[frozenset[tuple[str, Any]], float] = {}

    def thinned(self, data: MetricsData) -> MetricsData:
        """Returns the metrics without the gauge, or with the least of each of its series."""
        self._seen += 1
        return _each_metric(data, self._metric)

    def _metric(self, metric: Metric) -> Metric | None:
        if metric.name != self._name or not isinstance(metric.data, Gauge):
            return metric
        points = []
        for point in metric.data.data_points:
            key = frozenset((point.attributes or {}).items())
            least = min(point.value, self._least.get(key, point.value))
            self._least[key] = least
            points.append(replace(point, value=least))
        if self._seen % self._exports:
            return None
        self._least.clear()
        return replace(metric, data=replace(metric.data, data_points=points))


def _each_metric(data: MetricsData, change: Callable[[Metric], Metric | None]) -> MetricsData:
    """Returns the metrics as `change` makes them, without those that it makes None of."""
    return MetricsData(
        [
            replace(
                resource,
                scope_metrics=[
                    replace(
                        scope,
                        metrics=[
                            changed
                            for metric in scope.metrics
                            if (changed := change(metric)) is not None
                        ],
                    )
                    for scope in resource.scope_metrics
                ],
            )
            for resource in data.resource_metrics
        ]
    )


def _goes_without_saying(span: ReadableSpan) -> bool:
    if span.status.status_code is StatusCode.ERROR:
        return False
    if _is_routine(span):
        # Its ID is random, so this is one in so many, however short the worker lives.
        context = span.get_span_context()
        return context is None or context.span_id % TABLE_CALLS_A_ROW != 0
    return span.name == WAIT or bool((span.attributes or {}).get(names.TO_ITSELF))


def _is_routine(span: ReadableSpan) -> bool:
    """Whether it is a call to the tables like thousands of others."""
    return (
        (span.attributes or {}).get(names.AZURE_PROVIDER) == names.TABLES
        and span.status.status_code is not StatusCode.ERROR
        and (span.end_time or 0) - (span.start_time or 0) < SLOW_TABLE_CALL
    )
