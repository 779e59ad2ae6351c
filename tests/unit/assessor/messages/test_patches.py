"""Which patches count as critical or security ones, and which are the same."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assessor.arm.result import parse_patch, parse_result
from assessor.messages.patches import (
    CLASSIFICATIONS,
    digest,
    identity,
    is_critical_or_security,
    most_important_first,
    unknown_classifications,
    within,
)
from tests.support.builders import json_values, recorded_result


@pytest.mark.parametrize(
    "name",
    ["Critical", "SECURITY", "Security-ESM", "Critical Updates", "security  updates", " Security "],
)
def test_a_critical_or_security_classification_counts(name: str) -> None:
    """In any case, with any spaces, alone or among others."""
    assert is_critical_or_security(parse_patch({"classifications": [name]}))
    assert is_critical_or_security(parse_patch({"classifications": ["Other", name]}))


@pytest.mark.parametrize(
    "name",
    [
        "Updates",
        "UpdateRollUp",
        "Update Rollups",
        "Definition",
        "Definition Updates",
        "FeaturePack",
        "Feature Packs",
        "ServicePack",
        "Tools",
        "Other",
        "Unclassified",
    ],
)
def test_other_known_classifications_do_not_count(name: str) -> None:
    """And they are not unknown."""
    assert not is_critical_or_security(parse_patch({"classifications": [name]}))
    assert unknown_classifications([parse_patch({"classifications": [name]})]) == ()


def test_an_unknown_classification_does_not_count_and_is_told() -> None:
    """As ARM wrote it, once."""
    patches = [
        parse_patch({"classifications": ["Security-Max", "Other"]}),
        parse_patch({"classifications": ["Security-Max"]}),
    ]
    assert not any(map(is_critical_or_security, patches))
    assert unknown_classifications(patches) == ("Security-Max",)


def test_all_classifications_of_the_recording_are_known() -> None:
    """What real assessments said."""
    assert unknown_classifications(parse_result(recorded_result()).patches or ()) == ()


def test_the_table_is_in_the_form_that_it_is_looked_up_in() -> None:
    """Lower case, no spaces; anything else in it would never be found."""
    assert all("".join(name.split()).lower() == name for name in CLASSIFICATIONS)


@given(st.dictionaries(st.sampled_from(["classifications", "patchId", "name"]), json_values()))
def test_no_patch_is_too_odd(fields: dict[str, object]) -> None:
    """Whatever JSON stands in it."""
    patch = parse_patch(fields)
    is_critical_or_security(patch)
    unknown_classifications([patch])
    assert len(digest(patch)) == 16


def test_a_patch_is_itself_in_any_case_and_another_version_is_another() -> None:
    """By its ID where it has one, else by name, version and KB."""
    assert _identity(patchId="AB", name="x") == _identity(patchId="ab", name="y")
    assert _digest(name="x", version="1") == _digest(name="X", version="1")
    assert _digest(name="x", version="1") != _digest(name="x", version="2")
    assert _digest(patchId="", kbId="1") != _digest(patchId="", kbId="2")


def _identity(**fields: str) -> str:
    return identity(parse_patch(fields))


def _digest(**fields: str) -> str:
    return digest(parse_patch(fields))


def test_the_most_important_come_first_and_else_keep_their_order() -> None:
    """The list is read from the top."""
    patches = [
        parse_patch({"name": name, "classifications": [kind]})
        for name, kind in (("a", "Other"), ("b", "Security"), ("c", "Other"), ("d", "Critical"))
    ]
    assert [each.name for each in most_important_first(patches)] == ["b", "d", "a", "c"]


@given(st.lists(st.dictionaries(st.text(), st.text(), max_size=2)), st.integers(0, 200))
def test_what_is_within_the_limit_is_the_longest_start_that_fits(
    listed: list[dict[str, str]], limit: int
) -> None:
    """Counted as a part of a longer list of JSON."""
    patches = [parse_patch(each) for each in listed]
    kept = within(patches, limit)
    assert list(kept) == patches[: len(kept)]
    sizes = [len(json.dumps(each)) + 2 for each in listed]
    assert sum(sizes[: len(kept)]) <= limit
    assert len(kept) == len(patches) or sum(sizes[: len(kept) + 1]) > limit
