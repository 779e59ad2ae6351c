"""What nobody foresaw is counted, tried again with back-off, and ends as an outcome."""

import logging
from typing import Any

import pytest

from assessor.arm.operation import Ended
from assessor.arm.result import parse_result
from assessor.backoff import GIVES_UP_AFTER
from assessor.bus.message import PublishError
from assessor.messages.in_progress import parse_in_progress
from assessor.posture.store import MemoryPosture, Remembered
from assessor.resource_id import VirtualMachineId
from tests.unit.assessor.assessment.test_assessor import ACTIVITY, RESULT, RUNNING, VM, World

FOUND = Ended(parse_result(RESULT | {"availablePatches": [], "rebootPending": True}))


class Unforeseen(Exception):  # noqa: N818 - not of any kind that the app knows
    """What nobody foresaw."""


async def _to_the_end(world: World, prepare: Any) -> float:  # noqa: ANN401 - sets the script
    """Delivers messages until no more are sent; returns how many minutes that took."""
    began, delivered = world.clock.now(), 0
    prepare()
    await world.app.requests.receive(world.message({"vmId": str(VM)}))
    while len(world.bus.sent.get("in-progress", [])) > delivered:
        message = world.bus.sent["in-progress"][delivered]
        delivered += 1
        assert delivered < 100, "it does not end"
        at = message.enqueue_at or world.clock.now()
        world.clock.advance(max(0.0, (at - world.clock.now()).total_seconds()))
        prepare()
        await world.app.resume(parse_in_progress(message.body))
    return (world.clock.now() - began).total_seconds() / 60


@pytest.mark.parametrize("error", [Unforeseen("x"), RecursionError()])
@pytest.mark.parametrize("place", ["reads", "begins", "polls"])
async def test_an_error_that_does_not_end_is_the_outcome_at_the_deadline(
    error: Exception, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Not ten deliveries in two seconds; the log has the stack, and not the error's words."""
    world = World(ASSESS_HOLD_SECONDS="0", ASSESS_DEADLINE_MINUTES="15")

    def prepare() -> None:
        world.arm.reads, world.arm.begins, world.arm.polls = [RUNNING], [ACTIVITY], [FOUND]
        getattr(world.arm, place)[:] = [error]

    with caplog.at_level(logging.ERROR):
        minutes = await _to_the_end(world, prepare)

    (event,) = world.events()
    assert event["type"] == "PatchAssessor.AssessmentFailed"
    assert event["data"]["error"]["code"] == "InternalError"
    assert minutes == pytest.approx(15, abs=1)
    assert type(error).__name__ in caplog.text
    assert "fakes.py" in caplog.text


async def test_an_error_that_passes_costs_a_wait(caplog: pytest.LogCaptureFixture) -> None:
    """The request goes on where it was."""
    world = World(ASSESS_HOLD_SECONDS="0", ASSESS_DEADLINE_MINUTES="15")
    errors: list[Exception] = [Unforeseen("secret")]

    def prepare() -> None:
        world.arm.reads, world.arm.begins, world.arm.polls = [RUNNING], [ACTIVITY], [FOUND]
        if errors:
            world.arm.reads[:] = [errors.pop()]

    await _to_the_end(world, prepare)

    (event,) = world.events()
    assert event["type"] == "PatchAssessor.AssessmentCompleted"
    assert "secret" not in caplog.text


class BrokenPosture(MemoryPosture):
    """Postures whose reader fails as nobody foresaw."""

    async def load(self, vm_id: VirtualMachineId) -> Remembered | None:
        """Fails."""
        raise Unforeseen(vm_id)


async def test_what_follows_from_an_outcome_does_not_keep_it_for_ever() -> None:
    """The outcome is told at once, the rest is tried until the deadline and then left."""
    world = World(ASSESS_HOLD_SECONDS="0", ASSESS_DEADLINE_MINUTES="15")
    broken = BrokenPosture()
    world.postures.load = broken.load  # type: ignore[method-assign]

    def prepare() -> None:
        world.arm.reads, world.arm.begins, world.arm.polls = [RUNNING], [ACTIVITY], [FOUND] * 2

    await _to_the_end(world, prepare)

    assert {each["type"] for each in world.events()} == {"PatchAssessor.AssessmentCompleted"}


async def test_what_cant_be_published_for_a_week_is_a_dead_letter() -> None:
    """Until then it is tried again; then the host gets the error, as often as it delivers."""
    world = World()
    world.bus.refuse = lambda entity: entity == "results"
    world.arm.reads, world.arm.begins, world.arm.ended = [RUNNING], [ACTIVITY], FOUND
    await world.app.requests.receive(world.message({"vmId": str(VM)}))
    (message,) = world.bus.sent["in-progress"]
    progress = parse_in_progress(message.body)
    world.clock.advance(GIVES_UP_AFTER.total_seconds() - 60)
    world.arm.polls = [FOUND, FOUND]
    await world.app.resume(progress)
    assert len(world.bus.sent["in-progress"]) == 2
    world.clock.advance(60)
    with pytest.raises(PublishError):
        await world.app.resume(progress)
    assert len(world.bus.sent["in-progress"]) == 2


async def test_a_bus_that_takes_nothing_is_still_an_error() -> None:
    """The message has to come again: nothing could be noted of it."""
    world = World(ASSESS_HOLD_SECONDS="0", ASSESS_DEADLINE_MINUTES="15")
    world.arm.reads = [Unforeseen("x")]
    world.bus.refuse = lambda _: True
    with pytest.raises(PublishError):
        await world.app.requests.receive(world.message({"vmId": str(VM)}))


async def test_a_message_that_the_app_fails_at_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its body, like any that is not understood."""

    def fail(*_: object) -> None:
        raise Unforeseen

    monkeypatch.setattr("assessor.assessment.assessor.parse_request", fail)
    world = World()

    await world.app.requests.receive(world.message({"vmId": str(VM)}))

    (event,) = world.events()
    assert event["type"] == "PatchAssessor.RequestRejected"
    assert event["data"]["reason"] == "NotUnderstood"
