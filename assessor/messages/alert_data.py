"""The data of alerts: a document of Azure Monitor's common alert schema, with this app's context.

Source: learn.microsoft.com, "Common alert schema" and "Sample alert payloads".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from assessor.messages.model import AbsentWhenNone, DateTime, DescribedBy, Model, one_of
from assessor.messages.shapes import PatchShape

Severity = Annotated[str, one_of("Sev0", "Sev1", "Sev2", "Sev3", "Sev4")]
Condition = Annotated[str, one_of("Fired", "Resolved")]
_Count = Annotated[int, Field(ge=0)]
_Status = Annotated[
    str | None,
    Field(description="Succeeded, CompletedWithWarnings, Unknown, or whatever else ARM wrote."),
]
PatchAsSent = Annotated[Mapping[str, Any], DescribedBy(PatchShape)]


@dataclass(frozen=True, kw_only=True)
class CommonEssentials(Model):
    """The essentials of any alert of Azure Monitor's, field by field."""

    alert_id: str
    """The alert instance, a resource ID."""
    alert_rule: str
    alert_rule_id: Annotated[str | None, AbsentWhenNone()] = None
    """The rule, a resource ID."""
    severity: Severity
    signal_type: Annotated[str, one_of("Metric", "Log", "Activity Log")]
    monitor_condition: Condition
    monitoring_service: str
    alert_target_ids: Annotated[
        tuple[Annotated[str, Field(pattern="^/subscriptions/")], ...],
        Field(alias="alertTargetIDs", min_length=1),
    ]
    configuration_items: Annotated[tuple[str, ...] | None, AbsentWhenNone()] = None
    target_resource_group: Annotated[str | None, AbsentWhenNone()] = None
    target_resource_type: Annotated[
        str | None, AbsentWhenNone(), Field(examples=["microsoft.compute/virtualmachines"])
    ] = None
    origin_alert_id: str
    fired_date_time: DateTime
    resolved_date_time: Annotated[DateTime | None, AbsentWhenNone()] = None
    description: str
    essentials_version: Annotated[str, one_of("1.0")]
    alert_context_version: Annotated[str, one_of("1.0")]
    investigation_link: Annotated[str | None, AbsentWhenNone()] = None
    """Where to look into what the alert comes from."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Says that a resolved alert tells when it was."""
        reference = handler(core_schema)
        described = handler.resolve_ref_schema(reference)
        described["if"] = {"properties": {"monitorCondition": {"const": "Resolved"}}}
        described["then"] = {"required": ["resolvedDateTime"]}
        return reference


@dataclass(frozen=True, kw_only=True)
class Essentials(CommonEssentials):
    """The essentials of this app's alerts."""

    alert_id: Annotated[
        str, Field(pattern="^/subscriptions/[^/]+/providers/PatchAssessor/alerts/[0-9a-f-]{36}$")
    ]
    """The alert instance, a resource ID."""
    alert_rule_id: Annotated[
        str, Field(pattern="^/subscriptions/[^/]+/providers/PatchAssessor/alertRules/[A-Za-z]+$")
    ]
    """The rule, in the form of a resource ID."""
    signal_type: Annotated[str, one_of("Log")]
    monitoring_service: Annotated[str, one_of("PatchAssessor")]
    alert_target_ids: Annotated[
        tuple[Annotated[str, Field(pattern="^/subscriptions/")], ...],
        Field(alias="alertTargetIDs", min_length=1, max_length=1),
    ]
    configuration_items: tuple[str, ...]
    target_resource_group: str
    target_resource_type: Annotated[str, one_of("microsoft.compute/virtualmachines")]


@dataclass(frozen=True, kw_only=True)
class Numbers(Model):
    """An assessment in numbers; null for what is not known."""

    assessment_activity_id: str | None
    status: _Status
    start_date_time: DateTime | None
    critical_and_security_patch_count: _Count | None
    other_patch_count: _Count | None
    reboot_pending: bool | None


@dataclass(frozen=True, kw_only=True)
class AlertVm(Model):
    """The VM as it was last read; null for what is not known."""

    location: str | None
    os_type: Annotated[str | None, Field(examples=["Windows", "Linux"])]
    tags: Mapping[str, str] | None
    """Without the longest ones where they take more than 8 KiB."""


@dataclass(frozen=True, kw_only=True)
class LastAttempt(Model):
    """The last assessment of the VM that came to nothing."""

    reason: str
    """Why it was skipped, or the code that it failed with."""
    date_time: DateTime


@dataclass(frozen=True, kw_only=True)
class AlertContext(Model):
    """The context of this app's alerts.

    What changed, and the assessment that showed it; all of the numbers are null for a VM that was
    removed.
    """

    change: Annotated[str, one_of("Appeared", "Grew", "Reminder", "Gone")]
    vm_removed: bool
    """Resolved because the VM is gone."""
    assessment_activity_id: str | None
    status: _Status
    start_date_time: DateTime | None
    critical_and_security_patch_count: _Count | None
    other_patch_count: _Count | None
    reboot_pending: bool | None
    new_patches: tuple[PatchAsSent, ...]
    """Critical and security patches that were in no list since the alert fired."""
    new_patches_omitted: _Count
    patches: tuple[PatchAsSent, ...] | None
    """The critical and security patches, then those of an unknown classification; null where
    ARM gave no list, and in alerts about reboots."""
    patches_omitted: Annotated[int, Field(ge=0)]
    """How many of them are left out to keep the message within its limit."""
    unknown_classifications: tuple[str, ...]
    previous: Numbers | None
    """The assessment before; null for a VM's first."""
    vm: AlertVm
    silent_since: Annotated[DateTime | None, AbsentWhenNone()] = None
    """Of a VM that is overdue: when its last assessment was completed, or when it was first
    found or tried; absent elsewhere."""
    last_attempt: Annotated[LastAttempt | None, AbsentWhenNone()] = None
    """What came to nothing since, the latest of it; absent where nobody tried, and in alerts
    about results."""


@dataclass(frozen=True, kw_only=True)
class AlertBody(Model):
    """What the common alert schema calls data."""

    essentials: Essentials
    alert_context: AlertContext
    custom_properties: Mapping[str, str]
    """The VM's tags that ALERT_TAGS names, by the names that it has there."""


@dataclass(frozen=True, kw_only=True)
class AlertData(Model):
    """`data` of an alert: a whole document of Azure Monitor's common alert schema."""

    schema_id: Annotated[str, one_of("azureMonitorCommonAlertSchema")]
    data: AlertBody


@dataclass(frozen=True, kw_only=True)
class CommonAlertData(Model):
    """`data` of any alert of Azure Monitor's."""

    essentials: CommonEssentials
    alert_context: Mapping[str, Any] | None
    custom_properties: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class CommonAlert(Model):
    """Azure Monitor's common alert schema.

    What learn.microsoft.com, 'Common alert schema', says of the body that Azure Monitor sends: its
    essentials, field by field. The alert context varies by the kind of alert.
    """

    schema_id: Annotated[str, one_of("azureMonitorCommonAlertSchema")]
    data: CommonAlertData
