"""When an assessment that is known already answers a request that says since when one is fresh."""

from datetime import datetime, timedelta

import pytest

from assessor.app import build_state_machine
from assessor.arm.operation import Ended
from assessor.arm.result import parse_result
from assessor.arm.virtual_machine import PatchSummary, VirtualMachine
from assessor.assessment.steps import Done
from assessor.messages.progress import AssessmentProgress
from assessor.messages.request import AssessmentRequest
from assessor.posture.durations import Durations
from assessor.posture.store import MemoryPosture
from tests.support.app import ports, settings
from tests.support.builders import ACTIVITY_ID, NOW, VM_ID
from tests.support.fakes import FakeArm, FakeBus, FakeClock

OLD = "68f8b292-dfc2-4646-9781-33cc88631968"


async def _effects(began_at: datetime, fresh_since: datetime | None) -> list[str]:
    """Returns what is asked of ARM where an assessment that began then has ended."""
    fields = {
        "status": "Succeeded",
        "assessmentActivityId": OLD,
        "startTime": began_at.isoformat(),
    }
    known = VirtualMachine(
        VM_ID,
        location="eastus",
        power_state="running",
        agent_state="Ready",
        last_assessment=PatchSummary(fields),
    )
    result = {"status": "Succeeded", "assessmentActivityId": OLD, "availablePatches": []}
    end = Ended(parse_result(result))
    arm = FakeArm(reads=[known], begins=[ACTIVITY_ID], polls=[end], ended=end)
    machine = build_state_machine(
        settings(),
        ports(clock=FakeClock(NOW), bus=FakeBus(), arm=arm),
        Durations(MemoryPosture().durations, 660),
    )
    request = AssessmentRequest(VM_ID, "r-1", NOW, fresh_since=fresh_since)
    assert isinstance(await machine.advance(AssessmentProgress(request, NOW)), Done)
    return arm.effects


@pytest.mark.parametrize(
    ("began", "fresh", "adopted"),
    [
        (-5, -10, True),  # minutes before the request was taken
        (-5, -1, False),
        (-5, None, False),
        (1, None, True),
        (1, 10, True),  # no request asks for less than one that says nothing
    ],
)
async def test_an_assessment_that_is_fresh_enough_answers(
    began: int,
    fresh: int | None,
    adopted: bool,  # noqa: FBT001 - one of the table's columns
) -> None:
    """Then none is begun; else one is."""
    fresh_since = None if fresh is None else NOW + timedelta(minutes=fresh)
    effects = await _effects(NOW + timedelta(minutes=began), fresh_since)
    begun = [each for each in effects if each.startswith("begin")]
    assert bool(begun) is not adopted
