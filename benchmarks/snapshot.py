"""What is read off a rig at one moment: the queues, the processes, the calls."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.usage import Usage

REQUESTS: Final = "assessment-requests"
IN_PROGRESS: Final = "assessments-in-progress"
OUTCOMES: Final = "assessment-results/Subscriptions/all"
ALERTS: Final = "patch-alerts/Subscriptions/all"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was used and done by a moment.

    Attributes:
        at: The moment, by a clock that only moves forward.
        worker: The process that does the assessments.
        host: The process that receives and settles.
        bus: The local Service Bus.
        arm: The local ARM.
        calls: ARM's calls by operation.
        sends: How many messages the crew has sent.
    """

    at: float
    worker: Usage
    host: Usage
    bus: Usage
    arm: Usage
    calls: Mapping[str, int]
    sends: int
