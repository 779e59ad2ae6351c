"""How far a request has come: what one invocation leaves for the next, on the in-progress queue.

The message is the app's own, and yet it is checked like a stranger's: whoever can send to the
queue can write it.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Final

from pydantic import (
    AwareDatetime,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from pydantic.dataclasses import dataclass as checked

from assessor.arm.virtual_machine import VirtualMachine
from assessor.bus.message import OutgoingMessage
from assessor.expectation import Expectation
from assessor.ids import name_based_id
from assessor.messages.request import AssessmentRequest

CONTENT_TYPE: Final = "application/json"
VERSION: Final = 1


class ProgressError(ValueError):
    """A message on the in-progress queue that this app did not write.

    Attributes:
        fields: the names of the fields that are wrong.
    """

    def __init__(self, fields: tuple[str, ...]) -> None:
        super().__init__(f"not a message of this app: {', '.join(fields)}")
        self.fields = fields


@dataclass(frozen=True, slots=True)
class OperationRef:
    """An operation that ARM has begun, as it travels from worker to worker.

    Attributes:
        activity_id: the assessmentActivityId, and the trace's ID.
        token: the SDK's continuation token.
        begun_at: when the operation began, in UTC.
        root_span_id: the span that all of the assessment's spans lie under; chosen at the begin.
        adopted: whether it was found running, or done, rather than begun for this request.
    """

    activity_id: str
    token: str
    begun_at: AwareDatetime
    root_span_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    adopted: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one request has come.

    Attributes:
        request: what was asked.
        accepted_at: when the app first took it up; the deadline counts from here.
        hop: how many times it was handed over. With the request it makes the message's ID.
        attempt: how many waits in a row brought nothing.
        not_before: ARM asked not to be called before then.
        handed_over_at: when the invocation before this one let go of it.
        vm: the VM as it was read before the begin.
        operation: what runs in ARM, once something does.
        expected: how long that is expected to take; what was so at its begin decides each look.
    """

    request: AssessmentRequest
    accepted_at: AwareDatetime
    hop: int = 0
    attempt: int = 0
    not_before: AwareDatetime | None = None
    handed_over_at: AwareDatetime | None = None
    vm: VirtualMachine | None = None
    operation: OperationRef | None = None
    expected: Expectation | None = None

    def waiting(
        self, *, attempt: int, not_before: datetime | None, handed_over_at: datetime
    ) -> "Progress":
        """Returns what the next invocation gets after a wait."""
        return replace(
            self,
            hop=self.hop + 1,
            attempt=attempt,
            not_before=not_before,
            handed_over_at=handed_over_at,
        )


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class _Envelope:
    progress: Progress
    version: int = Field(default=VERSION, ge=VERSION, le=VERSION)


_ENVELOPE: Final = TypeAdapter(_Envelope)


def to_message(progress: Progress, enqueue_at: datetime) -> OutgoingMessage:
    """Returns the message that hands `progress` over, to appear at `enqueue_at`.

    Its ID is made of the request and the hop: a repeat after a crash is a duplicate.
    """
    request = progress.request
    operation = progress.operation
    properties = {"vmId": str(request.vm), "requestId": request.request_id}
    if operation is not None:
        properties["assessmentActivityId"] = operation.activity_id
    return OutgoingMessage(
        body=_ENVELOPE.dump_json(_Envelope(progress)),
        message_id=name_based_id(
            "in-progress", request.request_id, request.vm.key, str(progress.hop)
        ),
        correlation_id=request.request_id,
        content_type=CONTENT_TYPE,
        application_properties=properties,
        subject=str(request.vm),
        enqueue_at=enqueue_at,
    )


def from_body(body: bytes) -> Progress:
    """Returns the progress that a message's body holds.

    Raises:
        ProgressError: it holds none.
    """
    try:
        return _ENVELOPE.validate_json(body).progress
    except ValidationError as error:
        fields = {".".join(map(str, each["loc"])) or "body" for each in error.errors()}
        raise ProgressError(tuple(sorted(fields))) from error
