"""What the app counts, measures and shows, whether or not a trace is sampled.

No label names a VM: each has few values, and VIEWS drop whatever else comes along. The SDK hangs
exemplars, which name the trace, on the points of sampled traces.
"""

import re
from collections.abc import Mapping
from typing import Final

from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.util.types import AttributeValue

from assessor.telemetry import attributes as names

ASSESSMENTS: Final = "assessor.assessments"
DURATION: Final = "assessor.operation.duration"
HELD: Final = "assessor.assessments.held"
RESCHEDULED: Final = "assessor.handovers"
RESUMED: Final = "assessor.resumptions"
ARM_CALLS: Final = "http.client.request.duration"
ARM_POLICY_CALLS: Final = "assessor.arm.calls"
ARM_THROTTLES: Final = "assessor.arm.throttles"
ARM_REMAINING: Final = "assessor.arm.remaining"
ALERTS: Final = "assessor.alerts"
EVENTS: Final = "assessor.events"
UNFORESEEN: Final = "assessor.unforeseen"

_SERIES: Final = 500
"""Of one instrument; whatever comes beyond is summed up as `otel.metric.overflow`."""
_OPERATION_SECONDS: Final = (30, 60, 120, 180, 300, 420, 540, 660, 780, 900, 1200, 1800, 3600, 7200)
_CALL_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_CALL: Final = (
    names.HTTP_METHOD,
    names.HTTP_STATUS,
    names.SERVER_ADDRESS,
    names.SERVER_PORT,
    names.URL_TEMPLATE,
)
_POLICY: Final = re.compile(r"[\w./-]{1,80}")
_OTHER: Final = "_OTHER"


class Metrics:
    """What the app counts and measures, as OpenTelemetry's instruments."""

    def __init__(self, meter: Meter) -> None:
        self._assessments = meter.create_counter(ASSESSMENTS, "{assessment}", "Outcomes published")
        self._duration = meter.create_histogram(DURATION, "s", "How long operations took in ARM")
        self._held = meter.create_up_down_counter(
            HELD, "{assessment}", "Assessments that wait within a worker"
        )
        self._handovers = meter.create_counter(
            RESCHEDULED, "{assessment}", "Assessments that went to wait in the queue"
        )
        self._resumptions = meter.create_counter(
            RESUMED, "{assessment}", "Assessments that came back from the queue"
        )
        self._calls = meter.create_histogram(
            ARM_CALLS, "s", "How long ARM, a table or the identity took to answer"
        )
        self._policy_calls = meter.create_counter(
            ARM_POLICY_CALLS, "{call}", "Calls that ARM counted, by its policies"
        )
        self._throttles = meter.create_counter(
            ARM_THROTTLES, "{call}", "Calls that ARM refused because there were too many"
        )
        self._remaining = meter.create_gauge(
            ARM_REMAINING, "{call}", "Calls that ARM's policies had left at the last answer"
        )
        self._alerts = meter.create_counter(ALERTS, "{alert}", "Alerts published")
        self._events = meter.create_counter(EVENTS, "{event}", "Events that Event Grid delivered")
        self._unforeseen = meter.create_counter(
            UNFORESEEN, "{error}", "Errors that nobody foresaw, which the last resort caught"
        )

    def concluded(self, outcome: str, status: str, seconds: float | None) -> None:
        """Counts an outcome; measures the operation where there was one."""
        labels = {names.OUTCOME: outcome, names.STATUS: status}
        self._assessments.add(1, labels)
        if seconds is not None:
            self._duration.record(seconds, labels)

    def rescheduled(self) -> None:
        """Counts one assessment into the queue."""
        self._handovers.add(1)

    def resumed(self) -> None:
        """Counts one assessment out of the queue."""
        self._resumptions.add(1)

    def held(self, change: int) -> None:
        """Adds to what waits within this worker."""
        self._held.add(change)

    def called(
        self, attributes: Mapping[str, AttributeValue], *, error: str | None, seconds: float
    ) -> None:
        """Measures one call by its span's attributes; `error` is its status, or what it raised."""
        labels = {name: attributes[name] for name in _CALL if name in attributes}
        if error is not None:
            labels[names.ERROR_TYPE] = error
        self._calls.record(seconds, labels)

    def drew(self, policy: str, subscription_id: str, remaining: int) -> None:
        """Counts one call on a policy."""
        self._policy_calls.add(1, {names.ARM_POLICY: _label(policy)})
        self._remaining.set(
            remaining,
            {names.ARM_POLICY: _label(policy), names.CLOUD_ACCOUNT: subscription_id.lower()},
        )

    def throttled(self, policy: str) -> None:
        """Counts one refusal."""
        self._throttles.add(1, {names.ARM_POLICY: _label(policy)})

    def alerted(self, rule: str, condition: str, change: str) -> None:
        """Counts one alert."""
        self._alerts.add(
            1,
            {names.ALERT_RULE: rule, names.ALERT_CONDITION: condition, names.ALERT_CHANGE: change},
        )

    def unforeseen(self, kind: str) -> None:
        """Counts one error that the last resort caught, by its type."""
        self._unforeseen.add(1, {names.ERROR_TYPE: kind})

    def event(self, name: str, became: str) -> None:
        """Counts one event."""
        self._events.add(1, {names.EVENT_NAME: name, names.EVENT_RESULT: became})


def _label(policy: str) -> str:
    """Returns the policy's name, or `_OTHER` for what can't be one."""
    return policy if _POLICY.fullmatch(policy) else _OTHER


def _view(name: str, *labels: str, buckets: tuple[float, ...] | None = None) -> View:
    return View(
        instrument_name=name,
        attribute_keys=set(labels),
        aggregation=ExplicitBucketHistogramAggregation(buckets) if buckets else None,
        aggregation_cardinality_limit=_SERIES,
    )


VIEWS: Final = (
    _view(ASSESSMENTS, names.OUTCOME, names.STATUS),
    _view(DURATION, names.OUTCOME, names.STATUS, buckets=_OPERATION_SECONDS),
    _view(HELD),
    _view(RESCHEDULED),
    _view(RESUMED),
    _view(ARM_CALLS, *_CALL, names.ERROR_TYPE, buckets=_CALL_SECONDS),
    _view(ARM_POLICY_CALLS, names.ARM_POLICY),
    _view(ARM_THROTTLES, names.ARM_POLICY),
    _view(ARM_REMAINING, names.ARM_POLICY, names.CLOUD_ACCOUNT),
    _view(ALERTS, names.ALERT_RULE, names.ALERT_CONDITION, names.ALERT_CHANGE),
    _view(EVENTS, names.EVENT_NAME, names.EVENT_RESULT),
    _view(UNFORESEEN, names.ERROR_TYPE),
)
"""What each instrument is told apart by, and no more; how its histogram is cut."""
