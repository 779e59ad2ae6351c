"""A host whose clock is off by minutes: no storm of hand-overs, no second begin."""

from dataclasses import replace
from datetime import timedelta

import pytest

from assessor.arm.errors import ArmError, Phase
from assessor.arm.operation import Ended, Running
from assessor.arm.result import ApiError, parse_result
from assessor.messages.in_progress import parse_in_progress
from tests.unit.test_assessor import ACTIVITY, RESULT, RUNNING, VM, World

FOUND = Ended(parse_result(RESULT | {"availablePatches": []}))
ENDS_AFTER = 660.0
THROTTLED = ArmError(Phase.BEGIN, 429, ApiError("OperationNotAllowed", "x"), retry_after=120.0)


@pytest.mark.parametrize("ahead", [-300, -120, -30, 0, 30, 300])
async def test_an_assessment_takes_as_few_messages_whatever_the_clock(ahead: float) -> None:
    """The bus shows messages by its own clock; the host's is ahead of it, or behind."""
    world = World(ASSESS_HOLD_SECONDS="0")
    bus_ahead = timedelta(seconds=-ahead)
    first = replace(world.message({"vmId": str(VM)}), enqueued_at=world.clock.now() + bus_ahead)
    began = world.clock.now()
    throttles = [THROTTLED]

    def answer() -> None:
        over = (world.clock.now() - began).total_seconds() >= ENDS_AFTER
        world.arm.reads, world.arm.polls = [RUNNING], [FOUND if over else Running()]
        world.arm.begins = [throttles.pop() if throttles else ACTIVITY]

    answer()
    await world.app.requests.receive(first)
    delivered = 0
    while len(world.bus.sent.get("in-progress", [])) > delivered:
        message = world.bus.sent["in-progress"][delivered]
        delivered += 1
        assert delivered < 40, "a storm of hand-overs"
        assert message.enqueue_at is not None
        wait = message.enqueue_at - (world.clock.now() + bus_ahead)
        world.clock.advance(max(0.0, wait.total_seconds()))
        answer()
        await world.app.resume(
            parse_in_progress(message.body), max(message.enqueue_at, began + bus_ahead)
        )

    assert len(world.events()) == 1
    assert world.effects.count("begin vm-1") == 2  # the throttled one and the one
    assert delivered <= 16
