"""Reschedules: lets go of what can't go on now, by a scheduled in-progress message."""

import logging
from dataclasses import dataclass
from typing import Final

from assessor.clock import seconds_between
from assessor.messages.in_progress import in_progress_message, scan_message
from assessor.messages.progress import AssessmentProgress, Later
from assessor.messages.request import ScanRequest
from assessor.ports import Bus, Clock
from assessor.telemetry.attributes import ACTIVITY_ID
from assessor.telemetry.metrics import Metrics
from assessor.telemetry.telemetry import tell_later

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rescheduler:
    """Sends everything that goes on later; the one sender to the in-progress queue."""

    bus: Bus
    queue: str
    metrics: Metrics
    clock: Clock

    async def reschedule(self, later: Later) -> None:
        """Sends what goes on later; raises PublishError."""
        await self.bus.send(self.queue, [in_progress_message(later)])
        if isinstance(later.progress, AssessmentProgress):
            self._tell(later.progress, later)

    async def begin_scan(self, request: ScanRequest) -> None:
        """Sends the beginning of a scan; raises PublishError."""
        message = scan_message(request, self.clock.now())
        await self.bus.send(self.queue, [message])
        _LOG.info("request %s begins a scan of %s", request.request_id, request.scope)

    def _tell(self, progress: AssessmentProgress, later: Later) -> None:
        self.metrics.rescheduled()
        seconds = seconds_between(self.clock.now(), later.at)
        tell_later(later.why, seconds)
        _LOG.debug(
            "request %s for %s goes on in %.0f s: %s",
            progress.request.request_id,
            progress.request.vm,
            seconds,
            later.why,
            extra={ACTIVITY_ID: progress.operation.activity_id} if progress.operation else {},
        )
