"""Scans from their request to their sum, as the rest of the app calls them."""

import logging
from typing import Final

from assessor.assessment.rescheduler import Rescheduler
from assessor.messages.outcome import Outcome
from assessor.messages.progress import (
    Later,
    Scan,
    ScanCompletion,
    ScanExpansion,
    ScanProgress,
    scan_id_of,
)
from assessor.messages.request import AssessmentRequest, ScanRequest
from assessor.ports import Clock, ScanStore
from assessor.scans.completion import ScanCloser
from assessor.scans.expansion import Expander
from assessor.scans.store import concluded

_LOG: Final = logging.getLogger(__name__)


class Scans:
    """What the app does with requests for whole scopes."""

    def __init__(
        self,
        *,
        expander: Expander,
        closer: ScanCloser,
        store: ScanStore,
        rescheduler: Rescheduler,
        clock: Clock,
    ) -> None:
        self._expander = expander
        self._closer = closer
        self._store = store
        self._rescheduler = rescheduler
        self._clock = clock

    async def start(self, request: ScanRequest) -> None:
        """Starts a scan.

        Raises:
            PublishError: Service Bus takes nothing; the message has to come again.
        """
        now = self._clock.now()
        scan = Scan(scan_id_of(request), request, now)
        await self._rescheduler.reschedule(Later(ScanExpansion(scan), now, "accepted"))
        _LOG.info("request %s begins scan %s of %s", request.request_id, scan.id, request.scope)

    async def resume(self, progress: ScanProgress) -> None:
        """Resumes a scan where another invocation has let go of it.

        Raises:
            PublishError: Service Bus takes nothing; the message has to come again.
        """
        later = await self._next(progress)
        if later is not None:
            await self._rescheduler.reschedule(later)

    async def _next(self, progress: ScanProgress) -> Later | None:
        match progress:
            case ScanExpansion():
                return await self._expander.expand(progress)
            case ScanCompletion():
                return await self._closer.close(progress)

    async def record(self, request: AssessmentRequest, outcome: Outcome) -> None:
        """Accounts for the outcome of a request, if that is part of a scan.

        Raises:
            ScanStoreError: the store does not answer.
        """
        if request.scan_id is not None:
            await self._store.record(request.scan_id, request.vm, concluded(outcome))
