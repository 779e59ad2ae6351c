"""Owner tags: which of a VM's tags alerts and outcomes carry, under which names."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assessor.alerts.message import AlertStyle, alert_message
from assessor.alerts.removal import retired
from assessor.messages.outcome import Outcome, conclude
from assessor.messages.outgoing import MAX_BODY_BYTES, outcome_message
from assessor.messages.owner_tags import NO_TAGS, OwnerTags, remembered
from assessor.posture.model import Posture
from assessor.settings import SettingsError, read_settings
from assessor.tag_names import property_name
from localcloud.servicebus.sql import SqlFilter
from localcloud.tests.unit.servicebus_messages import message
from tests.support.alerts import alerts_of, example_alerts
from tests.support.assessments import completed
from tests.support.builders import NOW, VM_ID, finished, machine, request

OWNER = OwnerTags(("owner", "cost center"))
BUS = {"ServiceBus__fullyQualifiedNamespace": "example.servicebus.windows.net"}


def tagged(tags: dict[str, str]) -> Outcome:
    """Returns the outcome of a VM with these tags."""
    return conclude(request(), replace(machine(), tags=tags), finished())


def test_a_vms_tags_are_found_whatever_the_case_of_their_names() -> None:
    """As in ARM; they are told by the names that the setting has, and values as they are."""
    tags = {"Owner": "Team-A", "COST CENTER": "4711", "env": "prod"}
    assert OWNER.of(tags) == {"owner": "Team-A", "cost center": "4711"}
    assert OWNER.properties(tags) == {"tag_owner": "Team-A", "tag_cost_center": "4711"}


def test_what_a_vm_lacks_is_absent() -> None:
    """So that a filter finds it by IS NULL."""
    assert OWNER.of({"env": "prod"}) == OWNER.properties({}) == OWNER.of(None) == {}
    assert NO_TAGS.of({"owner": "team-a"}) == {}


@given(st.text(min_size=1, max_size=128))
def test_every_tag_has_a_property_that_a_filter_can_name(tag: str) -> None:
    """A name of letters, digits and underscores, without brackets."""
    assert re.fullmatch(r"tag_\w+", property_name(tag))


def test_outcomes_carry_them_as_properties_and_in_their_data() -> None:
    """And nothing where none is named."""
    outcome = tagged({"owner": "team-a"})
    published = outcome_message(outcome, None, tags=OWNER)
    assert published.application_properties["tag_owner"] == "team-a"
    assert "tag_cost_center" not in published.application_properties
    assert json.loads(published.body)["data"]["customProperties"] == {"owner": "team-a"}
    assert "customProperties" not in json.loads(outcome_message(outcome, None).body)["data"]


def test_a_very_long_value_is_cut() -> None:
    """To ARM's own limit of 256 characters, in properties and in the body."""
    published = outcome_message(tagged({"owner": "x" * 5000}), None, tags=OWNER)
    assert published.application_properties["tag_owner"] == "x" * 256
    assert len(json.loads(published.body)["data"]["customProperties"]["owner"]) == 256


def test_an_alert_of_a_vm_that_is_gone_has_its_last_tags() -> None:
    """So whoever was told of it hears of its end."""
    fired = example_alerts()["alert-fired"]
    before = Posture(VM_ID, open_alerts=(fired.alert,), tags={"owner": "team-a"})
    (gone,) = retired(before, NOW, "event-1").alerts
    published = alert_message(gone, style=AlertStyle(OWNER))
    assert published.application_properties["tag_owner"] == "team-a"
    assert json.loads(published.body)["data"]["data"]["customProperties"] == {"owner": "team-a"}


@pytest.mark.parametrize(
    ("expression", "owner", "passes"),
    [
        ("tag_owner = 'team-a'", "team-a", True),
        ("tag_owner = 'team-a'", "team-b", False),
        ("tag_owner = 'team-a'", None, False),
        ("tag_owner IS NULL", None, True),
        ("tag_owner IN ('team-a', 'team-b') AND rebootPending = true", "team-b", True),
    ],
)
def test_a_teams_subscription_gets_its_own(
    expression: str, owner: str | None, *, passes: bool
) -> None:
    """By a SQL filter of the local Service Bus, on outcomes and on alerts."""
    outcome = tagged({} if owner is None else {"owner": owner})
    (alert, *_) = alerts_of(completed(0, "a", reboot=True))
    alert = replace(alert, tags=outcome.vm.tags if outcome.vm else None)
    for each in (
        outcome_message(outcome, None, tags=OWNER),
        alert_message(alert, style=AlertStyle(OWNER)),
    ):
        sent = message(application_properties=dict(each.application_properties))
        assert SqlFilter.parse(expression).matches(sent) == passes


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=60), st.text(max_size=256), min_size=0, max_size=50
    )
)
def test_what_is_remembered_of_tags_is_small_and_true(tags: dict[str, str]) -> None:
    """No more than 8 KiB of JSON, and all of them where that is enough."""
    kept = remembered(tags)
    assert kept is not None
    assert kept.items() <= tags.items()
    assert len(json.dumps(kept)) <= 8 * 1024
    if len(json.dumps(tags)) <= 4 * 1024:
        assert kept == tags


def test_no_alert_is_too_large_with_the_widest_tags() -> None:
    """Five names and values of the longest, of characters that JSON writes as twelve bytes."""
    wide = "\U0001f41b"
    names = tuple(f"{number}{wide * 127}" for number in range(5))
    tags = dict.fromkeys(names, wide * 256)
    odd = [f"{number}-{wide * 300}" for number in range(300)]
    for alert in alerts_of(completed(0, odd, count=len(odd))):
        published = alert_message(replace(alert, tags=tags), style=AlertStyle(OwnerTags(names)))
        assert len(published.body) <= MAX_BODY_BYTES


def test_the_setting_names_up_to_five_tags() -> None:
    """With commas between them; spaces within a name are its own."""
    assert read_settings(BUS).alert_tags == ()
    named = read_settings(BUS | {"ALERT_TAGS": "owner, cost center ,env"})
    assert named.alert_tags == ("owner", "cost center", "env")


@pytest.mark.parametrize(
    "text", ["a,b,c,d,e,f", "a,,b", ",", "x" * 129, "owner,Owner", "cost center,cost-center"]
)
def test_names_that_can_not_be_carried_stop_the_app(text: str) -> None:
    """Too many, empty, too long, or two that come to one property."""
    with pytest.raises(SettingsError, match="ALERT_TAGS must be"):
        read_settings(BUS | {"ALERT_TAGS": text})
