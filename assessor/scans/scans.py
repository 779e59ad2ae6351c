"""Scans from their request to their sum, as the rest of the app calls them."""

from dataclasses import replace
from datetime import timedelta
from random import Random

from assessor import backoff
from assessor.assessment.rescheduler import Rescheduler
from assessor.errors import UnavailableError
from assessor.messages.outcome import Outcome
from assessor.messages.progress import (
    Later,
    ScanCompletion,
    ScanExpansion,
    ScanProgress,
)
from assessor.messages.request import AssessmentRequest, ScanRequest
from assessor.ports import Clock, ScanStore
from assessor.scans.completion import ScanCloser
from assessor.scans.expansion import Expander
from assessor.scans.store import concluded
from assessor.telemetry.metrics import Metrics
from assessor.telemetry.unforeseen import note_unforeseen


class Scans:
    """What the app does with requests for whole scopes."""

    def __init__(  # noqa: PLR0913 - each is one narrow part
        self,
        *,
        expander: Expander,
        closer: ScanCloser,
        store: ScanStore,
        rescheduler: Rescheduler,
        clock: Clock,
        random: Random,
        metrics: Metrics,
        deadline: timedelta,
    ) -> None:
        self._expander = expander
        self._closer = closer
        self._store = store
        self._rescheduler = rescheduler
        self._clock = clock
        self._random = random
        self._metrics = metrics
        self._deadline = deadline

    async def start(self, request: ScanRequest) -> None:
        """Starts a scan.

        Raises:
            PublishError: Service Bus takes nothing; the message has to come again.
        """
        await self._rescheduler.begin_scan(request)

    async def resume(self, progress: ScanProgress) -> None:
        """Resumes a scan where another invocation has let go of it.

        Raises:
            PublishError: Service Bus takes nothing; the message has to come again.
        """
        try:
            later = await self._next(progress)
        except UnavailableError:
            raise
        except Exception as error:
            note_unforeseen(error, self._metrics, f"scan {progress.scan.id}")
            later = self._after(progress)
            if later is None:
                raise
        if later is not None:
            await self._rescheduler.reschedule(later)

    def _after(self, progress: ScanProgress) -> Later | None:
        """Returns what becomes of a scan after an error that nobody foresaw; None past its time.

        A list that can't be turned into requests ends with what was sent; a sum that can't be made
        ends in the dead-letter queue.
        """
        now = self._clock.now()
        if now >= progress.scan.started_at + self._deadline:
            if isinstance(progress, ScanExpansion):
                return self._expander.give_up(progress)
            if now >= progress.released_at + 2 * self._deadline:
                return None
        delay = timedelta(seconds=backoff.delay(progress.attempt, None, self._random))
        again = replace(
            progress, reschedules=progress.reschedules + 1, attempt=progress.attempt + 1
        )
        return Later(again, now + delay, "the app failed")

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
