"""No key, token or password lies in the repository."""

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

_ROOT: Final = Path(__file__).parents[3]
_SECRETS: Final = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/]{40}",
    "a storage account's key": r"AccountKey=[A-Za-z0-9+/]{30,}",
    "a namespace's key": r"SharedAccessKey=[A-Za-z0-9+/]{30,}",
    "a shared access signature": r"[?&]sig=[A-Za-z0-9%+/]{40,}",
    "a token": r"eyJ[A-Za-z0-9_-]{20,}\.eyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}",
    "a token of GitHub's": r"gh[pousr]_[A-Za-z0-9]{30,}",
    "a client's secret": r"client_?secret[\"']?\s*[:=]\s*[\"'][A-Za-z0-9~._-]{30,}[\"']",
}
_MOST_BYTES: Final = 4 * 1024 * 1024


def _problems(text: str) -> set[str]:
    return {name for name, form in _SECRETS.items() if re.search(form, text, re.IGNORECASE)}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("AccountKey=" + "A1b2" * 10, "a storage account's key"),
        ("Endpoint=sb://x;SharedAccessKey=" + "A1b2" * 10, "a namespace's key"),
        (".".join(["eyJ" + "a" * 30, "eyJ" + "b" * 30, "c" * 30]), "a token"),
        ("ghp_" + "a1" * 18, "a token of GitHub's"),
    ],
)
def test_what_is_looked_for_is_found(text: str, name: str) -> None:
    """The forms are those of real ones."""
    assert name in _problems(text)


def test_no_file_has_a_secret() -> None:
    """Every file that is tracked, but for those too large to have been written by anybody."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"],  # noqa: S607 - whichever git there is
        cwd=_ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("no repository of git's is here, or no git")
    found = {}
    for name in listed.stdout.decode().split("\0"):
        path = _ROOT / name
        if name and path.is_file() and path.stat().st_size < _MOST_BYTES:
            problems = _problems(path.read_text("utf-8", errors="ignore"))
            if problems:
                found[name] = problems
    assert found == {}
