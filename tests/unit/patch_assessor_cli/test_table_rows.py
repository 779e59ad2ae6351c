"""Rows of the posture table: what the commands make of their JSON."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patch_assessor_cli.table_rows import binary, real, time

ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2026-01-05T06:12:33Z", 0),
        ("2026-01-05T06:12:33.5Z", 500_000),
        ("2026-01-05T06:12:33.123456Z", 123_456),
        ("2026-01-05T06:12:33.1234567Z", 123_456),
        ("2026-01-05T06:12:33", 0),
    ],
)
def test_a_time_has_its_zone_and_any_number_of_fraction_digits(text: str, microsecond: int) -> None:
    """Azure Tables write up to seven digits, and UTC."""
    expected = datetime(2026, 1, 5, 6, 12, 33, microsecond, tzinfo=UTC)
    found = time(text)
    assert found == expected
    assert found is not None
    assert found.utcoffset() == timedelta(0)


@given(st.binary(max_size=200))
def test_bytes_are_what_they_were(value: bytes) -> None:
    """As the service writes them: base64."""
    assert binary(base64.b64encode(value).decode()) == value


@pytest.mark.parametrize(("value", "expected"), [(660, 660.0), (1.5, 1.5), ("1", None)])
def test_a_whole_number_is_a_real_one_too(value: object, expected: float | None) -> None:
    """JSON has no other form for it."""
    assert real(value) == expected
    assert real(value) is None or isinstance(real(value), float)


@given(ANYTHING)
def test_what_a_column_should_not_hold_is_not_known(value: object) -> None:
    """A row of somebody else's keeps no command from the rest of the table."""
    assert time(value) is None or isinstance(value, str)
    assert binary(value) is None or isinstance(value, str)
    assert real(value) is None or isinstance(value, int | float)
