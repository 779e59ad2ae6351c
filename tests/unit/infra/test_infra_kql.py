"""The queries of the alert rules and the workbook name only what the app's telemetry has.

Whether they are Kusto, and name columns that there are, is its own compiler's business
(`make check-infra`).
"""

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from azure.monitor.opentelemetry.exporter.export.logs._exporter import _convert_log_to_envelope

from assessor.messages.outcome import OutcomeType
from assessor.telemetry import attributes as telemetry_attributes
from assessor.telemetry.logs import OtlpHandler
from assessor.telemetry.metrics import VIEWS
from assessor.telemetry.records import Record
from tests.support.deployments import APPS, Deployment
from tests.support.telemetry_rig import Rig

_ROOT = Path(__file__).parents[3]
_QUERIES = {path.stem: path.read_text() for path in sorted((_ROOT / "infra/kql").glob("*.kql"))}
_each_query = pytest.mark.parametrize("name", _QUERIES)


def _without_comments(query: str) -> str:
    return re.sub(r"//.*", "", query)


def _properties(query: str) -> set[str]:
    return set(re.findall(r'Properties\["([^"]+)"\]', query))


def _texts(query: str) -> set[str]:
    """What is compared with, but for the names of properties."""
    return set(re.findall(r'[=!]= "([^"]+)"', query))


def _record_properties() -> set[str]:
    """The names of what the app's records have in Properties, as the real exporter sends them."""
    facts = {
        value
        for name, value in vars(telemetry_attributes).items()
        if isinstance(value, str) and value.startswith("patch_assessor.")
    } | {telemetry_attributes.ACTIVITY_ID}
    record = Record("PatchAssessor.Test", "id", "text", facts=dict.fromkeys(facts, "value"))
    rig = Rig()
    handler = OtlpHandler(rig.pipeline.loggers)
    handler.emit(
        logging.makeLogRecord({"msg": record.text, "levelno": logging.INFO} | record.attributes())
    )
    rig.pipeline.loggers.force_flush()
    (log,) = rig.log_exporter.get_finished_logs()
    envelope: Any = _convert_log_to_envelope(log)
    assert envelope.data.base_type == "EventData", "its table is AppEvents"
    assert envelope.data.base_data.name == "PatchAssessor.Test"
    return set(envelope.data.base_data.properties)


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


@_each_query
def test_a_query_of_records_names_what_they_have(name: str) -> None:
    """Seen through the Azure Monitor exporter, which drops some names and renames others."""
    query = _without_comments(_QUERIES[name])
    if "AppEvents" in query:
        assert _properties(query) <= _record_properties()


@_each_query
def test_whatever_counts_lists_or_alerts_reads_records(name: str) -> None:
    """Spans are sampled; they are for looking into one assessment."""
    assert name in {"trace", "throttled", "throttled-calls"} or set(
        re.findall(r"App[A-Z][a-z]+", _without_comments(_QUERIES[name]))
    ) == {"AppEvents"}


@_each_query
def test_a_value_that_is_compared_with_exists(name: str) -> None:
    """Outcomes, metrics and error codes are the app's own."""
    code = "".join(path.read_text() for path in (_ROOT / "assessor").rglob("*.py"))
    known = {each.value for each in OutcomeType} | {"{trace}", "429"}
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
        r"loadTextContent\('../kql/([\w-]+).kql'\)\n    visualization: 'table'", workbook
    )
    assert set(tables) - {"trace"} == {
        "posture",
        "reboots",
        "slowest",
        "failing",
        "throttled-calls",
    }
    for name in set(tables) - {"trace"}:
        assert "Trace = OperationId" in _QUERIES[name]
    assert '"{trace}"' in _QUERIES["trace"]
