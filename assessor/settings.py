"""The app's settings: read once, at start, from the environment, and checked there.

The names and defaults are the contract ("Settings" in docs/settings.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from azure.core import AzureClouds
from azure.mgmt.core.tools import get_arm_endpoints
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from assessor.resource_id import ResourceIdError, Scope
from ncrontab import Ncrontab, NcrontabError


class SettingsError(Exception):
    """A setting is missing or wrong; the message is one line that names it.

    Attributes:
        name: the setting.
        expected: what it must be.
        value: what it is; None where it is missing, or where it is a secret.
    """

    def __init__(self, name: str, expected: str, value: str | None) -> None:
        found = "missing" if value is None else repr(value)
        super().__init__(f"The setting {name} must be {expected}; it is {found}.")
        self.name = name
        self.expected = expected
        self.value = value


@dataclass(frozen=True, slots=True)
class ArmCloud:
    """One of Azure's clouds, as far as ARM is concerned.

    Attributes:
        endpoint: ARM's origin, without a slash at its end.
        scope: what a token for ARM is asked for.
    """

    endpoint: str
    scope: str


def _origin(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname or parts.path.strip("/") or parts.query:
        raise PydanticCustomError("origin", "an https URL without a path")
    return text.rstrip("/")


def _scopes(text: object) -> object:
    if not isinstance(text, str):
        return text
    try:
        return tuple(Scope.parse(each.strip()) for each in text.split(",") if each.strip())
    except ResourceIdError as error:
        raise PydanticCustomError(
            "scopes",
            "ARM scopes with commas between them, each {expected}",
            {"expected": error.expected},
        ) from error


def _scan_scopes(text: object) -> object:
    scopes = _scopes(text)
    if isinstance(scopes, tuple) and any(scope.vm_name is not None for scope in scopes):
        raise PydanticCustomError(
            "scopes", "subscriptions and resource groups with commas between them"
        )
    return scopes


def _tags(text: object) -> object:
    if not isinstance(text, str):
        return text
    pairs = [each.partition("=") for each in text.split(",") if each.strip()]
    if not all(name.strip() for name, _, _ in pairs):
        raise PydanticCustomError("tags", "key=value pairs, or keys, with commas between them")
    return {name.strip(): value.strip() if equals else None for name, equals, value in pairs}


def _schedule(text: object) -> object:
    try:
        return Ncrontab(text) if isinstance(text, str) else text
    except NcrontabError as error:
        raise PydanticCustomError(
            "ncrontab", "an NCRONTAB expression ({problem})", {"problem": error.problem}
        ) from error


_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=260)]


class Settings(BaseModel):
    """Every setting of the app, under the names of the contract."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, validate_by_alias=True, arbitrary_types_allowed=True
    )

    service_bus_namespace: Annotated[
        str | None, Field(alias="ServiceBus__fullyQualifiedNamespace")
    ] = None
    service_bus_client_id: Annotated[str | None, Field(alias="ServiceBus__clientId")] = None
    service_bus_connection_string: Annotated[str | None, Field(alias="ServiceBus", repr=False)] = (
        None
    )
    requests_queue: Annotated[_Name, Field(alias="REQUESTS_QUEUE")] = "assessment-requests"
    in_progress_queue: Annotated[_Name, Field(alias="IN_PROGRESS_QUEUE")] = (
        "assessments-in-progress"
    )
    results_topic: Annotated[_Name, Field(alias="RESULTS_TOPIC")] = "assessment-results"
    alerts_topic: Annotated[_Name, Field(alias="ALERTS_TOPIC")] = "patch-alerts"
    allowed_scopes: Annotated[
        tuple[Scope, ...], BeforeValidator(_scopes), Field(alias="ALLOWED_SCOPES")
    ] = ()
    hold_seconds: Annotated[float, Field(alias="ASSESS_HOLD_SECONDS", ge=0, le=300)] = 20
    expected_minutes: Annotated[float, Field(alias="ASSESS_EXPECTED_MINUTES", gt=0, le=1440)] = 11
    deadline_minutes: Annotated[float, Field(alias="ASSESS_DEADLINE_MINUTES", gt=0, le=1440)] = 120
    pace_per_minute: Annotated[int, Field(alias="SCAN_PACE_PER_MINUTE", ge=1, le=200)] = 180
    scan_schedule: Annotated[Ncrontab, BeforeValidator(_schedule), Field(alias="SCAN_SCHEDULE")] = (
        Ncrontab("0 0 2 * * *")
    )
    scan_scopes: Annotated[
        tuple[Scope, ...], BeforeValidator(_scan_scopes), Field(alias="SCAN_SCOPES")
    ] = ()
    scan_tags: Annotated[
        Mapping[str, str | None],
        BeforeValidator(_tags),
        Field(alias="SCAN_TAGS", default_factory=dict),
    ]
    event_settle_seconds: Annotated[float, Field(alias="EVENT_SETTLE_SECONDS", ge=1, le=3600)] = 300
    reminder_hours: Annotated[float, Field(alias="ALERT_REMINDER_HOURS", ge=0, le=8760)] = 0
    arm_cloud_name: Annotated[
        Literal["AZURE_PUBLIC_CLOUD", "AZURE_US_GOVERNMENT", "AZURE_CHINA_CLOUD"],
        Field(alias="ARM_CLOUD"),
    ] = "AZURE_PUBLIC_CLOUD"
    arm_endpoint: Annotated[
        str | None, AfterValidator(lambda v: _origin(v) if v else None), Field(alias="ARM_ENDPOINT")
    ] = None
    azure_client_id: Annotated[str | None, Field(alias="AZURE_CLIENT_ID")] = None

    posture_table: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9]{2,62}$"), Field(alias="POSTURE_TABLE")
    ] = "vmposture"
    scan_table: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9]{2,62}$"), Field(alias="SCAN_TABLE")
    ] = "vmscans"
    posture_table_uri: Annotated[str | None, Field(alias="PostureStorage__tableServiceUri")] = None
    posture_client_id: Annotated[str | None, Field(alias="PostureStorage__clientId")] = None
    posture_connection_string: Annotated[str | None, Field(alias="PostureStorage", repr=False)] = (
        None
    )
    jobs_table_uri: Annotated[str | None, Field(alias="AzureWebJobsStorage__tableServiceUri")] = (
        None
    )
    jobs_account_name: Annotated[str | None, Field(alias="AzureWebJobsStorage__accountName")] = None
    jobs_client_id: Annotated[str | None, Field(alias="AzureWebJobsStorage__clientId")] = None
    jobs_connection_string: Annotated[
        str | None, Field(alias="AzureWebJobsStorage", repr=False)
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

    @property
    def arm_cloud(self) -> ArmCloud:
        """Where ARM is, and the audience that its tokens are for."""
        known = get_arm_endpoints(AzureClouds[self.arm_cloud_name])
        (scope,) = known[
            "credential_scopes"
        ]  # not always the endpoint's: US Government has another
        return ArmCloud(self.arm_endpoint or _origin(known["resource_manager"]), scope)


_SECRETS: Final = frozenset({"ServiceBus", "PostureStorage", "AzureWebJobsStorage"})


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Returns the settings that `environment` holds; an empty text counts as not set.

    Raises:
        SettingsError: one is missing or wrong; the first that is found.
    """
    given: dict[str, Any] = {name: text for name, text in environment.items() if text.strip()}
    try:
        return Settings.model_validate(given)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False)[0]
        name = str(first["loc"][0])
        shown = None if name in _SECRETS else str(first["input"])
        raise SettingsError(name, _expected(first["msg"]), shown) from invalid


def _expected(message: str) -> str:
    """Returns pydantic's sentence as what stands after "must be"."""
    for start in ("Input should be ", "Value should be "):
        if message.startswith(start):
            return message.removeprefix(start)
    return message
