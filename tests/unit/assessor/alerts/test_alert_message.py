"""Alert messages fit their schema, Azure Monitor's schema, and Service Bus."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assessor.alerts.decision import decide_by_result
from assessor.alerts.message import alert_message, describe
from assessor.alerts.removal import retired
from assessor.alerts.rule import AlertPolicy
from assessor.alerts.rules import BY_NAME
from assessor.arm.result import parse_result
from assessor.bus.message import OutgoingMessage
from assessor.messages.outcome import Finished, Outcome
from assessor.messages.outgoing import MAX_BODY_BYTES
from tests.support.alerts import STYLE, alerts_of, example_alerts
from tests.support.assessments import FIRST_DAY, activity, completed, days, finding, patch
from tests.support.builders import REFERENCE_RESULT, VM_ID, recorded_result
from tests.support.properties import tries
from tests.support.schemas import SCHEMAS, validator

EXAMPLES = ("alert-fired", "alert-grew", "alert-resolved")

AZURE_MONITORS_SAMPLE = {
    "schemaId": "azureMonitorCommonAlertSchema",
    "data": {
        "essentials": {
            "alertId": (
                "/subscriptions/11111111-1111-1111-1111-111111111111/providers"
                "/Microsoft.AlertsManagement/alerts/b9569717-bc32-442f-add5-83a997729330"
            ),
            "alertRule": "WCUS-R2-Gen2",
            "severity": "Sev3",
            "signalType": "Metric",
            "monitorCondition": "Resolved",
            "monitoringService": "Platform",
            "alertTargetIDs": [
                (
                    "/subscriptions/11111111-1111-1111-1111-111111111111/resourcegroups"
                    "/pipelinealertrg/providers/microsoft.compute/virtualmachines/wcus-r2-gen2"
                )
            ],
            "configurationItems": ["wcus-r2-gen2"],
            "originAlertId": (
                "3f2d4487-b0fc-4125-8bd5-7ad17384221e_PipeLineAlertRG_microsoft.insights"
                "_metricAlerts_WCUS-R2-Gen2_-117781227"
            ),
            "firedDateTime": "2019-03-22T13:58:24.3713213Z",
            "resolvedDateTime": "2019-03-22T14:03:16.2246313Z",
            "description": "",
            "essentialsVersion": "1.0",
            "alertContextVersion": "1.0",
        },
        "alertContext": {"properties": None, "conditionType": "SingleResourceMultipleMetric"},
    },
}
"""The sample payload of learn.microsoft.com, "Common alert schema"."""


CUT = patch("2 additional updates of classification Critical reported") | {
    "patchId": "Truncated_patch_list_id"
}
"""What the Linux extension writes in place of two patches, of a list that got too long."""
ALERT = validator("alert")
AZURE_MONITOR = validator("alert-azure-monitor")


def body(message: OutgoingMessage) -> dict[str, Any]:
    """Returns the event."""
    event: dict[str, Any] = json.loads(message.body)
    return event


def assert_fits(event: Mapping[str, Any]) -> None:
    """The event is one of ours, and its data one of Azure Monitor's."""
    ALERT.validate(event)
    AZURE_MONITOR.validate(event["data"])


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_are_what_the_app_sends(name: str) -> None:
    """Each file is a message's body; to write them anew: `make schemas`."""
    event = body(alert_message(example_alerts()[name], style=STYLE))
    assert json.loads((SCHEMAS / f"{name}.example.json").read_text()) == event
    assert_fits(event)


def test_azure_monitors_own_sample_fits_what_we_hold_our_alerts_against() -> None:
    """So the schema is not one that only our alerts fit."""
    AZURE_MONITOR.validate(AZURE_MONITORS_SAMPLE)


@pytest.mark.parametrize("field", ["alertId", "severity", "monitorCondition", "firedDateTime"])
def test_the_schema_misses_what_is_not_there(field: str) -> None:
    """An alert without one of Azure Monitor's fields does not fit."""
    event = body(alert_message(example_alerts()["alert-fired"]))
    del event["data"]["data"]["essentials"][field]
    assert not ALERT.is_valid(event)


@settings(max_examples=tries(100))
@given(days())
def test_every_alert_fits_both_schemas(sequence: list[Any]) -> None:
    """Whatever was assessed."""
    for alert in alerts_of(*(day.outcome for day in sequence if day.finding)):
        assert_fits(body(alert_message(alert)))


def test_the_alerts_of_a_removed_vm_fit_both_schemas() -> None:
    """They have no assessment of their own, and show the last one as the previous."""
    first = decide_by_result(None, finding(completed(0, "a", reboot=True)), AlertPolicy())
    alerts = retired(first.posture, FIRST_DAY, "event-1").alerts
    assert len(alerts) == 2
    for alert in alerts:
        event = body(alert_message(alert))
        assert_fits(event)
        assert event["data"]["data"]["alertContext"]["vmRemoved"] is True
        assert event["data"]["data"]["alertContext"]["previous"]["status"] == "Succeeded"
        assert "gone" in event["data"]["data"]["essentials"]["description"]


def test_filters_see_what_the_contract_names() -> None:
    """Rule, severity and change beside what an outcome has; what is unknown is absent."""
    (fired,) = alerts_of(completed(0, ["openssl"], count=1))
    message = alert_message(fired, style=STYLE)
    essentials = body(message)["data"]["data"]["essentials"]
    expected = {
        "type": "PatchAssessor.AlertFired",
        "schemaId": "azureMonitorCommonAlertSchema",
        "alertRule": "CriticalOrSecurityPatchesAvailable",
        "alertId": essentials["originAlertId"],
        "severity": "Sev1",
        "monitorCondition": "Fired",
        "change": "Appeared",
        "status": "Succeeded",
        "assessmentActivityId": activity(0),
        "criticalAndSecurityPatchCount": 1,
        "otherPatchCount": 0,
        "rebootPending": False,
        "subscriptionId": VM_ID.subscription_id,
        "resourceGroupName": VM_ID.resource_group,
        "vmName": VM_ID.name,
        "vmId": str(VM_ID),
        "location": "eastus",
        "osType": "Windows",
        "requestId": "completed-0",
        "tag_env": "test",
    }
    assert message.application_properties == expected
    del expected["location"]
    nowhere = alert_message(replace(fired, location=None), style=STYLE)
    assert nowhere.application_properties == expected


def test_the_event_id_is_the_message_id() -> None:
    """What duplicate detection looks at."""
    message = alert_message(example_alerts()["alert-fired"])
    assert message.message_id == body(message)["id"]
    assert message.subject == body(message)["subject"] == str(VM_ID)


@settings(max_examples=tries(40))
@given(st.integers(0, 4000), st.integers(1, 400), st.sampled_from(["x", "é", "\U0001f41b", '"']))
def test_no_alert_is_too_large_and_none_hides_how_many_it_leaves_out(
    count: int, length: int, letter: str
) -> None:
    """Thousands of patches with long names, of any characters."""
    names = [f"{number}-{letter * length}" for number in range(count)]
    odd = [patch(f"odd-{number}-{letter * length}", letter * length) for number in range(50)]
    for alert in alerts_of(completed(0, names, count=count, others=odd)):
        message = alert_message(alert)
        assert len(message.body) <= MAX_BODY_BYTES
        context = body(message)["data"]["data"]["alertContext"]
        assert len(context["patches"]) + context["patchesOmitted"] == count + len(odd)
        assert len(context["newPatches"]) + context["newPatchesOmitted"] == count


def test_patches_of_an_unknown_classification_are_shown_beside_those_that_count() -> None:
    """They come last, and their classification is named."""
    others = [patch("x", "Updates"), patch("y", "Novel Kind"), patch("z", "Definition Updates")]
    (alert,) = alerts_of(completed(0, "a", others=others))
    context = body(alert_message(alert))["data"]["data"]["alertContext"]
    assert [each["name"] for each in context["patches"]] == ["a", "y"]
    assert context["unknownClassifications"] == ["Novel Kind"]


@pytest.mark.parametrize(
    ("result", "rules"),
    [
        (REFERENCE_RESULT, ["CriticalOrSecurityPatchesAvailable", "RebootPending"]),
        (recorded_result(), ["RebootPending"]),
    ],
)
def test_real_results_fire_what_they_show(result: Mapping[str, Any], rules: list[str]) -> None:
    """The reference's sample counts a critical patch that it does not list; it fires all the same.

    The recorded one has a reboot pending, and patches that are not critical.
    """
    outcome = completed(0)
    assert isinstance(outcome.conclusion, Finished)
    real = replace(outcome, conclusion=replace(outcome.conclusion, result=parse_result(result)))
    assert [alert.alert.rule for alert in alerts_of(real)] == rules


@pytest.mark.parametrize(
    ("outcomes", "sentences"),
    [
        (
            [
                completed(0, "a", count=1),
                completed(1, "abc", others=[patch("x", "Novel")]),
                completed(2, []),
            ],
            [
                "vmcrptestps418 lacks 1 critical or security patch.",
                "vmcrptestps418 lacks more than before: 3 critical or security patches.",
                "vmcrptestps418 lacks no critical or security patch any more.",
            ],
        ),
        (
            [completed(0, None, count=2), completed(1, None, count=3)],
            [
                "vmcrptestps418 lacks 2 critical or security patches.",
                "vmcrptestps418 lacks more than before: 3 critical or security patches.",
            ],
        ),
        (
            [completed(0, [f"{number:0500}" for number in range(250)])],
            ["vmcrptestps418 lacks 250 critical or security patches."],  # not all are shown
        ),
        (
            [completed(0, [], others=[CUT])],
            ["vmcrptestps418 lacks critical or security patches."],
        ),
        (
            [completed(0, reboot=True), completed(1, reboot=False)],
            [
                "vmcrptestps418 has to be rebooted to finish installing patches.",
                "vmcrptestps418 has no reboot pending any more.",
            ],
        ),
    ],
)
def test_the_description_is_a_sentence_for_people(
    outcomes: list[Outcome], sentences: list[str]
) -> None:
    """It says how many, and what has changed."""
    assert [
        describe(alert, BY_NAME[alert.alert.rule]) for alert in alerts_of(*outcomes)
    ] == sentences
