"""The emulator's config format: read in full, refused with the place of the mistake."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.servicebus.entities import (
    EntityConfigError,
    load_entities,
    parse_duration,
    parse_entities,
)
from localcloud.servicebus.filters import CorrelationFilter, Rule, TrueFilter

_ROOT = Path(__file__).parents[3]
_RULE = "UserConfig.Namespaces[0].Topics[0].Subscriptions[0].Rules[0].Properties"


def _config(
    queues: list[dict[str, Any]] | None = None, topics: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    namespace = {"Name": "sbemulatorns", "Queues": queues or [], "Topics": topics or []}
    return {"UserConfig": {"Namespaces": [namespace], "Logging": {"Type": "Console"}}}


def _with_rule(properties: dict[str, Any]) -> dict[str, Any]:
    rules = [{"Name": "r", "Properties": properties}]
    return _config(topics=[{"Name": "t", "Subscriptions": [{"Name": "s", "Rules": rules}]}])


@pytest.mark.parametrize(
    "path",
    [
        _ROOT / "infra" / "servicebus.json",
        _ROOT / "localcloud" / "tests" / "integration" / "servicebus_contract.json",
    ],
    ids=lambda path: path.stem,
)
def test_entities_are_read_and_valid_for_the_official_emulator(path: Path) -> None:
    """The app's and the contract suite's pass the emulator's schema, and every entity comes out."""
    config = json.loads(path.read_text())
    schema = _ROOT / "tests" / "recorded" / "servicebus-emulator-config.schema.json"
    # The schema's `[\w-\.]` has a literal hyphen in JavaScript, and is an error in Python.
    pythonic = schema.read_text().replace(r"[\\w-\\.", r"[\\w\\-\\.")
    jsonschema.validate(config, json.loads(pythonic))
    entities = load_entities(path)
    namespace = config["UserConfig"]["Namespaces"][0]
    assert [each.name for each in entities.queues] == [each["Name"] for each in namespace["Queues"]]
    assert [
        (topic.name, [each.name for each in topic.subscriptions]) for topic in entities.topics
    ] == [
        (topic["Name"], [each["Name"] for each in topic["Subscriptions"]])
        for topic in namespace["Topics"]
    ]


def test_what_is_left_out_has_the_emulators_default() -> None:
    """The defaults of the schema: a lock of a minute, three deliveries, an hour to live."""
    queue = parse_entities(_config([{"Name": "q"}])).queues[0]
    assert queue.store.lock_duration == 60_000
    assert queue.store.max_delivery_count == 3
    assert queue.store.default_time_to_live == 3_600_000
    assert queue.store.dead_letter_on_expiration is False
    assert queue.duplicate_window is None


def test_rules_become_filters_and_no_rules_let_everything_in() -> None:
    """A subscription without rules has the service's default rule."""
    properties = {
        "FilterType": "Correlation",
        "CorrelationFilter": {"Label": "x", "Properties": {"type": "A"}},
    }
    with_rule = parse_entities(_with_rule(properties)).topics[0].subscriptions[0]
    assert with_rule.rules == (Rule("r", CorrelationFilter({"subject": "x"}, {"type": "A"})),)
    bare = parse_entities(_config(topics=[{"Name": "t", "Subscriptions": [{"Name": "s"}]}]))
    assert bare.topics[0].subscriptions[0].rules == (Rule("$Default", TrueFilter()),)


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ({}, "UserConfig.Namespaces"),
        (_config([{}]), "UserConfig.Namespaces[0].Queues[0].Name"),
        (_config([{"Name": "q"}, {"Name": "Q"}]), "UserConfig.Namespaces[0]"),
        (
            _config([{"Name": "q", "Properties": {"LockDuration": "1 minute"}}]),
            "UserConfig.Namespaces[0].Queues[0].Properties.LockDuration",
        ),
        (
            _config([{"Name": "q", "Properties": {"MaxDeliveryCount": 0}}]),
            "UserConfig.Namespaces[0].Queues[0].Properties.MaxDeliveryCount",
        ),
        (
            _config([{"Name": "q", "Properties": {"RequiresSession": True}}]),
            "UserConfig.Namespaces[0].Queues[0].Properties.RequiresSession",
        ),
        (
            _config([{"Name": "q", "Properties": {"ForwardTo": "other"}}]),
            "UserConfig.Namespaces[0].Queues[0].Properties.ForwardTo",
        ),
        (
            _config([{"Name": "q", "Properties": {"RequiresDuplicateDetection": "yes"}}]),
            "UserConfig.Namespaces[0].Queues[0].Properties.RequiresDuplicateDetection",
        ),
        (
            _with_rule({"FilterType": "Sql", "SqlFilter": {"SqlExpression": "a = = b"}}),
            f"{_RULE}.SqlFilter.SqlExpression",
        ),
        (
            _with_rule({"FilterType": "Sql"}),
            f"{_RULE}.SqlFilter.SqlExpression",
        ),
        (
            _with_rule({"FilterType": "Correlation", "CorrelationFilter": {}}),
            f"{_RULE}.CorrelationFilter",
        ),
        (
            _with_rule({"FilterType": "Correlation", "CorrelationFilter": {"Colour": "red"}}),
            f"{_RULE}.CorrelationFilter.Colour",
        ),
    ],
)
def test_a_mistake_is_refused_with_its_place(config: dict[str, Any], place: str) -> None:
    """The error says where in the file to look."""
    with pytest.raises(EntityConfigError) as raised:
        parse_entities(config)
    assert raised.value.place == place


@given(st.integers(0, 400), st.integers(0, 30), st.integers(0, 90), st.integers(0, 90))
def test_durations_add_up(days: int, hours: int, minutes: int, seconds: int) -> None:
    """Every combination of units is the sum of its parts."""
    text = f"P{days}DT{hours}H{minutes}M{seconds}S"
    expected = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "P", "PT", "P1DT", "P1Y", "P1M", "PT-1S", "1H", "PT1H "])
def test_what_is_no_fixed_duration_is_refused(text: str) -> None:
    """Years and months have no fixed length, so the service's limits make no sense with them."""
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)
