"""Alerts as messages: CloudEvents whose data is a document of Azure Monitor's common alert schema.

The event's `data` is, to the letter, the body that Azure Monitor posts to an action group's
receivers, so whatever reads such a body reads it as it is.
Source: learn.microsoft.com, "Common alert schema".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from assessor.alerts.investigation import NO_LINK, TraceLink
from assessor.alerts.overdue import why
from assessor.alerts.rule import AlertRule
from assessor.alerts.rules import BY_NAME
from assessor.bus.message import OutgoingMessage, Property
from assessor.clock import to_text
from assessor.messages.alert_data import (
    AlertBody,
    AlertContext,
    AlertData,
    AlertVm,
    Essentials,
    LastAttempt,
    Numbers,
)
from assessor.messages.model import render
from assessor.messages.outgoing import event_message
from assessor.messages.owner_tags import NO_TAGS, OwnerTags
from assessor.messages.patches import is_critical_or_security
from assessor.posture.finding import Assessment
from assessor.posture.model import Alert

SCHEMA_ID: Final = "azureMonitorCommonAlertSchema"
FIRED: Final = "PatchAssessor.AlertFired"
RESOLVED: Final = "PatchAssessor.AlertResolved"
_RESOURCE_TYPE: Final = "microsoft.compute/virtualmachines"
"""In Azure Monitor's own spelling."""


@dataclass(frozen=True, slots=True)
class AlertStyle:
    """What whoever runs the app has set for the messages of all alerts."""

    tags: OwnerTags = NO_TAGS
    link: TraceLink = NO_LINK


PLAIN: Final = AlertStyle()
"""Without tags, and without an address."""


def alert_message(
    alert: Alert, rules: Mapping[str, AlertRule] = BY_NAME, style: AlertStyle = PLAIN
) -> OutgoingMessage:
    """Returns the message that publishes `alert`. It is always smaller than MAX_BODY_BYTES."""
    rule = rules[alert.alert.rule]
    return event_message(
        event_type=RESOLVED if alert.is_resolved else FIRED,
        event_id=alert.id,
        request_id=alert.request_id,
        subject=str(alert.vm_id),
        time=alert.at,
        data=render(
            AlertData(
                schema_id=SCHEMA_ID,
                data=AlertBody(
                    essentials=_essentials(alert, rule, style.link),
                    alert_context=_context(alert),
                    custom_properties=style.tags.of(alert.tags),
                ),
            )
        ),
        properties=_properties(alert, rule) | style.tags.properties(alert.tags),
        traceparent=alert.traceparent,
    )


def _essentials(alert: Alert, rule: AlertRule, link: TraceLink) -> Essentials:
    vm_id = alert.vm_id
    # Readers split IDs at their slashes for the subscription; the provider is not one of Azure's,
    # so nobody looks for the alert in Azure Monitor.
    provider = f"/subscriptions/{vm_id.subscription_id}/providers/PatchAssessor"
    return Essentials(
        alert_id=f"{provider}/alerts/{alert.alert.alert_id}",
        alert_rule=rule.name,
        alert_rule_id=f"{provider}/alertRules/{rule.name}",
        severity=rule.severity.value,
        signal_type="Log",  # of the schema's three, the one for what is read from a record
        monitor_condition=_condition(alert),
        monitoring_service="PatchAssessor",
        alert_target_ids=(str(vm_id),),
        configuration_items=(vm_id.name,),
        target_resource_group=vm_id.resource_group,
        target_resource_type=_RESOURCE_TYPE,
        origin_alert_id=alert.alert.alert_id,
        fired_date_time=to_text(alert.alert.fired_at),
        resolved_date_time=to_text(alert.at) if alert.is_resolved else None,
        description=describe(alert, rule),
        essentials_version="1.0",
        alert_context_version="1.0",
        investigation_link=link.of(alert.assessment.activity_id if alert.assessment else None),
    )


def _context(alert: Alert) -> AlertContext:
    numbers = _numbers(alert.assessment)
    return AlertContext(
        change=alert.change.value,
        vm_removed=_is_removed(alert),
        assessment_activity_id=numbers.assessment_activity_id,
        status=numbers.status,
        start_date_time=numbers.start_date_time,
        critical_and_security_patch_count=numbers.critical_and_security_patch_count,
        other_patch_count=numbers.other_patch_count,
        reboot_pending=numbers.reboot_pending,
        new_patches=tuple(each.raw for each in alert.new_patches),
        new_patches_omitted=alert.new_patches_omitted,
        patches=None if alert.patches is None else tuple(each.raw for each in alert.patches),
        patches_omitted=alert.patches_omitted,
        unknown_classifications=alert.unknown_classifications,
        previous=None if alert.previous is None else _numbers(alert.previous),
        vm=AlertVm(location=alert.location, os_type=alert.os_type, tags=alert.tags),
        silent_since=to_text(alert.silent_since) if alert.silent_since else None,
        last_attempt=(
            LastAttempt(reason=alert.last_attempt.reason, date_time=to_text(alert.last_attempt.at))
            if alert.last_attempt
            else None
        ),
    )


def _numbers(assessment: Assessment | None) -> Numbers:
    return Numbers(
        assessment_activity_id=assessment.activity_id if assessment else None,
        status=assessment.status if assessment else None,
        start_date_time=to_text(assessment.started_at) if assessment else None,
        critical_and_security_patch_count=(
            assessment.critical_and_security_count if assessment else None
        ),
        other_patch_count=assessment.other_count if assessment else None,
        reboot_pending=assessment.reboot_pending if assessment else None,
    )


def _properties(alert: Alert, rule: AlertRule) -> dict[str, Property]:
    vm_id = alert.vm_id
    numbers = render(_numbers(alert.assessment))
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
    listed = sum(map(is_critical_or_security, alert.patches or ()))
    # ARM's count may be behind its own list: the sentence has to agree with what the alert shows.
    number = max(count or 0, listed + alert.patches_omitted)
    sentence = _REMOVED if _is_removed(alert) else rule.sentences.of(alert.change)
    return sentence.format(
        name=alert.vm_id.name,
        patches=_patches(number),
        since=f"{alert.silent_since:%Y-%m-%d %H:%M} UTC" if alert.silent_since else "",
        why=why(alert.last_attempt),
    )


def _patches(count: int) -> str:
    if count == 1:
        return "1 critical or security patch"
    return f"{count} critical or security patches" if count else "critical or security patches"


def _condition(alert: Alert) -> str:
    return "Resolved" if alert.is_resolved else "Fired"


def _is_removed(alert: Alert) -> bool:
    return alert.is_resolved and alert.assessment is None
