"""`make mutants` tells what of mutmut's changes the unit tests notice, and why not the others."""

from pathlib import Path

import pytest

from tests.mutants.__main__ import Explained, Result, read_explained, score_row, stale

_LIST = Path("tests", "mutants", "explained.toml")
_EQUAL = Explained("assessor.arm.hints", "hint_for", "a < b", "a <= b")


def _result(now: str, fate: str) -> Result:
    return {
        "module": _EQUAL.module,
        "function": _EQUAL.function,
        "was": _EQUAL.was,
        "now": now,
        "fate": fate,
    }


def test_a_change_that_is_explained_does_not_count() -> None:
    """The raw share is told beside the score; an endless change counts as noticed."""
    fates = ["killed", "timeout", "survived", "not called"]
    results = [_result(str(index), fate) for index, fate in enumerate(fates)]
    row = score_row("arm", [*results, _result("a <= b", "survived")], {_EQUAL: "why"})
    assert row.score == 50.0
    assert row.text == "| arm | 5 | 2 | 3 | 1 | 40.0 % | 50.0 % |"


@pytest.mark.parametrize(
    ("name", "results", "is_stale"),
    [
        ("arm", [_result("a <= b", "survived")], False),
        ("arm", [_result("a <= b", "killed")], True),
        ("arm", [_result("a > b", "survived")], True),
        ("arm.hints", [], True),
        ("arm.hint", [], False),
        ("scans", [], False),
    ],
)
def test_an_explanation_that_nothing_needs_is_named(
    name: str,
    results: list[Result],
    is_stale: bool,  # noqa: FBT001 - one of the table's columns
) -> None:
    """Where its module was run and the change is noticed, or is none any more."""
    assert stale(name, results, {_EQUAL: "why"}) == ([_EQUAL] if is_stale else [])


def test_each_explanation_is_of_a_line_that_stands_in_its_module() -> None:
    """So that code that changes takes its explanations along."""
    for change, why in read_explained(_LIST).items():
        module = Path(*change.module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
        squeezed = " ".join(map(str.strip, module.splitlines()))
        assert change.was in squeezed, change
        assert why, change
