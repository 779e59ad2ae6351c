"""The JSON documents that ARM answers with: VMs, instance views, operations, results.

Compute indents what it writes itself, with CRLF, and passes on compactly what an assessment put
out. The recording shows all bodies indented, but its Content-Length tells how they were sent:
compact from Location, and compact inside the indented document of an operation. Left out of a VM:
disks beyond the OS disk, network profile, extensions, zones, identity, availability set.
"""

import json
from collections.abc import Mapping
from typing import Any

from localcloud.arm.clock import Ticks, seconds, timestamp
from localcloud.arm.model import Assessment, Json, Patch, Power, Vm
from localcloud.arm.operations import GuestAssessment, Operation, Purpose, State

_RESULT_LAG = seconds(0.0156601)
"""The recorded result starts this much after its operation."""
_DISPLAY = {
    Power.RUNNING: "VM running",
    Power.STARTING: "VM starting",
    Power.STOPPING: "VM stopping",
    Power.STOPPED: "VM stopped",
    Power.DEALLOCATING: "VM deallocating",
    Power.DEALLOCATED: "VM deallocated",
}


def encode(document: Mapping[str, Any]) -> bytes:
    """Returns a document as Compute writes its own."""
    return _indented(document).encode()


def operation_bytes(operation: Operation, now: Ticks) -> bytes:
    """Returns what Azure-AsyncOperation answers at a point in time."""
    state = operation.state(now)
    offset = operation.vm.region.offset_minutes
    verbatim = operation.verbatim
    body: Json = {
        "startTime": verbatim.start_time if verbatim else timestamp(operation.started, offset)
    }
    if state is not State.IN_PROGRESS:
        body["endTime"] = verbatim.end_time if verbatim else timestamp(operation.ends, offset)
    body["status"] = state.value
    if state is State.SUCCEEDED:
        body["properties"] = {"output": None}
    elif state is not State.IN_PROGRESS:
        body["error"] = operation.error().as_json()
    body["name"] = operation.name
    text = _indented(body)
    if state is State.SUCCEEDED:
        text = text.replace('"output": null', f'"output": {_compact(result_body(operation))}', 1)
    return text.encode()


def result_bytes(operation: Operation) -> bytes:
    """Returns what Location answers for an operation that Succeeded."""
    return _compact(result_body(operation)).encode()


def result_body(operation: Operation) -> Json:
    """Returns the result of an operation that Succeeded, of the kind that it is."""
    if operation.purpose is Purpose.INSTALLATION:
        return _installation_body(operation)
    if operation.vm.verbatim is not None:
        return _reissued(operation.vm.verbatim.result, operation.name)
    assessment = operation.vm.assessment
    grave, other = assessment.counts()
    times = _Times(operation)
    body: Json = {
        "status": assessment.status,
        "assessmentActivityId": operation.name,
        "rebootPending": assessment.reboot_pending,
        "criticalAndSecurityPatchCount": grave,
        "otherPatchCount": other,
        "startDateTime": times.start,
        "availablePatches": None
        if assessment.patches is None
        else [_patch(patch, operation.name, times.modified) for patch in assessment.patches],
    }
    if assessment.error is not None:
        body["error"] = assessment.error.as_json()
    return body


def vm_body(
    vm: Vm, last: Operation | GuestAssessment | None, now: Ticks, *, instance_view: bool
) -> Json:
    """Returns a VM as GET and list do; ``last`` is its latest assessment, if any."""
    properties: Json = {
        "vmId": vm.vm_id,
        "hardwareProfile": {"vmSize": vm.size},
        "storageProfile": {
            "imageReference": {
                "publisher": vm.image.publisher,
                "offer": vm.image.offer,
                "sku": vm.image.sku,
                "version": "latest",
            },
            "osDisk": {
                "osType": vm.image.os_type,
                "name": f"{vm.name}_OsDisk_1",
                "createOption": "FromImage",
                "caching": "ReadWrite",
                "managedDisk": {"storageAccountType": "Premium_LRS"},
                "deleteOption": "Detach",
                "diskSizeGB": 127 if vm.image.os_type == "Windows" else 30,
            },
            "dataDisks": [],
        },
        "osProfile": _os_profile(vm),
        "provisioningState": vm.provisioning_state,
        "timeCreated": vm.time_created,
    }
    if instance_view:
        properties["instanceView"] = instance_view_body(vm, last, now)
    return {
        "name": vm.name,
        "id": vm.id,
        "type": "Microsoft.Compute/virtualMachines",
        "location": vm.region.name,
        "tags": dict(vm.tags),
        "properties": properties,
    }


def instance_view_body(vm: Vm, last: Operation | GuestAssessment | None, now: Ticks) -> Json:
    """Returns a VM's instance view; guest details only while the guest runs."""
    at = timestamp(now, vm.region.offset_minutes)
    view: Json = {"hyperVGeneration": "V2"}
    if vm.power is Power.RUNNING and vm.has_agent:
        view["computerName"] = vm.name[:15]
        view["osName"] = vm.image.os_name
        view["osVersion"] = vm.image.os_version
    if vm.power is Power.RUNNING:
        view["vmAgent"] = _agent(vm, at)
    if last is not None:
        view["patchStatus"] = {
            "availablePatchSummary": _summary(last, now),
            "configurationStatuses": [
                {
                    "code": "ConfigurationStatus/PatchMode",
                    "level": "Info",
                    "displayStatus": "Ready",
                    "time": at,
                }
            ],
        }
    view["statuses"] = [
        {
            "code": f"ProvisioningState/{vm.provisioning_state.lower()}",
            "level": "Info",
            "displayStatus": f"Provisioning {vm.provisioning_state.lower()}",
            "time": vm.time_created,
        },
        {
            "code": f"PowerState/{vm.power.value}",
            "level": "Info",
            "displayStatus": _DISPLAY[vm.power],
        },
    ]
    return view


def _indented(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False).replace("\n", "\r\n")


def _compact(document: Mapping[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


class _Times:
    """The times inside a result, in the precision that its VM's host writes."""

    def __init__(self, operation: Operation) -> None:
        offset = operation.vm.region.offset_minutes
        modified_at = operation.ends - (operation.ends - operation.started) // 15
        self.start = timestamp(operation.started + _RESULT_LAG, offset)
        self.modified = timestamp(modified_at, offset)
        if operation.vm.assessment.odd_times:
            self.start = timestamp(operation.started, 0)[:19] + "Z"
            self.modified = timestamp(modified_at, 330)[:22] + "+05:30"


def _installation_body(operation: Operation) -> Json:
    """Returns a VirtualMachineInstallPatchesResult that found nothing to install."""
    return {
        "status": "Succeeded",
        "installationActivityId": operation.name,
        "rebootStatus": "NotNeeded",
        "maintenanceWindowExceeded": False,
        "excludedPatchCount": 0,
        "notSelectedPatchCount": len(operation.vm.assessment.patches or ()),
        "pendingPatchCount": 0,
        "installedPatchCount": 0,
        "failedPatchCount": 0,
        "patches": [],
        "startDateTime": _Times(operation).start,
        "error": {"details": [], "code": "Success", "message": "0 error/s reported"},
    }


def _guest_summary(told: GuestAssessment) -> Json:
    offset = told.vm.region.offset_minutes
    summary: Json = {
        "assessmentActivityId": told.activity_id,
        "status": told.status,
        "startTime": timestamp(told.started, offset),
        "lastModifiedTime": timestamp(told.modified, offset),
    }
    if told.status != State.IN_PROGRESS.value:
        grave, other = told.vm.assessment.counts()
        summary["criticalAndSecurityPatchCount"] = grave
        summary["otherPatchCount"] = other
        summary["rebootPending"] = told.vm.assessment.reboot_pending
    return summary


def _summary(operation: Operation | GuestAssessment, now: Ticks) -> Json:
    if isinstance(operation, GuestAssessment):
        return _guest_summary(operation)
    state = operation.state(now)
    times = _Times(operation)
    assessment: Assessment = operation.vm.assessment
    if state is State.IN_PROGRESS:
        return {
            "status": State.IN_PROGRESS.value,
            "assessmentActivityId": operation.name,
            "startTime": times.start,
            "lastModifiedTime": times.start,
        }
    if operation.vm.verbatim is not None:
        result = result_body(operation)
        return {
            "assessmentActivityId": operation.name,
            "status": result["status"],
            "startTime": result["startDateTime"],
            "lastModifiedTime": operation.vm.verbatim.last_modified,
            "criticalAndSecurityPatchCount": result["criticalAndSecurityPatchCount"],
            "otherPatchCount": result["otherPatchCount"],
            "rebootPending": result["rebootPending"],
        }
    grave, other = assessment.counts()
    succeeded = state is State.SUCCEEDED
    summary: Json = {
        "assessmentActivityId": operation.name,
        "status": assessment.status if succeeded else "Failed",
        "startTime": times.start,
        "lastModifiedTime": times.modified,
        "criticalAndSecurityPatchCount": grave if succeeded else 0,
        "otherPatchCount": other if succeeded else 0,
        "rebootPending": assessment.reboot_pending,
    }
    if assessment.error is not None:
        summary["error"] = assessment.error.as_json()
    return summary


def _patch(patch: Patch, activity_id: str, modified: str) -> Json:
    body: Json = {"patchId": patch.patch_id, "name": patch.name}
    if patch.version is not None:
        body["version"] = patch.version
    if patch.kb_id is not None:
        body["kbId"] = patch.kb_id
    body["classifications"] = list(patch.classifications)
    body["rebootBehavior"] = patch.reboot_behavior
    if patch.published is not None:
        body["publishedDate"] = patch.published
    body["activityId"] = activity_id
    body["lastModifiedDateTime"] = modified
    body["assessmentState"] = patch.assessment_state
    return body


def _reissued(result: Mapping[str, Any], activity_id: str) -> Json:
    body = dict(result)
    body["assessmentActivityId"] = activity_id
    patches = body["availablePatches"]
    body["availablePatches"] = [{**patch, "activityId": activity_id} for patch in patches]
    return body


def _os_profile(vm: Vm) -> Json:
    profile: Json = {"computerName": vm.name[:15], "adminUsername": "azureadmin"}
    if vm.image.os_type == "Windows":
        profile["windowsConfiguration"] = {
            "provisionVMAgent": vm.has_agent,
            "enableAutomaticUpdates": True,
            "patchSettings": {"patchMode": "AutomaticByOS", "assessmentMode": "ImageDefault"},
        }
    else:
        profile["linuxConfiguration"] = {
            "disablePasswordAuthentication": True,
            "provisionVMAgent": vm.has_agent,
            "patchSettings": {"patchMode": "ImageDefault", "assessmentMode": "ImageDefault"},
        }
    profile["secrets"] = []
    profile["allowExtensionOperations"] = vm.has_agent
    return profile


def _agent(vm: Vm, at: str) -> Json:
    """A VM without agent reports the status that Compute fills in when nothing reports."""
    if not vm.has_agent:
        status = {
            "code": "ProvisioningState/Unavailable",
            "level": "Warning",
            "displayStatus": "Not Ready",
            "message": "VM status blob is found but not yet populated.",
            "time": at,
        }
        return {"vmAgentVersion": "Unknown", "statuses": [status]}
    windows = vm.image.os_type == "Windows"
    status = {
        "code": "ProvisioningState/succeeded",
        "level": "Info",
        "displayStatus": "Ready",
        "message": "GuestAgent is running and processing the extensions."
        if windows
        else "Guest Agent is running",
        "time": at,
    }
    version = "2.7.41491.1183" if windows else "2.14.0.1"
    return {"vmAgentVersion": version, "extensionHandlers": [], "statuses": [status]}
