"""The scheduled scan: which scopes, which tags, and when by NCRONTAB.

The requests of one occurrence have IDs made of its time and their scopes: a firing that is late or
doubled asks for what was asked for already.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from assessor.bus.message import OutgoingMessage
from assessor.clock import to_text
from assessor.messages.in_progress import scan_message
from assessor.messages.request import ScanRequest, name_based_id
from assessor.ports import Bus, Clock
from assessor.resource_id import Scope
from assessor.telemetry.attributes import REQUEST_ID, SCOPE
from assessor.telemetry.records import Record
from ncrontab import Ncrontab

_LOG: Final = logging.getLogger(__name__)
SCAN_REQUESTED: Final = "PatchAssessor.ScanRequested"
"""The record of a scan that the schedule asked for; there is no message of this type."""
_EARLY: Final = timedelta(seconds=1)
"""How early a timer may fire: hosts' clocks differ by less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanSchedule:
    """Asks for the scheduled scans."""

    bus: Bus
    clock: Clock
    in_progress_queue: str
    schedule: Ncrontab
    scopes: Sequence[Scope]
    tags: Mapping[str, str | None]

    async def fire(self) -> None:
        """Asks for the scans of the last occurrence; raises PublishError.

        The time of the occurrence comes from the schedule, not from the host: what the host knows
        of it differs between a firing in time, a late one, and one by hand.
        """
        if not self.scopes:
            return
        occurrence = self.schedule.last(self.clock.now() + _EARLY)
        if occurrence is None:
            _LOG.warning("the schedule %s never comes: nothing is scanned", self.schedule.text)
            return
        scopes = {each.key: each for each in self.scopes}.values()
        messages = [self._message(scope, occurrence) for scope in scopes]
        await self.bus.send(self.in_progress_queue, messages)
        _LOG.info(
            "the schedule's occurrence of %s asks for %d scans", to_text(occurrence), len(messages)
        )

    def _message(self, scope: Scope, occurrence: datetime) -> OutgoingMessage:
        """Returns a scope's request, with the record that it was sent: what has no answer shows."""
        at = to_text(occurrence)
        identity = name_based_id("scheduled-scan", scope.key, at)
        request = ScanRequest(
            scope=scope,
            request_id=identity,
            identity=identity,
            enqueued_at=occurrence,
            tags=self.tags,
            requested_by="schedule",
            reason=f"scheduled for {at}",
        )
        message = scan_message(request, self.clock.now())
        record = Record(
            name=SCAN_REQUESTED,
            id=name_based_id("scan-requested", message.message_id),
            text=f"the schedule asks for a scan of {scope}",
            facts={SCOPE: str(scope), REQUEST_ID: identity},
        )
        return replace(message, record=record)
