"""docs/reliability.md says what the code does: its table of answers, the tests that it names."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from assessor.arm.errors import RULES, ArmError, Phase, judge
from assessor.arm.result import ApiError

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "reliability.md").read_text(encoding="utf-8")
ANY_CODE = "SomethingElse"


@dataclass(frozen=True)
class Line:
    """A line of the table of answers."""

    asked: str
    answer: str
    why: str
    done: str

    @property
    def phases(self) -> list[Phase]:
        """What ARM was asked."""
        named = self.asked.split(", ")
        return list(Phase) if self.asked == "anything" else [Phase(each) for each in named]

    @property
    def statuses(self) -> list[int | None]:
        """The statuses that the line names; no answer where it names none."""
        return [int(each) for each in re.findall(r"`(\d{3})`", self.answer)] or [None]

    @property
    def codes(self) -> list[str]:
        """The codes that the line names, or one that none does."""
        named = self.answer.partition("with the code")[2]
        return re.findall(r"`([A-Za-z]+)`", named) or [ANY_CODE]

    @property
    def message(self) -> str:
        """What the line says that ARM's message says, or one that says nothing."""
        return self.answer.partition('says "')[2].partition('"')[0] or "as the page says"


def lines() -> list[Line]:
    """Returns the table of answers."""
    table = PAGE.partition("| asked | answer |")[2].partition("\n\n")[0].splitlines()[2:]
    cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in table)
    return [Line(*each[:4]) for each in cells]


def test_the_table_has_every_rule_in_its_order() -> None:
    """A rule that is added, changed or moved has to be told."""
    assert [(line.why, line.done) for line in lines()] == [
        (rule.why, rule.verdict.value) for rule in RULES
    ]


@pytest.mark.parametrize("line", lines(), ids=lambda line: line.why)
def test_each_answer_is_judged_as_its_line_says(line: Line) -> None:
    """For each status and code that a line names, the code comes to the same line."""
    for phase in line.phases:
        for status in line.statuses:
            for code in line.codes:
                error = ArmError(phase, status, ApiError(code, line.message))
                assert judge(error).why == line.why, (phase, status, code)


def test_a_throttle_is_told_by_its_detail_too() -> None:
    """As the page says, under any status."""
    detail = {"code": "TooManyRequests"}
    for status in (409, 400, 200):
        error = ArmError(
            Phase.BEGIN, status, ApiError("OperationNotAllowed", "", details=(detail,))
        )
        assert judge(error).why == "too many calls"


def test_every_test_that_the_page_names_is_there() -> None:
    """A promise is tested by what the page says."""
    named = set(re.findall(r"`(test_[a-z_]+)`", PAGE))
    defined = {
        name
        for path in TESTS.rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    assert len(named) > 15
    assert named <= defined


def test_every_promise_names_a_test() -> None:
    """Nothing is promised on good faith."""
    promises = PAGE.partition("## What is promised")[2].partition("\n## ")[0]
    paragraphs = [each for each in promises.strip().split("\n\n") if each.startswith("**")]
    assert len(paragraphs) == 11
    for paragraph in paragraphs:
        assert re.search(r"`test_[a-z_]+`", paragraph), paragraph
