"""Fleets whose VMs are alike, and the requests that name them.

Every way of doing the work gets the same VMs with the same durations and patches, so that what
differs is the way alone. A fleet's first VMs are for warming up: nobody assesses a VM twice.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from azure.servicebus import ServiceBusMessage

from localcloud.arm.fleet import REGIONS

_SUBSCRIPTION: Final = "5d1e7a30-64c2-4b0f-9c1d-2f8e6b7a9043"
_GOLDEN: Final = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class Fleet:
    """Running VMs that differ in their names, and in what follows from those.

    Attributes:
        vms: How many there are.
        seconds: How long an assessment takes, in ARM's time, which a time scale divides.
        spread: How far from that it may be, either way; the durations lie evenly in between.
        regions: Over how many regions they are spread. ARM's buckets are for a region each, and the
            app holds a region back whose bucket is empty: that is not to be measured.
    """

    vms: int
    seconds: float
    spread: float = 0.0
    regions: int = len(REGIONS)

    def scenario(self) -> Mapping[str, object]:
        """Returns the fleet as ARM's scenario."""
        return {
            "vms": [
                {
                    "id": vm_id(index),
                    "location": REGIONS[index % self.regions].name,
                    "behaviour": "patches",
                    "durationSeconds": self.duration(index),
                }
                for index in range(self.vms)
            ]
        }

    def duration(self, index: int) -> float:
        """Returns how long a VM's assessment takes, in ARM's time.

        Any run of VMs has durations from all over the spread: multiples of the golden ratio's
        fraction are as even as a sequence can be without knowing where it ends.
        """
        return self.seconds + self.spread * (2 * (index * _GOLDEN % 1) - 1)


def vm_id(index: int) -> str:
    """Returns the resource ID of a fleet's VM."""
    return (
        f"/subscriptions/{_SUBSCRIPTION}/resourceGroups/rg-bench"
        f"/providers/Microsoft.Compute/virtualMachines/vm-{index:05d}"
    )


def paced(vms: Sequence[int], begin: datetime, per_second: float) -> list[ServiceBusMessage]:
    """Returns a request for each VM, which the bus hands out one after the other at an even pace.

    Args:
        vms: Whom to ask for.
        begin: When the first is handed out.
        per_second: How many a second; `math.inf` hands all of them out at `begin`.
    """
    return [
        _request(vm, begin + timedelta(seconds=place / per_second)) for place, vm in enumerate(vms)
    ]


def _request(index: int, enqueue_at: datetime) -> ServiceBusMessage:
    request_id = f"bench-{index:05d}"
    return ServiceBusMessage(
        json.dumps({"vmId": vm_id(index), "requestId": request_id}),
        message_id=request_id,
        correlation_id=request_id,
        content_type="application/json",
        scheduled_enqueue_time_utc=enqueue_at,
    )
