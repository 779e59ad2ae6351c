"""What arrives on the topics, as data: the message, the CloudEvent in it, and what people read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from patch_assessor_cli.json_lines import json_line
from plain_text import one_line

OUTCOME_PREFIX = "PatchAssessor."
_COMPLETED = "AssessmentCompleted"
_FAILED = "AssessmentFailed"
_REJECTED = "RequestRejected"
_MANY = 1e15
"""Beyond it, and for what is no number, a number of a stranger's is not shown."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message as it came from a topic.

    Attributes:
        topic: Where it came from.
        message_id: Its ID, which is also the event's.
        correlation_id: The request's ID.
        subject: The VM's resource ID.
        content_type: The body's media type.
        enqueued_time: When the topic took it, in UTC.
        application_properties: What subscriptions filter on.
        body: The CloudEvent; a message of somebody else's that is not JSON is a text.
    """

    topic: str
    message_id: str | None
    correlation_id: str | None
    subject: str | None
    content_type: str | None
    enqueued_time: datetime | None
    application_properties: Mapping[str, Any]
    body: Any

    def to_json(self) -> dict[str, Any]:
        """Returns the message as one JSON object."""
        return {
            "topic": self.topic,
            "messageId": self.message_id,
            "correlationId": self.correlation_id,
            "subject": self.subject,
            "contentType": self.content_type,
            "enqueuedTime": self.enqueued_time.isoformat() if self.enqueued_time else None,
            "applicationProperties": dict(self.application_properties),
            "body": self.body,
        }

    def to_line(self) -> str:
        """Returns the message as one line of JSON by RFC 8259, without its end."""
        return json_line(self.to_json())

    @property
    def event_type(self) -> str:
        """The CloudEvent's type without this app's prefix; empty where there is none."""
        return _text(self.body, "type").removeprefix(OUTCOME_PREFIX)

    @property
    def data(self) -> Mapping[str, Any]:
        """The CloudEvent's data; empty where there is none."""
        return _object(self.body, "data")


@dataclass(frozen=True, slots=True)
class OutcomeSummary:
    """An outcome in the words of a table, as plain text.

    Attributes:
        vm_id: The VM's resource ID; empty for a rejected message.
        vm: The VM's name.
        os: Its operating system, as far as it is known.
        outcome: The event's type in one word.
        status: The assessment's status, the error's code, or the reason.
        grave: How many critical and security patches there are; None where nobody counted.
        other: How many other patches.
        reboot: Whether a reboot is pending.
        seconds: How long the operation took.
        trace_id: The activity ID's 32 hex digits, which is the trace's ID; empty without one.
    """

    vm_id: str
    vm: str
    os: str
    outcome: str
    status: str
    grave: int | None
    other: int | None
    reboot: bool | None
    seconds: float | None
    trace_id: str

    @classmethod
    def of(cls, arrival: Arrival) -> "OutcomeSummary":
        """Returns the summary of a message from the results topic."""
        data = arrival.data
        vm = _object(data, "vm")
        return cls(
            vm_id=_text(data, "vmId"),
            vm=_text(data, "vmName"),
            os=_text(vm, "osName") or _text(vm, "osType"),
            outcome=arrival.event_type.removeprefix("Assessment").removeprefix("Request"),
            status=_status(arrival.event_type, data),
            grave=_count(data, "criticalAndSecurityPatchCount"),
            other=_count(data, "otherPatchCount"),
            reboot=_flag(data, "rebootPending"),
            seconds=_number(data, "operationSeconds"),
            trace_id=_text(data, "assessmentActivityId").replace("-", "").lower(),
        )


@dataclass(frozen=True, slots=True)
class AlertSummary:
    """An alert event in the words of a table, as plain text.

    Attributes:
        vm: The VM's name.
        condition: Fired or Resolved.
        rule: The alert rule.
        severity: Sev0 to Sev4.
        change: Why it is told: Appeared, Grew, Reminder or Gone.
        description: The sentence that people are told.
        trace_id: The 32 hex digits of the assessment that it comes from.
    """

    vm: str
    condition: str
    rule: str
    severity: str
    change: str
    description: str
    trace_id: str

    @classmethod
    def of(cls, arrival: Arrival) -> "AlertSummary":
        """Returns the summary of a message from the alerts topic."""
        body = _object(arrival.data, "data")
        essentials = _object(body, "essentials")
        context = _object(body, "alertContext")
        return cls(
            vm=one_line(arrival.subject or "").rpartition("/")[2],
            condition=_text(essentials, "monitorCondition"),
            rule=_text(essentials, "alertRule"),
            severity=_text(essentials, "severity"),
            change=_text(context, "change"),
            description=_text(essentials, "description"),
            trace_id=_text(context, "assessmentActivityId").replace("-", "").lower(),
        )


@dataclass(frozen=True, slots=True)
class RejectionSummary:
    """A rejected message: its ID, why, and what is wrong, one text for each error."""

    message_id: str
    reason: str
    errors: tuple[str, ...]

    @classmethod
    def of(cls, arrival: Arrival) -> "RejectionSummary":
        """Returns the summary of a `RequestRejected` outcome."""
        errors = _part(arrival.data, "errors")
        return cls(
            message_id=_text(_object(arrival.data, "request"), "messageId"),
            reason=_text(arrival.data, "reason"),
            errors=tuple(
                f"{_text(error, 'field')}: {_text(error, 'message')}"
                for error in (errors if isinstance(errors, list) else [])
            ),
        )


def is_rejection(arrival: Arrival) -> bool:
    """Returns whether a message from the results topic tells of a rejected message."""
    return arrival.event_type == _REJECTED


def _status(event_type: str, data: Mapping[str, Any]) -> str:
    if event_type == _COMPLETED:
        return _text(data, "status")
    if event_type == _FAILED:
        return _text(_object(data, "error"), "code") or _text(data, "status")
    return _text(data, "reason")


def _part(value: object, name: str) -> Any:  # noqa: ANN401 - any JSON
    return value.get(name) if isinstance(value, Mapping) else None


def _object(value: object, name: str) -> Mapping[str, Any]:
    part = _part(value, name)
    return part if isinstance(part, Mapping) else {}


def _text(value: object, name: str) -> str:
    part = _part(value, name)
    return "" if part is None else one_line(str(part))


def _number(value: object, name: str) -> float | None:
    part = _part(value, name)
    is_number = isinstance(part, int | float) and not isinstance(part, bool)
    return part if is_number and abs(part) < _MANY else None


def _flag(value: object, name: str) -> bool | None:
    part = _part(value, name)
    return part if isinstance(part, bool) else None


def _count(value: object, name: str) -> int | None:
    number = _number(value, name)
    return None if number is None else int(number)
