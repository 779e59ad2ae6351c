"""Times: read as ARM writes them, written as RFC 3339, never a cause for failure."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assessor.clock import SystemClock, from_text, to_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020-04-24T21:02:04.2556154Z", datetime(2020, 4, 24, 21, 2, 4, 255615, UTC)),
        ("2020-08-26T09:22:19.8747329-04:00", datetime(2020, 8, 26, 13, 22, 19, 874732, UTC)),
        ("2020-08-26T09:22:19.8747329+05:30", datetime(2020, 8, 26, 3, 52, 19, 874732, UTC)),
        ("2018-11-07T00:00:00Z", datetime(2018, 11, 7, tzinfo=UTC)),
        ("2018-11-07T00:00:00.1", datetime(2018, 11, 7, microsecond=100_000, tzinfo=UTC)),
        ("0001-01-01T00:00:00", datetime(1, 1, 1, tzinfo=UTC)),
        ("2018-11-07t10:00:00z", datetime(2018, 11, 7, 10, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_arms_times_are_read_with_seven_digits_and_any_offset(
    text: str, expected: datetime
) -> None:
    """What is beyond microseconds is cut; without an offset it is UTC; small letters will do."""
    moment = from_text(text)
    assert moment == expected
    assert moment is not None
    assert moment.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "text",
    [
        None,
        5,
        b"2020-04-24T21:02:04Z",
        "",
        "soon",
        "2020-13-01T00:00:00Z",
        "2020-04-24T25:00:00Z",
        "2020-04-24T21:02:04+99:00",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59.9999999-04:00",
    ],
)
def test_what_names_no_moment_is_none(text: object) -> None:
    """Garbage, other types, and moments that UTC has no date for."""
    assert from_text(text) is None


@given(st.text() | st.datetimes(timezones=st.timezones()).map(datetime.isoformat))
def test_whatever_is_read_can_be_written(text: str) -> None:
    """No text at all makes reading fail, and what comes out can be compared and written."""
    moment = from_text(text)
    if moment is not None:
        assert moment.tzinfo is UTC
        assert from_text(to_text(moment)) is not None


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)), st.integers(-14, 14))  # noqa: DTZ001 - hypothesis takes naive bounds
def test_a_moment_is_written_in_utc_to_the_millisecond(naive: datetime, hours: int) -> None:
    """It ends with a Z, and names the same moment, less what is beyond milliseconds."""
    moment = naive.replace(tzinfo=timezone(timedelta(hours=hours)))
    text = to_text(moment)
    assert text.endswith("Z")
    assert len(text) == len("2026-01-05T12:00:00.000Z")
    read = from_text(text)
    assert read is not None
    assert timedelta(0) <= moment - read < timedelta(milliseconds=1)


def test_the_systems_clock_tells_utc() -> None:
    """Aware, so that it can be compared with what messages say."""
    before = datetime.now(UTC)
    now = SystemClock().now()
    assert now.tzinfo is UTC
    assert before <= now <= datetime.now(UTC)
