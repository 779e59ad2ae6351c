"""Records: one for each outcome, whole, bounded, and out before the message is settled."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from assessor.arm.operation import Ended
from assessor.arm.result import parse_result
from assessor.messages.in_progress import parse_in_progress
from assessor.messages.outcome import OutcomeType
from assessor.telemetry.attributes import (
    ACTIVITY_ID,
    CRITICAL_COUNT,
    CUSTOM_EVENT,
    FIELDS,
    REASON,
    REBOOT_SINCE,
    RECORD_ID,
    RULE_CHANGES,
    STATUS,
    VM_ID,
)
from assessor.telemetry.logs import OtlpHandler
from assessor.telemetry.records import Record, Records
from tests.support.fakes import FakeClock
from tests.support.telemetry_rig import Record as Logged
from tests.support.telemetry_rig import Rig, trace_id
from tests.unit.assessor.telemetry.test_telemetry_tree import (
    ACTIVITY,
    RESULT,
    RUNNING,
    TRACE,
    VM,
    App,
)

FOUND = {**RESULT, "criticalAndSecurityPatchCount": 3, "rebootPending": True}


@contextmanager
def heard(app: App) -> Iterator[App]:
    """Lets the app's telemetry take what any logger says, as the worker's does."""
    handler = OtlpHandler(app.rig.pipeline.loggers)
    logger = logging.getLogger("assessor")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield app
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@pytest.fixture
def app() -> Iterator[App]:
    with heard(App(FakeClock())) as app:
        yield app


def records(rig: Rig) -> list[Logged]:
    return [each for each in rig.logs() if CUSTOM_EVENT in each.attributes]


async def test_an_outcome_has_one_record_with_what_was_found(app: App) -> None:
    """Under the outcome's ID, in the assessment's trace, with what it changed."""
    await app.assess(FOUND)

    (record,) = records(app.rig)
    (outcome,) = app.bus.sent["results"]
    assert record.trace_id == TRACE
    told = record.attributes
    assert told[CUSTOM_EVENT] == "PatchAssessor.AssessmentCompleted"
    assert told[RECORD_ID] == outcome.message_id
    assert (told[STATUS], told[VM_ID], told[ACTIVITY_ID]) == ("Succeeded", str(VM), ACTIVITY)
    assert told[CRITICAL_COUNT] == 3
    assert told[REBOOT_SINCE] == "2026-01-05T12:00:02.000Z"
    assert told[RULE_CHANGES] == (
        "CriticalOrSecurityPatchesAvailable Appeared; RebootPending Appeared"
    )


async def test_since_when_a_reboot_is_pending_is_what_is_remembered_of_the_vm(app: App) -> None:
    """The first assessment that said so, however long ago that was."""
    await app.assess(FOUND)
    app.clock.advance(90 * 24 * 3600)
    later = "68f8b292-dfc2-4646-9781-33cc88631968"
    app.arm.reads, app.arm.begins = [RUNNING], [later]
    app.arm.ended = Ended(parse_result({**FOUND, "assessmentActivityId": later}))
    await app.request({"vmId": str(VM), "requestId": "r-2"}, message_id="m-2")

    _, second = records(app.rig)
    assert second.attributes[REBOOT_SINCE] == "2026-01-05T12:00:02.000Z"
    assert RULE_CHANGES not in second.attributes


async def test_an_assessment_that_never_began_has_its_record(app: App) -> None:
    """With why, in the trace of the message that asked."""
    app.arm.reads = [replace(RUNNING, power_state="deallocated")]

    await app.request()

    (record,) = records(app.rig)
    assert record.attributes[CUSTOM_EVENT] == OutcomeType.SKIPPED.value
    assert record.attributes[REASON] == record.attributes[STATUS]
    assert record.trace_id == trace_id(app.rig.one("process requests"))


async def test_a_rejected_message_has_its_record(app: App) -> None:
    """With the names of the fields that are wrong, and nothing of what was in them."""
    await app.request({"vmId": "nonsense-of-a-sender"})

    (record,) = records(app.rig)
    assert record.attributes[CUSTOM_EVENT] == OutcomeType.REJECTED.value
    assert record.attributes[FIELDS] == "vmId"
    assert "nonsense-of-a-sender" not in str(record)


async def test_what_is_not_sampled_is_recorded_all_the_same() -> None:
    """Records don't depend on traces."""
    with heard(App(FakeClock(), {"OTEL_TRACES_SAMPLER": "always_off"})) as app:
        app.arm.reads, app.arm.begins = [RUNNING], [ACTIVITY]
        app.arm.ended = Ended(parse_result(FOUND))

        await app.request()

        assert app.rig.spans == []
        assert len(records(app.rig)) == 1


async def test_an_outcome_is_recorded_though_what_follows_from_it_fails(app: App) -> None:
    """It is published; when the rest succeeds, the record comes again under the same ID."""
    app.bus.refuse = lambda entity: entity == "alerts"
    app.arm.reads, app.arm.begins = [RUNNING], [ACTIVITY]
    app.arm.ended = Ended(parse_result(FOUND))
    await app.request()
    first = records(app.rig)

    app.bus.refuse = lambda _: False
    app.arm.polls = [Ended(parse_result(FOUND))]
    await app.app.resume(parse_in_progress(app.bus.sent["in-progress"][-1].body))

    both = records(app.rig)
    assert (len(first), len(both)) == (1, 2)
    assert len({each.attributes[RECORD_ID] for each in both}) == 1
    assert RULE_CHANGES in both[-1].attributes


def test_a_record_is_bounded_whatever_others_wrote() -> None:
    """A code of a megabyte takes a few hundred characters, on one line."""
    record = Record("name", "id", "text", facts={REASON: "x\n" * 500_000, VM_ID: None})

    attributes = record.attributes()
    assert len(str(attributes[REASON])) <= 1024
    assert "\n" not in str(attributes[REASON])
    assert VM_ID not in attributes


RECORD = Record("name", "id", "text")


async def test_a_record_is_out_when_it_is_written() -> None:
    """So that a worker which is killed after its message is settled loses none."""
    sent: list[str] = []
    await Records(lambda: sent.append("flushed")).write(RECORD)
    assert sent == ["flushed"]


async def test_records_at_the_same_time_go_out_together() -> None:
    """All that were written while one transfer ran share the next."""
    flushes: list[int] = []
    begun, gate = threading.Event(), threading.Event()

    def flush() -> None:
        flushes.append(1)
        begun.set()
        gate.wait(10)

    written = Records(flush, wait_seconds=20)
    first = asyncio.create_task(written.write(RECORD))
    await asyncio.to_thread(begun.wait, 10)
    others = [asyncio.create_task(written.write(RECORD)) for _ in range(20)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, *others)
    assert len(flushes) == 2


async def test_a_collector_that_is_silent_is_waited_for_once() -> None:
    """The next records don't wait: telemetry holds no assessment up."""
    gate = threading.Event()
    calls: list[int] = []

    def flush() -> None:
        calls.append(1)
        gate.wait(10)

    written = Records(flush, wait_seconds=0.01)
    await written.write(RECORD)
    await written.write(RECORD)
    gate.set()
    assert calls == [1]
