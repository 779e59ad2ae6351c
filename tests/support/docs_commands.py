"""The commands that the pages show: taken from their shell blocks, and what tests do about each."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = tuple(
    sorted(
        [
            ROOT / "README.md",
            ROOT / "CONTRIBUTING.md",
            ROOT / "localcloud" / "README.md",
            ROOT / "schemas" / "README.md",
            *(ROOT / "docs").glob("*.md"),
        ]
    )
)

START: Final = "make up"
"""Leaves the local cloud running that the next ones go to."""
WITH_CLOUD: Final = (
    'make send ARGS="$VM_ID"',
    'make send ARGS="--request-id change-4711 $VM_ID"',
    'make send ARGS="--scope /subscriptions/$SUBSCRIPTION --tag env=prod --json"',
    'make watch ARGS="--count 1"',
    "make dead-letters",
    'make dead-letters ARGS="resubmit --help"',
)
"""Run to the letter, in this order, on one local cloud."""
ELSEWHERE: Final = {
    "make posture": "tests/integration/test_posture_command.py",
    "make console": "tests/integration/test_console.py",
    "make run": "tests/integration/test_demo_run.py",
    'make run ARGS="--vms 200 --seed 7 --out outcomes.jsonl"': (
        "tests/integration/test_demo_run.py"  # with fewer VMs
    ),
    'make dead-letters ARGS="show <id>"': "tests/integration/test_commands_dead_letters.py",
    "pip install .": "tests/integration/test_packaging.py",
    "patch-assessor --help": "tests/integration/test_packaging.py",
    "make bench": "tests/integration/test_benchmarks.py",  # with few VMs, and without az
    'make bench ARGS="--figures calls,makespan"': "tests/integration/test_benchmarks.py",
    "make check": ".ci/run",
    "make test": ".ci/run",
    "make test-deep": ".ci/run",
    "make test ARGS=tests/fault": "tests/fault",
    'make test-deep ARGS="tests/fault/test_chaos.py --seeds 10"': "tests/fault/test_chaos.py",
    'make test-deep ARGS="tests/fault/test_chaos.py --seeds 1 --requests 300 -rP"': (
        "tests/fault/test_chaos.py"
    ),
}
"""What runs it instead."""

_MARKS: Final = {"<!-- needs Azure -->", "<!-- needs Docker -->"}
_BLOCK: Final = re.compile(
    r"(?P<before>[^\n]*)\n```(?P<language>\w*)\n(?P<text>.*?)\n```", re.DOTALL
)
_PROGRAMS: Final = re.compile(
    r"(\w+=\S+\s+)*(make|az|azd|pip|python[\d.]*|\S+/bin/python|patch-assessor|func|docker|curl|git"
    r"|cp|export|npm|npx|uv)(\s|$)"
)
_SHELLS: Final = frozenset({"", "sh", "shell", "bash", "console"})


@dataclass(frozen=True, slots=True)
class Command:
    """A command line that a page shows."""

    page: str
    line: str
    is_marked: bool


def commands() -> Iterator[Command]:
    """Yields every command line of every page, without its comment."""
    for page in PAGES:
        for block in _BLOCK.finditer(page.read_text("utf-8")):
            if block["language"] in _SHELLS and _is_shell(block["text"]):
                is_marked = block["before"].strip() in _MARKS
                for line in block["text"].replace("\\\n", " ").splitlines():
                    command = re.sub(r"(^|\s+)#.*$", "", line).strip()
                    if command:
                        yield Command(str(page.relative_to(ROOT)), command, is_marked)


def python_blocks(page: str) -> list[str]:
    """Returns the programs that a page shows."""
    text = (ROOT / page).read_text("utf-8")
    return [each["text"] for each in _BLOCK.finditer(text) if each["language"] == "python"]


def _is_shell(text: str) -> bool:
    return any(_PROGRAMS.match(line.strip()) for line in text.splitlines())
