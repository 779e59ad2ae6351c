"""Resource IDs: all that ARM's grammar allows comes through, and nothing else, in any case."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assessor.resource_id import (
    ResourceIdError,
    Scope,
    VirtualMachineId,
    check_name,
    is_allowed,
)
from dotnet_text import ignoring_case
from tests.support.builders import OTHER_SUBSCRIPTION, SUBSCRIPTION, VM_ID, vm_ids

_ILLEGAL = "/?#%\\ \t\n\r\x00\x7f\u00a0\u2028:@&=+,;*'\"<>|[]{}~`!$^"


def _swap_case(vm_id: VirtualMachineId) -> VirtualMachineId:
    """Returns the same VM in the other case; the letters that it is made of have just one."""
    return VirtualMachineId(
        vm_id.subscription_id.swapcase(), vm_id.resource_group.swapcase(), vm_id.name.swapcase()
    )


@given(vm_ids())
def test_an_id_of_legal_parts_is_read_back_as_it_was_written(vm_id: VirtualMachineId) -> None:
    """Parsing what str() writes gives the same parts, letter for letter."""
    parsed = VirtualMachineId.parse(str(vm_id))
    assert str(parsed) == str(vm_id)
    assert (parsed.subscription_id, parsed.resource_group, parsed.name) == (
        vm_id.subscription_id,
        vm_id.resource_group,
        vm_id.name,
    )


@given(vm_ids())
def test_ids_that_differ_in_case_only_are_one_vm(vm_id: VirtualMachineId) -> None:
    """They are equal, hash alike and have one key, as they have one VM in ARM."""
    other = _swap_case(vm_id)
    assert other == vm_id
    assert hash(other) == hash(vm_id)
    assert other.key == vm_id.key == ignoring_case(str(vm_id))
    assert VirtualMachineId.parse(str(vm_id).upper()) == vm_id
    assert len({vm_id, other}) == 1


@given(vm_ids(), vm_ids())
def test_ids_with_different_parts_are_different_vms(
    one: VirtualMachineId, other: VirtualMachineId
) -> None:
    """Equality is that of the text without its case: no two VMs share a key by accident."""
    assert (one == other) == (ignoring_case(str(one)) == ignoring_case(str(other)))


@given(
    field=st.sampled_from(["subscriptionId", "resourceGroupName", "vmName"]),
    illegal=st.sampled_from(_ILLEGAL),
    at=st.integers(0, 40),
)
def test_a_character_outside_of_the_grammar_is_refused_wherever_it_stands(
    field: str, illegal: str, at: int
) -> None:
    """In each part, at each place, the end included: `$` of a regex would let a newline pass."""
    legal = {
        "subscriptionId": VM_ID.subscription_id,
        "resourceGroupName": VM_ID.resource_group,
        "vmName": VM_ID.name,
    }
    at = min(at, len(legal[field]))
    forged = legal | {field: legal[field][:at] + illegal + legal[field][at:]}
    with pytest.raises(ResourceIdError) as refused:
        VirtualMachineId(*forged.values())
    assert refused.value.field == field
    text = "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Compute/virtualMachines/{}"
    with pytest.raises(ResourceIdError):
        VirtualMachineId.parse(text.format(*forged.values()))


@given(st.text(max_size=60))
def test_a_text_is_either_refused_or_is_what_is_written_again(text: str) -> None:
    """No text means more, or less, than the ID that str() gives for it."""
    try:
        parsed = VirtualMachineId.parse(text)
    except ResourceIdError:
        return
    assert str(parsed).lower() == text.lower()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        str(VM_ID)[1:],
        f"{VM_ID}/",
        f"{VM_ID}\n",
        f" {VM_ID}",
        f"{VM_ID}/extensions/x",
        f"{VM_ID}/../other",
        f"https://management.azure.com{VM_ID}",
        f"/subscriptions/{SUBSCRIPTION}",
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg",
        str(VM_ID).replace("Microsoft.Compute", "Microsoft-Compute"),
        str(VM_ID).replace("Microsoft.Compute", "Microsoft.HybridCompute"),
        str(VM_ID).replace("virtualMachines", "virtualMachineScaleSets"),
        str(VM_ID).replace(SUBSCRIPTION, SUBSCRIPTION.replace("-", "")),
        str(VM_ID).replace(SUBSCRIPTION, f"{{{SUBSCRIPTION}}}"),
        str(VM_ID).replace("/crptestps418/", "//"),
        str(VM_ID).replace("/crptestps418/", "/../"),
        str(VM_ID).replace("/crptestps418/", "/%2e%2e/"),
        str(VM_ID).replace("/subscriptions", "/\u017fubscriptions"),
        str(VM_ID).replace("vmcrptestps418", "_vm"),
    ],
)
def test_what_is_not_the_id_of_a_vm_is_refused_by_name(text: str) -> None:
    """The error names the field and keeps the text, for whoever sent it."""
    with pytest.raises(ResourceIdError) as refused:
        VirtualMachineId.parse(text)
    assert refused.value.field == "vmId"
    assert refused.value.value == text


@pytest.mark.parametrize(
    ("field", "legal"),
    [
        ("resourceGroupName", "a"),
        ("resourceGroupName", "(x)_-.y"),
        ("resourceGroupName", "é" * 90),
        ("resourceGroupName", "..a"),
        ("vmName", "a"),
        ("vmName", "1.b-c_d"),
        ("vmName", "set_1a2b3c4d"),
        ("vmName", "v" * 80),
        ("vmName", "サ" * 80),
        ("vmName", "vm-müller"),
        ("vmName", "サーバー01"),
        ("vmName", "\u0627\u0644-\u0663"),  # Arabic letters, and a digit three
        ("vmName", "e\u0301_"),  # an accent of its own
        ("vmName", "\u212aelvin"),
        ("resourceGroupName", "(группа)"),
    ],
)
def test_the_longest_and_oddest_legal_names_are_taken(field: str, legal: str) -> None:
    """ARM's own rules decide, not habits."""
    assert check_name(field, legal) == legal


@pytest.mark.parametrize(
    ("field", "illegal"),
    [
        ("subscriptionId", "not-a-guid"),
        ("subscriptionId", f"{SUBSCRIPTION}\n"),
        ("resourceGroupName", ""),
        ("resourceGroupName", "a" * 91),
        ("resourceGroupName", "a."),
        ("resourceGroupName", "."),
        ("resourceGroupName", ".."),
        ("vmName", ""),
        ("vmName", "v" * 81),
        ("vmName", "-v"),
        ("vmName", "v-"),
        ("vmName", ".v"),
        ("vmName", "v."),
        ("vmName", "_v"),
        ("vmName", "v\u00b2"),  # Python's \w takes it, and the three that follow; .NET's does not
        ("vmName", "v\u2167"),
        ("vmName", "हि"),
        ("vmName", "v\U0001d400"),
        ("vmName", "v\u200dw"),
        ("vmName", "v\n"),
        ("vmName", "\ud83d"),
        ("vmName", ".."),
        ("resourceGroupName", "g\u00bd"),
        ("resourceGroupName", "g\U0001d400"),
    ],
)
def test_a_name_against_arms_rules_is_refused(field: str, illegal: str) -> None:
    """Too long, empty, dots at the wrong place: what ARM would refuse is not sent."""
    with pytest.raises(ResourceIdError) as refused:
        check_name(field, illegal)
    assert refused.value.field == field


@given(vm_ids())
def test_each_scope_around_a_vm_contains_it_in_any_case(vm_id: VirtualMachineId) -> None:
    """Its subscription, its resource group and itself, with or without a slash at the end."""
    subscription = f"/subscriptions/{vm_id.subscription_id}"
    for text in (subscription, f"{subscription}/resourceGroups/{vm_id.resource_group}", str(vm_id)):
        for scope in (Scope.parse(text), Scope.parse(f"{text}/"), Scope.parse(text.upper())):
            assert scope.contains(vm_id)
            assert scope.contains(_swap_case(vm_id))


@given(vm_ids(), vm_ids())
def test_a_scope_contains_nothing_but_what_lies_in_it(
    inside: VirtualMachineId, vm_id: VirtualMachineId
) -> None:
    """A scope is left as soon as one of its parts differs; names are compared whole."""
    same = [
        mine.lower() == its.lower()
        for mine, its in (
            (inside.subscription_id, vm_id.subscription_id),
            (inside.resource_group, vm_id.resource_group),
            (inside.name, vm_id.name),
        )
    ]
    scopes = (
        Scope(inside.subscription_id),
        Scope(inside.subscription_id, inside.resource_group),
        Scope(inside.subscription_id, inside.resource_group, inside.name),
    )
    contains = [scope.contains(vm_id) for scope in scopes]
    assert contains == [all(same[:1]), all(same[:2]), all(same)]
    assert all(wider or not narrower for wider, narrower in pairwise(contains))


@given(vm_ids())
def test_a_scope_covers_itself_and_what_is_narrower(vm_id: VirtualMachineId) -> None:
    """And nothing that is wider: what is allowed for a part is not allowed for the whole."""
    whole = Scope(vm_id.subscription_id)
    group = Scope(vm_id.subscription_id, vm_id.resource_group)
    one = Scope(vm_id.subscription_id, vm_id.resource_group, vm_id.name)
    for wider, narrower in pairwise((whole, group, one)):
        assert wider.covers(wider)
        assert wider.covers(Scope.parse(str(narrower).upper()))
        assert not narrower.covers(wider)
        assert is_allowed(narrower, (wider,))
        assert not is_allowed(wider, (narrower,))


@given(vm_ids(), st.integers(1, 3))
def test_a_scope_is_written_as_it_is_read(vm_id: VirtualMachineId, depth: int) -> None:
    """Its names keep their case; its key has none."""
    parts = (vm_id.subscription_id, vm_id.resource_group, vm_id.name)[:depth]
    scope = Scope(*parts)
    assert Scope.parse(str(scope)) == scope
    assert scope.key == Scope.parse(str(scope).upper()).key == str(scope).lower()


def test_a_scope_is_no_prefix_of_longer_names() -> None:
    """`rg` does not contain `rg2`, as a comparison of texts would have it."""
    scope = Scope.parse(f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg")
    assert not scope.contains(VirtualMachineId(SUBSCRIPTION, "rg2", "vm"))
    assert not scope.contains(VirtualMachineId(OTHER_SUBSCRIPTION, "rg", "vm"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "/subscriptions",
        "/subscriptions/*",
        f"/subscriptions/{SUBSCRIPTION}//",
        f"/subscriptions/{SUBSCRIPTION}\n",
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups",
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/..",
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Compute",
        f"/\u017fubscriptions/{SUBSCRIPTION}",
        "/providers/Microsoft.Management/managementGroups/mg",
    ],
)
def test_what_is_no_scope_is_refused(text: str) -> None:
    """A scope that would contain nothing, or too much, stops the app instead."""
    with pytest.raises(ResourceIdError) as refused:
        Scope.parse(text)
    assert refused.value.field == "scope"


def test_no_scope_allows_every_vm_and_any_scope_only_its_own() -> None:
    """An empty ALLOWED_SCOPES is no limit; otherwise one of the scopes must contain the VM."""
    elsewhere = Scope(OTHER_SUBSCRIPTION)
    assert is_allowed(VM_ID, ())
    assert not is_allowed(VM_ID, (elsewhere,))
    assert is_allowed(VM_ID, iter((elsewhere, Scope(SUBSCRIPTION, "CRPTESTPS418"))))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("vm-müller", "VM-MÜLLER", True),
        ("\u03c3\u03c2", "\u03a3\u03a3", True),  # both small sigmas are one capital's
        ("kelvin", "\u212aelvin", False),
        ("strasse", "straße", False),
        ("i", "\u0131", False),
    ],
)
def test_names_of_any_script_are_compared_as_arm_compares_them(
    one: str, other: str, *, same: bool
) -> None:
    """In IDs, in their keys and in scopes alike."""
    ids = [VirtualMachineId(SUBSCRIPTION, "rg", each) for each in (one, other)]
    assert (ids[0] == ids[1]) is same
    assert (ids[0].key == ids[1].key) is same
    assert Scope.parse(str(ids[0])).contains(ids[1]) is same
    assert is_allowed(ids[0], [Scope.parse(f"{ids[1]}/")]) is same
