"""The console's fleet: states, filters, order, counts, groups, addresses and CSV."""

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patch_assessor_console.model.address import to_address, to_query
from patch_assessor_console.model.csv_text import fleet_csv
from patch_assessor_console.model.fleet import (
    Column,
    Query,
    Row,
    Show,
    group,
    rows_of,
    select,
    tag_names,
    tiles,
)
from patch_assessor_console.model.listing import Listing
from patch_assessor_console.model.patch import Patch
from patch_assessor_console.model.vm import PATCHES_RULE, REBOOT_RULE, Vm, VmState, state_of

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
STALE = timedelta(hours=48)


def vm(name: str, subscription: str = "s-1", **fields: Any) -> Vm:  # noqa: ANN401 - fields of any type
    """A VM of that name, assessed an hour ago and up to date unless the fields say otherwise."""
    vm_id = (
        f"/subscriptions/{subscription}/resourceGroups/rg/providers/Microsoft.Compute"
        f"/virtualMachines/{name}"
    )
    usual: dict[str, Any] = {
        "critical": 0,
        "other": 0,
        "reboot_pending": False,
        "assessed_at": NOW - HOUR,
    }
    return Vm(vm_id, **{**usual, **fields})


def rows(*vms: Vm) -> list[Row]:
    return list(rows_of(vms, NOW, STALE).values())


def names(found: list[Row]) -> list[str]:
    return [row.vm.name for row in found]


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, VmState.UP_TO_DATE),
        ({"critical": 2}, VmState.LACKS_PATCHES),
        ({"reboot_pending": True}, VmState.REBOOT_PENDING),
        ({"critical": 2, "reboot_pending": True}, VmState.LACKS_PATCHES),
        ({"critical": None}, VmState.NOT_COUNTED),
        ({"attempted_at": NOW, "critical": 2}, VmState.FAILING),
        ({"assessed_at": NOW - STALE - HOUR, "critical": 2}, VmState.STALE),
        ({"assessed_at": None, "attempted_at": NOW}, VmState.NOT_ASSESSED),
    ],
)
def test_each_vm_has_one_state(fields: dict[str, Any], state: VmState) -> None:
    """What says nothing of today comes before what it once said."""
    assert state_of(vm("a", **fields), NOW, STALE) is state


def test_tiles_count_what_they_say_and_a_vm_may_be_in_several() -> None:
    """A VM that lacks patches and waits for a reboot counts for both."""
    counted = tiles(
        rows(
            vm("both", critical=1, reboot_pending=True),
            vm("never", assessed_at=None, critical=None, attempted_at=NOW),
            vm("fine"),
        )
    )
    assert counted == {
        Show.ALL: 3,
        Show.LACKING: 1,
        Show.REBOOT: 1,
        Show.NOT_ASSESSED: 1,
        Show.STALE: 0,
        Show.FAILING: 1,
        Show.UP_TO_DATE: 1,
    }


def test_a_search_takes_each_word_from_name_group_subscription_system_or_tags() -> None:
    """Words may stand in any of them, and in any case."""
    fleet = rows(
        vm("web-1", system="Ubuntu 22.04", tags={"owner": "Team-A"}),
        vm("web-2", system="Windows", tags={"owner": "team-b"}),
    )
    assert names(select(fleet, Query(text="WEB team-a"))) == ["web-1"]
    assert names(select(fleet, Query(text="windows rg s-1"))) == ["web-2"]
    assert names(select(fleet, Query(text="nothing"))) == []


def test_filters_narrow_by_subscription_system_tag_and_patch() -> None:
    """A tag by its name, whose case does not count, or by name and value, whose case does."""
    patch = Patch("KB1", "n", "KB1", "", ("Security",), "", "", is_grave=True)
    fleet = rows(
        vm("a", "s-1", system="Linux", tags={"Env": "prod"}, patches=(patch,)),
        vm("b", "s-2", system="Windows", tags={"env": "test"}),
    )
    assert names(select(fleet, Query(subscription="S-2"))) == ["b"]
    assert names(select(fleet, Query(system="Linux"))) == ["a"]
    assert names(select(fleet, Query(tag="env"))) == ["a", "b"]
    assert names(select(fleet, Query(tag="env=prod"))) == ["a"]
    assert names(select(fleet, Query(tag="env=Prod"))) == []
    assert names(select(fleet, Query(patch="KB1"))) == ["a"]
    assert tag_names(fleet) == ["Env"]


@pytest.mark.parametrize("descending", [False, True])
def test_what_is_not_known_comes_last_in_either_order(descending: bool) -> None:  # noqa: FBT001
    """A VM without a count is neither the best nor the worst."""
    fleet = rows(vm("none", critical=None), vm("two", critical=2), vm("one", critical=1))
    found = select(fleet, Query(sort=Column.CRITICAL, descending=descending))
    assert names(found)[-1] == "none"
    assert names(found)[:2] == (["two", "one"] if descending else ["one", "two"])


@pytest.mark.parametrize("column", list(Column))
def test_every_column_can_be_sorted_by(column: Column) -> None:
    """Whatever is missing in a VM."""
    fleet = rows(
        vm("a", critical=None, assessed_at=None),
        vm("b", tags={"x": "1"}, system="Linux", alerts={REBOOT_RULE: NOW}),
    )
    assert sorted(names(select(fleet, Query(sort=column)))) == ["a", "b"]


def test_groups_sum_up_and_the_worst_comes_first() -> None:
    """By subscription, by a tag; VMs without the tag are a group of their own."""
    fleet = rows(
        vm("a", "s-1", critical=1, tags={"env": "prod"}),
        vm("b", "s-2", critical=3),
        vm("c", "s-2", reboot_pending=True, tags={"ENV": "prod"}),
    )
    by_subscription = group(fleet, "subscription")
    assert [(each.name, each.critical, each.counts[Show.ALL]) for each in by_subscription] == [
        ("s-2", 3, 2),
        ("s-1", 1, 1),
    ]
    assert [(each.name, each.counts[Show.REBOOT]) for each in group(fleet, "tag:env")] == [
        ("", 0),
        ("prod", 1),
    ]


_VMS = st.lists(
    st.builds(
        vm,
        st.sampled_from(["web", "Web", "db"]),
        st.sampled_from(["s-1", "S-2"]),
        critical=st.none() | st.integers(0, 2),
        reboot_pending=st.booleans(),
        system=st.sampled_from(["", "Linux", "Windows"]),
        tags=st.sampled_from([{}, {"env": "prod"}, {"Env": "test", "owner": "a"}]),
    ),
    max_size=8,
)


@given(
    _VMS,
    st.lists(
        st.builds(
            Query,
            text=st.sampled_from(["", "web", "db s-1", "none"]),
            show=st.sampled_from(Show),
            subscription=st.sampled_from(["", "s-2"]),
            system=st.sampled_from(["", "Linux"]),
            tag=st.sampled_from(["", "env", "ENV=prod"]),
            sort=st.sampled_from(Column),
            descending=st.booleans(),
        ),
        max_size=4,
    ),
)
def test_a_listing_answers_each_query_as_a_look_at_all_rows_does(
    fleet: list[Vm], queries: list[Query]
) -> None:
    """What it keeps from one query for the next, orders and choices, changes no answer."""
    numbered = [replace(each, vm_id=f"{each.vm_id}-{n}") for n, each in enumerate(fleet)]
    listing = Listing(tuple(rows(*numbered)))
    for query in queries:
        assert listing.select(query) == select(listing.rows, query)
    assert listing.tiles == tiles(listing.rows)
    assert listing.tag_names == tag_names(listing.rows)


def test_rows_of_vms_that_did_not_change_are_used_again() -> None:
    """A fleet of thousands is looked at again for each message; time alone still makes it stale."""
    fleet = [vm("a"), vm("b")]
    before = rows_of(fleet, NOW, STALE)
    same = rows_of(fleet, NOW, STALE, before)
    assert all(same[key] is before[key] for key in before)
    later = rows_of(fleet, NOW + STALE, STALE, before)
    assert {row.state for row in later.values()} == {VmState.STALE}


_TEXTS = st.text(max_size=20)


@given(
    st.builds(
        Query,
        text=_TEXTS,
        show=st.sampled_from(Show),
        subscription=_TEXTS,
        system=_TEXTS,
        tag=_TEXTS,
        patch=_TEXTS,
        sort=st.sampled_from(Column),
        descending=st.booleans(),
    )
)
def test_an_address_leads_back_to_what_was_asked_for(query: Query) -> None:
    """Whatever stands in it."""
    from urllib.parse import parse_qsl  # noqa: PLC0415 - of this test alone

    parameters = dict(parse_qsl(to_address(query).removeprefix("?"), keep_blank_values=True))
    assert to_query(parameters) == query


def test_an_address_with_nonsense_asks_for_the_fleet() -> None:
    """Nobody is told of an error for a mistyped address."""
    assert to_query({"show": "no", "sort": "-no", "else": "x"}) == Query(descending=True)
    assert to_address(Query()) == ""


def test_csv_has_every_column_and_no_formula() -> None:
    """A spreadsheet obeys no tag, name or reason."""
    text = fleet_csv(
        rows(vm("a", tags={"=cmd": "1"}, alerts={PATCHES_RULE: NOW}, attempt_reason="@SUM(1)"))
    )
    (line,) = csv.DictReader(io.StringIO(text))
    assert line["tags"] == "'=cmd=1"
    assert line["attemptReason"] == "'@SUM(1)"
    assert line["lastAssessed"] == "2026-11-28T11:00:00Z"
    assert line["rebootPending"] == "false"
    assert line["state"] == "up to date"
    assert line["openAlerts"] == PATCHES_RULE


@given(st.lists(_TEXTS, min_size=1, max_size=5))
def test_csv_says_what_it_was_given(values: list[str]) -> None:
    """Line breaks, quotes and commas within a tag stay within its cell."""
    tags = {f"t{number}": value for number, value in enumerate(values)}
    (line,) = csv.DictReader(io.StringIO(fleet_csv(rows(vm("a", tags=tags))), newline=""))
    assert line["tags"] == "; ".join(f"{name}={value}" for name, value in tags.items())
