"""Virtual machines and what an assessment of each one finds, as frozen data.

Enumerations of the REST API are plain strings here: a fleet must be able to carry values that no
client knows yet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeAlias

from dotnet_text import ignoring_case

Json: TypeAlias = dict[str, Any]

COUNTED_AS_CRITICAL_OR_SECURITY: Final = frozenset({"Critical", "Security"})
DEFAULT_DURATION_SECONDS: Final = 665.5
"""How long the recorded assessment took."""


class Power(StrEnum):
    """Power states of a VM, as its instance view names them after ``PowerState/``."""

    RUNNING = "running"
    STARTING = "starting"
    STOPPING = "stopping"
    STOPPED = "stopped"
    DEALLOCATING = "deallocating"
    DEALLOCATED = "deallocated"


@dataclass(frozen=True)
class Region:
    """A location: its name, and the offset of the times that Compute writes there."""

    name: str
    offset_minutes: int


@dataclass(frozen=True)
class Image:
    """An operating system as a marketplace image and as its agent reports it."""

    publisher: str
    offer: str
    sku: str
    os_type: str
    os_name: str
    os_version: str


@dataclass(frozen=True)
class Patch:
    """A patch that an assessment finds; what depends on the run is added when it is written."""

    patch_id: str
    name: str
    classifications: tuple[str, ...]
    reboot_behavior: str
    version: str | None = None
    kb_id: str | None = None
    published: str | None = None
    assessment_state: str = "Available"


@dataclass(frozen=True)
class InnerError:
    """The ``innererror`` of an ApiError."""

    exception_type: str
    error_detail: str


@dataclass(frozen=True)
class ApiError:
    """An error in the shape of the REST reference's ApiError."""

    code: str
    message: str
    target: str | None = None
    details: tuple["ApiError", ...] = ()
    inner: InnerError | None = None

    def as_json(self) -> Json:
        """Returns the error under its REST names, leaving out what is not set."""
        body: Json = {"code": self.code, "message": self.message}
        if self.target is not None:
            body["target"] = self.target
        if self.details:
            body["details"] = [detail.as_json() for detail in self.details]
        if self.inner is not None:
            body["innererror"] = {
                "exceptiontype": self.inner.exception_type,
                "errordetail": self.inner.error_detail,
            }
        return body


@dataclass(frozen=True)
class Assessment:
    """How an assessment of one VM ends.

    Attributes:
        operation_status: of the long-running operation: Succeeded, Failed or Canceled.
        status: of the assessment itself; can be Failed under an operation that Succeeded.
        patches: what is found, None where the service gives counts without a list.
        critical_and_security_count: overrides the count over ``patches``.
        other_count: overrides the count over ``patches``.
        reboot_pending: whether the VM waits for a reboot.
        error: the result's error, or the operation's when that Failed.
        odd_times: write times in mixed precision and without offsets, as older hosts do.
    """

    operation_status: str = "Succeeded"
    status: str = "Succeeded"
    patches: tuple[Patch, ...] | None = ()
    critical_and_security_count: int | None = None
    other_count: int | None = None
    reboot_pending: bool = False
    error: ApiError | None = None
    odd_times: bool = False

    def counts(self) -> tuple[int, int]:
        """Returns the number of critical or security patches, and that of all others."""
        patches: Sequence[Patch] = self.patches or ()
        grave = sum(
            not COUNTED_AS_CRITICAL_OR_SECURITY.isdisjoint(patch.classifications)
            for patch in patches
        )
        other = len(patches) - grave
        return (
            grave if self.critical_and_security_count is None else self.critical_and_security_count,
            other if self.other_count is None else self.other_count,
        )


@dataclass(frozen=True)
class Verbatim:
    """A recorded assessment: answered word for word once, later with a new activity ID.

    Attributes:
        activity_id: of the recording.
        result: the recorded VirtualMachineAssessPatchesResult.
        start_time: ``startTime`` of the recorded operation.
        end_time: ``endTime`` of the recorded operation.
        last_modified: ``lastModifiedTime`` in the instance view afterwards.
    """

    activity_id: str
    result: Mapping[str, Any]
    start_time: str
    end_time: str
    last_modified: str


@dataclass(frozen=True)
class Vm:
    """A virtual machine: what ARM says of it and what an assessment of it does.

    ``behaviour`` is a label for readers and tests; nothing branches on it.
    """

    subscription_id: str
    resource_group: str
    name: str
    region: Region
    image: Image
    vm_id: str
    behaviour: str = "patches"
    size: str = "Standard_D2s_v5"
    tags: Mapping[str, str] = field(default_factory=dict)
    time_created: str = "2024-02-06T08:41:17.3120478+00:00"
    power: Power = Power.RUNNING
    has_agent: bool = True
    provisioning_state: str = "Succeeded"
    duration_seconds: float = DEFAULT_DURATION_SECONDS
    assessment: Assessment = Assessment()
    verbatim: Verbatim | None = None

    @property
    def id(self) -> str:
        """The resource ID, in the casing that ARM answers with."""
        return (
            f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.Compute/virtualMachines/{self.name}"
        )

    @property
    def key(self) -> str:
        """The resource ID for look-ups: ARM's IDs are case-insensitive."""
        return ignoring_case(self.id)

    @property
    def skip_reason(self) -> str | None:
        """Why the VM can't be assessed now, None if it can."""
        if self.provisioning_state == "Deleting":
            return "deleting"
        if self.power is not Power.RUNNING:
            return "not running"
        if not self.has_agent:
            return "no agent"
        return None

    @property
    def expected_outcome(self) -> str:
        """The type of outcome a request for this VM should lead to, by the product's contract."""
        if self.skip_reason is not None:
            return "PatchAssessor.AssessmentSkipped"
        if self.assessment.operation_status != "Succeeded" or self.assessment.status == "Failed":
            return "PatchAssessor.AssessmentFailed"
        return "PatchAssessor.AssessmentCompleted"
