"""Settings: the contract's names and defaults, and one clear line for each mistake."""

from typing import get_args

import pytest
from azure.core import AzureClouds
from hypothesis import given
from hypothesis import strategies as st

from assessor.resource_id import Scope
from assessor.settings import Settings, SettingsError, read_settings
from tests.support.builders import OTHER_SUBSCRIPTION, SUBSCRIPTION, VM_ID

_NAMESPACE = {"ServiceBus__fullyQualifiedNamespace": "example.servicebus.windows.net"}
_ONE = f"/subscriptions/{SUBSCRIPTION}"
_OTHER = f"/subscriptions/{OTHER_SUBSCRIPTION}/resourceGroups/rg"
_SECRET = "Endpoint=sb://localhost;SharedAccessKeyName=n;SharedAccessKey=c2VjcmV0"
_IDENTITY = "00000000-0000-0000-0000-000000000001"


def _read(**environment: str) -> Settings:
    return read_settings(_NAMESPACE | environment)


def _refused(**environment: str) -> SettingsError:
    with pytest.raises(SettingsError) as refused:
        _read(**environment)
    return refused.value


def test_the_defaults_are_those_of_the_contract() -> None:
    """Nothing but the namespace has to be set."""
    settings = _read()
    assert settings.service_bus_namespace == "example.servicebus.windows.net"
    assert settings.service_bus_client_id is None
    assert settings.service_bus_connection_string is None
    assert settings.requests_queue == "assessment-requests"
    assert settings.in_progress_queue == "assessments-in-progress"
    assert settings.results_topic == "assessment-results"
    assert settings.alerts_topic == "patch-alerts"
    assert settings.allowed_scopes == ()
    assert settings.pace_per_minute == 180
    assert settings.hold_seconds == 20
    assert settings.deadline_minutes == 120
    assert settings.reminder_hours == 0
    assert settings.azure_client_id is None
    assert settings.arm_cloud.endpoint == "https://management.azure.com"


def test_every_setting_is_read_by_its_contracts_name() -> None:
    """As text, which is all that an environment has."""
    settings = read_settings(
        {
            "ServiceBus": _SECRET,
            "ServiceBus__clientId": _IDENTITY,
            "REQUESTS_QUEUE": "requests",
            "IN_PROGRESS_QUEUE": "progress",
            "RESULTS_TOPIC": " results ",
            "ALERTS_TOPIC": "alerts",
            "ALLOWED_SCOPES": f"/subscriptions/{SUBSCRIPTION}",
            "SCAN_PACE_PER_MINUTE": "60",
            "ASSESS_HOLD_SECONDS": "2.5",
            "ASSESS_DEADLINE_MINUTES": "30",
            "ALERT_REMINDER_HOURS": "24",
            "AZURE_CLIENT_ID": _IDENTITY,
            "PATH": "/bin",
        }
    )
    assert settings.service_bus_connection_string == _SECRET
    assert settings.service_bus_client_id == _IDENTITY
    assert settings.requests_queue == "requests"
    assert settings.in_progress_queue == "progress"
    assert settings.results_topic == "results"
    assert settings.alerts_topic == "alerts"
    assert settings.allowed_scopes == (Scope(SUBSCRIPTION),)
    assert settings.pace_per_minute == 60
    assert settings.hold_seconds == 2.5
    assert settings.deadline_minutes == 30
    assert settings.reminder_hours == 24
    assert settings.azure_client_id == _IDENTITY


@pytest.mark.parametrize(
    "text",
    [
        f"{_ONE},{_OTHER}",
        f" {_ONE} ,\n {_OTHER}/, ",
    ],
)
def test_scopes_stand_between_commas(text: str) -> None:
    """White space around them, and a comma at the end, are no matter."""
    assert _read(ALLOWED_SCOPES=text).allowed_scopes == (
        Scope(SUBSCRIPTION),
        Scope(OTHER_SUBSCRIPTION, "rg"),
    )


def test_one_vm_is_a_scope_too() -> None:
    """The narrowest that there is."""
    (scope,) = _read(ALLOWED_SCOPES=str(VM_ID)).allowed_scopes
    assert scope.contains(VM_ID)


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_an_empty_text_counts_as_not_set(text: str) -> None:
    """Azure keeps settings that somebody has emptied."""
    assert _read(REQUESTS_QUEUE=text, ASSESS_HOLD_SECONDS=text, ALLOWED_SCOPES=text) == _read()
    with pytest.raises(SettingsError):
        read_settings({"ServiceBus__fullyQualifiedNamespace": text})


@pytest.mark.parametrize(
    ("cloud", "endpoint", "audience"),
    [
        ("AZURE_PUBLIC_CLOUD", "https://management.azure.com", "https://management.azure.com"),
        (
            "AZURE_US_GOVERNMENT",
            "https://management.usgovcloudapi.net",
            "https://management.core.usgovcloudapi.net",
        ),
        (
            "AZURE_CHINA_CLOUD",
            "https://management.chinacloudapi.cn",
            "https://management.chinacloudapi.cn",
        ),
    ],
)
def test_each_cloud_has_its_endpoint_and_audience(cloud: str, endpoint: str, audience: str) -> None:
    """A token for one cloud's ARM is of no use in another; not all are for the endpoint itself."""
    arm = _read(ARM_CLOUD=cloud).arm_cloud
    assert (arm.endpoint, arm.scope) == (endpoint, f"{audience}/.default")


def test_every_cloud_that_the_sdk_knows_may_be_named() -> None:
    """The names are the SDK's own, and none is missing."""
    clouds = Settings.model_fields["arm_cloud_name"].annotation
    assert set(get_args(clouds)) == {each.name for each in AzureClouds}


def test_an_endpoint_overrides_the_clouds_and_keeps_its_audience() -> None:
    """A proxy, or a local ARM, takes the tokens of the cloud that it stands for."""
    arm = _read(ARM_ENDPOINT="https://127.0.0.1:8443/", ARM_CLOUD="AZURE_CHINA_CLOUD").arm_cloud
    assert arm.endpoint == "https://127.0.0.1:8443"
    assert arm.scope == "https://management.chinacloudapi.cn/.default"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ALLOWED_SCOPES", "everything"),
        ("ALLOWED_SCOPES", f"/subscriptions/{SUBSCRIPTION};/subscriptions/{OTHER_SUBSCRIPTION}"),
        ("ALLOWED_SCOPES", f"/subscriptions/{SUBSCRIPTION},/subscriptions/x"),
        ("ALLOWED_SCOPES", ","),
        ("ALLOWED_SCOPES", " ,\n, "),
        ("SCAN_SCOPES", ","),
        ("SCAN_TAGS", ","),
        ("SCAN_TAGS", "a=1,a=2"),
        ("SCAN_TAGS", "a=1,A=2"),
        ("ARM_ENDPOINT", "https://x:99999"),
        ("ARM_ENDPOINT", "https://x:0"),
        ("ARM_ENDPOINT", "https://user@x"),
        ("ARM_ENDPOINT", "https://x y"),
        ("ARM_ENDPOINT", "https://x#y"),
        ("ARM_ENDPOINT", "https://-x"),
        ("IN_PROGRESS_QUEUE", "assessment-requests"),
        ("IN_PROGRESS_QUEUE", "Assessment-Requests"),
        ("ALERTS_TOPIC", "assessments-in-progress"),
        ("ALERTS_TOPIC", "assessment-results"),
        ("REQUESTS_QUEUE", "/queue"),
        ("REQUESTS_QUEUE", "a b"),
        ("SCAN_TABLE", "vmPosture"),
        ("SCAN_TABLE", "1a"),
        ("POSTURE_TABLE", "a-b"),
        ("ServiceBus__fullyQualifiedNamespace", "sb://example.servicebus.windows.net/"),
        ("ServiceBus__fullyQualifiedNamespace", "example.servicebus.windows.net/"),
        ("ServiceBus__clientId", "my-identity"),
        ("AZURE_CLIENT_ID", "my-identity"),
        ("PostureStorage__clientId", "my-identity"),
        ("PostureStorage__tableServiceUri", "http://acc.table.core.windows.net"),
        ("PostureStorage__tableServiceUri", "https://acc.table.core.windows.net:99999"),
        ("PostureStorage__tableServiceUri", "acc"),
        ("AzureWebJobsStorage__tableServiceUri", "https://acc.table.core.windows.net/?sv=1"),
        ("AzureWebJobsStorage__accountName", "My_Account"),
        ("ASSESS_EXPECTED_MINUTES", "nan"),
        ("EVENT_SETTLE_SECONDS", "inf"),
        ("ASSESS_HOLD_SECONDS", "soon"),
        ("ASSESS_HOLD_SECONDS", "-1"),
        ("ASSESS_HOLD_SECONDS", "301"),
        ("ASSESS_HOLD_SECONDS", "nan"),
        ("ASSESS_DEADLINE_MINUTES", "0"),
        ("ASSESS_DEADLINE_MINUTES", "1441"),
        ("ASSESS_DEADLINE_MINUTES", "inf"),
        ("SCAN_PACE_PER_MINUTE", "0"),
        ("SCAN_PACE_PER_MINUTE", "201"),
        ("SCAN_PACE_PER_MINUTE", "1.5"),
        ("ALERT_REMINDER_HOURS", "-1"),
        ("ALERT_REMINDER_HOURS", "never"),
        ("ARM_CLOUD", "AzureCloud"),
        ("ARM_ENDPOINT", "http://127.0.0.1"),
        ("ARM_ENDPOINT", "management.azure.com"),
        ("ARM_ENDPOINT", "https://"),
        ("ARM_ENDPOINT", "https://management.azure.com/subscriptions"),
        ("ARM_ENDPOINT", "https://management.azure.com?x=1"),
        ("ARM_ENDPOINT", "https://["),
        ("REQUESTS_QUEUE", "q" * 261),
        ("RESULTS_TOPIC", "two\nlines" * 40),
    ],
)
def test_a_wrong_value_gives_one_line_that_names_the_setting(name: str, text: str) -> None:
    """With what it must be and what it is, so that nobody has to look for it."""
    error = _refused(**{name: text})
    assert (error.name, error.value) == (name, text)
    assert error.expected
    assert str(error).startswith(f"The setting {name} must be ")
    assert repr(text) in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ServiceBus", "nonsense"),
        ("ServiceBus", "Endpoint=sb://x;SharedAccessKey=c2VjcmV0"),
        ("ServiceBus", "Endpoint=sb://x y;SharedAccessKeyName=n;SharedAccessKey=c2VjcmV0"),
        ("PostureStorage", "nonsense"),
        ("PostureStorage", "AccountName=acc"),
        ("PostureStorage", "TableEndpoint=https://x:99999/;AccountName=a;AccountKey=c2VjcmV0"),
        ("PostureStorage", "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=c2VjcmV0?"),
        (
            "AzureWebJobsStorage",
            "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=c2VjcmV0=",
        ),
        (
            "AzureWebJobsStorage",
            "BlobEndpoint=https://acc.blob.core.windows.net/;SharedAccessSignature=sig=c2VjcmV0",
        ),
        (
            "AzureWebJobsStorage",
            "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://azurite",
        ),
    ],
)
def test_a_wrong_connection_string_is_named_and_not_shown(name: str, text: str) -> None:
    """The SDK's own parser says what is wrong, before the first message does."""
    error = _refused(**{name: text})
    assert (error.name, error.value) == (name, None)
    assert str(error).startswith(f"The setting {name} must be ")
    assert "missing." not in str(error)
    assert "c2VjcmV0" not in str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__


@pytest.mark.parametrize(
    "text",
    [
        "UseDevelopmentStorage=true",
        "DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=a2V5",
        "TableEndpoint=http://127.0.0.1:10002/acc;AccountName=acc;AccountKey=a2V5",
        "TableEndpoint=https://acc.table.core.windows.net/;SharedAccessSignature=sv=1&sig=x",
    ],
)
def test_storage_is_taken_in_each_form_that_has_tables(text: str) -> None:
    """For the app's own, and for the host's."""
    assert _read(PostureStorage=text).posture_connection_string == text
    assert _read(AzureWebJobsStorage=text).jobs_connection_string == text


def test_the_hosts_storage_is_the_hosts_where_the_app_has_its_own() -> None:
    """Then it may be of any form that the host takes."""
    settings = _read(
        PostureStorage="UseDevelopmentStorage=true", AzureWebJobsStorage="BlobEndpoint=x"
    )
    assert settings.jobs_connection_string is None


def test_a_missing_service_bus_is_named() -> None:
    """The one thing that has no default."""
    with pytest.raises(SettingsError) as refused:
        read_settings({})
    assert refused.value.name == "ServiceBus__fullyQualifiedNamespace"
    assert str(refused.value).endswith("it is missing.")
    assert read_settings({"ServiceBus": _SECRET}).service_bus_namespace is None


def test_a_connection_string_is_never_shown() -> None:
    """Not when the settings are printed, and not by the error about another setting."""
    settings = read_settings({"ServiceBus": _SECRET})
    assert "c2VjcmV0" not in repr(settings)
    assert "c2VjcmV0" not in str(settings)
    with pytest.raises(SettingsError) as refused:
        read_settings({"ServiceBus": _SECRET, "ASSESS_HOLD_SECONDS": "soon"})
    shown: BaseException | None = refused.value
    while shown is not None:  # a traceback shows the causes as well
        assert "c2VjcmV0" not in str(shown)
        shown = shown.__cause__ or shown.__context__


@given(
    st.dictionaries(
        st.sampled_from(["ARM_ENDPOINT", "ALLOWED_SCOPES", "ASSESS_HOLD_SECONDS", "ALERTS_TOPIC"]),
        st.text(),
    )
)
def test_no_environment_gives_anything_but_settings_or_their_error(
    environment: dict[str, str],
) -> None:
    """The app starts, or stops with one line."""
    try:
        settings = read_settings(_NAMESPACE | environment)
    except SettingsError as error:
        problem = error
    else:
        assert 0 <= settings.hold_seconds <= 300
        assert settings.arm_cloud.endpoint.startswith("https://")
        return
    assert problem.name in environment
    assert len(str(problem).splitlines()) == 1


def test_settings_can_not_be_changed() -> None:
    """They are read once, at start, and are the same for everyone."""
    settings = _read()
    for name in ("hold_seconds", "allowed_scopes", "arm_endpoint"):
        with pytest.raises(ValueError, match="frozen"):
            setattr(settings, name, None)
