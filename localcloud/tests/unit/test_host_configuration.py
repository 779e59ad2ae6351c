"""host.json, app settings and bindings: what is followed, what is refused, and in what words."""

import json
from collections.abc import Mapping
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.host.bindings import (
    OtherTrigger,
    Queue,
    ServiceBusTrigger,
    Subscription,
    read_function,
)
from localcloud.host.errors import ConfigurationError
from localcloud.host.hostjson import HostConfig, ServiceBusOptions, parse_host_json
from localcloud.host.settings import (
    AppSettings,
    ConnectionString,
    IdentityConnection,
    merge_settings,
)
from localcloud.host.timespans import parse_timespan
from localcloud.host.wire import IndexedFunction


def host_json(**values: object) -> str:
    """A host.json with these values beside the version."""
    return json.dumps({"version": "2.0", **values})


def test_silent_host_json_means_the_real_defaults() -> None:
    """Nothing but the version gives 16 calls, 5 minutes of renewal, 30 minutes of run time."""
    config = parse_host_json(host_json())
    assert config == HostConfig()
    assert config.service_bus == ServiceBusOptions(
        prefetch_count=0,
        auto_complete_messages=True,
        max_concurrent_calls=16,
        max_auto_lock_renewal=timedelta(minutes=5),
    )
    assert config.function_timeout == timedelta(minutes=30)


def test_followed_keys_are_read_and_unknown_ones_are_fine() -> None:
    """Every followed key has its effect; keys that nobody here knows are passed over."""
    config = parse_host_json(
        host_json(
            functionTimeout="00:10:00",
            telemetryMode="openTelemetry",
            logging={"logLevel": {"default": "warning"}, "applicationInsights": {}},
            extensionBundle={"id": "x"},
            extensions={
                "http": {},
                "serviceBus": {
                    "prefetchCount": 3,
                    "autoCompleteMessages": False,
                    "maxConcurrentCalls": 2,
                    "maxAutoLockRenewalDuration": "00:00:30",
                    "clientRetryOptions": {},
                },
            },
        )
    )
    assert config.service_bus == ServiceBusOptions(
        prefetch_count=3,
        auto_complete_messages=False,
        max_concurrent_calls=2,
        max_auto_lock_renewal=timedelta(seconds=30),
    )
    assert config.function_timeout == timedelta(minutes=10)
    assert (config.telemetry_mode, config.default_log_level) == ("OpenTelemetry", "Warning")


def test_minus_one_means_no_timeout() -> None:
    """`-1` is unbounded."""
    assert parse_host_json(host_json(functionTimeout="-1")).function_timeout is None


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("{", "host.json"),
        ("[]", "host.json"),
        ("{}", "host.json: version"),
        ('{"version": "1.0"}', "host.json: version"),
        (host_json(functionTimeout="5 minutes"), "host.json: functionTimeout"),
        (host_json(functionTimeout="00:00:00"), "host.json: functionTimeout"),
        (host_json(functionTimeout=5), "host.json: functionTimeout"),
        (host_json(telemetryMode="loud"), "host.json: telemetryMode"),
        (host_json(extensions=[]), "host.json: extensions"),
        (
            host_json(extensions={"serviceBus": {"maxConcurrentCalls": 0}}),
            "host.json: extensions.serviceBus.maxConcurrentCalls",
        ),
        (
            host_json(extensions={"serviceBus": {"maxConcurrentCalls": True}}),
            "host.json: extensions.serviceBus.maxConcurrentCalls",
        ),
        (
            host_json(extensions={"serviceBus": {"autoCompleteMessages": "yes"}}),
            "host.json: extensions.serviceBus.autoCompleteMessages",
        ),
        (
            host_json(extensions={"serviceBus": {"maxAutoLockRenewalDuration": "5"}}),
            "host.json: extensions.serviceBus.maxAutoLockRenewalDuration",
        ),
    ],
)
def test_impossible_values_name_their_key(text: str, source: str) -> None:
    """A bad value is refused with the path that leads to it."""
    with pytest.raises(ConfigurationError) as refused:
        parse_host_json(text)
    assert refused.value.source == source


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=99999)))
def test_timespans_are_read_as_dotnet_writes_them(span: timedelta) -> None:
    """Days, clock and fraction come back exactly."""
    minutes, seconds = divmod(span.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{span.days}.{hours:02}:{minutes:02}:{seconds:02}.{span.microseconds:06}0"
    assert parse_timespan(text) == span


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "24:00:00",
        "00:60:00",
        "00:00:60",
        "-00:00:01",
        "\N{ARABIC-INDIC DIGIT ZERO}0:00:00x",
    ],
)
def test_what_is_no_timespan_is_none(text: str) -> None:
    """Out of range or of another form."""
    assert parse_timespan(text) is None


def test_placeholders_are_replaced_wherever_they_stand() -> None:
    """Several in one value, without regard to case, the rest untouched."""
    settings = AppSettings({"QUEUE": "q", "Suffix": "1"})
    assert settings.resolve("a-%queue%-%SUFFIX%", where="f") == "a-q-1"
    assert settings.resolve("plain", where="f") == "plain"


def test_missing_placeholder_names_function_and_setting() -> None:
    """The error tells what to set, and where it is used."""
    with pytest.raises(ConfigurationError, match=r"function f: %NOPE%: .*NOPE, got no value"):
        AppSettings({}).resolve("%NOPE%", where="function f")


@pytest.mark.parametrize(
    ("values", "name", "expected"),
    [
        ({"ServiceBus": "Endpoint=x"}, "ServiceBus", ConnectionString("Endpoint=x")),
        ({"ServiceBus": "Endpoint=x"}, "", ConnectionString("Endpoint=x")),
        ({"AzureWebJobsServiceBus": "y", "ServiceBus": "x"}, "ServiceBus", ConnectionString("y")),
        (
            {"Bus__fullyQualifiedNamespace": "n", "Bus__clientId": "c", "Bus": ""},
            "Bus",
            IdentityConnection("n", "c"),
        ),
        ({"Bus__fullyQualifiedNamespace": "n"}, "Bus", IdentityConnection("n", None)),
    ],
)
def test_connections_are_found_as_the_webjobs_sdk_finds_them(
    values: dict[str, str], name: str, expected: object
) -> None:
    """A connection string first, else the identity-based one; an empty value is none."""
    assert AppSettings(values).connection(name, where="f") == expected


def test_environment_wins_over_local_settings() -> None:
    """As with Core Tools."""
    local = json.dumps({"IsEncrypted": False, "Values": {"A": "file", "B": "file"}})
    assert merge_settings({"A": "env"}, local).environment == {"A": "env", "B": "file"}


@pytest.mark.parametrize("text", ["x", "[]", '{"Values": []}', '{"Values": {"A": 1}}'])
def test_unusable_local_settings_are_refused(text: str) -> None:
    """Not JSON, or values that are not strings."""
    with pytest.raises(ConfigurationError, match=r"local\.settings\.json"):
        merge_settings({}, text)


SETTINGS = AppSettings({"ServiceBus": "Endpoint=x", "Q": "queue"})


def indexed(*bindings: Mapping[str, object]) -> IndexedFunction:
    """A function `f` with these bindings."""
    return IndexedFunction("f", "id", tuple(json.dumps(each) for each in bindings))


QUEUE = {"type": "serviceBusTrigger", "name": "m", "connection": "ServiceBus", "queueName": "%Q%"}
TOPIC = {
    "type": "serviceBusTrigger",
    "name": "m",
    "connection": "ServiceBus",
    "topicName": "t",
    "subscriptionName": "s",
    "dataType": "BINARY",
}


def test_service_bus_triggers_are_understood() -> None:
    """Queue or subscription, text or binary, names resolved."""
    connection = ConnectionString("Endpoint=x")
    queue = read_function(indexed(QUEUE), SETTINGS).trigger
    topic = read_function(indexed(TOPIC), SETTINGS).trigger
    assert queue == ServiceBusTrigger("m", Queue("queue"), connection, "text")
    assert topic == ServiceBusTrigger("m", Subscription("t", "s"), connection, "bytes")


@pytest.mark.parametrize(
    ("properties", "form"),
    [
        ({"SupportsDeferredBinding": True}, "message"),
        ({"supportsDeferredBinding": "True"}, "message"),
        ({"SupportsDeferredBinding": False}, "bytes"),
        ({}, "bytes"),
        (None, "bytes"),
    ],
)
def test_a_deferred_binding_goes_before_the_data_type(properties: object, form: str) -> None:
    """As the host reads it: a boolean, or .NET's text of one."""
    trigger = read_function(indexed({**TOPIC, "properties": properties}), SETTINGS).trigger
    assert isinstance(trigger, ServiceBusTrigger)
    assert trigger.form == form


def test_other_triggers_are_kept_for_other_listeners() -> None:
    """A timer is recognised, its placeholders left to whoever serves it."""
    timer = {"type": "timerTrigger", "name": "t", "schedule": "%S%"}
    assert read_function(indexed(timer), SETTINGS).trigger == OtherTrigger(
        "timerTrigger", "t", timer
    )


@pytest.mark.parametrize(
    "bindings",
    [
        (),
        (QUEUE, TOPIC),
        (QUEUE, {"type": "serviceBus", "name": "out", "direction": "OUT"}),
        ({**QUEUE, "cardinality": "many"},),
        ({**QUEUE, "isSessionsEnabled": True},),
        ({**QUEUE, "queueName": ""},),
        ({**TOPIC, "subscriptionName": ""},),
        ({**QUEUE, "connection": "Elsewhere"},),
    ],
    ids=[
        "no trigger",
        "two triggers",
        "an output",
        "a batch",
        "sessions",
        "no queue",
        "no subscription",
        "no connection",
    ],
)
def test_what_cannot_be_served_is_refused(bindings: tuple[Mapping[str, object], ...]) -> None:
    """The error names the function."""
    with pytest.raises(ConfigurationError, match="function f"):
        read_function(indexed(*bindings), SETTINGS)
