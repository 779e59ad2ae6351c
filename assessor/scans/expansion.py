"""ScanExpansion: a scope's VMs, page by page, become requests that appear one after another.

An invocation turns pages into requests for as long as its window lasts, and reschedules the rest. A
page's records are made before its requests are sent, and both under names that do not change: a
crash in between repeats the page, and the repeat changes nothing.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Final

from assessor import backoff
from assessor.arm.errors import ArmError, Verdict, judge
from assessor.arm.listing import ListedVm, Page, PageLinkRefusedError
from assessor.arm.result import ApiError
from assessor.bus.message import OutgoingMessage, PublishError
from assessor.clock import PollingWindow
from assessor.messages.in_progress import request_message
from assessor.messages.owner_tags import remembered
from assessor.messages.progress import Later, Scan, ScanCompletion, ScanExpansion
from assessor.messages.request import AssessmentRequest, child_identity
from assessor.ports import Bus, Clock, ScanStore, VmLister
from assessor.posture.model import Posture
from assessor.posture.store import PostureError
from assessor.resource_id import Scope, is_allowed
from assessor.scan_account import RUNNING_DIGEST_BYTES
from assessor.scans.pace import Pace
from assessor.scans.store import ScanStoreError

_LOG: Final = logging.getLogger(__name__)
_OUT_OF_SCOPE: Final = "The scope lies in none of ALLOWED_SCOPES now; nothing more was listed."

Sight = Callable[[Sequence[Posture]], Awaitable[None]]
"""Remembers VMs that a scan found, as far as nothing is remembered of them; raises PostureError."""


@dataclass(slots=True, kw_only=True)
class Expander:
    """Turns scans into requests."""

    lister: VmLister
    bus: Bus
    store: ScanStore
    clock: Clock
    random: Random
    new_window: Callable[[], PollingWindow]
    in_progress_queue: str
    allowed_scopes: Sequence[Scope]
    pace_per_minute: int
    deadline: timedelta
    sight: Sight | None = None
    _last_running: tuple[str, frozenset[bytes]] | None = field(default=None, init=False)

    async def expand(self, expansion: ScanExpansion) -> Later | None:
        """Sends requests for as many pages as fit into a window; returns what comes next.

        Nothing comes after a scan that was expanded before. What passes is not raised: a store, a
        bus or an ARM that is unwell is asked again later.
        """
        step = expansion
        if not is_allowed(step.scan.request.scope, self.allowed_scopes):
            return self._finished(step, ApiError("OutOfScope", _OUT_OF_SCOPE))
        window = self.new_window()
        try:
            if step.link is None and await self._is_done(step.scan):
                return None
            running = await self._running(step.scan)
            while True:
                page = await self.lister.page(step.scan.request.scope, step.link)
                step = await self._request(step, page, running)
                step = _not_back(step)
                if step.link is None:
                    return self._finished(step, None)
                if window.is_over:
                    return self._next_pages(step)
        except (
            ArmError,
            PageLinkRefusedError,
            ScanStoreError,
            PublishError,
            PostureError,
        ) as error:
            return self._after(step, error)

    def give_up(self, step: ScanExpansion) -> Later:
        """Returns the watch over what was sent so far, where the app itself fails at the rest."""
        problem = ApiError("InternalError", "The app failed; its log has the stack.")
        return self._finished(step, problem)

    def _after(
        self,
        step: ScanExpansion,
        error: ArmError | PageLinkRefusedError | ScanStoreError | PublishError | PostureError,
    ) -> Later:
        """Returns what comes after an error: another try, or the watch over what was sent."""
        match error:
            case ArmError():
                if judge(error).verdict is Verdict.WAIT and not self._is_overdue(step.scan):
                    return self._again(step, error, error.retry_after)
                return self._finished(step, error.error)
            case PageLinkRefusedError():
                return self._finished(step, ApiError("PageLinkRefused", str(error)))
            case ScanStoreError() | PublishError() | PostureError():
                if self.clock.now() >= step.scan.started_at + backoff.GIVES_UP_AFTER:
                    raise error
                return self._again(step, error, None)

    async def _is_done(self, scan: Scan) -> bool:
        """Returns whether the scan was expanded before, and remembers it if it was not."""
        state = await self.store.open(scan.id, scan.started_at)
        if state.expanded:
            _LOG.info("scan %s of %s has been made already", scan.id, scan.request.scope)
        return state.expanded

    async def _running(self, scan: Scan) -> frozenset[bytes] | None:
        """Returns the digests of the VMs that run, if only those are asked for.

        They are listed once for a scan. The store keeps them for other workers, and this one until
        another scan's are asked for.
        """
        request = scan.request
        if not request.running_only:
            return None
        if self._last_running is None or self._last_running[0] != scan.id:
            running = await self.store.running(scan.id)
            if running is None:
                running = frozenset(map(_digest, await running_vms(self.lister, request.scope)))
                await self.store.keep_running(scan.id, running)
            self._last_running = scan.id, running
        return self._last_running[1]

    async def _request(
        self, step: ScanExpansion, page: Page, running: frozenset[bytes] | None
    ) -> ScanExpansion:
        """Sends the requests of one page; returns how far the scan is then."""
        scan = step.scan
        wanted = [vm for vm in page.vms if vm.has(scan.request.tags)]
        if self.sight is not None and wanted:  # those that are stopped are found, too
            await self.sight([_found(vm, self.clock.now()) for vm in wanted])
        chosen = [vm for vm in wanted if running is None or _digest(vm.id.key) in running]
        pace = Pace(self.pace_per_minute, step.next_turns, self.clock.now())
        if chosen:
            await self.store.expect(scan.id, [vm.id for vm in chosen])
            await self.bus.send(
                self.in_progress_queue,
                [_message(scan, vm, pace.turn(vm.location)) for vm in chosen],
            )
        return replace(
            step,
            link=page.next_link,
            found=step.found + len(page.vms) + sum(page.unreadable.values()),
            unreadable=dict(Counter(step.unreadable) + Counter(page.unreadable)),
            requested=step.requested + len(chosen),
            next_turns=pace.next_turns,
            attempt=0,
        )

    def _finished(self, step: ScanExpansion, error: ApiError | None) -> Later:
        """Returns the watch over what was sent."""
        now = self.clock.now()
        _LOG.info(
            "scan %s of %s found %d VMs and asks for %d%s",
            step.scan.id,
            step.scan.request.scope,
            step.found,
            step.requested,
            f"; its list ended early: {error.code}" if error is not None else "",
        )
        released_at = Pace(self.pace_per_minute, step.next_turns, now).last_turn
        completion = ScanCompletion(
            step.scan,
            step.found,
            step.requested,
            released_at,
            error,
            unreadable=step.unreadable,
        )
        return Later(completion, max(released_at, now), "outcomes are awaited")

    def _next_pages(self, step: ScanExpansion) -> Later:
        later = replace(step, reschedules=step.reschedules + 1)
        return Later(later, self.clock.now(), "there are more pages")

    def _again(self, step: ScanExpansion, error: Exception, retry_after: float | None) -> Later:
        delay = backoff.delay(step.attempt, retry_after, self.random)
        _LOG.warning("scan %s goes on in %.0f s: %s", step.scan.id, delay, error)
        later = replace(step, reschedules=step.reschedules + 1, attempt=step.attempt + 1)
        return Later(later, self.clock.now() + timedelta(seconds=delay), str(error))

    def _is_overdue(self, scan: Scan) -> bool:
        return self.clock.now() >= scan.started_at + self.deadline


def _found(vm: ListedVm, now: datetime) -> Posture:
    return Posture(vm.id, location=vm.location, tags=remembered(vm.tags), known_since=now)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()[:RUNNING_DIGEST_BYTES]


def _not_back(step: ScanExpansion) -> ScanExpansion:
    """Returns the step with its link among those seen; raises PageLinkRefusedError."""
    if step.link is None:
        return step
    digest = hashlib.sha256(step.link.encode(errors="replace")).hexdigest()[:12]
    if digest in step.seen:
        raise PageLinkRefusedError("it leads back to a page before it")
    return replace(step, seen=(*step.seen, digest))


def _message(scan: Scan, vm: ListedVm, enqueue_at: datetime) -> OutgoingMessage:
    request = scan.request
    return request_message(
        AssessmentRequest(
            vm=vm.id,
            request_id=request.request_id,
            enqueued_at=enqueue_at,
            requested_by=request.requested_by,
            reason=request.reason,
            traceparent=request.traceparent,
            scan_id=scan.id,
            identity=child_identity(scan.id, vm.id),
        ),
        enqueue_at,
    )


async def running_vms(lister: VmLister, scope: Scope) -> frozenset[str]:
    """Returns the keys of the scope's running VMs: about 10 MiB for 50,000.

    Power states come with a list of their own. What ARM calls `statusOnly` tells no tags
    (https://github.com/Azure/azure-sdk-for-go/issues/18565), and the plain list no power state.

    Raises:
        ArmError: ARM did not answer as it should.
        PageLinkRefusedError: ARM sent a link that leads elsewhere.
    """
    running: set[str] = set()
    seen: set[str] = set()
    link: str | None = None
    while True:
        page = await lister.power_page(scope, link)
        running.update(vm.id.key for vm in page.vms if vm.is_running)
        link = page.next_link
        if link is None:
            return frozenset(running)
        if link in seen:
            raise PageLinkRefusedError("it leads back to a page before it")
        seen.add(link)
