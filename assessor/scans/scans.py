"""Scans from their request to their sum, as the rest of the app calls them."""

import logging
from typing import Final

from assessor.bus.port import Bus
from assessor.clock import Clock
from assessor.messages.outcome import Outcome
from assessor.messages.request import AssessmentRequest, ScanRequest
from assessor.scans.expansion import Expander, Later
from assessor.scans.progress import ScanProgress, scan_message
from assessor.scans.scan import Expansion, Scan, Watch, scan_id_of
from assessor.scans.store import ScanStore, concluded
from assessor.scans.watch import Watcher

_LOG: Final = logging.getLogger(__name__)


class Scans:
    """What the app does with requests for whole scopes."""

    def __init__(  # noqa: PLR0913 - each is one narrow port
        self,
        *,
        expander: Expander,
        watcher: Watcher,
        store: ScanStore,
        bus: Bus,
        clock: Clock,
        in_progress_queue: str,
    ) -> None:
        """Keeps what it works with.

        Args:
            expander: turns scans into requests.
            watcher: waits for their end.
            store: accounts for them.
            bus: where they are handed over.
            clock: tells the time.
            in_progress_queue: the queue on which the app hands over to itself.
        """
        self._expander = expander
        self._watcher = watcher
        self._store = store
        self._bus = bus
        self._clock = clock
        self._queue = in_progress_queue

    async def begin(self, request: ScanRequest) -> None:
        """Accepts a scan.

        Raises:
            PublishError: Service Bus takes nothing; the message has to come again.
        """
        now = self._clock.now()
        scan = Scan(scan_id_of(request), request, now)
        await self._hand_over(Later(Expansion(scan), now))
        _LOG.info("request %s begins scan %s of %s", request.request_id, scan.id, request.scope)

    async def go_on(self, progress: ScanProgress) -> None:
        """Takes a scan a step further.

        Raises:
            PublishError: Service Bus takes nothing; the message has to come again.
        """
        later = await self._next(progress)
        if later is not None:
            await self._hand_over(later)

    async def _next(self, progress: ScanProgress) -> Later | None:
        match progress:
            case Expansion():
                return await self._expander.expand(progress)
            case Watch():
                return await self._watcher.look(progress)

    async def record(self, request: AssessmentRequest, outcome: Outcome) -> None:
        """Accounts for the outcome of a request, if that is part of a scan.

        Raises:
            ScanStoreError: the store does not answer.
        """
        if request.scan_id is not None:
            await self._store.record(request.scan_id, request.vm, concluded(outcome))

    async def _hand_over(self, later: Later) -> None:
        await self._bus.send(self._queue, [scan_message(later.progress, later.at)])
