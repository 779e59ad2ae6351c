"""The one list of queues, topics and subscriptions: right for the app and for the emulator."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from assessor.messages.outcome import OutcomeType
from assessor.settings import read_settings

_ROOT = Path(__file__).parents[3]
_DURATION = re.compile(r"PT(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?")
_SECONDS, _MINUTES = timedelta(seconds=1), timedelta(minutes=1)
_BOUNDS = {
    "LockDuration": (5 * _SECONDS, 5 * _MINUTES),
    "DefaultMessageTimeToLive": (5 * _MINUTES, 60 * _MINUTES),
    "DuplicateDetectionHistoryTimeWindow": (5 * _SECONDS, 5 * _MINUTES),
}
"""The official emulator's bounds; the cloud's are wider."""


@cache
def _config() -> dict[str, Any]:
    config: dict[str, Any] = json.loads((_ROOT / "infra" / "servicebus.json").read_text())
    return config


def _namespace() -> dict[str, Any]:
    (namespace,) = _config()["UserConfig"]["Namespaces"]
    assert isinstance(namespace, dict)
    return namespace


def _entities() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields each queue, topic and subscription by its path, with its properties."""
    for queue in _namespace()["Queues"]:
        yield queue["Name"], queue["Properties"]
    for topic in _namespace()["Topics"]:
        yield topic["Name"], topic["Properties"]
        for subscription in topic["Subscriptions"]:
            yield f"{topic['Name']}/{subscription['Name']}", subscription["Properties"]


def _rules() -> Iterator[tuple[str, dict[str, Any]]]:
    for topic in _namespace()["Topics"]:
        for subscription in topic["Subscriptions"]:
            for rule in subscription["Rules"]:
                yield f"{topic['Name']}/{subscription['Name']}", rule["Properties"]


def _duration(text: str) -> timedelta:
    match = _DURATION.fullmatch(text)
    assert match is not None, text
    return timedelta(**{name: int(each) for name, each in match.groupdict("0").items()})


def test_the_emulator_takes_the_list() -> None:
    """By its own schema, and with the one namespace name that it knows."""
    schema = _ROOT / "tests" / "recorded" / "servicebus-emulator-config.schema.json"
    # A hyphen in `[\w-\.]` is one to JavaScript, which the schema is for, and an error to Python.
    pythonic = schema.read_text().replace(r"[\\w-\\.", r"[\\w\\-\\.")
    jsonschema.validate(_config(), json.loads(pythonic))
    assert _namespace()["Name"] == "sbemulatorns"


def test_the_queues_and_topics_are_those_that_the_app_uses_by_default() -> None:
    """A name that is changed here has to be changed in the settings, and the other way round."""
    settings = read_settings({"ServiceBus__fullyQualifiedNamespace": "x"})
    assert {each["Name"] for each in _namespace()["Queues"]} == {
        settings.requests_queue,
        settings.in_progress_queue,
    }
    assert {each["Name"] for each in _namespace()["Topics"]} == {
        settings.results_topic,
        settings.alerts_topic,
    }


@pytest.mark.parametrize("name", _BOUNDS)
def test_every_duration_lies_in_the_emulators_bounds(name: str) -> None:
    """Else the emulator does not start; the schema does not say it."""
    least, most = _BOUNDS[name]
    durations = {
        path: _duration(properties[name]) for path, properties in _entities() if name in properties
    }
    assert durations
    assert {path for path, each in durations.items() if not least <= each <= most} == set()


def test_subscriptions_are_locked_for_a_minute_at_least() -> None:
    """The emulator's own bound for them, narrower than that of queues."""
    locks = [_duration(each["LockDuration"]) for path, each in _entities() if "/" in path]
    assert min(locks) >= _MINUTES


def test_deliveries_are_counted_within_the_emulators_bounds() -> None:
    """1 to 10; a message that fails as often is dead-lettered, not lost."""
    counts = {
        path: properties["MaxDeliveryCount"]
        for path, properties in _entities()
        if "MaxDeliveryCount" in properties
    }
    assert counts
    assert {path for path, each in counts.items() if not 1 <= each <= 10} == set()


def test_repeats_are_dropped_wherever_the_app_sends() -> None:
    """Exactly one outcome for each request rests on it: a crash repeats, and the ID tells."""
    for kind in ("Queues", "Topics"):
        for entity in _namespace()[kind]:
            assert entity["Properties"]["RequiresDuplicateDetection"] is True, entity["Name"]


def test_no_request_is_lost_when_it_expires() -> None:
    """What nobody took in time ends in the dead-letter queue."""
    for queue in _namespace()["Queues"]:
        assert queue["Properties"]["DeadLetteringOnMessageExpiration"] is True, queue["Name"]


def test_nothing_waits_for_a_session() -> None:
    """The app's messages have none: a session-aware entity would refuse them."""
    assert not [path for path, properties in _entities() if properties.get("RequiresSession")]


def test_every_topic_has_a_subscription_that_sees_all() -> None:
    """One without a rule: whoever wants to watch needs no filter."""
    for topic in _namespace()["Topics"]:
        assert any(not each["Rules"] for each in topic["Subscriptions"]), topic["Name"]


def test_filters_on_types_name_types_that_are_published() -> None:
    """A filter with a typing error sees nothing, and nobody notices."""
    settings = read_settings({"ServiceBus__fullyQualifiedNamespace": "x"})
    types = {
        properties["CorrelationFilter"]["Properties"]["type"]
        for path, properties in _rules()
        if path.startswith(f"{settings.results_topic}/")
        and "type" in properties.get("CorrelationFilter", {}).get("Properties", {})
    }
    assert types
    assert types <= {each.value for each in OutcomeType}


def test_names_are_told_apart_in_any_case() -> None:
    """Service Bus does not: two that differ in case only are one."""
    paths = [path.lower() for path, _ in _entities()]
    assert len(paths) == len(set(paths))
