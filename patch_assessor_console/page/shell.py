"""What every page has around it: the way to the others, and what can't be read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import aiohttp
from nicegui import ui

from patch_assessor_cli.posture import age
from patch_assessor_console.memory import Memory
from patch_assessor_console.page.elements import Cell, tag
from patch_assessor_console.target import Target

_PAGES: Final = (
    ("Fleet", "/"),
    ("Patches", "/patches"),
    ("Flow", "/flow"),
    ("Act", "/act"),
    ("Charts", "/charts"),
)
_LOOK_SECONDS: Final = 0.5
_AGES_SECONDS: Final = timedelta(seconds=20)
"""Ages on the page are as old as that at the most."""


@dataclass(frozen=True, slots=True)
class Context:
    """What pages work with.

    Attributes:
        memory: What is known.
        target: Where the console goes.
        http: Carries calls to the local cloud.
        now: Tells the time.
    """

    memory: Memory
    target: Target
    http: aiohttp.ClientSession
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))


@contextmanager
def shell(context: Context, title: str) -> Iterator[None]:
    """Shows a page; what is made within the block is its content."""
    ui.page_title(f"{title} - Patch Assessor")
    ui.add_head_html('<link rel="stylesheet" href="/console.css">')
    tag("a", "To the content", "skip", href="#content")
    with tag("header", classes="top"):
        tag("span", "Patch Assessor", "brand")
        with tag("nav", aria_label="Views"):
            for name, address in _PAGES:
                current = {"aria_current": "page"} if name == title else {}
                tag("a", name, href=address, **current)
        tag("span", context.target.name, "where")
    with tag("div", id="content", tabindex="-1"):  # within the page's own <main>
        _Troubles(context)
        yield


def keep_fresh(context: Context, show: Callable[[], None]) -> None:
    """Shows the page now, and whenever there is something new for as long as somebody looks."""
    shown: tuple[int, datetime] | None = None

    def look() -> None:
        nonlocal shown
        now = context.now()
        is_old = shown is None or now - shown[1] > _AGES_SECONDS
        if shown is None or is_old or shown[0] != context.memory.version:
            shown = (context.memory.version, now)
            show()

    look()
    ui.timer(_LOOK_SECONDS, look)


class _Troubles:
    """Says what can't be read: what is shown of it is as it was then."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._shown: list[str] = []
        self._box = tag("div", classes="troubles", role="status")
        keep_fresh(context, self._show)

    def _show(self) -> None:
        troubles = [
            f"The {source} can't be read since {each.since:%H:%M:%S} UTC: {each.why}"
            for source, each in sorted(self._context.memory.troubles.items())
        ]
        if troubles == self._shown:
            return
        self._shown = troubles
        self._box.clear()
        with self._box:
            for each in troubles:
                tag("p", each, "trouble")


def age_cell(at: datetime | None, now: datetime, nothing: str = "") -> Cell:
    """Returns a cell with how long ago something was, and when for whoever points at it."""
    return Cell(nothing) if at is None else Cell(age(at, now), title=moment(at))


def moment(at: datetime | None) -> str:
    """Returns a time in UTC for people; empty without one."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if at is not None else ""
