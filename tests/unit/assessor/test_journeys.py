"""How many files the way of a request enters, and how often it changes package.

A way that one can follow stays where it is.

Counted are the functions of assessor/ in the order in which they are entered, over the SDK's own
client and ARM's answers as data; a package is a folder of assessor/, or what lies beside those.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

import assessor
from assessor.messages.in_progress import parse_in_progress
from assessor.messages.request import IncomingMessage
from tests.support.conversations import REQUEST, conversation
from tests.support.replay import Replay

MONITORING: Any = getattr(sys, "monitoring", None)
PACKAGE = str(Path(assessor.__file__).parent)
TOOL = 3  # one that sys.monitoring leaves to whoever wants it

pytestmark = pytest.mark.skipif(
    MONITORING is None, reason="sys.monitoring is there from Python 3.12 on"
)


@contextmanager
def entered() -> Iterator[list[tuple[str, str]]]:
    """Yields a list that fills with file and name of each function that is entered."""
    found: list[tuple[str, str]] = []

    def note(code: CodeType, _: int) -> object:
        if not code.co_filename.startswith(PACKAGE):
            return MONITORING.DISABLE
        found.append((code.co_filename.removeprefix(PACKAGE), code.co_qualname))
        return None

    events = MONITORING.events
    MONITORING.use_tool_id(TOOL, "journeys")
    try:
        MONITORING.register_callback(TOOL, events.PY_START, note)
        MONITORING.set_events(TOOL, events.PY_START)
        yield found
    finally:
        MONITORING.set_events(TOOL, 0)
        MONITORING.restart_events()
        MONITORING.free_tool_id(TOOL)


def files_until(last: str, calls: list[tuple[str, str]]) -> list[str]:
    """Returns the file of each function up to where one was entered for the last time."""
    end = max(number for number, (_, name) in enumerate(calls) if name == last)
    return [file for file, _ in calls[: end + 1]]


def changes(files: list[str]) -> int:
    """Returns how often the package changes from one file to the next."""
    return sum(Path(here).parent != Path(there).parent for here, there in pairwise(files))


async def test_neither_way_is_longer_than_can_be_followed() -> None:
    """From a request to ARM's 202, and from the in-progress message to its outcome on the bus."""
    world = Replay(conversation())
    body = json.dumps(REQUEST).encode()
    with entered() as until_begun:
        await world.app.requests.receive(IncomingMessage(body, "m-1", None, {}, world.bus_now))
    files = files_until("ArmClient.begin", until_begun)
    assert len(set(files)) <= 20
    assert changes(files) <= 25

    (message,) = world.bus.sent["in-progress"]
    assert message.enqueue_at is not None
    world.clock.advance((message.enqueue_at - world.bus_now).total_seconds())
    with entered() as until_concluded:
        await world.app.resume(parse_in_progress(message.body), message.enqueue_at)
    files = files_until("outcome_message", until_concluded)
    assert len(set(files)) <= 28
    assert changes(files) <= 40
    assert world.events("AssessmentCompleted")
