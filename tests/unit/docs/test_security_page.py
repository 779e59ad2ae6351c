"""docs/security.md names tests that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_each_test_that_it_names_is_there() -> None:
    """A line without its test would be a promise."""
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "security.md").read_text("utf-8")))
    sources = [
        path.read_text("utf-8")
        for folder in ("tests", "localcloud/tests")
        for path in (ROOT / folder).rglob("test_*.py")
    ]
    assert named
    assert {name for name in named if not any(f"def {name}(" in text for text in sources)} == set()
