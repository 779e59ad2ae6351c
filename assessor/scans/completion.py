"""Completes scans: waits for the last outcome of a scan whose requests are sent, and sums it up.

It checks less and less often, and the larger the scan is the less: a check of 50,000 records takes
the store seconds.
"""

import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random
from typing import Final

from assessor import backoff
from assessor.bus.message import PublishError
from assessor.messages.progress import Later, ScanCompletion
from assessor.ports import Bus, Clock, ScanStore
from assessor.scans.event import scan_completed
from assessor.scans.store import ScanStoreError

_LOG: Final = logging.getLogger(__name__)
_FIRST_SECONDS: Final = 5.0
_GROWTH: Final = 1.25
_MOST_SECONDS: Final = 60.0
_MOST_GROWTHS: Final = 20
_VMS_A_SECOND: Final = 100
_GRACE: Final = timedelta(minutes=30)
"""How long after the last request's own deadline its outcome may still come."""


def interval(reschedules: int, requested: int) -> timedelta:
    """Returns the time until the next check.

    `reschedules` is how many checks there were before.
    """
    patience: float = min(
        _MOST_SECONDS, _FIRST_SECONDS * _GROWTH ** min(reschedules, _MOST_GROWTHS)
    )
    return timedelta(seconds=max(patience, requested / _VMS_A_SECOND))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanCloser:
    """Waits for the end of scans."""

    store: ScanStore
    bus: Bus
    clock: Clock
    random: Random
    results_topic: str
    deadline: timedelta

    async def close(self, completion: ScanCompletion) -> Later | None:
        """Sums the scan up if it is over; returns when to check again, None if never.

        Raises:
            UnavailableError: it could not be done for GIVES_UP_AFTER.
        """
        try:
            return await self._close(completion)
        except (ScanStoreError, PublishError) as error:
            if self.clock.now() >= completion.released_at + backoff.GIVES_UP_AFTER:
                raise
            delay = backoff.delay(completion.attempt, None, self.random)
            _LOG.warning("scan %s is checked again in %.0f s: %s", completion.scan.id, delay, error)
            later = replace(
                completion, reschedules=completion.reschedules + 1, attempt=completion.attempt + 1
            )
            return Later(later, self.clock.now() + timedelta(seconds=delay), str(error))

    async def _close(self, completion: ScanCompletion) -> Later | None:
        scan_id = completion.scan.id
        if completion.reschedules == 0:
            await self.store.mark_expanded(scan_id)
        state = await self.store.state(scan_id)
        if state is not None and state.summed_up:
            return None  # this message has come again
        now = self.clock.now()
        released_at = completion.released_at
        if state is not None:  # no request is released before its scan begins
            released_at = max(released_at, state.started_at)
        is_over = now >= released_at + self.deadline + _GRACE
        is_expanded = state is None or state.expanded
        if not is_over and (not is_expanded or await self.store.is_pending(scan_id)):
            return self._later(completion)
        tally = await self.store.tally(scan_id)
        if not is_over and (tally.missing or tally.requested < completion.requested):
            return self._later(completion)
        await self.bus.send(self.results_topic, [scan_completed(completion, tally, now)])
        await self.store.sum_up(scan_id)
        return None

    def _later(self, completion: ScanCompletion) -> Later:
        at = self.clock.now() + interval(completion.reschedules, completion.requested)
        later = replace(completion, reschedules=completion.reschedules + 1, attempt=0)
        return Later(later, at, "outcomes are awaited")
