"""What eight consumers of Azure Monitor's alerts ask of an alert, each with its source.

The first five take a document of the common alert schema, so the tests read `data` of an event as
they do. The last four take a form of their own, which the functions of docs/alerts.md make.
"""

import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft7Validator

from assessor.alerts.investigation import TraceLink
from assessor.alerts.message import AlertStyle, alert_message
from assessor.alerts.removal import retired
from assessor.messages.owner_tags import OwnerTags
from assessor.posture.model import Posture
from tests.support.alerts import example_alerts
from tests.support.builders import NOW, VM_ID

PAGE: Final = Path(__file__).parents[4] / "docs" / "alerts.md"
COMPONENT: Final = (
    f"/subscriptions/{VM_ID.subscription_id}/resourceGroups/ops/providers/Microsoft.Insights"
    "/components/patch-assessor"
)
LINKED: Final = AlertStyle(tags=OwnerTags(("env",)), link=TraceLink(component=COMPONENT))
UNKNOWN: Final = AlertStyle()
Document = dict[str, Any]


def _documents() -> dict[str, Document]:
    """Returns `data` of an alert of each kind, once with all that may be there, once without."""
    alerts = example_alerts()
    fired = alerts["alert-fired"]
    (removed,) = retired(Posture(VM_ID, open_alerts=(fired.alert,)), NOW, "event-1").alerts
    return {
        f"{name}-{kind}": json.loads(alert_message(alert, style=style).body)["data"]
        for name, alert in (alerts | {"removed": removed}).items()
        for kind, style in (("linked", LINKED), ("unknown", UNKNOWN))
    }


DOCUMENTS: Final = _documents()
every_document = pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)


@every_document
def test_microsofts_runbook_finds_the_vm(document: Document) -> None:
    """It gates on `schemaId`, and takes subscription, group, type and name from the first target.

    Source: azure-docs, automation/automation-create-alert-triggered-runbook.md. PowerShell refuses
    a document with two names that differ by case alone.
    """
    assert document["schemaId"] == "azureMonitorCommonAlertSchema"
    parts = document["data"]["essentials"]["alertTargetIDs"][0].split("/")
    assert parts[2] == VM_ID.subscription_id
    assert parts[4] == VM_ID.resource_group
    assert f"{parts[6]}/{parts[7]}".lower() == "microsoft.compute/virtualmachines"
    assert parts[-1] == VM_ID.name
    assert document["data"]["essentials"]["monitorCondition"] in {"Fired", "Resolved"}
    names = list(document["data"]["essentials"])
    assert len({name.lower() for name in names}) == len(names)


@every_document
def test_microsofts_function_samples_take_the_document(document: Document) -> None:
    """They compare `schemaId`, and switch on service, condition and severity.

    Source: azure-docs, azure-monitor/alerts/alerts-common-schema-integrations.md.
    """
    essentials = document["data"]["essentials"]
    assert document["schemaId"] == "azureMonitorCommonAlertSchema"
    assert essentials["monitoringService"]
    assert essentials["signalType"] in {"Metric", "Log", "Activity Log"}
    assert re.fullmatch("Sev[0-4]", essentials["severity"])


_STRINGS: Final = (
    "alertId",
    "alertRule",
    "severity",
    "signalType",
    "monitorCondition",
    "monitoringService",
    "originAlertId",
    "firedDateTime",
    "resolvedDateTime",
    "description",
    "essentialsVersion",
    "alertContextVersion",
)
LOGIC_APPS_SCHEMA: Final = {
    "type": "object",
    "properties": {
        "schemaId": {"type": "string"},
        "data": {
            "type": "object",
            "properties": {
                "essentials": {
                    "type": "object",
                    "properties": {
                        **{name: {"type": "string"} for name in _STRINGS},
                        "alertTargetIDs": {"type": "array", "items": {"type": "string"}},
                    },
                },
                "alertContext": {"type": "object", "properties": {}},
            },
        },
    },
}


@every_document
def test_a_logic_apps_trigger_takes_the_document(document: Document) -> None:
    """With the schema that Microsoft has people paste there; no string of it may be null.

    Source: azure-docs, azure-monitor/alerts/alerts-logic-apps.md.
    """
    Draft7Validator(LOGIC_APPS_SCHEMA).validate(document)


@every_document
def test_splunk_finds_its_fields(document: Document) -> None:
    """What Universal Alerting needs: who, what, how bad by whose word, and a description.

    Source: Splunk, Common Information Model, "ITSI Normalization": src, signature,
    vendor_severity, description, id, app, and itsiDrilldownURI where there is one.
    """
    essentials = document["data"]["essentials"]
    needed = {
        "src": essentials["configurationItems"][0],
        "signature": essentials["alertRule"],
        "vendor_severity": essentials["severity"],
        "description": essentials["description"],
        "id": essentials["alertId"],
        "app": essentials["monitoringService"],
    }
    assert all(isinstance(each, str) and each for each in needed.values())


@every_document
def test_keep_maps_the_document(document: Document) -> None:
    """IDs split at slashes, known severities and conditions, times that Python reads, an object.

    Source: keephq/keep, keep/providers/azuremonitoring_provider/azuremonitoring_provider.py.
    """
    essentials = document["data"]["essentials"]
    assert essentials["alertId"].split("/")[-1] == essentials["originAlertId"]
    assert essentials["alertId"].split("/")[2] == VM_ID.subscription_id
    assert essentials["severity"] in {"Sev0", "Sev1", "Sev2", "Sev3", "Sev4"}
    assert essentials["monitorCondition"] in {"Fired", "Resolved"}
    assert datetime.fromisoformat(essentials["firedDateTime"]).tzinfo is not None
    assert isinstance(document["data"]["customProperties"], dict)


def _documented(name: str) -> Callable[..., Any]:
    """Returns a function of docs/alerts.md, made of exactly the lines that stand there."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (block,) = (each for each in blocks if f"def {name}(" in each)
    scope: dict[str, Any] = {}
    exec(compile(block, str(PAGE), "exec"), scope)  # noqa: S102 - the page's own lines
    made: Callable[..., Any] = scope[name]
    return made


@every_document
def test_teams_takes_the_card_of_the_page(document: Document) -> None:
    """A message with one adaptive card, whose facts are texts and whose action has an address.

    Source: Microsoft Teams, "Create incoming webhooks with Workflows"; adaptivecards.io.
    """
    message = _documented("teams_message")(document)
    assert message["type"] == "message"
    (attachment,) = message["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    text, facts = card["body"]
    assert text["text"] == document["data"]["essentials"]["description"]
    assert all(isinstance(each["value"], str) for each in facts["facts"])
    (action,) = card["actions"]
    assert action["url"].startswith("https://")
    assert len(json.dumps(message)) < 28 * 1024, "what Teams takes at the most"


@every_document
def test_pagerduty_takes_the_event_of_the_page(document: Document) -> None:
    """Required fields, its four severities, one key from trigger to resolve.

    Source: PagerDuty, Events API v2: summary of at most 1,024 characters, dedup_key of at most 255.
    """
    event = _documented("pagerduty_event")(document, "R" * 32)
    essentials = document["data"]["essentials"]
    is_resolved = essentials["monitorCondition"] == "Resolved"
    assert event["event_action"] == ("resolve" if is_resolved else "trigger")
    assert 0 < len(event["dedup_key"]) <= 255
    payload = event["payload"]
    assert 0 < len(payload["summary"]) <= 1024
    assert payload["source"]
    assert payload["severity"] in {"critical", "error", "warning", "info"}
    assert datetime.fromisoformat(payload["timestamp"]).tzinfo is not None
    assert all(link["href"].startswith("https://") for link in event.get("links", ()))


@every_document
def test_servicenow_takes_the_events_of_the_page(document: Document) -> None:
    """Records whose values are texts; severity 1 to 5, 0 and Closing to close; times in UTC.

    Source: ServiceNow, Event Management, "Web Service API (JSONv2)" and "Event field format".
    """
    body = _documented("servicenow_events")(document)
    (event,) = body["records"]
    assert all(isinstance(value, str) for value in event.values())
    is_resolved = document["data"]["essentials"]["monitorCondition"] == "Resolved"
    assert (event["severity"] == "0") == is_resolved
    assert event["severity"] in {"0", "1", "2", "3", "4", "5"}
    assert event["resolution_state"] == ("Closing" if is_resolved else "New")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", event["time_of_event"])
    assert isinstance(json.loads(event["additional_info"]), dict)
    assert len(event["message_key"]) <= 1024


@every_document
def test_alertmanager_takes_the_alerts_of_the_page(document: Document) -> None:
    """Legal names of labels, no empty label, times by RFC 3339, an end after the start.

    Source: prometheus/alertmanager, api/v2/openapi.yaml, postableAlert; model.LabelName.
    """
    (alert,) = _documented("alertmanager_alerts")(document)
    for names in (alert["labels"], alert["annotations"]):
        assert all(re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name) for name in names)
    assert all(alert["labels"].values())
    began, ends = (datetime.fromisoformat(alert[name]) for name in ("startsAt", "endsAt"))
    assert began < ends


def test_one_alert_keeps_its_key_and_labels_from_fired_to_resolved() -> None:
    """In PagerDuty, ServiceNow and Alertmanager, so that the end closes what the begin opened."""
    fired, resolved = DOCUMENTS["alert-fired-linked"], DOCUMENTS["alert-resolved-linked"]
    pager, now = _documented("pagerduty_event"), _documented("servicenow_events")
    manager = _documented("alertmanager_alerts")
    assert pager(fired, "k")["dedup_key"] == pager(resolved, "k")["dedup_key"]
    keys = {now(each)["records"][0]["message_key"] for each in (fired, resolved)}
    assert len(keys) == 1
    assert manager(fired)[0]["labels"] == manager(resolved)[0]["labels"]
