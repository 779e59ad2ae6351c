"""Conversations with ARM that tests replay, and the cases that were found, where at hand."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

CASES: Final = Path(__file__).parents[3] / "shared" / "cases"
SUBSCRIPTION: Final = "22222222-3333-4444-8555-666666666666"
VMS: Final = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-a/providers/Microsoft.Compute/virtualMachines"
)
VM: Final = f"{VMS}/web-07"
ACTIVITY: Final = "aaaaaaaa-0000-4000-8000-000000000001"
FOREIGN: Final = "bbbbbbbb-0000-4000-8000-000000000002"
REQUEST: Final = {"vmId": VM, "requestId": "r-7"}
OPERATIONS: Final = (
    f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/locations/eastus/operations"
)
RESULT: Final[Mapping[str, Any]] = {
    "status": "Succeeded",
    "assessmentActivityId": ACTIVITY,
    "rebootPending": False,
    "criticalAndSecurityPatchCount": 1,
    "otherPatchCount": 0,
    "startDateTime": "2026-01-05T12:00:01Z",
    "availablePatches": [{"patchId": "p9", "name": "zlib", "classifications": ["Security"]}],
}
BEGUN: Final[Mapping[str, Any]] = {
    "status": 202,
    "headers": {
        "Azure-AsyncOperation": f"https://management.azure.com{OPERATIONS}/{ACTIVITY}?api-version=2026-04-01",
        "Location": f"https://management.azure.com{OPERATIONS}/{ACTIVITY}?monitor=true&api-version=2026-04-01",
        "x-ms-request-id": ACTIVITY,
    },
}
ENDED: Final[Mapping[str, Any]] = {
    "startTime": "2026-01-05T12:00:01Z",
    "endTime": "2026-01-05T12:10:01Z",
    "status": "Succeeded",
    "name": ACTIVITY,
}
NOT_FOUND: Final[Mapping[str, Any]] = {
    "status": 404,
    "body": {"error": {"code": "NotFound", "message": "Gone."}},
}
THROTTLED: Final[Mapping[str, Any]] = {
    "error": {"code": "OperationNotAllowed", "details": [{"code": "TooManyRequests"}]}
}


def vm_body(
    summary: Mapping[str, Any] | None = None, location: object = "eastus"
) -> dict[str, Any]:
    """What ARM tells of the VM."""
    view: dict[str, Any] = {
        "vmAgent": {
            "statuses": [{"code": "ProvisioningState/succeeded", "displayStatus": "Ready"}]
        },
        "statuses": [{"code": "PowerState/running"}],
    }
    if summary is not None:
        view["patchStatus"] = {"availablePatchSummary": summary}
    return {"id": VM, "location": location, "properties": {"instanceView": view}}


def rule(method: str, url: str, *answers: Mapping[str, Any]) -> dict[str, Any]:
    """A rule of a conversation."""
    return {"method": method, "url": url, "answers": list(answers)}


def ok(body: object) -> dict[str, Any]:
    """An answer with a body."""
    return {"status": 200, "body": body}


def conversation(
    *first: Mapping[str, Any], vm: object = None, begins: Sequence[Mapping[str, Any]] = (BEGUN,)
) -> list[Mapping[str, Any]]:
    """A VM that can be assessed, as the last rules; what differs comes before them."""
    return [
        *first,
        rule("GET", f"{ACTIVITY}?monitor=true", ok(RESULT)),
        rule("GET", ACTIVITY, ok(ENDED)),
        rule("POST", "/assessPatches", *begins),
        rule("GET", "/virtualMachines/web-07", ok(vm or vm_body())),
    ]


def summary(status: str, start: str, activity: object = FOREIGN) -> dict[str, Any]:
    """What the instance view says of the last assessment, or of what it takes for one."""
    counts = {"criticalAndSecurityPatchCount": 3, "otherPatchCount": 1, "rebootPending": False}
    return {"assessmentActivityId": activity, "status": status, "startTime": start, **counts}


def found(name: str) -> Any:  # noqa: ANN401 - a case's JSON
    """A case that was found; skips where it is not at hand."""
    path = next(iter(sorted(CASES.glob(f"{name}*"))), None)
    if path is None:
        pytest.skip(f"the case {name} is not at hand ({CASES})")
    return json.loads(path.read_text("utf-8"))
