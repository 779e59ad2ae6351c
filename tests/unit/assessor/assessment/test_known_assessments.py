"""Which operations a worker knows to be assessments."""

import logging

import pytest

from assessor.assessment.adoption import KnownAssessments
from assessor.posture.model import Posture
from assessor.posture.store import MemoryPosture, PostureError, Remembered
from assessor.resource_id import VirtualMachineId
from tests.support.builders import ACTIVITY_ID, VM_ID

DOWN = PostureError(VM_ID, "down")


async def test_a_store_that_is_down_is_told_to_whoever_reads_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """For then an assessment more is begun."""

    async def load(_: VirtualMachineId) -> Remembered | None:
        raise DOWN

    with caplog.at_level(logging.WARNING):
        assert not await KnownAssessments(load).includes(VM_ID, ACTIVITY_ID)
    assert [each.getMessage() for each in caplog.records] == [
        f"an operation counts as no assessment: {DOWN}"
    ]


async def test_a_vm_of_which_no_assessment_is_remembered_had_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Though something else is, as its being overdue."""
    postures = MemoryPosture()
    await postures.save(Posture(VM_ID), None)
    assert not await KnownAssessments(postures.load).includes(VM_ID, ACTIVITY_ID)
    assert caplog.records == []


async def test_what_a_worker_knows_it_asks_nobody_for() -> None:
    """In any case of the names."""

    async def load(_: VirtualMachineId) -> Remembered | None:
        raise ZeroDivisionError

    known = KnownAssessments(load)
    known.note(VM_ID, ACTIVITY_ID.upper())
    shouted = VirtualMachineId.parse(str(VM_ID).upper())
    assert known.has_begun(shouted, ACTIVITY_ID)
    assert await known.includes(shouted, ACTIVITY_ID) is True
