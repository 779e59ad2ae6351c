"""Alerts as messages: CloudEvents whose data is Azure Monitor's common alert schema.

Azure Monitor sends `{"schemaId": …, "data": {"essentials": …, "alertContext": …}}`. The event's
own `data` is that `data`, so `data.essentials` is where a reader of Azure Monitor's alerts looks
for it. CloudEvents allows no attribute of the name `schemaId`; it is an application property.
Source: learn.microsoft.com, "Common alert schema".
"""

from collections.abc import Mapping
from typing import Any, Final

from assessor.alerts.rule import AlertRule
from assessor.alerts.rules import BY_NAME
from assessor.bus.message import OutgoingMessage, Property
from assessor.clock import to_text
from assessor.messages.outgoing import event_message
from assessor.messages.patches import hidden_by, is_critical_or_security
from assessor.posture.finding import Assessment
from assessor.posture.model import Alert

SCHEMA_ID: Final = "azureMonitorCommonAlertSchema"
FIRED: Final = "PatchAssessor.AlertFired"
RESOLVED: Final = "PatchAssessor.AlertResolved"


_NUMBERS: Final = (
    "assessmentActivityId",
    "status",
    "startDateTime",
    "criticalAndSecurityPatchCount",
    "otherPatchCount",
    "rebootPending",
)


def alert_message(alert: Alert, rules: Mapping[str, AlertRule] = BY_NAME) -> OutgoingMessage:
    """Returns the message that publishes `alert`. It is always smaller than MAX_BODY_BYTES.

    Args:
        alert: what to publish.
        rules: the rules by their names, the alert's among them.
    """
    rule = rules[alert.alert.rule]
    return event_message(
        event_type=RESOLVED if alert.is_resolved else FIRED,
        event_id=alert.id,
        request_id=alert.request_id,
        subject=str(alert.vm_id),
        time=alert.at,
        data={"essentials": _essentials(alert, rule), "alertContext": _context(alert)},
        properties=_properties(alert, rule),
        traceparent=alert.traceparent,
    )


def _essentials(alert: Alert, rule: AlertRule) -> dict[str, Any]:
    vm_id = alert.vm_id
    return {
        # Readers split the ID at its slashes for the subscription; the provider is not one of
        # Azure's, so nobody looks for the alert in Azure Monitor.
        "alertId": f"/subscriptions/{vm_id.subscription_id}/providers/PatchAssessor/alerts/"
        f"{alert.alert.alert_id}",
        "alertRule": rule.name,
        "severity": rule.severity.value,
        "signalType": "Log",  # of the schema's three, the one for what is read from a record
        "monitorCondition": _condition(alert),
        "monitoringService": "PatchAssessor",
        "alertTargetIDs": [str(vm_id)],
        "configurationItems": [vm_id.name],
        "originAlertId": alert.alert.alert_id,
        "firedDateTime": to_text(alert.alert.fired_at),
        **({"resolvedDateTime": to_text(alert.at)} if alert.is_resolved else {}),
        "description": describe(alert, rule),
        "essentialsVersion": "1.0",
        "alertContextVersion": "1.0",
    }


def _context(alert: Alert) -> dict[str, Any]:
    return {
        "change": alert.change.value,
        "vmRemoved": _is_removed(alert),
        **_numbers(alert.assessment),
        "newPatches": [dict(each.raw) for each in alert.new_patches],
        "newPatchesOmitted": alert.new_patches_omitted,
        "patches": None if alert.patches is None else [dict(each.raw) for each in alert.patches],
        "patchesOmitted": alert.patches_omitted,
        "unknownClassifications": list(alert.unknown_classifications),
        "previous": None if alert.previous is None else _numbers(alert.previous),
    }


def _numbers(assessment: Assessment | None) -> dict[str, Any]:
    if assessment is None:
        return dict.fromkeys(_NUMBERS)
    values = (
        assessment.activity_id,
        assessment.status,
        to_text(assessment.started_at),
        assessment.critical_and_security_count,
        assessment.other_count,
        assessment.reboot_pending,
    )
    return dict(zip(_NUMBERS, values, strict=True))


def _properties(alert: Alert, rule: AlertRule) -> dict[str, Property]:
    vm_id = alert.vm_id
    numbers = _numbers(alert.assessment)
    del numbers["startDateTime"]
    values = numbers | {
        "schemaId": SCHEMA_ID,
        "alertRule": rule.name,
        "alertId": alert.alert.alert_id,
        "severity": rule.severity.value,
        "monitorCondition": _condition(alert),
        "change": alert.change.value,
        "vmId": str(vm_id),
        "subscriptionId": vm_id.subscription_id,
        "resourceGroupName": vm_id.resource_group,
        "vmName": vm_id.name,
        "location": alert.location,
        "osType": alert.os_type,
    }
    return {name: value for name, value in values.items() if value is not None}


_REMOVED: Final = "{name} is gone, and its alert with it."


def describe(alert: Alert, rule: AlertRule) -> str:
    """Returns the alert as one sentence for people."""
    count = alert.assessment.critical_and_security_count if alert.assessment else None
    listed = sum(
        hidden_by(each) or 1 for each in alert.patches or () if is_critical_or_security(each)
    )
    # ARM's count may be behind its own list: the sentence has to agree with what the alert shows.
    number = max(count or 0, listed + alert.patches_omitted)
    sentence = _REMOVED if _is_removed(alert) else rule.sentences.of(alert.change)
    return sentence.format(name=alert.vm_id.name, patches=_patches(number))


def _patches(count: int) -> str:
    if count == 1:
        return "1 critical or security patch"
    return f"{count} critical or security patches" if count else "critical or security patches"


def _condition(alert: Alert) -> str:
    return "Resolved" if alert.is_resolved else "Fired"


def _is_removed(alert: Alert) -> bool:
    return alert.is_resolved and alert.assessment is None
