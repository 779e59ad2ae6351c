"""What follows from Event Grid's events, in either schema, through the worker's own decoding."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.functions import get_binding_registry
from azure.functions.meta import Datum
from hypothesis import given
from hypothesis import strategies as st

from assessor.arm.errors import ArmError, Phase
from assessor.arm.result import ApiError
from assessor.arm.virtual_machine import VirtualMachine
from assessor.events.decisions import Assess, decide
from assessor.events.deletion import DeletionUnclearError, confirmed_by
from assessor.events.event import RULES, Event, read_event, without_personal_data
from assessor.events.intake import EventIntake
from assessor.messages.in_progress import parse_in_progress
from assessor.messages.progress import ScanExpansion
from assessor.messages.request import AssessmentRequest, ScanRequest
from assessor.resource_id import Scope, VirtualMachineId
from handlers.event_grid import EventText, hand_events_over_as_text
from tests.support.builders import (
    OTHER_SUBSCRIPTION,
    SUBSCRIPTION,
    VM_ID,
    json_values,
    machine,
)
from tests.support.event_grid import (
    EVENT_TIME,
    as_cloud_event,
    deleted,
    maintained,
    notified,
    recorded,
    requested,
    started,
    written,
)
from tests.support.fakes import FakeArm, FakeBus, FakeClock

SETTLE = timedelta(minutes=5)
CHANGES = [written, started, notified]

Json = dict[str, Any]
_REQUEST = json.dumps({"vmId": str(VM_ID)})


def refusal(status: int | None, code: str) -> ArmError:
    """What ARM says instead of a VM."""
    return ArmError(Phase.READ, status, ApiError(code, "x"))


@dataclass
class Retired:
    """Keeps what it is told to retire."""

    vms: list[tuple[VirtualMachineId, datetime]] = field(default_factory=list)

    async def retire(
        self, vm_id: VirtualMachineId, at: datetime, request_id: str, traceparent: str | None = None
    ) -> None:
        """Keeps the VM."""
        del request_id, traceparent
        self.vms.append((vm_id, at))


@dataclass
class Counted:
    """Keeps what it is told to count."""

    events: list[tuple[str, str]] = field(default_factory=list)

    def event(self, name: str, became: str) -> None:
        """Keeps the event's name."""
        self.events.append((name, became))


class App:
    """Events' way through the app, between fakes."""

    def __init__(self, allowed: tuple[Scope, ...] = ()) -> None:
        self.bus = FakeBus()
        self.retired = Retired()
        self.arm = FakeArm()
        self.counted = Counted()
        self.events = EventIntake(
            bus=self.bus,
            retire=self.retired.retire,
            is_gone=confirmed_by(self.arm),
            count=self.counted.event,
            clock=FakeClock(),
            in_progress_queue="requests",
            results_topic="results",
            settle=SETTLE,
            allowed_scopes=allowed,
        )

    async def take(self, *events: Json) -> None:
        """Has the events delivered."""
        for event in events:
            await self.events.receive(_decoded(event))

    def requests(self) -> list[AssessmentRequest | ScanRequest]:
        """Returns what was asked for, as who resumes it understands it."""
        found: list[AssessmentRequest | ScanRequest] = []
        for message in self.bus.sent.get("requests", []):
            progress = parse_in_progress(message.body)
            if isinstance(progress, ScanExpansion):
                found.append(progress.scan.request)
            else:
                assert isinstance(progress, AssessmentRequest)
                found.append(progress)
        return found

    def rejections(self) -> list[Json]:
        """Returns the data of the rejections that went out."""
        return [json.loads(each.body)["data"] for each in self.bus.sent.get("results", [])]


def _decoded(event: Json) -> Event:
    hand_events_over_as_text()
    binding = get_binding_registry().get("eventGridTrigger")
    assert binding.check_input_type_annotation(EventText)
    return read_event(binding.decode(Datum(json.dumps(event), "json"), trigger_metadata=None))


def _twins(*makers: Callable[[], Json]) -> list[Json]:
    return [shape(make()) for make in makers for shape in (dict, as_cloud_event)]


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize("event", _twins(*CHANGES))
async def test_a_changed_vm_is_assessed_once_it_has_settled(event: Json) -> None:
    """Written, started or notified of, in either schema."""
    app = App()
    await app.take(event)

    (message,) = app.bus.sent["requests"]
    (request,) = app.requests()
    assert isinstance(request, AssessmentRequest)
    assert request.vm == VM_ID
    assert request.requested_by == "event-grid"
    assert message.enqueue_at is not None
    changed = _at(event.get("eventTime") or event["time"])
    assert changed + SETTLE <= message.enqueue_at <= changed + 1.5 * SETTLE
    assert request.fresh_since is not None
    assert changed < request.fresh_since < message.enqueue_at


async def test_many_events_of_one_change_become_one_request() -> None:
    """ARM tells a change in several events; each may be delivered twice, in either schema."""
    app = App()
    burst = [
        written(time=f"2026-01-05T11:57:{second}Z", event_id=f"e-{second}")
        for second in range(30, 50)
    ]
    await app.take(*burst, *map(as_cloud_event, burst), written(str(VM_ID).upper()))
    assert len(app.requests()) == 1


@given(st.integers(0, 10**6), st.integers(0, 149))
def test_events_on_both_sides_of_a_slot_need_one_assessment(offset: int, apart: int) -> None:
    """Two events of one change make two requests at most: the first's assessment answers both."""
    first_at = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=offset)
    second_at = first_at + timedelta(seconds=apart)
    first, second = (_assessment(at) for at in (first_at, second_at))
    if first.identity != second.identity:
        assert second.fresh_since < first.due
        assert second.fresh_since > second_at


def _assessment(at: datetime) -> Assess:
    event = _decoded(written(time=at.isoformat()))
    (decision,) = decide(event, now=FakeClock().now(), settle=SETTLE, allowed=())
    assert isinstance(decision, Assess)
    return decision


async def test_a_later_change_is_assessed_again() -> None:
    """An hour later is another change."""
    app = App()
    await app.take(written(), written(time="2026-01-05T10:57:30Z"))
    assert len(app.requests()) == 2


async def test_no_event_is_from_the_future() -> None:
    """A publisher's clock that is ahead does not put the assessment off."""
    app = App()
    await app.take(written(time="2027-01-01T00:00:00Z"))
    (message,) = app.bus.sent["requests"]
    assert message.enqueue_at is not None
    assert message.enqueue_at <= FakeClock().now() + 1.5 * SETTLE


@pytest.mark.parametrize(
    "event",
    [
        *_twins(deleted),
        notified() | {"eventType": "Microsoft.ResourceNotifications.Resources.Deleted"},
    ],
)
async def test_a_deleted_vm_is_retired(event: Json) -> None:
    """Once ARM has said that it knows none."""
    app = App()
    app.arm.reads = [refusal(404, "ResourceNotFound")]
    await app.take(event)
    assert app.retired.vms == [(VM_ID, _at(EVENT_TIME))]
    assert app.requests() == []


@pytest.mark.parametrize(
    "answer", [machine(), refusal(403, "AuthorizationFailed"), refusal(404, "Elsewhere")]
)
async def test_a_vm_that_arm_knows_is_not_retired(answer: VirtualMachine | ArmError) -> None:
    """Whoever may publish CloudEvents writes their source: the event alone resolves no alert."""
    app = App()
    app.arm.reads = [answer]
    await app.take(deleted())
    assert app.retired.vms == []


@pytest.mark.parametrize(
    "answer",
    [
        refusal(None, "ServiceRequestError"),
        refusal(429, "TooManyRequests"),
        replace(machine(), provisioning_state="Deleting"),
    ],
)
async def test_a_deletion_that_is_not_confirmed_yet_comes_again(
    answer: VirtualMachine | ArmError,
) -> None:
    """Event Grid delivers it later; by then ARM tells."""
    app = App()
    app.arm.reads = [answer, refusal(404, "ResourceNotFound")]
    with pytest.raises(DeletionUnclearError):
        await app.take(deleted())
    assert app.retired.vms == []
    await app.take(deleted())
    assert [vm for vm, _ in app.retired.vms] == [VM_ID]


@pytest.mark.parametrize(
    "source",
    [
        "/my/custom/topic",
        "",
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.EventGrid/topics/t",
        f"x/subscriptions/{SUBSCRIPTION}",
        f"/subscriptions/{SUBSCRIPTION}\n",
        "/subscriptions/all",
    ],
)
@pytest.mark.parametrize("make", [*CHANGES, deleted, lambda: maintained(SUBSCRIPTION)])
@pytest.mark.parametrize("shape", [dict, as_cloud_event])
async def test_azures_events_come_from_azure_alone(
    source: str, make: Callable[[], Json], shape: Callable[[Json], Json]
) -> None:
    """What a custom topic calls Microsoft's is ignored, like any unknown event."""
    app = App()
    await app.take(shape(make() | {"topic": source}))
    assert (app.requests(), app.rejections(), app.retired.vms) == ([], [], [])
    assert [became for _, became in app.counted.events] == ["ignore"]


@pytest.mark.parametrize("shape", [dict, as_cloud_event])
async def test_the_end_of_maintenance_scans_each_subscription(
    shape: Callable[[Json], Json],
) -> None:
    """Once, however often the event is delivered; it names no VMs."""
    app = App()
    event = shape(maintained(SUBSCRIPTION, OTHER_SUBSCRIPTION, SUBSCRIPTION))
    await app.take(event, event)
    scans = app.requests()
    assert all(isinstance(each, ScanRequest) for each in scans)
    assert {each.scope for each in scans if isinstance(each, ScanRequest)} == {
        Scope(SUBSCRIPTION),
        Scope(OTHER_SUBSCRIPTION),
    }
    assert len(scans) == 2


async def test_maintenance_beyond_the_allowed_scopes_scans_what_is_allowed() -> None:
    """The groups of a subscription that are allowed, and nothing of another subscription."""
    app = App((Scope(SUBSCRIPTION, "group"),))
    await app.take(maintained(SUBSCRIPTION, OTHER_SUBSCRIPTION))
    (scan,) = app.requests()
    assert isinstance(scan, ScanRequest)
    assert scan.scope == Scope(SUBSCRIPTION, "group")


@pytest.mark.parametrize(
    "data",
    [{"vmId": str(VM_ID)}, {"scope": f"/subscriptions/{SUBSCRIPTION}", "requestId": "mine"}],
)
@pytest.mark.parametrize("shape", [dict, as_cloud_event])
async def test_a_custom_event_carries_a_request(shape: Callable[[Json], Json], data: Json) -> None:
    """Of any form; its delivery twice is one request."""
    app = App()
    event = shape(requested(data))
    await app.take(event, event)
    (request,) = app.requests()
    assert request.request_id == data.get("requestId", _decoded(event).key)


@pytest.mark.parametrize("event", _twins(*CHANGES, deleted))
async def test_vms_beyond_the_allowed_scopes_are_ignored(event: Json) -> None:
    """An event subscription may be wider than what the app may assess."""
    app = App((Scope(OTHER_SUBSCRIPTION),))
    await app.take(event)
    assert (app.requests(), app.rejections(), app.retired.vms) == ([], [], [])
    assert [became for _, became in app.counted.events] == ["ignore"]


@pytest.mark.parametrize(
    "event",
    [
        *(
            shape(recorded(name))
            for name in ("ResourceWriteSuccess", "ResourceActionSuccess", "ARN_CreatedOrUpdated")
            for shape in (dict, as_cloud_event)
        ),
        written() | {"eventType": "Microsoft.Resources.ResourceWriteFailure"},
        maintained() | {"eventType": "Microsoft.Maintenance.PreMaintenanceEvent"},
        requested(None) | {"eventType": "Contoso.Something"},
    ],
)
async def test_every_other_event_is_ignored_and_counted(event: Json) -> None:
    """By its type and operation; other resources' events are other events."""
    app = App()
    await app.take(event)
    assert (app.requests(), app.rejections(), app.retired.vms) == ([], [], [])
    ((name, became),) = app.counted.events
    assert became == "ignore"
    assert name.startswith(event.get("eventType") or event["type"])


async def test_what_the_app_does_itself_is_ignored() -> None:
    """An assessment is an action on a VM too: it must not lead to the next one."""
    app = App()
    event = started()
    event["data"]["operationName"] = "Microsoft.Compute/virtualMachines/assessPatches/action"
    await app.take(event)
    assert app.requests() == []


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        (written("/subscriptions/x"), ["subject"]),
        (notified("nonsense"), ["data.resourceInfo.id"]),
        (maintained(), ["data.resourceSubscriptionIds"]),
        (maintained("x", SUBSCRIPTION), ["data.resourceSubscriptionIds[0]"]),
        (requested("text"), ["data"]),
        ({k: v for k, v in written().items() if k not in {"id", "eventTime"}}, ["id", "time"]),
    ],
)
async def test_malformed_events_are_rejected_kept_and_explained(
    event: Json, fields: list[str]
) -> None:
    """As messages are: the whole event but who did it, and all that is wrong with it."""
    app = App()
    await app.take(event, event)
    (data,) = app.rejections()
    assert data["reason"] == "NotUnderstood"
    assert [each["field"] for each in data["errors"]] == fields
    kept = json.loads(data["body"])
    assert kept["type"] == event["eventType"]
    assert kept["data"] == without_personal_data(event["data"])


@pytest.mark.parametrize("shape", [dict, as_cloud_event])
@pytest.mark.parametrize("vm", [str(VM_ID), "malformed"])
async def test_claims_are_dropped_at_the_door(
    shape: Callable[[Json], Json], vm: str, caplog: pytest.LogCaptureFixture
) -> None:
    """They are in nothing that is sent, kept or logged, whether the event is good or not."""
    app = App()
    event = written(vm)
    event["data"]["claims"] = {"name": "secret-name", "ipaddr": "secret-address"}
    event["data"]["authorization"]["evidence"] = {"principalId": "secret-principal"}
    event["data"]["httpRequest"] = {"clientIpAddress": "secret-address"}
    await app.take(shape(event))
    sent = b"".join(each.body for messages in app.bus.sent.values() for each in messages)
    assert sent
    assert b"secret" not in sent
    assert "secret" not in caplog.text


@given(json_values())
def test_no_claims_are_left_anywhere(value: object) -> None:
    """At any depth, by a name in any case; all else stays as it is."""
    cleaned = without_personal_data({"Claims": value, "kept": [{"claims": value}, value]})
    assert cleaned == {"kept": [{}, without_personal_data(value)]}


def test_the_table_names_each_event_once() -> None:
    """No two lines about the same event."""
    keys = [(rule.type.lower(), (rule.about or "").lower()) for rule in RULES]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    "changed",
    [
        {"time": None},
        {"subject": None, "dataschema": None, "datacontenttype": None},
        {"time": "2026-01-05T12:00:00+05:30"},
        {"time": "2026-01-05T12:00:00"},
        {"time": "next week"},
        {"data": _REQUEST},
        {"data": None, "data_base64": base64.b64encode(_REQUEST.encode()).decode()},
    ],
)
async def test_a_request_is_taken_in_each_form_that_the_queue_takes(changed: Json) -> None:
    """Null optional attributes are absent, times are not asked for, data may be text."""
    app = App()
    event = as_cloud_event(requested({"vmId": str(VM_ID)}))
    await app.take(event | changed)
    (request,) = app.requests()
    assert isinstance(request, AssessmentRequest)
    assert request.vm == VM_ID


@pytest.mark.parametrize("time", ["2026-01-05T17:30:00+05:30", "2026-01-05T12:00:00"])
async def test_a_time_of_any_offset_orders_changes(time: str) -> None:
    """A time without one is in UTC: all name the same change."""
    app = App()
    for each in ("2026-01-05T12:00:00Z", time):
        await app.take(written() | {"eventTime": each})
    assert len(app.bus.sent["requests"]) == 1


async def test_one_bad_subscription_does_not_lose_the_others() -> None:
    """The good ones are scanned, and the bad one is rejected by its place."""
    app = App()
    await app.take(maintained(SUBSCRIPTION, "x", OTHER_SUBSCRIPTION))
    scopes = {request.scope for request in app.requests() if isinstance(request, ScanRequest)}
    assert scopes == {Scope(SUBSCRIPTION), Scope(OTHER_SUBSCRIPTION)}
    ((error,),) = (each["errors"] for each in app.rejections())
    assert error["field"] == "data.resourceSubscriptionIds[1]"


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "[]", "5", '{"specversion": "1.0"}', "{}", '{"a":' * 5000, "\ud83d"],
)
async def test_an_event_that_cant_be_read_is_rejected_and_kept(text: str) -> None:
    """Once, however often it is delivered, and nothing is raised."""
    app = App()
    for _ in range(2):
        await app.events.receive(read_event(text))
    (data,) = app.rejections()
    assert [each["field"] for each in data["errors"]] == ["event"]


async def test_different_events_without_an_id_are_rejected_apart() -> None:
    """They are known by what they say."""
    app = App()
    await app.events.receive(read_event("[1]"))
    await app.events.receive(read_event("[2]"))
    assert len(app.rejections()) == 2


@given(json_values().map(json.dumps) | st.text() | st.binary())
def test_no_event_is_an_exception(text: str | bytes) -> None:
    """Whatever the door is handed."""
    event = read_event(text)
    assert decide(event, now=FakeClock().now(), settle=SETTLE, allowed=())
    assert event.key
