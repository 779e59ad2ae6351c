"""Scans on the in-progress queue: beside assessments, told from them by `kind`.

The messages are the app's own, and yet they are checked like a stranger's.
"""

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked
from pydantic_core import from_json

from assessor.bus.message import OutgoingMessage
from assessor.ids import name_based_id
from assessor.messages.progress import CONTENT_TYPE, Progress, ProgressError, from_body
from assessor.scans.scan import Expansion, Watch

VERSION: Final = 1
_Version = Annotated[int, Field(ge=VERSION, le=VERSION)]

ScanProgress = Expansion | Watch


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class _ExpansionEnvelope:
    progress: Expansion
    kind: Literal["expansion"] = "expansion"
    version: _Version = VERSION


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class _WatchEnvelope:
    progress: Watch
    kind: Literal["watch"] = "watch"
    version: _Version = VERSION


_Envelope = Annotated[_ExpansionEnvelope | _WatchEnvelope, Field(discriminator="kind")]
_ENVELOPE: Final[TypeAdapter[_ExpansionEnvelope | _WatchEnvelope]] = TypeAdapter(_Envelope)


def scan_message(progress: ScanProgress, enqueue_at: datetime) -> OutgoingMessage:
    """Returns the message that hands a scan over, to appear at `enqueue_at`.

    Its ID is made of the scan, the kind and the hop: a repeat after a crash is a duplicate.
    """
    envelope = (
        _ExpansionEnvelope(progress)
        if isinstance(progress, Expansion)
        else _WatchEnvelope(progress)
    )
    scan = progress.scan
    return OutgoingMessage(
        body=_ENVELOPE.dump_json(envelope),
        message_id=name_based_id("scan-in-progress", scan.id, envelope.kind, str(progress.hop)),
        correlation_id=scan.request.request_id,
        content_type=CONTENT_TYPE,
        application_properties={
            "kind": envelope.kind,
            "scanId": scan.id,
            "requestId": scan.request.request_id,
        },
        subject=str(scan.request.scope),
        enqueue_at=enqueue_at,
    )


def read_in_progress(body: bytes) -> Progress | ScanProgress:
    """Returns what a message of the in-progress queue goes on with: an assessment, or a scan.

    Raises:
        ProgressError: it is no message of this app.
    """
    try:
        fields = from_json(body)
    except ValueError as error:
        raise ProgressError(("body",)) from error
    if not isinstance(fields, dict) or "kind" not in fields:
        return from_body(body)
    try:
        return _ENVELOPE.validate_json(body).progress
    except ValidationError as error:
        names = {".".join(map(str, each["loc"])) or "body" for each in error.errors()}
        raise ProgressError(tuple(sorted(names))) from error
