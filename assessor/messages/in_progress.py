"""In-progress messages: everything on the in-progress queue, as one discriminated union.

The messages are the app's own, and yet they are checked like a stranger's: whoever can send to the
queue can write them.
"""

from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from assessor.bus.message import OutgoingMessage
from assessor.messages.progress import (
    AssessmentProgress,
    InProgress,
    Later,
    OverdueSweep,
    Scan,
    ScanCompletion,
    ScanExpansion,
    scan_id_of,
)
from assessor.messages.request import AssessmentRequest, ScanRequest, name_based_id

_CLOCKS_APART: Final = timedelta(minutes=30)
"""How far hosts' clocks may be apart; of more no message is believed to tell (`bus.bus_time`)."""
_LONGEST_RELEASE: Final = timedelta(days=14)
"""How far ahead the last request of a scan may be released: 3,600,000 VMs of a region do not take
longer at the default pace."""
CONTENT_TYPE: Final = "application/json"
VERSION: Final = 1
_ASSESSMENT: Final = "assessment"
"""The tag of messages without a `kind`: the first ones had none."""
_Version = Annotated[int, Field(ge=VERSION, le=VERSION)]


class InProgressError(ValueError):
    """A message on the in-progress queue that this app did not write.

    Attributes:
        fields: the names of the fields that are wrong.
    """

    def __init__(self, fields: tuple[str, ...]) -> None:
        super().__init__(f"not a message of this app: {', '.join(fields)}")
        self.fields = fields


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class _AssessmentEnvelope:
    progress: AssessmentProgress
    version: _Version = VERSION


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class _RequestEnvelope:
    progress: AssessmentRequest
    kind: Literal["request"] = "request"
    version: _Version = VERSION


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class _ExpansionEnvelope:
    progress: ScanExpansion
    kind: Literal["expansion"] = "expansion"
    version: _Version = VERSION


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class _CompletionEnvelope:
    progress: ScanCompletion
    kind: Literal["watch"] = "watch"
    version: _Version = VERSION


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class _SweepEnvelope:
    progress: OverdueSweep
    kind: Literal["overdue"] = "overdue"
    version: _Version = VERSION


def _kind(value: Any) -> str | None:  # noqa: ANN401 - any JSON, or an envelope
    if isinstance(value, dict):
        kind = value.get("kind", _ASSESSMENT)
    else:
        kind = getattr(value, "kind", _ASSESSMENT)
    return kind if isinstance(kind, str) else None


_Envelope: TypeAlias = (
    Annotated[_AssessmentEnvelope, Tag(_ASSESSMENT)]
    | Annotated[_RequestEnvelope, Tag("request")]
    | Annotated[_ExpansionEnvelope, Tag("expansion")]
    | Annotated[_CompletionEnvelope, Tag("watch")]
    | Annotated[_SweepEnvelope, Tag("overdue")]
)
_ENVELOPE: Final[TypeAdapter[_Envelope]] = TypeAdapter(Annotated[_Envelope, Discriminator(_kind)])


def request_message(
    request: AssessmentRequest, enqueue_at: datetime | None = None
) -> OutgoingMessage:
    """Returns the message by which the app asks itself for one VM.

    It goes where only the app may send, so that nobody else can be there first with its ID, which
    is made of what identifies the request.
    """
    properties = {"kind": "request", "vmId": str(request.vm), "requestId": request.request_id}
    if request.traceparent is not None:
        properties["traceparent"] = request.traceparent
    return OutgoingMessage(
        body=_ENVELOPE.dump_json(_RequestEnvelope(request), by_alias=True),
        message_id=name_based_id("request-in-progress", request.identity, request.vm.key),
        correlation_id=request.request_id,
        content_type=CONTENT_TYPE,
        application_properties=properties,
        subject=str(request.vm),
        enqueue_at=enqueue_at,
    )


def scan_message(request: ScanRequest, now: datetime) -> OutgoingMessage:
    """Returns the message that begins the scan of a request, at once."""
    expansion = ScanExpansion(Scan(scan_id_of(request), request, now))
    return in_progress_message(Later(expansion, now, "accepted"))


def in_progress_message(later: Later) -> OutgoingMessage:
    """Returns the in-progress message that reschedules `later`, to appear at its time.

    Its ID is made of what goes on and how many times it was rescheduled: a repeat after a crash is
    a duplicate.
    """
    match later.progress:
        case AssessmentProgress() as progress:
            return _assessment_message(progress, later.at)
        case ScanExpansion() as progress:
            return _scan_message(_ExpansionEnvelope(progress), later.at)
        case ScanCompletion() as progress:
            return _scan_message(_CompletionEnvelope(progress), later.at)
        case OverdueSweep() as progress:
            return _sweep_message(progress, later.at)


def parse_in_progress(body: bytes) -> InProgress:
    """Returns what the body of an in-progress message goes on with.

    Raises:
        InProgressError: it is no message of this app.
    """
    try:
        return _ENVELOPE.validate_json(body).progress
    except ValidationError as error:
        raise InProgressError(tuple(sorted({_path(each["loc"]) for each in error.errors()}))) from (
            error
        )


def check_times(progress: InProgress, now: datetime) -> None:
    """Lets pass what can have been written by now.

    Without bounds a forged time would keep an assessment, or the watch over a scan, for good.

    Raises:
        InProgressError: a time lies where none of the app's can.
    """
    past: dict[str, datetime] = {}
    ahead: dict[str, datetime] = {}
    match progress:
        case AssessmentRequest():
            ahead = {"enqueued_at": progress.enqueued_at}
        case AssessmentProgress():
            past = {"accepted_at": progress.accepted_at}
            if progress.operation is not None:
                past["operation.begun_at"] = progress.operation.begun_at
        case ScanExpansion():
            past, ahead = {"scan.started_at": progress.scan.started_at}, {**progress.next_turns}
        case ScanCompletion():
            past = {"scan.started_at": progress.scan.started_at}
            ahead = {"released_at": progress.released_at}
    wrong = [name for name, at in past.items() if at > now + _CLOCKS_APART]
    wrong += [name for name, at in ahead.items() if at > now + _LONGEST_RELEASE]
    if wrong:
        raise InProgressError(tuple(wrong))


def _assessment_message(progress: AssessmentProgress, at: datetime) -> OutgoingMessage:
    request, operation = progress.request, progress.operation
    properties = {"vmId": str(request.vm), "requestId": request.request_id}
    if operation is not None:
        properties["assessmentActivityId"] = operation.activity_id
    elif request.traceparent is not None:
        properties["traceparent"] = request.traceparent  # until it has a trace of its own
    return OutgoingMessage(
        body=_ENVELOPE.dump_json(_AssessmentEnvelope(progress), by_alias=True),
        message_id=name_based_id(
            "in-progress", request.identity, request.vm.key, str(progress.reschedules)
        ),
        correlation_id=request.request_id,
        content_type=CONTENT_TYPE,
        application_properties=properties,
        subject=str(request.vm),
        enqueue_at=at,
    )


def _scan_message(
    envelope: _ExpansionEnvelope | _CompletionEnvelope, at: datetime
) -> OutgoingMessage:
    scan = envelope.progress.scan
    return OutgoingMessage(
        body=_ENVELOPE.dump_json(envelope, by_alias=True),
        message_id=name_based_id(
            "scan-in-progress", scan.id, envelope.kind, str(envelope.progress.reschedules)
        ),
        correlation_id=scan.request.request_id,
        content_type=CONTENT_TYPE,
        application_properties={
            "kind": envelope.kind,
            "scanId": scan.id,
            "requestId": scan.request.request_id,
        },
        subject=str(scan.request.scope),
        enqueue_at=at,
    )


def _sweep_message(sweep: OverdueSweep, at: datetime) -> OutgoingMessage:
    return OutgoingMessage(
        body=_ENVELOPE.dump_json(_SweepEnvelope(sweep), by_alias=True),
        message_id=name_based_id("overdue-in-progress", sweep.id, str(sweep.reschedules)),
        correlation_id=sweep.id,
        content_type=CONTENT_TYPE,
        application_properties={"kind": "overdue", "requestId": sweep.id},
        enqueue_at=at,
    )


def _path(location: tuple[int | str, ...]) -> str:
    """Returns the field's name without the tag of the union that pydantic begins it with."""
    tagged = location[:1] in {
        (_ASSESSMENT,),
        ("request",),
        ("expansion",),
        ("watch",),
        ("overdue",),
    }
    return ".".join(map(str, location[1:] if tagged else location)) or "body"
