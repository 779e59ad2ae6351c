"""Reschedules: lets go of what can't go on now, by a scheduled in-progress message."""

import logging
from typing import Final

from assessor.messages.in_progress import in_progress_message, scan_message
from assessor.messages.progress import AssessmentProgress, Later
from assessor.messages.request import ScanRequest
from assessor.ports import Bus, Clock
from assessor.telemetry.metrics import Metrics
from assessor.telemetry.telemetry import ACTIVITY_ID, tell_later

_LOG: Final = logging.getLogger(__name__)


class Rescheduler:
    """Sends everything that goes on later; the one sender to the in-progress queue."""

    def __init__(self, bus: Bus, queue: str, metrics: Metrics, clock: Clock) -> None:
        self._bus = bus
        self._queue = queue
        self._metrics = metrics
        self._clock = clock

    async def reschedule(self, later: Later) -> None:
        """Sends what goes on later; raises PublishError."""
        await self._bus.send(self._queue, [in_progress_message(later)])
        if isinstance(later.progress, AssessmentProgress):
            self._tell(later.progress, later)

    async def begin_scan(self, request: ScanRequest) -> None:
        """Sends the beginning of a scan; raises PublishError."""
        message = scan_message(request, self._clock.now())
        await self._bus.send(self._queue, [message])
        _LOG.info("request %s begins a scan of %s", request.request_id, request.scope)

    def _tell(self, progress: AssessmentProgress, later: Later) -> None:
        self._metrics.rescheduled()
        seconds = max(0.0, (later.at - self._clock.now()).total_seconds())
        tell_later(later.why, seconds)
        _LOG.debug(
            "request %s for %s goes on in %.0f s: %s",
            progress.request.request_id,
            progress.request.vm,
            seconds,
            later.why,
            extra={ACTIVITY_ID: progress.operation.activity_id} if progress.operation else {},
        )
