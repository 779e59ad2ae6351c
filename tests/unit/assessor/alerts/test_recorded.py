"""What records tell of alerts, and of a VM that is gone."""

import logging
from datetime import timedelta

import pytest

from assessor.alerts.outbox import AlertOutbox
from assessor.alerts.recorded import alerting, retiring
from assessor.alerts.rule import AlertPolicy
from assessor.messages.outcome import Outcome
from assessor.messages.request import name_based_id
from assessor.posture.store import MemoryPosture
from assessor.telemetry import attributes as names
from assessor.telemetry.records import Facts, Records
from tests.support.assessments import FIRST_DAY, completed, failed
from tests.support.builders import NOW, TRACEPARENT, VM_ID, request
from tests.support.fakes import FakeBus, FakeClock

SECOND_DAY = "2026-01-06T00:11:00.000Z"
"""When the assessment of that day was completed."""
GONE_AT = FIRST_DAY + timedelta(days=3)


def outbox(bus: FakeBus) -> AlertOutbox:
    """Returns an outbox that remembers nothing yet."""
    return AlertOutbox(
        store=MemoryPosture(),
        bus=bus,
        alerts_topic="patch-alerts",
        clock=FakeClock(NOW + timedelta(days=30)),
        policy=AlertPolicy(),
    )


def facts(
    changes: str | None = None,
    reboot: str | None = None,
    patches: str | None = None,
    retired: str | None = None,
) -> Facts:
    """Returns what a record tells of alerts."""
    return {
        names.RULE_CHANGES: changes,
        names.REBOOT_SINCE: reboot,
        names.PATCHES_SINCE: patches,
        names.RETIRED_AT: retired,
    }


async def test_an_outcomes_record_tells_what_it_changed_and_since_when_alerts_are_open() -> None:
    """Each alert by its rule and its change; what is not so is not told."""
    conclude = alerting(outbox(FakeBus()))
    patches, reboot = "CriticalOrSecurityPatchesAvailable", "RebootPending"
    told: list[tuple[Outcome, Facts]] = [
        (completed(0), facts()),
        (
            completed(1, "a", reboot=True),
            facts(f"{patches} Appeared; {reboot} Appeared", SECOND_DAY, SECOND_DAY),
        ),
        (
            completed(2, "ab", reboot=False),
            facts(f"{patches} Grew; {reboot} Gone", None, SECOND_DAY),
        ),
        (completed(3, "ab"), facts(None, None, SECOND_DAY)),
    ]
    for outcome, expected in told:
        assert await conclude(request(), outcome, None) == expected


async def test_the_record_of_the_last_attempt_tells_that_the_vm_is_gone() -> None:
    """And since when; of a VM that is not known at all it tells nothing."""
    conclude = alerting(outbox(FakeBus()))
    assert await conclude(request(), failed(0, "ResourceNotFound"), None) == facts()
    await conclude(request(), completed(1), None)
    await conclude(request(), failed(2, "ResourceNotFound"), None)
    assert await conclude(request(), failed(3, "ResourceNotFound"), None) == facts(
        retired="2026-01-08T00:00:00.000Z"
    )


async def test_an_alert_carries_the_trace_of_its_assessment() -> None:
    """So that whoever gets it can look into it."""
    bus = FakeBus()
    await alerting(outbox(bus))(request(), completed(0, "a"), TRACEPARENT)
    (message,) = bus.sent["patch-alerts"]
    assert message.application_properties["traceparent"] == TRACEPARENT


async def test_a_vm_that_is_gone_is_resolved_and_recorded(caplog: pytest.LogCaptureFixture) -> None:
    """As of the event that said so, in its trace; the record has one ID however often it comes."""
    bus = FakeBus()
    alerts = outbox(bus)
    await alerts.conclude(completed(0, "a"), None)
    retire = retiring(alerts, Records())
    with caplog.at_level(logging.INFO, "assessor"):
        await retire(VM_ID, GONE_AT, "event-1", TRACEPARENT)
    _, resolved = bus.sent["patch-alerts"]
    told = resolved.application_properties
    assert (told["change"], told["requestId"]) == ("Gone", "event-1")
    assert told["traceparent"] == TRACEPARENT
    remembered = await alerts.store.load(VM_ID)
    assert remembered is not None
    assert remembered.posture.retired_at == GONE_AT
    (record,) = caplog.records
    assert record.getMessage() == f"{VM_ID} is gone"
    gone_at = "2026-01-08T00:00:00.000Z"
    expected = {
        names.CUSTOM_EVENT: "PatchAssessor.VmGone",
        names.RECORD_ID: name_based_id("vm-gone", VM_ID.key, gone_at),
        names.STATUS: "Gone",
        names.VM_ID: str(VM_ID),
        names.RETIRED_AT: gone_at,
    }
    assert {name: vars(record).get(name) for name in expected} == expected
