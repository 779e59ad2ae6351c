"""Lists of VMs as ARM may answer them: no VM is dropped in silence, and no link leads round."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assessor.arm.listing import ListedVm, Page, PageLinkRefusedError, read_page
from assessor.resource_id import Scope, VirtualMachineId
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
        ({"id": ""}, "NoResourceId"),
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


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (None, "it is no JSON object"),
        ({"value": {}}, "value is no array"),
        ({"value": 5}, "value is no array"),
        ({"nextLink": 5}, "nextLink is no text"),
    ],
)
def test_what_is_no_page_is_told(document: dict[str, Any] | None, problem: str) -> None:
    """It is waited out, like no answer."""
    with pytest.raises(ValueError, match=rf"^{problem}$"):
        read_page(document, SCOPE)


def test_a_page_is_read_with_all_that_it_tells() -> None:
    """Region, tags and power state of each VM, in the page's order, and its link as it came."""
    first = {
        "id": _id("vm-1"),
        "location": "eastus",
        "tags": {"env": "prod", "n": 5},
        "properties": {"instanceView": {"statuses": [{"code": "PowerState/Deallocated"}]}},
    }
    page = read_page({"value": [first, {}, {"id": _id("vm-2")}, 5, {}], "nextLink": "next"}, SCOPE)
    assert page == Page(
        (
            ListedVm(
                VirtualMachineId(SUBSCRIPTION, "rg", "vm-1"),
                "eastus",
                {"env": "prod"},
                "Deallocated",
            ),
            ListedVm(VirtualMachineId(SUBSCRIPTION, "rg", "vm-2")),
        ),
        "next",
        {"NoResourceId": 2, "NotAnObject": 1},
    )


@pytest.mark.parametrize(
    ("asked", "has"),
    [
        ({}, True),
        ({"Env": "prod"}, True),
        ({"ENV": None, "empty": ""}, True),
        ({"env": "Prod"}, False),
        ({"env": ""}, False),
        ({"empty": None}, True),
        ({"other": None}, False),
        ({"other": ""}, False),
        ({"env": "prod", "other": None}, False),
        ({"straße": "x"}, True),
    ],
)
def test_a_vm_is_chosen_by_all_of_its_tags(asked: dict[str, str | None], has: object) -> None:
    """Names in any case, values to the letter; a name alone stands for any value."""
    tags = {"eNv": "prod", "Empty": "", "Straße": "x"}
    assert ListedVm(VirtualMachineId(SUBSCRIPTION, "g", "v"), tags=tags).has(asked) is has


@pytest.mark.parametrize(
    ("state", "runs"), [("running", True), ("Running", True), ("stopped", False), (None, False)]
)
def test_a_vm_runs_where_arm_says_so(state: str | None, runs: object) -> None:
    """A list without power states says nothing of it."""
    vm = ListedVm(VirtualMachineId(SUBSCRIPTION, "g", "v"), power_state=state)
    assert vm.is_running is runs


def test_a_refused_link_says_what_is_wrong_with_it() -> None:
    """Without its text."""
    refused = PageLinkRefusedError("a URL is not https")
    assert refused.problem == "a URL is not https"
    assert str(refused) == "the link to the next page is refused: a URL is not https"


@given(st.lists(json_values() | st.fixed_dictionaries({"id": st.just(_id("vm"))})))
def test_every_entry_is_listed_or_counted(entries: list[Any]) -> None:
    """Whatever is on the page."""
    page = read_page({"value": entries}, SCOPE)
    assert len(page.vms) + sum(page.unreadable.values()) == len(entries)
