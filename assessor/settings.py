"""The app's settings: read once, at start, from the environment, and checked there.

The names and defaults are the contract ("Settings" in docs/settings.md).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Self

from azure.core import AzureClouds
from azure.mgmt.core.tools import get_arm_endpoints
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from assessor.resource_id import Scope
from assessor.setting_values import (
    AccountName,
    ClientId,
    EntityName,
    InsightsComponent,
    Namespace,
    Origin,
    ServiceBusConnection,
    StorageConnection,
    TableEndpoint,
    TableName,
    origin,
    read_scan_scopes,
    read_schedule,
    read_scopes,
    read_tag_names,
    read_tags,
)
from ncrontab import Ncrontab


class SettingsError(Exception):
    """A setting is missing or wrong; the message is one line that names it.

    Attributes:
        name: the setting.
        expected: what it must be.
        value: what it is; None where it is missing, or where it is a secret.
    """

    def __init__(
        self, name: str, expected: str, value: str | None, *, secret: bool = False
    ) -> None:
        absent = "another text, which is not shown" if secret else "missing"
        found = absent if value is None else repr(value)
        super().__init__(f"The setting {name} must be {expected}; it is {found}.")
        self.name = name
        self.expected = expected
        self.value = value


@dataclass(frozen=True, slots=True)
class ArmCloud:
    """One of Azure's clouds, as far as ARM is concerned."""

    endpoint: str
    scope: str


class Settings(BaseModel):
    """Every setting of the app, under the names of the contract."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, validate_by_alias=True, arbitrary_types_allowed=True
    )

    service_bus_namespace: Annotated[
        Namespace | None, Field(alias="ServiceBus__fullyQualifiedNamespace")
    ] = None
    service_bus_client_id: Annotated[ClientId | None, Field(alias="ServiceBus__clientId")] = None
    service_bus_connection_string: Annotated[
        ServiceBusConnection | None, Field(alias="ServiceBus", repr=False)
    ] = None
    requests_queue: Annotated[EntityName, Field(alias="REQUESTS_QUEUE")] = "assessment-requests"
    in_progress_queue: Annotated[EntityName, Field(alias="IN_PROGRESS_QUEUE")] = (
        "assessments-in-progress"
    )
    results_topic: Annotated[EntityName, Field(alias="RESULTS_TOPIC")] = "assessment-results"
    alerts_topic: Annotated[EntityName, Field(alias="ALERTS_TOPIC")] = "patch-alerts"
    allowed_scopes: Annotated[
        tuple[Scope, ...], BeforeValidator(read_scopes), Field(alias="ALLOWED_SCOPES")
    ] = ()
    hold_seconds: Annotated[float, Field(alias="ASSESS_HOLD_SECONDS", ge=0, le=300)] = 20
    expected_minutes: Annotated[
        float | None, Field(alias="ASSESS_EXPECTED_MINUTES", gt=0, le=1440)
    ] = None
    deadline_minutes: Annotated[float, Field(alias="ASSESS_DEADLINE_MINUTES", gt=0, le=1440)] = 120
    pace_per_minute: Annotated[int, Field(alias="SCAN_PACE_PER_MINUTE", ge=1, le=200)] = 180
    scan_schedule: Annotated[
        Ncrontab, BeforeValidator(read_schedule), Field(alias="SCAN_SCHEDULE")
    ] = Ncrontab("0 0 2 * * *")
    scan_scopes: Annotated[
        tuple[Scope, ...], BeforeValidator(read_scan_scopes), Field(alias="SCAN_SCOPES")
    ] = ()
    scan_tags: Annotated[
        Mapping[str, str | None],
        BeforeValidator(read_tags),
        Field(alias="SCAN_TAGS", default_factory=dict),
    ]
    event_settle_seconds: Annotated[float, Field(alias="EVENT_SETTLE_SECONDS", ge=1, le=3600)] = 300
    reminder_hours: Annotated[float, Field(alias="ALERT_REMINDER_HOURS", ge=0, le=8760)] = 0
    overdue_hours: Annotated[float, Field(alias="ALERT_OVERDUE_HOURS", ge=0, le=8760)] = 0
    alert_tags: Annotated[
        tuple[str, ...], BeforeValidator(read_tag_names), Field(alias="ALERT_TAGS")
    ] = ()
    arm_cloud_name: Annotated[
        Literal["AZURE_PUBLIC_CLOUD", "AZURE_US_GOVERNMENT", "AZURE_CHINA_CLOUD"],
        Field(alias="ARM_CLOUD"),
    ] = "AZURE_PUBLIC_CLOUD"
    insights_component: Annotated[
        InsightsComponent | None, Field(alias="APPLICATIONINSIGHTS_RESOURCE_ID")
    ] = None
    arm_endpoint: Annotated[Origin | None, Field(alias="ARM_ENDPOINT")] = None
    azure_client_id: Annotated[ClientId | None, Field(alias="AZURE_CLIENT_ID")] = None

    posture_table: Annotated[TableName, Field(alias="POSTURE_TABLE")] = "vmposture"
    scan_table: Annotated[TableName, Field(alias="SCAN_TABLE")] = "vmscans"
    posture_table_uri: Annotated[
        TableEndpoint | None, Field(alias="PostureStorage__tableServiceUri")
    ] = None
    posture_client_id: Annotated[ClientId | None, Field(alias="PostureStorage__clientId")] = None
    posture_connection_string: Annotated[
        StorageConnection | None, Field(alias="PostureStorage", repr=False)
    ] = None
    jobs_table_uri: Annotated[
        TableEndpoint | None, Field(alias="AzureWebJobsStorage__tableServiceUri")
    ] = None
    jobs_account_name: Annotated[
        AccountName | None, Field(alias="AzureWebJobsStorage__accountName")
    ] = None
    jobs_client_id: Annotated[ClientId | None, Field(alias="AzureWebJobsStorage__clientId")] = None
    jobs_connection_string: Annotated[
        StorageConnection | None, Field(alias="AzureWebJobsStorage", repr=False)
    ] = None

    @model_validator(mode="after")
    def _names_a_service_bus(self) -> Self:
        if not (self.service_bus_namespace or self.service_bus_connection_string):
            raise SettingsError(
                "ServiceBus__fullyQualifiedNamespace",
                "the namespace's host name, like example.servicebus.windows.net",
                None,
            )
        return self

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        """Queues and topics of a namespace share their names, and so do tables of an account."""
        entities = ("requests_queue", "in_progress_queue", "results_topic", "alerts_topic")
        for names in (entities, ("posture_table", "scan_table")):
            taken: dict[str, str] = {}
            for field in names:
                value: str = getattr(self, field)
                other = taken.setdefault(value.lower(), field)
                if other != field:
                    own, its = (str(type(self).model_fields[each].alias) for each in (field, other))
                    raise SettingsError(own, f"another name than that of {its}", value)
        return self

    @property
    def service_bus_address(self) -> str | None:
        """The namespace's host name, as telemetry names it."""
        if self.service_bus_namespace is not None:
            return self.service_bus_namespace
        found = _ENDPOINT.search(self.service_bus_connection_string or "")
        return found[1] if found else None

    @property
    def expected_seconds(self) -> float | None:
        """What an assessment is expected to take; None: what is known of its operating system."""
        return None if self.expected_minutes is None else self.expected_minutes * 60

    @property
    def arm_cloud(self) -> ArmCloud:
        """Where ARM is, and the audience that its tokens are for."""
        known = get_arm_endpoints(AzureClouds[self.arm_cloud_name])
        (scope,) = known[
            "credential_scopes"
        ]  # not always the endpoint's: US Government has another
        return ArmCloud(self.arm_endpoint or origin(known["resource_manager"]), scope)


_ENDPOINT: Final = re.compile(r"(?i)Endpoint=sb://([^/:;]+)")
_SECRETS: Final = frozenset({"ServiceBus", "PostureStorage", "AzureWebJobsStorage"})


_HOSTS: Final = "AzureWebJobsStorage"
_BEFORE_THE_HOSTS: Final = ("PostureStorage__tableServiceUri", "PostureStorage")


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Returns the settings that `environment` holds; an empty text counts as not set.

    Raises:
        SettingsError: one is missing or wrong; the first that is found.
    """
    given: dict[str, Any] = {name: text for name, text in environment.items() if text.strip()}
    if any(name in given for name in _BEFORE_THE_HOSTS):
        # The host's own storage may be of any form that the host takes: the app does not use it.
        given = {name: text for name, text in given.items() if not name.startswith(_HOSTS)}
    try:
        return Settings.model_validate(given)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False)[0]
        name = str(first["loc"][0])
        expected = _expected(first["msg"])
        if name in _SECRETS:
            raise SettingsError(name, expected, None, secret=True) from None  # it quotes the secret
        raise SettingsError(name, expected, str(first["input"])) from invalid


def _expected(message: str) -> str:
    """Returns pydantic's sentence as what stands after "must be"."""
    for start in ("Input should be ", "Value should be "):
        if message.startswith(start):
            return message.removeprefix(start)
    return message
