"""NCRONTAB by NCrontab's grammar: what is taken, what is refused, and when it occurs."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncrontab import Ncrontab, NcrontabError

MONDAY = datetime(2026, 1, 5, 12, tzinfo=UTC)
VERDICTS = Path(__file__).parents[4] / "shared" / "facts" / "ncrontab.json"
"""What the library itself says of some hundred expressions, where somebody has it."""
STARTS = (datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 2, 27, 23, 59, 59, tzinfo=UTC))
UNTIL = datetime(2032, 1, 1, tzinfo=UTC)


def _first(schedule: Ncrontab, start: datetime, count: int = 5) -> list[str]:
    found: list[str] = []
    moment = schedule.next(start)
    while moment is not None and moment < UNTIL and len(found) < count:
        found.append(f"{moment:%Y-%m-%dT%H:%M:%SZ}")
        moment = schedule.next(moment)
    return found


@pytest.mark.skipif(not VERDICTS.exists(), reason="the library's verdicts are not on this machine")
def test_the_library_says_the_same() -> None:
    """Of every expression: whether it is one, and its first occurrences from two moments."""
    verdicts: list[dict[str, Any]] = json.loads(VERDICTS.read_text("utf-8"))
    assert verdicts
    for verdict in verdicts:
        text = verdict["text"]
        try:
            schedule = Ncrontab(text)
        except NcrontabError:
            assert not verdict["accepted"], text
        else:
            assert verdict["accepted"], text
            assert [_first(schedule, start) for start in STARTS] == verdict["fires"], text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 0 2 * * *", "2026-01-06T02:00:00"),
        ("*/10 * * * * *", "2026-01-05T12:00:10"),
        ("0 30 9 * Jan Mon", "2026-01-12T09:30:00"),
        ("0 0 0 13 * 5", "2026-02-13T00:00:00"),  # a Friday the 13th: both fields have to match
        ("5,10 0-2 12 * * 0", "2026-01-11T12:00:05"),
        ("30 4 * * *", "2026-01-06T04:30:00"),  # five fields: no seconds
        ("0 0 2 * * Sat-Wednes", "2026-01-07T02:00:00"),  # Wednesday to Saturday
        ("0 45-15/10 * * * *", "2026-01-05T12:15:00"),  # 15, 25, 35, 45
        ("0 */0 * * * *", "2026-01-05T12:01:00"),
        ("0 */-7 * * * *", "2026-01-05T12:01:00"),
        ("0 20/15 * * * *", "2026-01-05T12:20:00"),  # 20, 35, 50
        ("0 0 2 1 ju *", "2026-06-01T02:00:00"),  # June comes before July
        ("0 0 2 * * th", "2026-01-08T02:00:00"),
        ("  0 0   2 * * *  ", "2026-01-06T02:00:00"),
        ("0 0 000000000000000000002 * * *", "2026-01-06T02:00:00"),
        ("0 0 2\t * * *", "2026-01-06T02:00:00"),  # a number may be followed by a tab
        ("0 0 2 29 2 *", "2028-02-29T02:00:00"),
        ("0 0 2 29 2 1", "2044-02-29T02:00:00"),  # a Monday
    ],
)
def test_schedules_are_read_as_the_functions_host_reads_them(text: str, expected: str) -> None:
    """5 January 2026 is a Monday."""
    assert Ncrontab(text).next(MONDAY) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@daily",
        "02:00:00",
        "0 0 2 * *  *  * *",
        "0  2 * * *",  # six parts between single spaces, so that seconds are asked for
        "* * * * ",
        "0 0 2 * * 7",
        "0 0 2 * * Sat-7",
        "0 0 2 ? * *",
        "0 0 2 L * *",
        "0 0 2 * * 5#2",
        "0 0 24 * * *",
        "0 0 2 0/5 * *",
        "0 0 2 * 12/13,13/1 *",
        "0 1,,3 * * * *",
        "0 ,1 * * * *",
        "0 1,",
        "0 1- * * * *",
        "0 1-2-3 * * * *",
        "0 1/2/3 * * * *",
        "0 5/ * * * *",
        "0 /5 * * * *",
        "0 *-5 * * * *",
        "0 ** * * * *",
        "+0 0 2 * * *",
        "0 -1 2 * * *",
        "0 0 2 * * Montag",
        "0 0 2 * * Mondays",
        "0 0 Mon * * *",
        "0 0 2 * * \u212a",
        "\u0660 0 2 * * *",
        "0 99999999999 * * * *",
        "0 5/2147483648 * * * *",
        "0 5/2147483647 * * * *",  # the library's own sum overflows
        "0 0 2 * * *\n",
    ],
)
def test_what_is_no_schedule_is_refused(text: str) -> None:
    """With what is wrong."""
    with pytest.raises(NcrontabError) as refused:
        Ncrontab(text)
    assert refused.value.problem


@pytest.mark.parametrize("text", ["0 0 2 30 2 *", "0 0 2 31 4,6,9,11 Mon-Fri"])
def test_a_day_that_no_month_has_never_comes(text: str) -> None:
    """Neither before nor after, and that is known without a search."""
    schedule = Ncrontab(text)
    assert not schedule.comes
    assert schedule.next(MONDAY) is None
    assert schedule.last(MONDAY) is None


def test_nothing_comes_beyond_the_calendar() -> None:
    """The last year ends the search, as the first one does."""
    nightly = Ncrontab("0 0 2 * * *")
    assert nightly.next(datetime(9999, 12, 31, 2, tzinfo=UTC)) is None
    assert nightly.last(datetime(1, 1, 1, 1, tzinfo=UTC)) is None


def _fields(least: int, most: int) -> st.SearchStrategy[str]:
    value = st.integers(least, most).map(str)
    plain = st.one_of(st.just("*"), value, st.tuples(value, value).map("-".join))
    stepped = st.tuples(plain, st.integers(0, 70).map(str)).map("/".join)
    return st.lists(st.one_of(plain, stepped), min_size=1, max_size=3).map(",".join)


SCHEDULES = st.tuples(
    _fields(0, 59),
    _fields(0, 59),
    _fields(0, 23),
    _fields(1, 28),
    _fields(1, 12),
    _fields(0, 6),
).map(" ".join)


@given(SCHEDULES, st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)))  # noqa: DTZ001 - made UTC below
def test_the_last_occurrence_is_the_one_before_the_next(text: str, when: datetime) -> None:
    """Of any schedule, at any moment: nothing lies between them."""
    now = when.replace(tzinfo=UTC)
    schedule = Ncrontab(text)
    last, following = schedule.last(now), schedule.next(now)
    assert last is not None
    assert following is not None
    assert last <= now < following
    assert schedule.next(last) == following
    assert schedule.last(following - timedelta(microseconds=1)) == last
    assert schedule.last(last) == last
