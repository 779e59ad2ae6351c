"""The data of PatchAssessor.ScanCompleted: the sum of a request for a scope."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from assessor.arm.result import ApiError
from assessor.messages.model import DateTime, Model, Uuid, one_of
from assessor.messages.outcome_data import Asked
from assessor.messages.shapes import (
    ErrorCode,
    ErrorDetails,
    ErrorMessage,
    ErrorTarget,
    InnerError,
)


@dataclass(frozen=True, kw_only=True)
class VmCounts(Model):
    """How many VMs."""

    found: int
    unreadable: int
    requested: int
    assessed: int
    failed: int
    skipped: int
    missing: int
    with_critical_patches: int
    reboot_pending: int

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Says that numbers which may be added are integers too."""
        reference = handler(core_schema)
        handler.resolve_ref_schema(reference)["additionalProperties"] = {"type": "integer"}
        return reference


@dataclass(frozen=True, kw_only=True)
class ScanError(Model):
    """Why the list of VMs is not complete: an ApiError."""

    code: ErrorCode
    message: ErrorMessage
    target: ErrorTarget = None
    details: ErrorDetails = None
    innererror: InnerError = None

    @classmethod
    def of(cls, error: ApiError) -> "ScanError":
        """Returns the same error as a message has it."""
        return cls(**error.to_json())


@dataclass(frozen=True, kw_only=True)
class ScanData(Model):
    """The sum of a request for a scope, after the outcomes of its VMs."""

    request: Asked
    scan_id: Uuid
    """Each outcome of the scan carries it as data.request.scanId."""
    scope: str
    tags: Mapping[str, str | None]
    running_only: bool
    status: Annotated[str, one_of("Succeeded", "Incomplete", "Failed")]
    """Succeeded: all VMs were listed, and each request has its outcome, whatever that is.
    Incomplete: some had none when the scan's time was over, or VMs were found that can't be
    asked for (unreadable). Failed: the list of VMs is not complete, and error says why."""
    started_date_time: DateTime
    completed_date_time: DateTime
    duration_seconds: float
    vms: VmCounts
    """How many VMs: found in the scope, unreadable or requested of these, and what became of
    those."""
    unreadable: Mapping[str, Annotated[int, Field(ge=1)]]
    """How many VMs of the list could not be asked for, by the reason: NotAnObject,
    NoResourceId, UnknownResourceId (no VM's by ARM's own rules), OutOfScope. Empty where there
    is none."""
    error: ScanError | None
