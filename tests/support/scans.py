"""A scan that was accepted, as tests of its steps begin with it."""

from datetime import timedelta
from typing import Final

from assessor.messages.progress import Scan
from assessor.messages.request import ScanRequest
from assessor.resource_id import Scope, VirtualMachineId
from tests.support.builders import NOW, SUBSCRIPTION, TRACEPARENT

SCAN_ID: Final = "0b1c2d3e-0000-5000-8000-000000000000"
OTHER_SCAN_ID: Final = "0b1c2d3e-0000-5000-8000-000000000001"
SCOPE: Final = Scope(SUBSCRIPTION, "Group")
SCAN_REQUEST: Final = ScanRequest(
    SCOPE,
    "request-1",
    "identity-1",
    NOW - timedelta(seconds=5),
    requested_by="ops",
    reason="monthly",
    traceparent=TRACEPARENT,
)
SCAN: Final = Scan(SCAN_ID, SCAN_REQUEST, NOW)


def vm(name: str) -> VirtualMachineId:
    """Returns a VM of the scan's scope."""
    return VirtualMachineId(SUBSCRIPTION, "Group", name)
