"""Models of messages as JSON: the contract's names, and RFC 8259."""

import math
from dataclasses import dataclass
from typing import Annotated

import pytest
from pydantic import Field

from assessor.messages.model import AbsentWhenNone, render, to_json


@dataclass(frozen=True)
class Inner:
    some_name: str | None


@dataclass(frozen=True)
class Outer:
    inner: Inner
    many: tuple[Inner, ...]
    target_ids: Annotated[tuple[str, ...], Field(alias="targetIDs")]
    as_sent: object = None
    left_out: Annotated[str | None, AbsentWhenNone()] = None


def test_fields_have_the_names_of_the_contract() -> None:
    """Camel case or the field's own alias, at any depth; null where nothing is known."""
    assert render(Outer(Inner(None), (Inner("a"),), ("x",), {"odd_Name": 1})) == {
        "inner": {"someName": None},
        "many": [{"someName": "a"}],
        "targetIDs": ["x"],
        "asSent": {"odd_Name": 1},
    }


def test_a_field_that_may_be_absent_is_there_when_it_has_a_value() -> None:
    """And only then."""
    assert render(Outer(Inner("a"), (), (), None, "here"))["leftOut"] == "here"


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_what_json_lacks_is_not_written(number: float) -> None:
    """A reader by the letter of RFC 8259 would refuse the whole message."""
    with pytest.raises(ValueError, match="JSON"):
        to_json({"data": [number]})
