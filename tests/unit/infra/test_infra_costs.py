"""The sums of docs/deploy.md are what the prices and assumptions beside it come to."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assessor.telemetry.setup import METRICS_EVERY_MS
from infra.costs import bus_operations, gb_seconds_a_day, invocations, month, table, tiered

_ROOT = Path(__file__).parents[3]
_DATA: dict[str, Any] = json.loads((_ROOT / "docs" / "costs.json").read_text())
_TIERS = _DATA["prices"]["service_bus_standard_tiers"]


def test_the_table_in_the_docs_is_what_the_script_prints() -> None:
    """Whoever changes a price or an assumption runs the script again."""
    months = [month(fleet, _DATA) for fleet in _DATA["fleets"]]
    assert table(months) in (_ROOT / "docs" / "deploy.md").read_text()


def test_the_assumptions_are_the_apps_and_the_deployments_own() -> None:
    """What stands in code or configuration is not assumed otherwise."""
    assumptions = _DATA["assumptions"]
    host = json.loads((_ROOT / "host.json").read_text())
    main = (_ROOT / "infra" / "main.bicep").read_text()
    assert assumptions["metric_seconds"] * 1_000 == METRICS_EVERY_MS
    assert assumptions["concurrency"] == host["extensions"]["serviceBus"]["maxConcurrentCalls"]
    assert f"param instanceMemoryMB int = {assumptions['instance_gb'] * 1024:.0f}\n" in main


def test_an_assessment_takes_a_begin_and_its_polls() -> None:
    """Each message is sent, received and settled, and the outcome goes to two."""
    assert invocations({"polls": 4}) == 5
    assert bus_operations({**_DATA["assumptions"], "polls": 4}) == 3 * 5 + 5


@pytest.mark.parametrize(
    ("millions", "expected"),
    [(0, 0), (13, 0), (14, 0.8), (100, 87 * 0.8), (101, 87 * 0.8 + 0.5)],
)
def test_each_tier_has_its_own_price(millions: float, expected: float) -> None:
    """The first 13 million operations are in the base price."""
    assert tiered(millions, _TIERS) == pytest.approx(expected)


@given(st.integers(1, 1_000_000))
def test_memory_is_paid_for_at_least_by_load_and_at_most_for_every_invocation(vms: int) -> None:
    """Invocations share instances: never cheaper than a full one, never dearer than alone."""
    assumptions = _DATA["assumptions"]
    alone = vms * invocations(assumptions) * assumptions["invocation_seconds"]
    paid = gb_seconds_a_day(vms, assumptions) / assumptions["instance_gb"]
    assert paid <= alone * (1 + 1e-9)
    assert paid >= 0.5 * alone / assumptions["concurrency"]


@given(st.integers(1, 500_000), st.integers(1, 500_000))
def test_more_vms_never_cost_less(one: int, two: int) -> None:
    """Nor do they where a further instance is needed."""
    few, many = sorted((one, two))
    costs = [month({"vms_a_day": vms, "trace_ratio": 1.0}, _DATA) for vms in (few, many)]
    assert costs[0].default <= costs[1].default * (1 + 1e-9)
    assert costs[0].private <= costs[1].private * (1 + 1e-9)
