"""MESSAGES: each type of message that the app publishes, and the model of its data.

`scripts/schemas.py` makes a file of schemas/ from each, and schemas/README.md says what may change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import Field

from assessor.messages.alert_data import AlertData
from assessor.messages.model import AbsentWhenNone, DateTime, Model, Uuid, one_of
from assessor.messages.outcome_data import CompletedData, FailedData, RejectedData, SkippedData
from assessor.messages.scan_data import ScanData


@dataclass(frozen=True, kw_only=True)
class Envelope(Model):
    """A CloudEvent 1.0 in structured JSON mode."""

    specversion: Annotated[str, one_of("1.0")]
    type: Annotated[str, Field(pattern=r"^PatchAssessor\.")]
    source: Annotated[str, one_of("urn:patch-assessor")]
    id: Uuid
    """The message ID too. A message that tells the same again has the same one."""
    time: DateTime
    subject: Annotated[str | None, AbsentWhenNone()] = None
    """The resource ID of what the event is about."""
    datacontenttype: Annotated[str, one_of("application/json")]
    dataschema: Annotated[str, Field(pattern="^urn:patch-assessor:data:[a-z-]+:[1-9][0-9]*$")]
    """The $id of the schema of data, its version included."""
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PublishedMessage:
    """A message that the app publishes.

    Attributes:
        name: what its schema is called.
        version: which one this is; schemas/README.md says when that changes.
        types: the CloudEvents types that it may have.
        title: what it is called.
        description: where it appears, and when.
        subject: what its `subject` is; None if it has none.
        data: the model of its `data`.
        time: what its `time` is, where that is not plain.
    """

    name: str
    version: int
    types: tuple[str, ...]
    title: str
    description: str
    subject: str | None
    data: type
    time: str | None = None

    @property
    def data_id(self) -> str:
        """The `$id` of the schema of its data, which `dataschema` of each event names."""
        return f"urn:patch-assessor:data:{self.name}:{self.version}"

    @property
    def message_id(self) -> str:
        """The `$id` of the schema of the whole message."""
        return f"urn:patch-assessor:message:{self.name}:{self.version}"


_RESULTS: Final = "A message on the topic assessment-results: "
_VM: Final = "The VM's resource ID."

MESSAGES: Final = (
    PublishedMessage(
        "assessment-completed",
        1,
        ("PatchAssessor.AssessmentCompleted",),
        "Assessment completed",
        f"{_RESULTS}the assessment came to a result, and its own status is not Failed.",
        _VM,
        CompletedData,
    ),
    PublishedMessage(
        "assessment-failed",
        1,
        ("PatchAssessor.AssessmentFailed",),
        "Assessment failed",
        f"{_RESULTS}the result says Failed, ARM refused for good, or the deadline passed.",
        _VM,
        FailedData,
    ),
    PublishedMessage(
        "assessment-skipped",
        1,
        ("PatchAssessor.AssessmentSkipped",),
        "Assessment skipped",
        f"{_RESULTS}the VM can not be assessed now, and nothing is wrong with the request.",
        _VM,
        SkippedData,
    ),
    PublishedMessage(
        "request-rejected",
        1,
        ("PatchAssessor.RequestRejected",),
        "Request rejected",
        f"{_RESULTS}a message in the requests queue asks for nothing that can be done. It has no "
        "subject.",
        None,
        RejectedData,
    ),
    PublishedMessage(
        "scan-completed",
        1,
        ("PatchAssessor.ScanCompleted",),
        "Scan completed",
        f"{_RESULTS}the sum of a request for a scope, after the outcomes of its VMs.",
        "The scope: a subscription or a resource group.",
        ScanData,
    ),
    PublishedMessage(
        "alert",
        2,
        ("PatchAssessor.AlertFired", "PatchAssessor.AlertResolved"),
        "Alert",
        "A message on the topic patch-alerts: a CloudEvent 1.0 in structured JSON mode whose data "
        "is a document of Azure Monitor's common alert schema.",
        _VM,
        AlertData,
        time="When the change was known.",
    ),
)

DATA_SCHEMAS: Final[Mapping[str, str]] = {
    event_type: message.data_id for message in MESSAGES for event_type in message.types
}
"""`dataschema` of each type of event."""
