"""Each command of each page is run by a test, or marked as one that can't be run here."""

import re

from tests.support.docs_commands import (
    ELSEWHERE,
    PAGES,
    ROOT,
    START,
    WITH_CLOUD,
    commands,
)

TESTED = {START, *WITH_CLOUD, *ELSEWHERE}


def test_each_command_is_run_by_a_test_or_marked() -> None:
    """To add one: tests/support/docs_commands.py, or a mark above its block."""
    shown = [each for each in commands() if not each.is_marked]
    assert [each for each in shown if each.line not in TESTED] == []
    assert len(shown) > len(ELSEWHERE), "the pages were read"


def test_no_test_runs_what_no_page_shows() -> None:
    """The list does not outlive the pages."""
    assert {each.line for each in commands()} >= TESTED


def test_what_runs_a_command_elsewhere_is_there() -> None:
    """A file that somebody moves takes its line along."""
    assert [path for path in ELSEWHERE.values() if not (ROOT / path).exists()] == []


def test_each_target_is_one_of_the_makefile() -> None:
    """Marked or not."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    shown = {each.line.split()[1] for each in commands() if each.line.startswith("make ")}
    assert shown <= targets


def test_each_link_between_pages_leads_somewhere() -> None:
    """Files and headings of this repository."""
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)]+)\)", text):
            path, _, heading = link.partition("#")
            if "://" in path:
                continue
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), f"{page.name}: {link}"
            if heading:
                titles = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE)
                slugs = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in titles}
                assert heading in slugs, f"{page.name}: {link}"
