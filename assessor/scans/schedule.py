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
from assessor.ids import name_based_id
from assessor.messages.in_progress import scan_message
from assessor.messages.request import ScanRequest
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


def scan_messages(
    scopes: Sequence[Scope], tags: Mapping[str, str | None], occurrence: datetime, now: datetime
) -> list[OutgoingMessage]:
    """Returns the requests of one occurrence, one for each scope."""
    return [
        scan_message(_request(scope, tags, occurrence), now)
        for scope in {each.key: each for each in scopes}.values()
    ]


def _request(scope: Scope, tags: Mapping[str, str | None], occurrence: datetime) -> ScanRequest:
    at = to_text(occurrence)
    identity = name_based_id("scheduled-scan", scope.key, at)
    return ScanRequest(
        scope=scope,
        request_id=identity,
        identity=identity,
        enqueued_at=occurrence,
        tags=tags,
        requested_by="schedule",
        reason=f"scheduled for {at}",
    )


def _recorded(message: OutgoingMessage) -> OutgoingMessage:
    """Returns the request with the record that it was sent: what is never answered shows."""
    record = Record(
        name=SCAN_REQUESTED,
        id=name_based_id("scan-requested", message.message_id),
        text=f"the schedule asks for a scan of {message.subject}",
        facts={SCOPE: message.subject, REQUEST_ID: message.correlation_id},
    )
    return replace(message, record=record)


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
        """Asks for the scans of the last occurrence.

        The time of the occurrence comes from the schedule, not from the host: what the host knows
        of it differs between a firing in time, a late one, and one by hand.

        Raises:
            PublishError: Service Bus takes nothing; the timer has to fire again.
        """
        if not self.scopes:
            return
        occurrence = self.schedule.last(self.clock.now() + _EARLY)
        if occurrence is None:
            _LOG.warning("the schedule %s never comes: nothing is scanned", self.schedule.text)
            return
        messages = scan_messages(self.scopes, self.tags, occurrence, self.clock.now())
        await self.bus.send(self.in_progress_queue, [_recorded(each) for each in messages])
        _LOG.info(
            "the schedule's occurrence of %s asks for %d scans", to_text(occurrence), len(messages)
        )
