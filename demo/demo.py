"""The demo itself: a fleet is assessed, then one VM again and again while its patches change."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any, Final

import aiohttp
from azure.servicebus.aio import ServiceBusClient
from rich.console import Console

from demo.changes import (
    ASSESSMENT_SECONDS,
    CHANGES,
    Change,
    ChangeResult,
    ChangesResult,
    fields_of,
)
from demo.display import Snapshot, make_display
from demo.fleet_requests import fleet_requests, vm_request
from demo.ledger import Ledger
from demo.report import print_arrivals, print_changes
from demo.tables import names_storage
from demo.waiting import Waiting
from dotnet_text import ignoring_case
from localcloud.cloud import LocalCloud
from localcloud.control import Control
from localcloud.tasks import cancel
from patch_assessor_cli.arrivals import AlertSummary, Arrival, OutcomeSummary
from patch_assessor_cli.client import (
    ALERTS_TOPIC,
    REQUESTS_QUEUE,
    RESULTS_TOPIC,
    Connection,
    Subscription,
    follow,
    open_client,
    send,
)

_SUBSCRIPTIONS: Final = (Subscription(RESULTS_TOPIC, "all"), Subscription(ALERTS_TOPIC, "all"))
_READ_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class _ChangingVm:
    """The VM of the second act: its resource ID, and its operating system, `Linux` or `Windows`."""

    vm_id: str
    os_type: str

    @property
    def name(self) -> str:
        return self.vm_id.rpartition("/")[2]


class Demo:
    """One run of the demo.

    Attributes:
        ledger: What is expected, and what came.
        changes: What the second act told; None if there was none.
        seconds: How long it all took.
        dead_letters: How many messages could not be handled.
    """

    def __init__(
        self, console: Console, cloud: LocalCloud, out: IO[str] | None, give_up_after: float
    ) -> None:
        self.ledger = Ledger(())
        self.changes: ChangesResult | None = None
        self.seconds = 0.0
        self.dead_letters = 0
        self._console = console
        self._cloud = cloud
        self._out = out
        self._give_up_after = give_up_after
        self._began = time.monotonic()

    @property
    def is_right(self) -> bool:
        """Whether each request has its one outcome, and each change its alert."""
        return self.ledger.is_right and (self.changes is None or self.changes.is_right)

    async def perform(self) -> None:
        """Plays both acts, and prints what each told."""
        self._began = time.monotonic()
        async with (
            aiohttp.ClientSession() as http,
            open_client(Connection(self._cloud.connection_string)) as client,
        ):
            control = Control(http, self._cloud.control_addresses)
            following = follow(client, _SUBSCRIPTIONS, self._take)
            await _until_first(following, self._play(client, control))
        self.seconds = time.monotonic() - self._began

    async def _play(self, client: ServiceBusClient, control: Control) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._give_up_after):
                await self._assess_fleet(client, control)
        print_arrivals(self._console, self.ledger)
        vm = await self._changing_vm(control)
        if vm is None:
            return
        self._console.print(f"\n{vm.name} lacks no patch; it changes now, and is assessed again.")
        self.changes = ChangesResult(vm.vm_id, ())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._give_up_after):
                await self._until_old(vm)
                for change in CHANGES:
                    result = await self._assess_changed(client, control, vm, change)
                    self.changes = ChangesResult(vm.vm_id, (*self.changes.results, result))
        print_changes(self._console, self.changes)

    async def _assess_fleet(self, client: ServiceBusClient, control: Control) -> None:
        """Asks for all VMs, and returns when all is told."""
        vm_ids = await control.vm_ids()
        requests = fleet_requests(vm_ids, lambda: str(uuid.uuid4()))
        self.ledger.expect(each for request in requests for each in request.expected)
        await send(client, REQUESTS_QUEUE, [request.message for request in requests])
        self._console.print(
            f"Sent {len(requests)} messages that ask for {len(vm_ids)} VMs; "
            "one of them has to be rejected."
        )
        with make_display(self._console) as display:
            await self._until_quiet(control, lambda waiting: display.show(self._snapshot(waiting)))

    async def _changing_vm(self, control: Control) -> _ChangingVm | None:
        """Returns the VM of the second act; None, and says why, if there is none."""
        options = self._cloud.options
        if self.ledger.missing:
            return None
        if options.hosts > 1 and not (options.tables or names_storage(options)):
            self._console.print(
                "\nWithout tables, workers don't know what others told: no changes."
            )
            return None
        for vm in await control.vms():
            if vm["behaviour"] == "clean":
                return _ChangingVm(str(vm["id"]), str(vm["osType"]))
        self._console.print("\nThis fleet has no VM without patches to show changes on.")
        return None

    async def _until_old(self, vm: _ChangingVm) -> None:
        """Waits until the fleet's assessment of the VM can't be taken for a new request's own."""
        told = [
            each.enqueued_time
            for each in self.ledger.outcomes
            if ignoring_case(str(each.data.get("vmId"))) == ignoring_case(vm.vm_id)
            and each.enqueued_time
        ]
        age = datetime.now(UTC) - max(told, default=datetime.min.replace(tzinfo=UTC))
        await asyncio.sleep(max(0.0, ASSESSMENT_SECONDS - age.total_seconds()))

    async def _assess_changed(
        self, client: ServiceBusClient, control: Control, vm: _ChangingVm, change: Change
    ) -> ChangeResult:
        """Changes the VM, asks for it, and returns what was told until all was quiet."""
        outcomes, alerts = len(self.ledger.outcomes), len(self.ledger.alerts)
        fields = fields_of(change, vm.os_type, self._cloud.options.time_scale)
        await control.change_vm(vm.vm_id, fields)
        request = vm_request(vm.vm_id, str(uuid.uuid4()))
        self.ledger.expect(request.expected)
        await send(client, REQUESTS_QUEUE, [request.message])
        await self._until_quiet(control, lambda _: None)
        told = [OutcomeSummary.of(each) for each in self.ledger.outcomes[outcomes:]]
        return ChangeResult(
            change,
            told[0] if told else None,
            tuple(AlertSummary.of(each) for each in self.ledger.alerts[alerts:]),
        )

    async def _until_quiet(self, control: Control, show: Callable[[Waiting], None]) -> None:
        """Reads and shows how far it is, until nothing is on its way any more."""
        while True:
            waiting = Waiting.of(await control.counts())
            self.dead_letters = waiting.dead
            show(waiting)
            if waiting.is_over:
                return
            await asyncio.sleep(_READ_SECONDS)

    def _take(self, arrival: Arrival) -> bool:
        self.ledger.take(arrival)
        if self._out is not None:
            self._out.write(f"{arrival.to_line()}\n")
        return True

    def _snapshot(self, waiting: Waiting) -> Snapshot:
        return Snapshot(
            seconds=time.monotonic() - self._began,
            requested=len(self.ledger.expected),
            waiting=waiting,
            outcomes=self.ledger.outcomes_by_type(),
            alerts=self.ledger.alerts_by_condition(),
        )


async def _until_first(*work: Coroutine[Any, Any, None]) -> None:
    """Runs them side by side until one ends or fails, and ends the others."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()
    finally:
        await cancel(*tasks)
