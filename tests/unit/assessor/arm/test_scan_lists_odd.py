"""Lists of VMs as ARM may answer them: no VM is dropped in silence, and no link leads round."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assessor.arm.listing import read_page
from assessor.resource_id import Scope
from tests.support.builders import OTHER_SUBSCRIPTION, SUBSCRIPTION, json_values

SCOPE = Scope(SUBSCRIPTION)


def _id(name: str, subscription: str = SUBSCRIPTION) -> str:
    group = f"/subscriptions/{subscription}/resourceGroups/rg"
    return f"{group}/providers/Microsoft.Compute/virtualMachines/{name}"


@pytest.mark.parametrize("name", ["vm-1", "vm-müller", "サーバー01", "\u0438\u043c\u044f_1"])
def test_a_vm_of_any_script_is_listed(name: str) -> None:
    """By Compute's own rule for names."""
    (vm,) = read_page({"value": [{"id": _id(name)}]}, SCOPE).vms
    assert vm.id.name == name


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (5, "NotAnObject"),
        (None, "NotAnObject"),
        ([], "NotAnObject"),
        ({}, "NoResourceId"),
        ({"id": None}, "NoResourceId"),
        ({"id": {}}, "NoResourceId"),
        ({"id": "vm-1"}, "UnknownResourceId"),
        ({"id": _id("_vm")}, "UnknownResourceId"),
        ({"id": _id("vm", OTHER_SUBSCRIPTION)}, "OutOfScope"),
    ],
)
def test_what_cant_be_asked_for_is_counted_by_its_reason(entry: object, reason: str) -> None:
    """And the others on the page are listed."""
    page = read_page({"value": [entry, {"id": _id("vm-1")}, entry]}, SCOPE)
    assert [vm.id.name for vm in page.vms] == ["vm-1"]
    assert page.unreadable == {reason: 2}


@pytest.mark.parametrize(
    "odd",
    [
        {"tags": {"env": {}, "n": 5, "ok": "yes"}},
        {"tags": [], "location": 5},
        {"tags": None, "location": None, "properties": None},
        {"properties": {"instanceView": []}},
        {"properties": {"instanceView": {"statuses": {"code": 1}}}},
        {"properties": {"instanceView": {"statuses": [5, {}, {"code": 5}]}}},
    ],
)
def test_wrong_types_around_an_id_do_no_harm(odd: dict[str, Any]) -> None:
    """The VM is listed without what can't be read."""
    (vm,) = read_page({"value": [{"id": _id("vm-1"), **odd}]}, SCOPE).vms
    assert (vm.location, vm.power_state) == (None, None)
    assert set(vm.tags) <= {"ok"}


def test_a_list_that_is_null_is_empty() -> None:
    """As .NET writes a list without entries."""
    page = read_page({"value": None, "nextLink": None}, SCOPE)
    assert (page.vms, page.next_link, page.unreadable) == ((), None, {})
    assert read_page({"nextLink": ""}, SCOPE).next_link is None


@pytest.mark.parametrize("document", [None, {"value": {}}, {"value": 5}, {"nextLink": 5}])
def test_what_is_no_page_is_told(document: dict[str, Any] | None) -> None:
    """It is waited out, like no answer."""
    with pytest.raises(ValueError, match=r".+"):
        read_page(document, SCOPE)


@given(st.lists(json_values() | st.fixed_dictionaries({"id": st.just(_id("vm"))})))
def test_every_entry_is_listed_or_counted(entries: list[Any]) -> None:
    """Whatever is on the page."""
    page = read_page({"value": entries}, SCOPE)
    assert len(page.vms) + sum(page.unreadable.values()) == len(entries)
