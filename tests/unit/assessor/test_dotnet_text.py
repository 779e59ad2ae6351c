"""Text as .NET takes it: what is a letter, and what is equal without case."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assessor.resource_id import ResourceIdError, check_name
from dotnet_text import ignoring_case, is_word

VERDICTS = Path(__file__).parents[4] / "shared" / "facts" / "dotnet-text.json"
"""What .NET itself says of names and pairs, where somebody has it."""
Verdicts = dict[str, Any]


@pytest.fixture(name="verdicts")
def _verdicts() -> Verdicts:
    if not VERDICTS.exists():
        pytest.skip(".NET's own verdicts are not on this machine")
    verdicts: Verdicts = json.loads(VERDICTS.read_text("utf-8"))
    return verdicts


def _is_vm_name(name: str) -> bool:
    try:
        check_name("vmName", name)
    except ResourceIdError:
        return False
    return True


def test_names_of_vms_are_those_that_dotnet_takes(verdicts: Verdicts) -> None:
    """By Compute's own rule, run by .NET."""
    wrong = [
        each for each in verdicts["vmNames"] if _is_vm_name(each["name"]) is not each["accepted"]
    ]
    assert wrong == []


def test_what_is_equal_is_what_dotnet_calls_equal(verdicts: Verdicts) -> None:
    """By OrdinalIgnoreCase."""
    wrong = [
        each
        for each in verdicts["equalIgnoringCase"]
        if (ignoring_case(each["a"]) == ignoring_case(each["b"])) is not each["equal"]
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("vm", "VM"),
        ("é", "É"),
        ("\u03c2", "\u03a3"),  # the sigma at a word's end
        ("\u00b5", "\u039c"),  # the micro sign, and a capital mu
        ("\u1fb3", "\u1fbc"),  # an alpha with an iota below: one capital in simple case
        ("\u01c5", "\u01c4"),
    ],
)
def test_pairs_with_one_capital_are_equal(one: str, other: str) -> None:
    """By the simple mapping, one character for one."""
    assert ignoring_case(one) == ignoring_case(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("k", "\u212a"),
        ("å", "\u212b"),
        ("s", "\u017f"),
        ("i", "\u0130"),
        ("I", "\u0131"),
        ("ß", "ss"),
        ("ß", "\u1e9e"),
        ("\ufb00", "FF"),
        ("\u00e9", "e\u0301"),
    ],
)
def test_pairs_that_only_look_alike_are_not(one: str, other: str) -> None:
    """Neither by the full mapping, nor by what Unicode folds, nor by composition."""
    assert ignoring_case(one) != ignoring_case(other)


@given(st.text())
def test_a_key_is_its_own_key(text: str) -> None:
    """So what was kept can be compared with what comes; and ASCII is in lower case."""
    key = ignoring_case(text)
    assert ignoring_case(key) == key
    assert len(key) == len(text)
    assert not any("A" <= char <= "Z" for char in key)


@pytest.mark.parametrize(
    ("char", "expected"),
    [("é", True), ("_", True), ("\u203f", True), ("\u0663", True), ("\u0301", True)]
    + [(each, False) for each in "-.\u00b2\u00bd\u2167\u0903\u20dd\u200d\u3007 \n\U0001d400"],
)
def test_words_are_of_letters_marks_digits_and_connectors(char: str, *, expected: bool) -> None:
    """Not of other marks and numbers, nor of what takes two UTF-16 units."""
    assert is_word(char) is expected
