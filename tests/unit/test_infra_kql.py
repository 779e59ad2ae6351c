"""The queries of the alert rules and the workbook name only what the app's telemetry has.

Whether they are Kusto, and name columns that there are, is its own compiler's business
(tests/integration/test_infra_compilers.py).
"""

import ast
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from azure.monitor.opentelemetry.exporter.export.trace._exporter import _convert_span_to_envelope

from assessor.messages.outcome import OutcomeType
from assessor.telemetry import attributes as telemetry_attributes
from assessor.telemetry import telemetry
from assessor.telemetry.metrics import VIEWS
from assessor.telemetry.telemetry import AssessmentEnd
from tests.support.deployments import APPS, Deployment
from tests.support.telemetry_rig import Rig

_ROOT = Path(__file__).parents[2]
_QUERIES = {path.stem: path.read_text() for path in sorted((_ROOT / "infra/kql").glob("*.kql"))}
_each_query = pytest.mark.parametrize("name", _QUERIES)


def _without_comments(query: str) -> str:
    return re.sub(r"//.*", "", query)


def _properties(query: str) -> set[str]:
    return set(re.findall(r'Properties\["([^"]+)"\]', query))


def _texts(query: str) -> set[str]:
    """What is compared with, but for the names of properties."""
    return set(re.findall(r'[=!]= "([^"]+)"', query))


def _root_attributes() -> set[str]:
    """The names of what the app puts on the root span of an assessment, read from where it does."""
    constants = {
        name: value for name, value in vars(telemetry_attributes).items() if isinstance(value, str)
    }
    found = set()
    for module, function in (
        ("assessment/conclusion", "_end"),
        ("telemetry/assessment_trace", "finish"),
    ):
        tree = ast.parse((_ROOT / "assessor" / f"{module}.py").read_text())
        (body,) = (
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef) and node.name == function
        )
        found |= {
            constants[node.id]
            for node in ast.walk(body)
            if isinstance(node, ast.Name) and node.id in constants
        }
    return found


def _exported_root() -> Any:  # noqa: ANN401 - the exporter's own, untyped
    """The root span of an assessment as it goes to Azure Monitor."""
    rig = Rig()
    activity_id = "f1a0b7c4-5b1e-4f0a-9d63-0c1f2e3d4c5b"
    assessment = rig.telemetry.assessment(activity_id, "00f067aa0ba902b7")
    moment = datetime(2026, 1, 5, tzinfo=UTC)
    attributes = dict.fromkeys(_root_attributes(), "value")
    assessment.finish(
        moment, AssessmentEnd(at=moment, failure="DeadlineExceeded", attributes=attributes)
    )
    envelope: Any = _convert_span_to_envelope(rig.one(telemetry.ROOT))
    assert envelope.tags["ai.operation.id"] == activity_id.replace("-", "")
    return envelope.data


@_each_query
def test_a_query_of_metrics_names_one_of_the_apps_and_its_dimensions(name: str) -> None:
    """What the app's views drop can't be asked for."""
    query = _without_comments(_QUERIES[name])
    if "AppMetrics" not in query:
        return
    views = {view._instrument_name: view._attribute_keys for view in VIEWS}
    (metric,) = re.findall(r'where Name == "([^"]+)"', query)
    assert metric in views
    assert _properties(query) <= (views[metric] or set())


@pytest.mark.parametrize(
    "name",
    [
        "slowest",
        "failing",
        "overdue",
        "posture",
        "reboots",
        "trend",
    ],
)
def test_a_query_of_assessments_names_what_their_root_spans_have(name: str) -> None:
    """Seen through the Azure Monitor exporter, which drops some names and renames others."""
    query = _without_comments(_QUERIES[name])
    data = _exported_root()
    assert data.base_type == "RemoteDependencyData", "its table is AppDependencies"
    assert f'Name == "{data.base_data.name}"' in query
    assert _properties(query) <= data.base_data.properties.keys()


def test_every_query_of_assessments_is_tested() -> None:
    """The list above is whole."""
    asking = {name for name, query in _QUERIES.items() if f'"{telemetry.ROOT}"' in query}
    assert asking == {"failing", "overdue", "slowest", "posture", "reboots", "trend"}


@_each_query
def test_a_value_that_is_compared_with_exists(name: str) -> None:
    """Outcomes, spans, metrics and error codes are the app's own."""
    code = "".join(path.read_text() for path in (_ROOT / "assessor").rglob("*.py"))
    known = {each.value for each in OutcomeType} | {telemetry.ROOT, "{trace}"}
    for value in _texts(_without_comments(_QUERIES[name])) - known:
        assert f'"{value}"' in code, value


@pytest.mark.parametrize("deployment", APPS.values(), ids=APPS)
def test_every_query_is_deployed(deployment: Deployment) -> None:
    """By an alert rule or by the workbook, as it stands in its file."""
    rules = [
        criterion["query"]
        for rule in deployment.of("Microsoft.Insights/scheduledQueryRules")
        for criterion in rule.properties["criteria"]["allOf"]
    ]
    workbook = json.loads(
        deployment.one("Microsoft.Insights/workbooks").properties["serializedData"]
    )
    tiles = [each["content"]["query"] for each in workbook["items"] if "query" in each["content"]]
    assert sorted([*rules, *tiles]) == sorted(_QUERIES.values())


def test_every_table_of_the_workbook_that_shows_vms_leads_to_a_trace() -> None:
    """The column that the workbook exports when a row is clicked."""
    workbook = (_ROOT / "infra/app/workbook.bicep").read_text()
    assert "exportFieldName: 'Trace'" in workbook
    assert "exportParameterName: 'trace'" in workbook
    tables = re.findall(
        r"loadTextContent\('../kql/(\w+).kql'\)\n    visualization: 'table'", workbook
    )
    assert set(tables) - {"trace"} == {"posture", "reboots", "slowest", "failing"}
    for name in set(tables) - {"trace"}:
        assert "Trace = OperationId" in _QUERIES[name]
    assert '"{trace}"' in _QUERIES["trace"]
