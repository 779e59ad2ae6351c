"""Progress: what one invocation leaves for the next comes back whole, and nothing else does."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assessor.arm.virtual_machine import PatchSummary, VirtualMachine
from assessor.messages.in_progress import InProgressError, in_progress_message, parse_in_progress
from assessor.messages.progress import AssessmentProgress, Later, OperationRef
from assessor.messages.request import AssessmentRequest
from assessor.resource_id import VirtualMachineId
from tests.support.builders import (
    ACTIVITY_ID,
    NOW,
    VM_ID,
    json_values,
    machine,
    request,
    vm_ids,
)

_TIMES = st.datetimes(timezones=st.just(UTC))
_TEXTS = st.text(max_size=20)
_OPERATIONS = st.builds(
    OperationRef,
    activity_id=_TEXTS,
    token=_TEXTS,
    begun_at=_TIMES,
    root_span_id=st.from_regex(r"[0-9a-f]{16}", fullmatch=True),
    adopted=st.booleans(),
)
_MACHINES = st.builds(
    VirtualMachine,
    id=vm_ids(),
    location=st.none() | _TEXTS,
    os_type=st.none() | _TEXTS,
    os_name=st.none() | _TEXTS,
    power_state=st.none() | _TEXTS,
    provisioning_state=st.none() | _TEXTS,
    agent_state=st.none() | _TEXTS,
    tags=st.dictionaries(_TEXTS, _TEXTS, max_size=3),
    last_assessment=st.none()
    | st.builds(PatchSummary, st.dictionaries(_TEXTS, json_values(3), max_size=3)),
)
_REQUESTS = st.builds(
    AssessmentRequest,
    vm=vm_ids(),
    request_id=st.text(min_size=1, max_size=20),
    enqueued_at=_TIMES,
    requested_by=st.none() | _TEXTS,
    reason=st.none() | _TEXTS,
    traceparent=st.none() | _TEXTS,
)
_PROGRESS = st.builds(
    AssessmentProgress,
    request=_REQUESTS,
    accepted_at=_TIMES,
    reschedules=st.integers(0, 10_000),
    attempt=st.integers(0, 10_000),
    not_before=st.none() | _TIMES,
    rescheduled_at=st.none() | _TIMES,
    vm=st.none() | _MACHINES,
    operation=st.none() | _OPERATIONS,
)


def _running(**changes: Any) -> AssessmentProgress:  # noqa: ANN401 - any field
    operation = OperationRef(ACTIVITY_ID, "token", NOW, "00000000000000a1")
    fields: dict[str, Any] = {"vm": machine(), "operation": operation} | changes
    return AssessmentProgress(request(), NOW, **fields)


@given(_PROGRESS)
def test_what_is_handed_over_comes_back_whole(progress: AssessmentProgress) -> None:
    """Every field, names in their own case included."""
    body = in_progress_message(Later(progress, NOW, "")).body
    back = parse_in_progress(body)
    assert isinstance(back, AssessmentProgress)
    assert back == progress
    assert str(back.request.vm) == str(progress.request.vm)
    assert in_progress_message(Later(back, NOW, "")).body == body


_NAMES = st.tuples(st.text(min_size=1, max_size=20), vm_ids(), st.integers(0, 99))


@given(_NAMES, _NAMES)
def test_the_messages_id_is_made_of_the_request_the_vm_and_the_hop(
    one: tuple[str, VirtualMachineId, int], other: tuple[str, VirtualMachineId, int]
) -> None:
    """A repeat after a crash is a duplicate; another request, VM or reschedules is not."""

    def message_id(names: tuple[str, VirtualMachineId, int]) -> str:
        request_id, vm, reschedules = names
        progress = AssessmentProgress(request(vm, request_id), NOW, reschedules=reschedules)
        return in_progress_message(Later(progress, NOW, "")).message_id

    assert (message_id(one) == message_id(other)) == (one == other)
    again = (one[0], VirtualMachineId.parse(str(one[1]).upper()), one[2])
    assert message_id(one) == message_id(again)


def test_a_repeat_with_other_findings_has_the_same_id() -> None:
    """Only what names the hand-over counts, not when it was made or what it carries."""
    ids = {
        in_progress_message(Later(progress, NOW + timedelta(minutes=minutes), "")).message_id
        for minutes, progress in enumerate(
            [
                _running(reschedules=3),
                _running(reschedules=3, attempt=2, not_before=NOW, operation=None),
                _running(reschedules=3, vm=None, rescheduled_at=NOW),
            ]
        )
    }
    assert len(ids) == 1
    assert in_progress_message(Later(_running(reschedules=4), NOW, "")).message_id not in ids


def test_the_message_tells_whose_it_is_and_when_it_is_due() -> None:
    """The activity ID as well, once there is one: every message of an assessment carries it."""
    message = in_progress_message(Later(_running(), NOW, ""))
    assert message.enqueue_at == NOW
    assert message.correlation_id == "request-1"
    assert message.content_type == "application/json"
    assert message.subject == str(VM_ID)
    assert dict(message.application_properties) == {
        "vmId": str(VM_ID),
        "requestId": "request-1",
        "assessmentActivityId": ACTIVITY_ID,
    }
    waiting = in_progress_message(Later(_running(operation=None), NOW, ""))
    assert "assessmentActivityId" not in waiting.application_properties


def test_rescheduling_is_counted_and_keeps_the_rest() -> None:
    """What the next invocation starts from."""
    later = NOW + timedelta(minutes=1)
    waiting = _running(reschedules=3, attempt=1).rescheduled(NOW, attempt=2, not_before=later)
    assert waiting == _running(reschedules=4, attempt=2, not_before=later, rescheduled_at=NOW)


def _forged(path: str, value: object) -> bytes:
    """Returns a message's body with one of its values changed or added."""
    body = json.loads(in_progress_message(Later(_running(), NOW, "")).body)
    *way, last = path.split(".")
    node = body
    for name in way:
        node = node[name]
    node[last] = value
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("version", 2),
        ("version", "one"),
        ("extra", 1),
        ("progress.extra", 1),
        ("progress.hop", "many"),
        ("progress.attempt", 1.5),
        ("progress.accepted_at", "soon"),
        ("progress.accepted_at", "2026-01-05T12:00:00"),
        ("progress.not_before", "2026-01-05T12:00:00"),
        ("progress.handed_over_at", "2026-01-05T12:00:00"),
        ("progress.request.enqueued_at", "2026-01-05T12:00:00"),
        ("progress.request.extra", 1),
        ("progress.request.request_id", None),
        ("progress.request.vm.key", "/other"),
        ("progress.operation.token", None),
        ("progress.operation.begun_at", "2026-01-05T12:00:00"),
        ("progress.operation.extra", 1),
        ("progress.operation.root_span_id", "A" * 16),
        ("progress.operation.root_span_id", "0" * 15),
        ("progress.operation.root_span_id", "00000000000000a1\n"),
        ("progress.vm.extra", 1),
    ],
)
def test_a_forged_field_is_refused_and_named(path: str, value: object) -> None:
    """Other versions, other fields, other types, and times that can't be compared."""
    with pytest.raises(InProgressError) as refused:
        parse_in_progress(_forged(path, value))
    assert refused.value.fields == (path,)


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("subscription_id", "../.."),
        ("resource_group", "a/../b"),
        ("name", "vm?api-version=1"),
        ("name", "vm\n"),
    ],
)
@pytest.mark.parametrize("whose", ["progress.request.vm", "progress.vm.id"])
def test_a_vm_is_held_to_the_grammar_here_too(whose: str, part: str, text: str) -> None:
    """Its names end up in a URL, whichever queue they came from."""
    with pytest.raises(InProgressError) as refused:
        parse_in_progress(_forged(f"{whose}.{part}", text))
    assert refused.value.fields == (whose,)


def test_every_wrong_field_is_named() -> None:
    """And a required one that is missing."""
    with pytest.raises(InProgressError) as refused:
        parse_in_progress(b'{"progress": {"hop": "x"}, "version": 9}')
    assert refused.value.fields == (
        "progress.accepted_at",
        "progress.hop",
        "progress.request",
        "version",
    )


@given(st.binary() | json_values().map(lambda each: json.dumps(each).encode()))
def test_any_other_body_is_refused_and_nothing_else_is_raised(body: bytes) -> None:
    """Garbage, other JSON, JSON that is nested without end."""
    with pytest.raises(InProgressError) as refused:
        parse_in_progress(body)
    assert refused.value.fields


@pytest.mark.parametrize("body", [b"", b"null", b"[" * 100_000, b"\xff", b'{"progress": null}'])
def test_no_body_is_too_odd_to_be_refused(body: bytes) -> None:
    """These as well."""
    with pytest.raises(InProgressError):
        parse_in_progress(body)


def test_the_error_does_not_repeat_what_was_sent() -> None:
    """The message names fields only: what is in them may be anybody's, a token even."""
    with pytest.raises(InProgressError) as refused:
        parse_in_progress(_forged("progress.operation.root_span_id", "secret"))
    assert "secret" not in str(refused.value)


def test_a_times_offset_does_not_matter() -> None:
    """Any offset will do, as long as there is one."""
    body = _forged("progress.accepted_at", "2026-01-05T14:00:00+02:00")
    progress = parse_in_progress(body)
    assert isinstance(progress, AssessmentProgress)
    assert progress.accepted_at == datetime(2026, 1, 5, 12, tzinfo=UTC)
