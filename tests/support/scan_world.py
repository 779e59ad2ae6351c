"""A world for scans: a fleet in pages, a bus, and accounts, on a clock that jumps.

The scans' own code is the app's; what is simulated is what ARM, Service Bus and storage do. An
effect is anything that one of them sees, and a worker can die right before and right after each.
"""

import heapq
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from assessor.app import build_app
from assessor.arm.errors import ArmError
from assessor.arm.listing import ListedVm, Page
from assessor.arm.result import parse_result
from assessor.bus.message import OutgoingMessage
from assessor.messages.in_progress import parse_in_progress
from assessor.messages.outcome import Finished, conclude
from assessor.messages.progress import (
    AssessmentProgress,
    InProgress,
    OverdueSweep,
    ScanProgress,
)
from assessor.messages.request import AssessmentRequest, IncomingMessage, Rejection, ScanRequest
from assessor.messages.request_body import parse_request
from assessor.resource_id import Scope, VirtualMachineId
from assessor.scan_account import Concluded, ScanState, Tally
from assessor.scans.event import SCAN_COMPLETED
from assessor.scans.scans import Scans
from assessor.scans.store import MemoryScans
from tests.support.app import ports, settings
from tests.support.fakes import FakeArm, FakeClock

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
REQUESTS, IN_PROGRESS, RESULTS = "requests", "in-progress", "results"
LOCK_SECONDS = 60.0
ASSESSMENT_SECONDS = 660.0


class Died(BaseException):
    """The worker is gone: nothing that it would have done after this happens."""


@dataclass
class Mortality:
    """Lets the worker die once, at one of the pauses that it passes."""

    at: int | None = None
    passed: int = 0

    def pause(self) -> None:
        """Is a place to die."""
        self.passed += 1
        if self.passed == self.at:
            raise Died


def vms(number: int, regions: Sequence[str] = ("eastus",)) -> list[ListedVm]:
    """Returns that many VMs, in the regions by turns; each third one is stopped."""
    return [
        ListedVm(
            VirtualMachineId(SUBSCRIPTION, f"group-{index % 2}", f"vm-{index}"),
            location=regions[index % len(regions)],
            tags={"environment": "prod" if index % 2 else "test", "owner": f"team-{index}"},
            power_state="deallocated" if index % 3 == 2 else "running",
        )
        for index in range(number)
    ]


@dataclass
class FakeFleet:
    """ARM's lists, in pages that are found by number, and the errors that come before them."""

    listed: list[ListedVm]
    page_size: int
    mortality: Mortality = field(default_factory=Mortality)
    errors: dict[int, list[ArmError]] = field(default_factory=dict)
    calls: int = 0
    power_calls: int = 0
    unreadable: dict[int, dict[str, int]] = field(default_factory=dict)
    leads_back: dict[int, int] = field(default_factory=dict)
    """Pages whose link leads to an earlier page than the next one."""

    async def page(self, scope: Scope, link: str | None) -> Page:
        """Shows a page without power states."""
        page = self._page(scope, link)
        return replace(page, vms=tuple(replace(vm, power_state=None) for vm in page.vms))

    async def power_page(self, scope: Scope, link: str | None) -> Page:
        """Shows a page without tags and regions."""
        self.power_calls += 1
        page = self._page(scope, link)
        return replace(page, vms=tuple(replace(vm, tags={}, location=None) for vm in page.vms))

    def _page(self, scope: Scope, link: str | None) -> Page:
        self.mortality.pause()
        number = int(link or 0)
        self.calls += 1
        if self.errors.get(number):
            raise self.errors[number].pop(0)
        mine = self._in(scope)
        start, end = number * self.page_size, (number + 1) * self.page_size
        following = self.leads_back.get(number, number + 1)
        return Page(
            tuple(mine[start:end]),
            str(following) if end < len(mine) else None,
            self.unreadable.get(number, {}),
        )

    def _in(self, scope: Scope) -> list[ListedVm]:
        if scope.resource_group is None:
            return self.listed
        return [vm for vm in self.listed if scope.contains(vm.id)]


@dataclass
class MortalScans(MemoryScans):
    """The accounts of a storage that survives workers."""

    mortality: Mortality

    def __post_init__(self) -> None:
        """Starts empty."""
        super().__init__()

    async def open(self, scan_id: str, started_at: datetime) -> ScanState:
        """Remembers a scan."""
        self.mortality.pause()
        state = await super().open(scan_id, started_at)
        self.mortality.pause()
        return state

    async def expect(self, scan_id: str, vms: Sequence[VirtualMachineId]) -> None:
        """Dies in the middle of them too."""
        self.mortality.pause()
        await super().expect(scan_id, vms[: len(vms) // 2])
        self.mortality.pause()
        await super().expect(scan_id, vms)
        self.mortality.pause()

    async def keep_running(self, scan_id: str, digests: frozenset[bytes]) -> None:
        """Remembers which VMs run."""
        self.mortality.pause()
        await super().keep_running(scan_id, digests)
        self.mortality.pause()

    async def record(self, scan_id: str, vm_id: VirtualMachineId, outcome: Concluded) -> None:
        """Remembers an outcome."""
        self.mortality.pause()
        await super().record(scan_id, vm_id, outcome)
        self.mortality.pause()

    async def tally(self, scan_id: str) -> Tally:
        """Counts."""
        self.mortality.pause()
        return await super().tally(scan_id)

    async def sum_up(self, scan_id: str) -> None:
        """Forgets."""
        self.mortality.pause()
        await super().sum_up(scan_id)
        self.mortality.pause()


@dataclass(order=True)
class Queued:
    """A message that waits in one of the queues."""

    due: datetime
    order: int
    entity: str = field(compare=False)
    message: OutgoingMessage = field(compare=False)
    enqueued_at: datetime = field(compare=False)


class ScanWorld:
    """Everything around the scans, and the workers that run them."""

    def __init__(
        self,
        listed: list[ListedVm],
        *,
        page_size: int = 2,
        hold_seconds: float = 0.0,
        pace: int = 180,
        dies_at: int | None = None,
        assesses: bool = True,
        many_workers: bool = False,
    ) -> None:
        """Starts with that fleet, and with nothing asked.

        Args:
            listed: the fleet.
            page_size: VMs on a page.
            hold_seconds: 0 hands over after each page.
            pace: SCAN_PACE_PER_MINUTE.
            dies_at: the pause at which a worker dies; None: none does.
            assesses: whether requests for VMs are delivered; else they are only kept.
            many_workers: whether each message comes to another worker.
        """
        self.clock = FakeClock()
        self.mortality = Mortality(dies_at)
        self.fleet = FakeFleet(listed, page_size, self.mortality)
        self.store = MortalScans(self.mortality)
        self.requested: dict[str, OutgoingMessage] = {}
        self.results: dict[str, OutgoingMessage] = {}
        self.results_of_vm: Mapping[str, Mapping[str, Any]] = {}
        self.lost: set[str] = set()
        self.largest_transfer = 0
        self.largest_hand_over = 0
        self.deaths = 0
        self._queue: list[Queued] = []
        self._assesses = assesses
        self._many_workers = many_workers
        self._seen: set[str] = set()
        self._order = count()
        self._hold_seconds = hold_seconds
        self._pace = pace
        self._worker = self._new_worker()

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        """Takes messages in two transfers, without duplicates; a worker can die in between."""
        self.mortality.pause()
        self.largest_transfer = max(self.largest_transfer, len(messages))
        half = len(messages) // 2
        for position, message in enumerate(messages):
            if position == half:
                self.mortality.pause()
            if f"{entity}/{message.message_id}" not in self._seen:
                self._seen.add(f"{entity}/{message.message_id}")
                self._keep(entity, message)
        self.mortality.pause()

    def ask(self, message_id: str = "m-1", **fields: object) -> None:
        """Puts a request into the queue."""
        body = {"scope": f"/subscriptions/{SUBSCRIPTION}", "requestId": "r-1", **fields}
        message = OutgoingMessage(json.dumps(body).encode(), message_id, "r-1", "application/json")
        now = self.clock.now()
        heapq.heappush(self._queue, Queued(now, next(self._order), REQUESTS, message, now))

    async def run(self) -> None:
        """Delivers messages until none is left; what a dead worker held comes back."""
        while self._queue:
            queued = heapq.heappop(self._queue)
            self.clock.advance(max(0.0, (queued.due - self.clock.now()).total_seconds()))
            try:
                await self._deliver(queued)
            except Died:
                self.deaths += 1
                self._worker = self._new_worker()
                again = self.clock.now() + timedelta(seconds=LOCK_SECONDS)
                heapq.heappush(self._queue, replace(queued, due=again))

    def outcomes(self) -> list[dict[str, Any]]:
        """Returns the outcomes of VMs."""
        return [each for each in self._events() if each["type"] != SCAN_COMPLETED]

    def sums(self) -> list[dict[str, Any]]:
        """Returns the data of the events that sum scans up."""
        return [each["data"] for each in self._events() if each["type"] == SCAN_COMPLETED]

    def _events(self) -> list[dict[str, Any]]:
        return [json.loads(each.body) for each in self.results.values()]

    def _new_worker(self) -> Scans:
        named = {
            "ASSESS_HOLD_SECONDS": str(self._hold_seconds),
            "SCAN_PACE_PER_MINUTE": str(self._pace),
            "REQUESTS_QUEUE": REQUESTS,
            "IN_PROGRESS_QUEUE": IN_PROGRESS,
            "RESULTS_TOPIC": RESULTS,
        }
        world = ports(
            clock=self.clock, bus=self, arm=FakeArm(), lister=self.fleet, scans=self.store
        )
        return build_app(settings(**named), world).scans

    async def _deliver(self, queued: Queued) -> None:
        message = queued.message
        if self._many_workers:
            self._worker = self._new_worker()
        if queued.entity == IN_PROGRESS:
            progress = parse_in_progress(message.body)
            if isinstance(progress, AssessmentRequest):
                await self._assess(progress, queued.due)
                return
            await self._worker.resume(_scan(progress))
            return
        incoming = IncomingMessage(
            message.body, message.message_id, message.content_type, {}, queued.enqueued_at
        )
        match parse_request(incoming, ()):
            case ScanRequest() as scan:
                await self._worker.rescheduler.begin_scan(scan)
            case Rejection() as rejection:
                raise AssertionError(rejection.errors)
            case requests:
                raise AssertionError(requests)

    async def _assess(self, request: AssessmentRequest, due: datetime) -> None:
        if request.vm.key in self.lost:
            return
        result = {"status": "Succeeded", **self.results_of_vm.get(request.vm.name, {})}
        at = due + timedelta(seconds=ASSESSMENT_SECONDS)
        outcome = conclude(request, None, Finished(parse_result(result), at, ASSESSMENT_SECONDS))
        body = json.dumps({"type": outcome.type.value, "data": outcome.data}).encode()
        told = OutgoingMessage(body, outcome.id, outcome.request_id, "application/json")
        await self.send(RESULTS, [told])
        await self._worker.record(request, outcome)

    def _keep(self, entity: str, message: OutgoingMessage) -> None:
        if entity == RESULTS:
            self.results[message.message_id] = message
            return
        if message.application_properties.get("kind") == "request":
            self.requested[message.message_id] = message
            if not self._assesses:
                return
        if entity == IN_PROGRESS:
            self.largest_hand_over = max(self.largest_hand_over, len(message.body))
        due = message.enqueue_at or self.clock.now()
        heapq.heappush(self._queue, Queued(due, next(self._order), entity, message, due))


def _scan(progress: InProgress) -> ScanProgress:
    assert not isinstance(progress, AssessmentProgress | AssessmentRequest | OverdueSweep)
    return progress
