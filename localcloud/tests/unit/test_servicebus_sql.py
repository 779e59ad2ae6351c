"""SQL filters: SQL-92's three-valued logic, the service's own extensions, and clear refusals."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.servicebus.sql import SqlFilter, SqlFilterError
from localcloud.tests.unit.servicebus_messages import message

_NUMBERS = ("count", "other")
_TEXTS = ("status", "location")
_INTEGERS = st.integers(-1000, 1000)
_WORDS = st.text("ab%_'", max_size=4)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _joined(parts: st.SearchStrategy[str], signs: list[str]) -> st.SearchStrategy[str]:
    return st.tuples(parts, st.sampled_from(signs), parts).map(" ".join)


_NUMBER = st.recursive(
    st.one_of(st.sampled_from(_NUMBERS), st.integers(0, 1000).map(str)),
    lambda inner: st.one_of(
        _joined(inner, ["+", "-", "*"]).map("({})".format), inner.map("(- {})".format)
    ),
    max_leaves=4,
)
_TEXT = st.one_of(st.sampled_from(_TEXTS), _WORDS.map(_quoted))
_COMPARISON = st.one_of(
    _joined(_NUMBER, ["=", "<>", "!=", "<", "<=", ">", ">="]),
    _joined(_TEXT, ["=", "<>", "<", ">="]),
    st.builds(
        "{} IS {}NULL".format, st.sampled_from(_NUMBERS + _TEXTS), st.sampled_from(["", "NOT "])
    ),
    st.builds(
        "{} {}IN ({})".format,
        _TEXT,
        st.sampled_from(["", "NOT "]),
        st.lists(_TEXT, min_size=1, max_size=3).map(", ".join),
    ),
    st.builds("{} {}LIKE {}".format, _TEXT, st.sampled_from(["", "NOT "]), _WORDS.map(_quoted)),
)
_PREDICATE = st.recursive(
    _COMPARISON,
    lambda inner: st.one_of(
        _joined(inner, ["AND", "OR"]),
        _joined(inner, ["AND", "OR"]).map("({})".format),
        inner.map("NOT ({})".format),
    ),
    max_leaves=5,
)
_PROPERTIES = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(_NUMBERS, _INTEGERS),
        **dict.fromkeys(_TEXTS, _WORDS),
    },
)


@pytest.fixture(scope="module")
def sqlite() -> Iterator[sqlite3.Connection]:
    """An engine that knows SQL-92's logic, with LIKE set to tell capitals apart."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("PRAGMA case_sensitive_like = ON")
        yield connection


@given(_PREDICATE, _PROPERTIES)
def test_a_filter_says_what_sqlite_says(
    sqlite: sqlite3.Connection, predicate: str, properties: dict[str, int | str]
) -> None:
    """An absent property is NULL there and unknown here; both let in only what is true."""
    columns = ", ".join(f"? AS {name}" for name in _NUMBERS + _TEXTS)
    values = [properties.get(name) for name in _NUMBERS + _TEXTS]
    query = f"SELECT ({predicate}) FROM (SELECT {columns})"  # noqa: S608 - the predicate is the test
    (expected,) = sqlite.execute(query, values).fetchone()
    given_message = message(application_properties=dict(properties))
    assert SqlFilter.parse(predicate).matches(given_message) is (expected == 1)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rebootPending = TRUE", True),
        ("rebootPending <> FALSE", True),
        ("REBOOTPENDING = true", True),
        ("user.rebootPending = TRUE AND sys.CorrelationId = 'change-1'", True),
        ("sys.label LIKE '/subscriptions/%'", True),
        ("sys.ReplyTo IS NULL", True),
        ("EXISTS (rebootPending)", True),
        ("EXISTS (nothing)", False),
        ("NOT EXISTS (nothing)", True),
        ("[rebootPending] = TRUE", True),
        ('"with ]space" = 1', True),
        ("[with ]]space] = 1", True),
        ("property('rebootPending') = TRUE", True),
        ("p('nothing') IS NULL", True),
        ("name LIKE 'vm!_%' ESCAPE '!'", True),
        ("name LIKE 'vm_' ESCAPE '!'", False),
        ("name + '!' = 'vm_1!'", True),
        ("7 / 2 = 3 AND -7 / 2 = -3 AND -7 % 2 = -1", True),
        ("7 / 2.0 = 3.5 AND 1e1 = 10", True),
        ("2 + 3 * 4 = 14 AND (2 + 3) * 4 = 20", True),
        ("1 = 1 OR 1 = 1 AND 1 = 2", True),
        ("NOT 1 = 2 AND 1 = 1", True),
        ("name = 'VM_1'", False),
    ],
)
def test_a_filter_reads_what_the_service_reads(expression: str, expected: bool) -> None:  # noqa: FBT001 - a case's value
    """Scopes, names in any case and quotes, functions, and C#'s arithmetic."""
    sent = message(
        correlation_id="change-1",
        subject="/subscriptions/s",
        application_properties={"rebootPending": True, "name": "vm_1", "with ]space": 1},
    )
    assert SqlFilter.parse(expression).matches(sent) is expected


@pytest.mark.parametrize(
    "expression",
    ["count > 'a'", "count = '1'", "flag = 1", "flag < TRUE", "count / 0 = 1", "count LIKE '1'"],
)
def test_values_of_different_kinds_let_nothing_in(expression: str) -> None:
    """The service raises a FilterException there, and the message passes the subscription by."""
    sent = message(application_properties={"count": 1, "flag": True})
    assert not SqlFilter.parse(expression).matches(sent)
    assert not SqlFilter.parse(f"NOT {expression}").matches(sent)


@pytest.mark.parametrize(
    ("expression", "position", "problem"),
    [
        ("", 0, "a value is missing"),
        ("flag", 0, "a condition is needed"),
        ("count > ", 8, "a value is missing"),
        ("count > 1 count", 10, "nothing may follow"),
        ("count NOT 1", 10, "IN or LIKE is missing"),
        ("count IN 1", 9, "( is missing"),
        ("(count = 1", 10, ") is missing"),
        ("(count = 1) + 1 = 2", 0, "a value is needed"),
        ("count AND flag = 1", 0, "a condition is needed"),
        ("count = @limit", 8, "not part of the filter language"),
        ("newid() = 'x'", 0, "no function newid"),
        ("sys.SequenceNumber > 1", 0, "no system property SequenceNumber"),
        ("other.name = 1", 0, "sys or user"),
        ("a = '" + "x" * 1024 + "'", 1024, "longer than 1024"),
    ],
)
def test_what_is_no_filter_is_refused_with_its_place(
    expression: str, position: int, problem: str
) -> None:
    """The error says where, and what is wrong there."""
    with pytest.raises(SqlFilterError) as raised:
        SqlFilter.parse(expression)
    assert raised.value.position == position
    assert problem in raised.value.problem


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing else comes out of the reader than a filter or its error."""
    with suppress(SqlFilterError):
        assert SqlFilter.parse(text).matches(message()) in (True, False)
