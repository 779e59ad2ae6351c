"""Metrics whose series stay few, whatever comes along."""

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from assessor.telemetry.attributes import ALERT_RULE, VM_ID
from assessor.telemetry.metrics import ALERTS, ARM_POLICY_CALLS, ASSESSMENTS, VIEWS, Metrics
from assessor.telemetry.setup import Exporters, TelemetryPipeline
from tests.support.telemetry_rig import Rig

SERIES = 500


def test_a_label_that_no_view_names_is_dropped() -> None:
    """A VM that slips into a measurement makes no series."""
    reader = InMemoryMetricReader()
    meter = MeterProvider([reader], views=VIEWS).get_meter("test")
    counter = meter.create_counter(ALERTS)

    for number in range(50):
        counter.add(
            1,
            {ALERT_RULE: "RebootPending", VM_ID: f"vm-{number}"},
        )

    data = reader.get_metrics_data()
    assert data is not None
    (point,) = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    assert dict(point.attributes or {}) == {"patch_assessor.alert.rule": "RebootPending"}


def test_values_without_end_end_in_one_series() -> None:
    """ARM's texts are not ours: what is too many is summed up."""
    rig = Rig()

    for number in range(SERIES + 200):
        rig.telemetry.metrics.concluded("o", f"status {number}", None)

    points = rig.points(ASSESSMENTS)
    assert len(points) <= SERIES + 1
    assert sum(point.value for point in points) == SERIES + 200


@given(st.text())
def test_a_policys_name_is_one_or_other(name: str) -> None:
    rig = Rig()

    rig.telemetry.metrics.drew(name, "s", 1)

    (point,) = rig.points(ARM_POLICY_CALLS)
    label = str(point.labels["patch_assessor.arm.policy"])
    assert label in {name, "_OTHER"}
    assert len(label) <= 80


def test_every_instrument_has_a_view() -> None:
    """Else its labels would not be bounded."""
    pipeline = TelemetryPipeline({}, Exporters())
    metrics = pipeline.telemetry.metrics
    assert isinstance(metrics, Metrics)
    instruments = {instrument.name for instrument in vars(metrics).values()}

    assert instruments == {view._instrument_name for view in VIEWS}
