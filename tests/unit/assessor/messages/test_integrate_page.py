"""docs/integrate.md says of every code and reason what it means, and of none that is not there."""

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from assessor.arm.result import parse_result
from assessor.arm.virtual_machine import SkipReason
from assessor.messages.contract import DATA_SCHEMAS
from assessor.messages.outcome import Finished, conclude
from assessor.messages.outgoing import MAX_BODY_BYTES, outcome_message
from assessor.messages.request import Rejection
from assessor.messages.request_body import parse_request
from assessor.scans.event import ScanStatus
from tests.support.builders import NOW, incoming, machine, recorded_result, request
from tests.support.schemas import validator

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "integrate.md").read_text("utf-8")
ARM_CODES = {"OperationFailed", "OperationCanceled"}
"""Made of the status of an operation that ARM ended without a code."""


def section(title: str) -> str:
    """Returns the text under a heading, up to the next one or to a second table."""
    return PAGE.partition(f"# {title}\n")[2].partition("\n#")[0]


def first_column(text: str) -> set[str]:
    """Returns what stands in backticks in the first column of the first table."""
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert table
    rows = table[0].splitlines()[2:]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])}


@cache
def all_calls() -> tuple[ast.Call, ...]:
    """Returns every call in the app's source."""
    return tuple(
        node
        for path in (ROOT / "assessor").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
    )


def calls(function: str) -> Iterator[ast.Call]:
    """Yields the calls of a function or class in the app's source."""
    return (node for node in all_calls() if getattr(node.func, "id", None) == function)


def literals(function: str, position: int) -> set[str]:
    """Returns the texts that the app's source gives as this argument."""
    return {
        argument.value
        for call in calls(function)
        for argument in call.args[position : position + 1]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }


def test_each_error_code_of_the_app_has_its_line() -> None:
    """Taken from the source: who adds one has to say what to do about it."""
    codes = literals("ApiError", 0)
    assert "DeadlineExceeded" in codes
    assert first_column(section("Error codes")) == codes | ARM_CODES


def test_each_reason_and_status_has_its_line() -> None:
    """To skip, to reject, and for the end of a scan."""
    assert first_column(section("Reasons to skip")) == set(SkipReason)
    assert first_column(section("Reasons to reject")) == literals("Rejection", 1)
    assert first_column(section("How a scan ended")) == set(ScanStatus)


def test_each_type_of_outcome_has_its_line() -> None:
    """And says what to do."""
    outcomes = {each for each in DATA_SCHEMAS if "Alert" not in each}
    assert first_column(section("Outcome")) == outcomes


def test_each_property_that_can_be_filtered_on_is_named() -> None:
    """Those of an outcome as its message has them, and what alerts and scans have besides."""
    named = set(re.findall(r"`([A-Za-z]+)`", section("Filters").partition("\n| you want")[0]))
    message = outcome_message(
        conclude(request(), machine(), Finished(parse_result(recorded_result()), NOW, 1.0)),
        "00-a-b-01",
    )
    assert set(message.application_properties) <= named
    assert {"alertRule", "alertId", "severity", "monitorCondition", "change", "scanId"} <= named


@pytest.mark.parametrize("block", re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))
def test_the_messages_that_it_shows_are_json(block: str) -> None:
    """A request that the app would take, and an outcome in short."""
    shown = json.loads(block)
    if "vmId" in shown:
        validator("request").validate(shown)
        assert not isinstance(parse_request(incoming(shown), ()), Rejection)
    else:
        assert shown["dataschema"] == DATA_SCHEMAS[shown["type"]]


def test_the_numbers_are_those_of_the_code() -> None:
    """The largest outcome."""
    assert f"at\n  most {MAX_BODY_BYTES // 1024} KB" in PAGE
