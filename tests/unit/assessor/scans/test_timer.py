"""The scheduled scan: what one occurrence asks for, however late or often the timer fires."""

import logging
from datetime import UTC, datetime, timedelta
from typing import cast

import azure.functions as func
import pytest

from assessor.messages.in_progress import parse_in_progress
from assessor.messages.progress import ScanExpansion
from assessor.resource_id import Scope
from assessor.scans.schedule import ScanSchedule
from assessor.settings import Settings, SettingsError, read_settings
from assessor.worker import Worker
from handlers import timer
from ncrontab import Ncrontab
from tests.support.builders import OTHER_SUBSCRIPTION, SUBSCRIPTION, VM_ID
from tests.support.fakes import FakeBus, FakeClock

NIGHTLY = Ncrontab("0 0 2 * * *")
AT_TWO = datetime(2026, 1, 5, 2, tzinfo=UTC)
NO_WORKER = cast(Worker, None)
"""What a function that is only looked at works with."""
SCOPES = (Scope(SUBSCRIPTION), Scope(OTHER_SUBSCRIPTION, "group"))


def _schedule(
    bus: FakeBus,
    now: datetime,
    scopes: tuple[Scope, ...] = SCOPES,
    schedule: Ncrontab = NIGHTLY,
) -> ScanSchedule:
    return ScanSchedule(
        bus=bus,
        clock=FakeClock(now),
        in_progress_queue="requests",
        schedule=schedule,
        scopes=scopes,
        tags={"env": "prod", "owner": None},
    )


async def test_an_occurrence_asks_for_each_scope() -> None:
    """One request for each, independent of the others, with the tags."""
    bus = FakeBus()
    await _schedule(bus, AT_TWO).fire()
    begun = [parse_in_progress(each.body) for each in bus.sent["requests"]]
    asked = [each.scan.request for each in begun if isinstance(each, ScanExpansion)]
    assert [each.scope for each in asked] == list(SCOPES)
    assert all(each.tags == {"env": "prod", "owner": None} for each in asked)
    assert len({each.request_id for each in asked}) == 2


@pytest.mark.parametrize(
    "late", [timedelta(), timedelta(milliseconds=-800), timedelta(hours=3), timedelta(hours=23)]
)
async def test_a_late_or_doubled_firing_sends_nothing_twice(late: timedelta) -> None:
    """In time, a little early by another host's clock, or hours later: it is one occurrence."""
    bus = FakeBus()
    await _schedule(bus, AT_TWO).fire()
    await _schedule(bus, AT_TWO + late).fire()
    assert len(bus.sent["requests"]) == len(SCOPES)


async def test_the_next_occurrence_scans_again() -> None:
    """A day later."""
    bus = FakeBus()
    await _schedule(bus, AT_TWO).fire()
    await _schedule(bus, AT_TWO + timedelta(days=1)).fire()
    assert len(bus.sent["requests"]) == 2 * len(SCOPES)


async def test_without_scopes_nothing_is_sent() -> None:
    """An empty SCAN_SCOPES means no scheduled scan."""
    bus = FakeBus()
    await _schedule(bus, AT_TWO, ()).fire()
    assert bus.sent == {}


def _settings(**environment: str) -> Settings:
    return read_settings({"ServiceBus__fullyQualifiedNamespace": "x.example", **environment})


@pytest.mark.parametrize("scopes", ["", f"/subscriptions/{SUBSCRIPTION}"])
def test_an_empty_scan_scopes_is_said_once(scopes: str, caplog: pytest.LogCaptureFixture) -> None:
    """When the app is loaded, not at each firing."""
    settings = _settings(SCAN_SCOPES=scopes)
    with caplog.at_level(logging.INFO, "handlers.timer"):
        timer.blueprint(NO_WORKER, settings)
    assert len(caplog.messages) == (0 if scopes else 1)


def test_a_schedule_that_never_comes_is_told_of_at_start(caplog: pytest.LogCaptureFixture) -> None:
    """As a warning: the Functions host takes it too, and never fires."""
    never = _settings(SCAN_SCOPES=f"/subscriptions/{SUBSCRIPTION}", SCAN_SCHEDULE="0 0 2 30 2 *")
    with caplog.at_level(logging.WARNING, "handlers.timer"):
        timer.blueprint(NO_WORKER, never)
    (message,) = caplog.messages
    assert "0 0 2 30 2 *" in message


async def test_a_schedule_that_never_comes_asks_for_nothing() -> None:
    """Even where somebody fires it by hand."""
    bus = FakeBus()
    await _schedule(bus, AT_TWO, schedule=Ncrontab("0 0 2 31 4 *")).fire()
    assert bus.sent == {}


def test_the_trigger_has_the_settings_schedule() -> None:
    """As text, so that a setting that is not set has its default."""
    app = func.FunctionApp()
    app.register_functions(timer.blueprint(NO_WORKER, _settings()))
    (function,) = app.get_functions()
    trigger = function.get_trigger()
    assert trigger is not None
    assert trigger.get_dict_repr()["schedule"] == "0 0 2 * * *"


def test_the_settings_say_when_and_what() -> None:
    """With the contract's default for when."""
    assert _settings().scan_schedule.text == "0 0 2 * * *"
    assert _settings().scan_scopes == ()
    settings = _settings(
        SCAN_SCHEDULE="0 */30 * * * Mon-Fri",
        SCAN_SCOPES=f"/subscriptions/{SUBSCRIPTION}, /subscriptions/{OTHER_SUBSCRIPTION}/",
        SCAN_TAGS="env=prod, owner = a=b, role, empty=",
    )
    assert settings.scan_schedule.text == "0 */30 * * * Mon-Fri"
    assert settings.scan_scopes == (Scope(SUBSCRIPTION), Scope(OTHER_SUBSCRIPTION))
    assert settings.scan_tags == {"env": "prod", "owner": "a=b", "role": None, "empty": ""}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("SCAN_SCHEDULE", "@daily"),
        ("SCAN_SCHEDULE", "0 0 25 * * *"),
        ("SCAN_SCHEDULE", "0 0 2 * * 7"),
        ("SCAN_SCHEDULE", "0 0 2 * * 5#2"),
        ("SCAN_SCOPES", "prod"),
        (
            "SCAN_SCOPES",
            str(VM_ID),
        ),
        ("SCAN_TAGS", "=prod"),
        ("EVENT_SETTLE_SECONDS", "0"),
    ],
)
def test_a_wrong_setting_is_named(name: str, text: str) -> None:
    """With what it must be, and what it is."""
    with pytest.raises(SettingsError) as refused:
        _settings(**{name: text})
    assert refused.value.name == name
    assert refused.value.value == text
