"""A host whose clock is off by minutes: no storm of hand-overs, no second begin."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from assessor.arm.errors import ArmError, Phase
from assessor.arm.operation import Ended, Running
from assessor.arm.result import ApiError, parse_result
from assessor.arm.virtual_machine import PatchSummary
from assessor.messages.in_progress import parse_in_progress
from tests.unit.assessor.assessment.test_assessor import ACTIVITY, RESULT, RUNNING, VM, World

FOUND = Ended(parse_result(RESULT | {"availablePatches": []}))
OTHER = "24e074b4-2fd7-4d20-8b3b-5339add89571"
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


SKEWS = [-300, -120, -30, 0, 30, 300]


def _found(world: World, started_at: datetime, status: str) -> None:
    """Lets the VM tell of an assessment that began then, by ARM's clock."""
    summary = PatchSummary(
        {
            "assessmentActivityId": ACTIVITY,
            "status": status,
            "startTime": started_at.isoformat(),
            "lastModifiedTime": (started_at + timedelta(seconds=30)).isoformat(),
        }
    )
    world.arm.reads = [replace(RUNNING, last_assessment=summary)]
    world.arm.polls, world.arm.begins = [FOUND], [OTHER]


@pytest.mark.parametrize("status", ["InProgress", "Succeeded"])
@pytest.mark.parametrize("ahead", SKEWS)
async def test_what_a_dead_worker_began_is_found_whatever_the_clock(
    ahead: float, status: str
) -> None:
    """The message comes again a minute later: nothing is begun a second time."""
    world = World(ASSESS_HOLD_SECONDS="0")
    enqueued_at = world.clock.now() - timedelta(seconds=ahead)
    message = replace(world.message({"vmId": str(VM)}), enqueued_at=enqueued_at)
    world.clock.advance(60)
    _found(world, enqueued_at + timedelta(seconds=1), status)
    await world.app.requests.receive(message)
    assert "begin vm-1" not in world.effects
    (event,) = world.events()
    assert event["data"]["assessmentActivityId"] == ACTIVITY


@pytest.mark.parametrize("ahead", SKEWS)
async def test_no_older_assessment_answers_whatever_the_clock(ahead: float) -> None:
    """One that ended before the request was made, by ARM's clock and the bus's."""
    world = World(ASSESS_HOLD_SECONDS="0")
    enqueued_at = world.clock.now() - timedelta(seconds=ahead)
    message = replace(world.message({"vmId": str(VM)}), enqueued_at=enqueued_at)
    _found(world, enqueued_at - timedelta(seconds=35), "Succeeded")
    await world.app.requests.receive(message)
    assert world.effects.count("begin vm-1") == 1
    assert not world.events()


@pytest.mark.parametrize("ahead", SKEWS)
async def test_how_long_it_took_is_told_by_one_clock(ahead: float) -> None:
    """ARM's where it tells both moments, else this machine's."""
    for has_start, seconds in ((True, 600.0), (False, 0.0)):
        world = World(ASSESS_HOLD_SECONDS="0")
        began = world.clock.now() - timedelta(seconds=ahead)
        ended = replace(FOUND, ended_at=began + timedelta(seconds=600))
        world.arm.reads, world.arm.begins = [RUNNING], [ACTIVITY]
        world.arm.ended = replace(ended, started_at=began) if has_start else ended
        await world.app.requests.receive(world.message({"vmId": str(VM)}))
        (event,) = world.events()
        assert event["data"]["operationSeconds"] == seconds
