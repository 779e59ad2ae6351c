"""Makes the domain's data for tests: the reference's example, the recording, and variations."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from assessor.arm.result import parse_result
from assessor.arm.virtual_machine import VirtualMachine
from assessor.messages.outcome import Finished
from assessor.messages.request import AssessmentRequest, IncomingMessage
from assessor.resource_id import VirtualMachineId

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
SUBSCRIPTION = "e37510d7-33b6-4676-886f-ee75bcc01871"
OTHER_SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
ACTIVITY_ID = "14e074b4-2fd7-4d20-8b3b-5339add89570"
VM_ID = VirtualMachineId(SUBSCRIPTION, "crptestps418", "vmcrptestps418")
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

REFERENCE_RESULT: Mapping[str, Any] = {
    "status": "Succeeded",
    "assessmentActivityId": "68f8b292-dfc2-4646-9781-33cc88631968",
    "rebootPending": True,
    "criticalAndSecurityPatchCount": 1,
    "otherPatchCount": 2,
    "startDateTime": "2020-04-24T21:02:04.2556154Z",
    "availablePatches": [
        {
            "patchId": "35428702-5784-4ba4-a6e0-5222258b5411",
            "name": (
                "Definition Update for Windows Defender Antivirus - KB2267602"
                " (Definition 1.279.1373.0)"
            ),
            "version": "",
            "kbId": "2267602",
            "classifications": ["Definition Updates"],
            "rebootBehavior": "NeverReboots",
            "activityId": "68f8b292-dfc2-4646-9781-33cc88631968",
            "publishedDate": "2018-11-07T00:00:00Z",
            "lastModifiedDateTime": "2020-04-24T21:18:45.2830263Z",
            "assessmentState": "Available",
        },
        {
            "patchId": "39f9cdd1-795c-4d0e-8c0a-73ab3f31746d",
            "name": "Windows Malicious Software Removal Tool x64 - October 2018 (KB890830)",
            "version": "",
            "kbId": "890830",
            "classifications": ["Update Rollups"],
            "rebootBehavior": "CanRequestReboot",
            "activityId": "68f8b292-dfc2-4646-9781-33cc88631968",
            "publishedDate": "2018-11-07T00:00:00Z",
            "lastModifiedDateTime": "2020-04-24T21:18:45.2830263Z",
            "assessmentState": "Available",
        },
    ],
    "error": None,
}
"""The sample response of the REST reference, letter for letter."""


@cache
def recording() -> tuple[Mapping[str, Any], ...]:
    """Returns the exchanges of a recorded assessment: the 202, polls, the status and the result."""
    path = Path(__file__).parents[1] / "recorded" / "arm-recording-assess-patches.json"
    return tuple(json.loads(path.read_text())["Entries"])


def recorded_result() -> dict[str, Any]:
    """Returns the result that ARM answered at the end of the recording."""
    result: dict[str, Any] = json.loads(recording()[-1]["ResponseBody"])
    return result


def vm_json(*, instance_view: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Returns what ARM tells of a running VM that has been assessed before."""
    view = {
        "osName": "Windows Server 2016 Datacenter",
        "vmAgent": {
            "statuses": [{"code": "ProvisioningState/succeeded", "displayStatus": "Ready"}]
        },
        "statuses": [
            {"code": "ProvisioningState/succeeded", "displayStatus": "Provisioning succeeded"},
            {"code": "PowerState/running", "displayStatus": "VM running"},
        ],
        "patchStatus": {
            "availablePatchSummary": {
                "status": "Succeeded",
                "assessmentActivityId": ACTIVITY_ID,
                "rebootPending": True,
                "criticalAndSecurityPatchCount": 0,
                "otherPatchCount": 3,
                "startTime": "2020-08-26T09:22:19.8747329-04:00",
                "lastModifiedTime": "2020-08-26T09:33:25.3731131-04:00",
                "error": None,
            }
        },
    }
    return {
        "id": str(VM_ID),
        "name": VM_ID.name,
        "location": "eastus",
        "tags": {"env": "test"},
        "properties": {
            "provisioningState": "Succeeded",
            "storageProfile": {"osDisk": {"osType": "Windows"}},
            "instanceView": view | dict(instance_view or {}),
        },
    }


def incoming(
    body: object, *, content_type: str | None = None, properties: Mapping[str, Any] | None = None
) -> IncomingMessage:
    """Returns a message of the requests queue; a body that is no bytes is written as JSON."""
    return IncomingMessage(
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
        message_id="message-1",
        content_type=content_type,
        application_properties=properties or {},
        enqueued_at=NOW,
    )


def request(vm: VirtualMachineId = VM_ID, request_id: str = "request-1") -> AssessmentRequest:
    """Returns a request for one VM."""
    return AssessmentRequest(vm, request_id, NOW, requested_by="ops", reason="monthly")


def machine() -> VirtualMachine:
    """Returns a running VM."""
    return VirtualMachine(
        VM_ID,
        location="eastus",
        os_type="Windows",
        os_name="Windows Server 2016 Datacenter",
        power_state="running",
        provisioning_state="Succeeded",
        agent_state="Ready",
        tags={"env": "test"},
    )


def finished(**changes: Any) -> Finished:  # noqa: ANN401 - any JSON value of a result's field
    """Returns the end of the recorded assessment, with some of its fields changed."""
    return Finished(parse_result(recorded_result() | changes), NOW, 665.4984124)


def json_values(max_leaves: int = 20) -> st.SearchStrategy[Any]:
    """Returns any JSON value: RFC 8259 has no infinite numbers, and none that are none."""
    return st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=max_leaves,
    )


def vm_ids() -> st.SearchStrategy[VirtualMachineId]:
    """Returns any legal VM, in any case."""
    return st.builds(
        VirtualMachineId,
        st.uuids().map(str) | st.uuids().map(lambda each: str(each).upper()),
        st.from_regex(r"[A-Za-z0-9_().éд-]{0,8}[A-Za-z0-9_()éд-]", fullmatch=True),
        st.from_regex(r"[A-Za-z0-9éд]([A-Za-z0-9éд_.-]{0,8}[A-Za-z0-9éд_])?", fullmatch=True),
    )
