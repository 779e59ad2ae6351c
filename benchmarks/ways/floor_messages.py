"""The floor's messages: of the app's form and size, put together without the app's care.

What the app learns of a VM and of an operation travels in them, so they are made of the same parts.
Sizes were compared with the app's own: 2.1 KB for a hand-over, 2.6 KB for an outcome and 3.2 KB for
an alert on average over a fleet of `patches`.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from azure.servicebus import ServiceBusMessage

REQUESTS: Final = "assessment-requests"
IN_PROGRESS: Final = "assessments-in-progress"
RESULTS: Final = "assessment-results"
ALERTS: Final = "patch-alerts"
_NAMESPACE: Final = uuid.UUID("0d7a3c52-4e0b-4b57-9a55-6f6b8f4d9c21")
_HANDOVER_BYTES: Final = 2100
_GRAVE: Final = frozenset({"Critical", "Security"})
_EVENT: Final = {
    "source": "urn:patch-assessor",
    "datacontenttype": "application/json",
    "specversion": "1.0",
}

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Underway:
    """An assessment between two polls; the fields of its hand-over message.

    Attributes:
        request: The request's body.
        vm: What was read of the VM.
        operation: The URL of the operation.
        begun_at: When that began.
        handovers: How often it was handed over.
    """

    request: dict[str, Any]
    vm: dict[str, Any]
    operation: str
    begun_at: datetime
    handovers: int = 0

    @property
    def activity_id(self) -> str:
        """The operation's name, which is the activity ID."""
        return self.operation.partition("?")[0].rpartition("/")[2]

    @property
    def vm_id(self) -> str:
        """The VM's resource ID."""
        return str(self.request["vmId"])

    @property
    def request_id(self) -> str:
        """The request's ID."""
        return str(self.request["requestId"])


def about(vm: Json) -> dict[str, Any]:
    """Returns what of a VM's body goes into its messages."""
    properties = vm["properties"]
    view = properties["instanceView"]
    return {
        "location": vm["location"],
        "osType": properties["storageProfile"]["osDisk"]["osType"],
        "osName": view.get("osName"),
        "powerState": view["statuses"][-1]["code"],
        "tags": vm["tags"],
    }


def from_body(body: str) -> Underway:
    """Returns the assessment that a hand-over's body holds."""
    fields = json.loads(body)
    begun_at = datetime.fromisoformat(fields["begun_at"])
    return Underway(
        fields["request"], fields["vm"], fields["operation"], begun_at, fields["handovers"]
    )


def handover(underway: Underway, enqueue_at: datetime) -> ServiceBusMessage:
    """Returns the message that hands an assessment over, to appear at `enqueue_at`."""
    fields = {
        "request": underway.request,
        "vm": underway.vm,
        "operation": underway.operation,
        "begun_at": underway.begun_at.isoformat(),
        "handovers": underway.handovers,
        "handed_over_at": datetime.now(UTC).isoformat(),
        "token": "",
    }
    text = json.dumps(fields)
    fields["token"] = "t" * (_HANDOVER_BYTES - len(text))
    return ServiceBusMessage(
        json.dumps(fields),
        message_id=_name_based_id("handovers", underway.request_id, str(underway.handovers)),
        correlation_id=underway.request_id,
        content_type="application/json",
        subject=underway.vm_id,
        application_properties={
            "vmId": underway.vm_id,
            "requestId": underway.request_id,
            "assessmentActivityId": underway.activity_id,
            "traceparent": _traceparent(underway),
        },
        scheduled_enqueue_time_utc=enqueue_at,
    )


def outcome(underway: Underway, result: Json, ended_at: str) -> ServiceBusMessage:
    """Returns the message that tells how an assessment ended."""
    data = {
        "request": underway.request,
        **_names(underway),
        "vm": underway.vm,
        **result,
        "error": result.get("error"),
        "completedDateTime": ended_at,
        "operationSeconds": None,
    }
    return _event("AssessmentCompleted", underway, ended_at, data, result, {})


def alerts(underway: Underway, result: Json, ended_at: str) -> list[ServiceBusMessage]:
    """Returns the alerts that a result gives rise to: about patches, about a reboot, or none."""
    patches = result["availablePatches"]
    grave = [patch for patch in patches if not _GRAVE.isdisjoint(patch["classifications"])]
    found = []
    if grave:
        found.append(
            _alert("CriticalOrSecurityPatchesAvailable", underway, result, ended_at, grave)
        )
    if result["rebootPending"]:
        found.append(_alert("RebootPending", underway, result, ended_at, []))
    return found


def _alert(
    rule: str, underway: Underway, result: Json, ended_at: str, patches: list[Json]
) -> ServiceBusMessage:
    alert_id = _name_based_id(rule, underway.vm_id)
    essentials = {
        "alertId": f"{underway.vm_id.rpartition('/resourceGroups/')[0]}/alerts/{alert_id}",
        "alertRule": rule,
        "severity": "Sev1",
        "signalType": "Log",
        "monitorCondition": "Fired",
        "monitoringService": "PatchAssessor",
        "alertTargetIDs": [underway.vm_id],
        "configurationItems": [_names(underway)["vmName"]],
        "originAlertId": alert_id,
        "firedDateTime": ended_at,
        "description": f"{rule} on {underway.vm_id}",
        "essentialsVersion": "1.0",
        "alertContextVersion": "1.0",
    }
    context = {
        "change": "Appeared",
        **{name: value for name, value in result.items() if name != "availablePatches"},
        "newPatches": patches,
        "patches": patches,
        "previous": None,
    }
    data = {
        "schemaId": "azureMonitorCommonAlertSchema",
        "data": {"essentials": essentials, "alertContext": context, "customProperties": {}},
    }
    properties = {"schemaId": "azureMonitorCommonAlertSchema", "alertRule": rule}
    properties |= {"alertId": alert_id, "severity": "Sev1", "monitorCondition": "Fired"}
    return _event("AlertFired", underway, ended_at, data, result, properties)


def _event(  # noqa: PLR0913, PLR0917 - the parts that an event is made of
    kind: str, underway: Underway, time: str, data: Json, result: Json, further: Mapping[str, str]
) -> ServiceBusMessage:
    kind = f"PatchAssessor.{kind}"
    event_id = _name_based_id(kind, underway.request_id, further.get("alertRule", ""))
    event = {**_EVENT, "type": kind, "id": event_id, "time": time, "subject": underway.vm_id}
    event["dataschema"] = "urn:patch-assessor:data:assessment-completed:1"
    properties: dict[str | bytes, str | bytes | int | float | bool | UUID] = {
        "status": result["status"],
        "criticalAndSecurityPatchCount": result["criticalAndSecurityPatchCount"],
        "otherPatchCount": result["otherPatchCount"],
        "rebootPending": result["rebootPending"],
        "assessmentActivityId": underway.activity_id,
        "location": underway.vm["location"],
        "osType": underway.vm["osType"],
        "type": kind,
        "requestId": underway.request_id,
        "traceparent": _traceparent(underway),
    }
    properties.update(_names(underway).items())
    properties.update(further.items())
    return ServiceBusMessage(
        json.dumps({**event, "data": data}),
        message_id=event_id,
        correlation_id=underway.request_id,
        content_type="application/cloudevents+json",
        subject=underway.vm_id,
        application_properties=properties,
    )


def _names(underway: Underway) -> dict[str, str]:
    _, _, subscription_id, _, group, _, _, _, name = underway.vm_id.split("/")
    return {
        "vmId": underway.vm_id,
        "subscriptionId": subscription_id,
        "resourceGroupName": group,
        "vmName": name,
    }


def _traceparent(underway: Underway) -> str:
    trace_id = underway.activity_id.replace("-", "")
    return f"00-{trace_id}-{trace_id[:16]}-03"


def _name_based_id(*names: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, "\n".join(names)))
