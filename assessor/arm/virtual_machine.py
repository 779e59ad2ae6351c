"""What ARM tells about a virtual machine, and whether its patches can be assessed now.

Read from the JSON of `GET virtualMachines/{name}?$expand=instanceView`; whatever is missing or of
another shape than expected is unknown, never an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from assessor.arm.reading import object_of, objects_of, text_of
from assessor.arm.result import AssessmentResult, Json, parse_result
from assessor.resource_id import VirtualMachineId

_RUNNING: Final = "running"
_POWER_STATE: Final = "powerstate/"


class SkipReason(StrEnum):
    """Why a VM can't be assessed now, although nothing is wrong with the request."""

    NOT_RUNNING = "VmNotRunning"
    BEING_DELETED = "VmBeingDeleted"
    AGENT_NOT_READY = "VmAgentNotReady"
    IMAGE_NOT_SUPPORTED = "ImageNotSupported"


@dataclass(frozen=True, slots=True)
class PatchSummary:
    """What the instance view still knows of the last assessment: everything but the patches.

    Attributes:
        fields: the summary as ARM sent it (AvailablePatchSummary of the REST reference).
    """

    fields: Json

    @property
    def activity_id(self) -> str | None:
        """The assessment's activity ID, which is also its operation's name."""
        return text_of(self.fields.get("assessmentActivityId"))

    @property
    def is_in_progress(self) -> bool:
        """Whether that assessment still runs."""
        return (text_of(self.fields.get("status")) or "").lower() == "inprogress"

    @property
    def start_time(self) -> str | None:
        """When that assessment began, as ARM wrote it."""
        return text_of(self.fields.get("startTime"))

    @property
    def last_modified_time(self) -> str | None:
        """When the summary was written last: at the assessment's end, once it has ended."""
        return text_of(self.fields.get("lastModifiedTime"))

    def as_result(self) -> AssessmentResult:
        """Returns the summary as the AssessmentResult that it is without its list of patches."""
        renamed = {"startTime": "startDateTime"}
        fields = {renamed.get(name, name): value for name, value in self.fields.items()}
        return parse_result(fields | {"availablePatches": None})


@dataclass(frozen=True, slots=True)
class VirtualMachine:
    """A VM as ARM described it at one moment. What ARM did not tell is None."""

    id: VirtualMachineId
    location: str | None = None
    os_type: str | None = None
    os_name: str | None = None
    power_state: str | None = None
    provisioning_state: str | None = None
    agent_state: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    last_assessment: PatchSummary | None = None

    def skip_reason(self) -> SkipReason | None:
        """Returns why this VM can't be assessed now; None where nothing speaks against it."""
        if self.provisioning_state is not None and self.provisioning_state.lower() == "deleting":
            return SkipReason.BEING_DELETED
        if self.power_state is not None and self.power_state.lower() != _RUNNING:
            return SkipReason.NOT_RUNNING
        if self.agent_state is not None and self.agent_state.lower() != "ready":
            return SkipReason.AGENT_NOT_READY
        return None


def read_virtual_machine(vm_id: VirtualMachineId, resource: Json) -> VirtualMachine:
    """Returns what `resource`, the VM's JSON with its instance view, says of the VM."""
    properties = object_of(resource.get("properties"))
    view = object_of(properties.get("instanceView"))
    summary = object_of(object_of(view.get("patchStatus")).get("availablePatchSummary"))
    os_disk = object_of(object_of(properties.get("storageProfile")).get("osDisk"))
    return VirtualMachine(
        id=vm_id,
        location=text_of(resource.get("location")),
        os_type=text_of(os_disk.get("osType")),
        os_name=text_of(view.get("osName")),
        power_state=power_state(view),
        provisioning_state=text_of(properties.get("provisioningState")),
        agent_state=_agent_state(view) if view else None,
        tags={str(k): str(v) for k, v in object_of(resource.get("tags")).items()},
        last_assessment=PatchSummary(summary) if summary else None,
    )


def _agent_state(view: Json) -> str:
    """Returns the agent's own word; `Missing` where a running VM has never heard of one."""
    for status in objects_of(object_of(view.get("vmAgent")).get("statuses")):
        shown = text_of(status.get("displayStatus"))
        if shown is not None:
            return shown
    return "Missing"


def power_state(view: Json) -> str | None:
    """Returns the VM's power state by its instance view; None where that tells none."""
    for status in objects_of(view.get("statuses")):
        code = text_of(status.get("code"))
        if code is not None and code.lower().startswith(_POWER_STATE):
            return code[len(_POWER_STATE) :]
    return None
