"""What comes in by the other doors, replayed through the whole app.

Those that were found lie in `../shared/cases` beside this repository, where they are at hand; each
has a like value of our own here.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError

from assessor.events.event import read_event
from assessor.messages.request import IncomingMessage
from assessor.settings import SettingsError, read_settings
from ncrontab import Ncrontab
from tests.support.conversations import (
    CASES,
    REQUEST,
    SUBSCRIPTION,
    VMS,
    conversation,
    found,
    ok,
    rule,
    vm_body,
)
from tests.support.recorded_arm import Credential
from tests.support.replay import Replay


class NewIdentity(Credential):
    """An identity that its endpoint does not know yet: so many tokens are refused."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:  # noqa: ANN401 - SDK's
        """Gives a token, or fails as azure-identity does."""
        self.refusals -= 1
        if self.refusals >= 0:
            raise ClientAuthenticationError("no managed identity found", response=None)
        return await super().get_token(*scopes, **options)


@pytest.mark.parametrize("refusals", [1, 2, 6])
async def test_a_fault_of_the_identity_endpoint_is_waited_out(refusals: int) -> None:
    """ARM was never called, so nothing is final."""
    world = Replay(conversation(), credential=NewIdentity(refusals))
    await world.request(REQUEST)
    (event,) = world.events()
    assert event["type"] == "PatchAssessor.AssessmentCompleted"


async def test_an_identity_that_never_comes_is_named_at_the_deadline() -> None:
    """As the last error that was waited out."""
    world = Replay(conversation(), credential=NewIdentity(10**6))
    await world.request(REQUEST)
    (event,) = world.events()
    assert event["data"]["error"]["code"] == "DeadlineExceeded"
    assert event["data"]["error"]["details"][0]["code"] == "IdentityUnavailable"
    assert world.arm.calls == []


def _message(body: object, content_type: str | None) -> IncomingMessage:
    return IncomingMessage(
        json.dumps(body).encode(), "m", content_type, {}, datetime(2026, 1, 5, 12, tzinfo=UTC)
    )


@pytest.mark.parametrize("name", [None, "06", "09"])
async def test_requests_that_were_refused_are_taken(name: str | None) -> None:
    """VMs of any script; CloudEvents whose optional attributes are null."""
    event = {
        "specversion": "1.0",
        "id": "9",
        "source": "/x",
        "type": "t",
        "data": {"vmId": f"{VMS}/ö"},
    }
    own = [event | {null: None} for null in ("subject", "time", "dataschema", "datacontenttype")]
    case: Any = (
        {"contentType": "application/cloudevents+json", "bodies": own}
        if name is None
        else found(name)
    )
    any_vm = rule("GET", "/virtualMachines/", ok({**vm_body(), "id": None}))
    theirs = "11111111-2222-4333-8444-555555555555"
    for body in json.loads(json.dumps(case["bodies"]).replace(theirs, SUBSCRIPTION)):
        world = Replay([*conversation()[:-1], any_vm])
        await world.deliver(_message(body, case.get("contentType")))
        (outcome,) = world.events()
        assert outcome["type"] == "PatchAssessor.AssessmentCompleted"


@pytest.mark.parametrize("name", [None, "10", "F14"])
async def test_events_that_were_refused_ask_for_a_scan_or_a_vm(name: str | None) -> None:
    """Without a time, with an offset, with data as JSON text."""
    event = {"specversion": "1.0", "id": "8", "source": "/x", "type": "PatchAssessor.ScanRequested"}
    scope = {"scope": f"/subscriptions/{SUBSCRIPTION}"}
    own = [
        event | {"data": scope},
        event | {"data": json.dumps(scope), "time": "2026-01-05T12:00:00+05:30"},
        event | {"data": scope, "time": "2026-01-05T12:00:00"},
    ]
    case: Any = {"events": own} if name is None else found(name)
    for each in case.get("events", [case]):
        world = Replay([])
        await world.app.events.receive(read_event(json.dumps(each)))
        assert len(world.bus.sent.get("in-progress", [])) == 1
        assert not world.events()


def test_schedules_are_read_as_ncrontab_reads_them() -> None:
    """A reversed range is swapped, 7 is no day, names count by their first letters."""
    case = found("08")
    for each in case["schedules"]:
        try:
            schedule = Ncrontab(each["text"])
        except ValueError:
            assert "hostFires" not in each
            continue
        at = datetime(2026, 1, 4, 23, tzinfo=UTC)
        for fire in each.get("hostFires", []):
            moment = datetime.fromisoformat(fire)
            assert schedule.last(moment) == moment > at


@pytest.mark.parametrize("name", [None, "13", "F16"])
def test_settings_that_no_message_gets_far_with_stop_the_app(name: str | None) -> None:
    """With one line that names the setting."""
    own = [
        {"ALLOWED_SCOPES": " , "},
        {"ARM_ENDPOINT": "https://a:70000"},
        {"PostureStorage": "x=y"},
    ]
    environments: list[dict[str, str]] = own
    if name == "13":
        environments = found(name)["environments"]
    if name == "F16":
        path = CASES / "F16-settings.env"
        if not path.is_file():
            pytest.skip(f"the case F16 is not at hand ({CASES})")
        environments = [dict([line.split("=", 1)]) for line in path.read_text().split()]
        environments = [*environments[:2], environments[2] | environments[3]]
    base = {"ServiceBus__fullyQualifiedNamespace": "test.servicebus.windows.net"}
    for environment in environments:
        problem = _problem({**base, **environment})
        if problem is None:
            assert "AzureWebJobsStorage" in environment, environment
        else:
            assert "\n" not in problem
            assert any(setting in problem for setting in environment)


def _problem(environment: Mapping[str, str]) -> str | None:
    """Why the app does not start; None if it does."""
    try:
        read_settings(environment)
    except SettingsError as error:
        return str(error)
    return None
