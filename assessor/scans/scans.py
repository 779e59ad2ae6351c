"""Scans from their request to their sum, as the rest of the app calls them."""

from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random

from assessor import backoff
from assessor.assessment.rescheduler import Rescheduler
from assessor.errors import UnavailableError
from assessor.messages.outcome import Outcome
from assessor.messages.progress import (
    Later,
    ScanExpansion,
    ScanProgress,
)
from assessor.messages.request import AssessmentRequest
from assessor.ports import Clock, ScanStore
from assessor.scans.completion import ScanCloser
from assessor.scans.expansion import Expander
from assessor.scans.store import concluded
from assessor.telemetry.metrics import Metrics
from assessor.telemetry.unforeseen import note_unforeseen


@dataclass(frozen=True, slots=True, kw_only=True)
class Scans:
    """What the app does with requests for whole scopes."""

    expander: Expander
    closer: ScanCloser
    store: ScanStore
    rescheduler: Rescheduler
    clock: Clock
    random: Random
    metrics: Metrics
    deadline: timedelta

    async def resume(self, progress: ScanProgress) -> None:
        """Resumes a scan where another invocation has let go of it; raises PublishError."""
        try:
            if isinstance(progress, ScanExpansion):
                later = await self.expander.expand(progress)
            else:
                later = await self.closer.close(progress)
        except UnavailableError:
            raise
        except Exception as error:
            note_unforeseen(error, self.metrics, f"scan {progress.scan.id}")
            later = self._after(progress)
            if later is None:
                raise
        if later is not None:
            await self.rescheduler.reschedule(later)

    def _after(self, progress: ScanProgress) -> Later | None:
        """Returns what becomes of a scan after an error that nobody foresaw; None past its time.

        A list that can't be turned into requests ends with what was sent; a sum that can't be made
        ends in the dead-letter queue.
        """
        now = self.clock.now()
        if now >= progress.scan.started_at + self.deadline:
            if isinstance(progress, ScanExpansion):
                return self.expander.give_up(progress)
            if now >= progress.released_at + 2 * self.deadline:
                return None
        delay = timedelta(seconds=backoff.delay(progress.attempt, None, self.random))
        again = replace(
            progress, reschedules=progress.reschedules + 1, attempt=progress.attempt + 1
        )
        return Later(again, now + delay, "the app failed")

    async def record(self, request: AssessmentRequest, outcome: Outcome, *_: object) -> None:
        """Accounts for the outcome of a request that is part of a scan; raises ScanStoreError."""
        if request.scan_id is not None:
            await self.store.record(request.scan_id, request.vm, concluded(outcome))
