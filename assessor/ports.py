"""The ports: everything outside of the app, as the app needs it, on one page.

| port | adapter that ships | twin in memory |
|---|---|---|
| `Clock` | `clock.SystemClock` | the tests' |
| `Bus` | `bus.servicebus.ServiceBus` | the tests' |
| `Arm` | `arm.client.ArmClient` | the tests' |
| `VmLister` | `arm.vm_lister.ArmVmLister` | the tests' |
| `PostureStore` | `posture.tables.TablePosture` | `posture.store.MemoryPosture` |
| `ScanStore` | `scans.tables.TableScans` | `scans.store.MemoryScans` |

What a port speaks of is defined by the package beneath it; `Ports` holds one of each.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from random import Random
from typing import Protocol

from assessor.arm.listing import Page
from assessor.arm.operation import Begun, Ended, Running
from assessor.arm.virtual_machine import VirtualMachine
from assessor.bus.message import OutgoingMessage
from assessor.clock import PollingWindow
from assessor.posture.durations import Learned
from assessor.posture.model import Posture
from assessor.posture.outline import OutlinePage, Place
from assessor.posture.store import Remembered
from assessor.resource_id import Scope, VirtualMachineId
from assessor.scan_account import Concluded, ScanState, Tally
from assessor.telemetry.telemetry import Telemetry


class Clock(Protocol):
    """Tells the time; passed in, so that a test can say what time it is."""

    def now(self) -> datetime:
        """Returns the time now, in UTC."""


class Bus(Protocol):
    """Service Bus: sends messages, now or for later. When a call returns, they are there."""

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        """Sends the messages to a queue or topic, in as few transfers as they fit in.

        Raises:
            PublishError: Service Bus did not take all of them. Some may have been taken.
        """


class Arm(Protocol):
    """ARM: reads a VM, begins assessPatches, polls the long-running operation.

    Each method makes its calls once and never waits: who waits, and for how long, is the caller's
    to decide.
    """

    async def read(self, vm_id: VirtualMachineId) -> VirtualMachine:
        """Returns the VM with its instance view; raises ArmError."""

    async def begin(self, vm_id: VirtualMachineId, client_request_id: str) -> Begun:
        """Begins an assessment; raises ArmError.

        `client_request_id` is the same for each try of one request: ARM's logs keep it.
        """

    def continuation_token(self, vm: VirtualMachine, activity_id: str) -> str:
        """Returns a continuation token of an operation that is known by its activity ID only."""

    async def poll(self, vm_id: VirtualMachineId, token: str, activity_id: str) -> Running | Ended:
        """Polls the operation that `token` continues, once.

        Raises:
            TokenRefusedError: the token leads anywhere but to that operation, in ARM and in the
                VM's subscription.
            ArmError: ARM did not answer as it should, or the operation itself failed.
        """


class PostureStore(Protocol):
    """Remembers one posture for each VM, with optimistic concurrency; all raise PostureError."""

    async def load(self, vm_id: VirtualMachineId) -> Remembered | None:
        """Returns what is remembered of a VM; None if nothing is."""

    async def durations(self, vm_id: VirtualMachineId) -> Learned | None:
        """Returns how long a VM's assessments took; None if nothing was learned of it."""

    async def outlines(self, after: Place) -> OutlinePage:
        """Returns a page of the VMs behind a place, by subscription, as far as columns tell."""

    async def sight(self, found: Sequence[Posture]) -> None:
        """Remembers each of the postures of whose VM nothing is remembered yet.

        They are of one subscription, one for each VM.

        Where it raises PostureError, some may be remembered.
        """

    async def save(self, posture: Posture, etag: str | None) -> str:
        """Remembers `posture`, and returns the etag of what is remembered now.

        Args:
            posture: what to remember of its VM.
            etag: the version that it replaces; None if nothing was remembered.

        Raises:
            PostureConflictError: another version is remembered, or none.
            PostureError: the store did not take it, or did not say whether it did.
        """


class VmLister(Protocol):
    """ARM's lists of VMs, page by page."""

    async def page(self, scope: Scope, link: str | None) -> Page:
        """Returns a page of the scope's VMs, with location and tags and without power states.

        Args:
            scope: a subscription or a resource group.
            link: the last page's `next_link`; None for the first page.

        Raises:
            ArmError: ARM did not answer as it should.
            PageLinkRefusedError: the link leads anywhere but to ARM and the scope's subscription.
        """

    async def power_page(self, scope: Scope, link: str | None) -> Page:
        """Returns a page of the scope's VMs with their power states, and nothing else for sure.

        Raises:
            ArmError: ARM did not answer as it should.
            PageLinkRefusedError: the link leads anywhere but to ARM and the scope's subscription.
        """


class ScanStore(Protocol):
    """Remembers scans. Each method may be repeated; all raise ScanStoreError."""

    async def open(self, scan_id: str, started_at: datetime) -> ScanState:
        """Remembers a scan if nothing is remembered of it, and returns what is."""

    async def state(self, scan_id: str) -> ScanState | None:
        """Returns what is remembered of a scan."""

    async def expect(self, scan_id: str, vms: Sequence[VirtualMachineId]) -> None:
        """Makes a record for each VM that has none; one that has an outcome keeps it."""

    async def running(self, scan_id: str) -> frozenset[bytes] | None:
        """Returns what `keep_running` was given; None if nothing is kept."""

    async def keep_running(self, scan_id: str, digests: frozenset[bytes]) -> None:
        """Remembers which VMs run until the scan's end: RUNNING_DIGEST_BYTES of each one."""

    async def mark_expanded(self, scan_id: str) -> None:
        """Remembers that all requests of the scan are sent."""

    async def record(self, scan_id: str, vm_id: VirtualMachineId, outcome: Concluded) -> None:
        """Remembers an outcome; nothing where the VM has no record in the scan."""

    async def is_pending(self, scan_id: str) -> bool:
        """Returns whether a record without an outcome is there. Cheaper than a tally."""

    async def tally(self, scan_id: str) -> Tally:
        """Returns the sum of the scan's records."""

    async def sum_up(self, scan_id: str) -> None:
        """Remembers that the scan's end was told, and forgets its records."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything outside of the app.

    `random` is where jitter comes from, `monotonic` tells the time in seconds from any beginning,
    and `stopping` is set when the worker is told to go.
    """

    clock: Clock
    bus: Bus
    arm: Arm
    lister: VmLister
    postures: PostureStore
    scans: ScanStore
    telemetry: Telemetry
    random: Random
    monotonic: Callable[[], float] = time.monotonic
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def windows(
        self, seconds: float, waiting: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> Callable[[], PollingWindow]:
        """Returns what opens polling windows of so many seconds; `waiting` encloses each wait."""
        return partial(PollingWindow, seconds, self.monotonic, self.stopping, waiting)
