"""What was asked of ARM in this run: counts, and every assessPatches with its answer."""

from collections import Counter
from dataclasses import dataclass

from dotnet_text import ignoring_case
from localcloud.arm.clock import Ticks, timestamp
from localcloud.arm.model import Json
from localcloud.arm.routing import Kind


@dataclass(frozen=True)
class Call:
    """One request and how it was answered.

    ``status`` is 0 for a connection that was broken on purpose; ``activity_id`` is that of an
    assessment that the request began, even when its answer never left.
    """

    kind: Kind
    vm_id: str
    at: Ticks
    status: int
    policies: tuple[str, ...] = ()
    activity_id: str = ""
    client_request_id: str = ""


class CallLog:
    """Counts calls by operation, status, policy and VM, and keeps the assessPatches ones."""

    def __init__(self) -> None:
        self._operations: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._policies: Counter[str] = Counter()
        self._vms: dict[str, Counter[str]] = {}
        self._assessments: list[Call] = []

    @property
    def assessments(self) -> list[Call]:
        """The assessPatches calls, in order."""
        return list(self._assessments)

    def count(self, *, write: bool) -> int:
        """Returns how many calls were writes, or reads, as ARM's own counters tell them apart."""
        writes = self._operations[Kind.ASSESS.value]
        return writes if write else self._operations.total() - writes

    def add(self, call: Call) -> None:
        """Takes note of a call."""
        self._operations[call.kind.value] += 1
        self._statuses[str(call.status)] += 1
        self._policies.update(call.policies)
        if call.vm_id:
            self._vms.setdefault(ignoring_case(call.vm_id), Counter())[call.kind.value] += 1
        if call.kind is Kind.ASSESS:
            self._assessments.append(call)

    def as_json(self) -> Json:
        """Returns all counts, and the assessPatches calls under ``assessPosts``."""
        return {
            "total": self._operations.total(),
            "byOperation": dict(self._operations),
            "byStatus": dict(self._statuses),
            "byPolicy": dict(self._policies),
            "byVm": {vm: dict(counts) for vm, counts in sorted(self._vms.items())},
            "assessPosts": [
                {
                    "vmId": call.vm_id,
                    "time": timestamp(call.at, 0),
                    "status": call.status,
                    "activityId": call.activity_id or None,
                    "clientRequestId": call.client_request_id or None,
                }
                for call in self._assessments
            ],
        }
