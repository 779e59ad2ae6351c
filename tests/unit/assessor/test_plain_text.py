"""What strangers wrote, as it is shown."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plain_text import one_line, some_lines

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("id\x1b]0;PWNED\x07\x1b[2J", r"id\u001b]0;PWNED\u0007\u001b[2J"),
        ("a\r\nb\tc", r"a\u000d\u000ab\u0009c"),
        ("\x7f\x85\x9b31m", r"\u007f\u0085\u009b31m"),
        ("exe\u202efdp.sh", r"exe\u202efdp.sh"),
        ("a\u2028b\u2029c", r"a\u2028b\u2029c"),
        ("\ud800", r"\ud800"),
        ("v\u200bm\ufeff-\u00ad1\u2060", r"v\u200bm\ufeff-\u00ad1\u2060"),
        ("vm\u200d-1\ufe0f", r"vm\u200d-1\ufe0f"),
        ("vm\U000e0041", r"vm\udb40\udc41"),
        ("\u06cc\u200c\u062e", "\u06cc\u200c\u062e"),
        ("👁\ufe0f\u200d🗨 葛\U000e0100", "👁\ufe0f\u200d🗨 葛\U000e0100"),
        ("vm-1 grün 仮想 \U0001f468\u200d\U0001f4bb", "vm-1 grün 仮想 \U0001f468\u200d\U0001f4bb"),
    ],
)
def test_control_characters_become_their_names(text: str, shown: str) -> None:
    """Names of any script, and the joiners that they need, stay as they are."""
    assert one_line(text) == shown


@given(st.text(st.characters(exclude_categories=())))
def test_nothing_is_left_that_a_terminal_obeys(text: str) -> None:
    """Whatever was written, it is one line that can be encoded, and is so at once."""
    shown = one_line(text)
    assert {unicodedata.category(each) for each in shown}.isdisjoint({"Cc", "Cs", "Zl", "Zp"})
    assert not set(shown) & set(BIDI)
    assert not set(shown) & set("\u00ad\u200b\u2060\ufeff"), "two names would look like one"
    assert len(shown.splitlines()) <= 1
    shown.encode()
    assert one_line(shown) == shown


@given(st.recursive(st.text() | st.integers(), st.lists))
def test_a_json_document_stays_the_same_document(value: object) -> None:
    """Escapes are JSON's own."""
    assert json.loads(one_line(json.dumps(value, ensure_ascii=False))) == value


def test_lines_are_told_from_those_that_follow() -> None:
    """A text that looks like a line of the log stands where none stands."""
    assert some_lines("a\n[now] forged\rb", "    ") == "a\n    [now] forged\\u000db"
