"""What is deployed is what was pinned, to the byte."""

import re
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

_ROOT: Final = Path(__file__).parents[3]


def _pins(name: str) -> dict[str, list[str]]:
    """Returns the requirements of a file, each with its hashes."""
    text = (_ROOT / name).read_text("utf-8").replace("\\\n", " ")
    lines = (line for line in text.splitlines() if line and not line.lstrip().startswith("#"))
    found: dict[str, list[str]] = {}
    for line in lines:
        requirement, *hashes = re.split(r"\s+--hash=", line)
        found[requirement.strip()] = [each.strip() for each in hashes]
    return found


def test_each_requirement_has_one_version_and_its_hashes() -> None:
    """One line without a hash, and pip refuses the whole file."""
    pins = _pins("requirements.txt")
    assert pins
    for text, hashes in pins.items():
        assert re.fullmatch(r"==[^*]+", str(Requirement(text).specifier)), text
        assert hashes, text
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes), text


def test_what_is_tested_is_what_is_deployed() -> None:
    """The tests' environment has each package that is deployed, in the same version."""
    deployed, tested = (
        {text.partition(";")[0].strip() for text in _pins(name)}
        for name in ("requirements.txt", "requirements-dev.txt")
    )
    assert deployed <= tested
