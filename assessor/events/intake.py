"""Takes events, and does what follows from them."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, assert_never

from assessor.bus.message import OutgoingMessage
from assessor.events.decisions import Assess, Decision, Ignore, Malformed, Request, Retire, decide
from assessor.events.deletion import IsGone
from assessor.events.event import Event
from assessor.messages.in_progress import request_message, scan_message
from assessor.messages.model import to_json
from assessor.messages.outcome import reject
from assessor.messages.outgoing import outcome_message
from assessor.messages.request import (
    AssessmentRequest,
    IncomingMessage,
    Rejection,
    ScanRequest,
    name_based_id,
    split,
)
from assessor.messages.request_body import parse_request
from assessor.ports import Bus, Clock
from assessor.resource_id import Scope, VirtualMachineId
from assessor.telemetry.context import current_traceparent

_LOG: Final = logging.getLogger(__name__)
_REQUESTED_BY: Final = "event-grid"


RetireVm = Callable[[VirtualMachineId, datetime, str, str | None], Awaitable[object]]
"""Resolves the alerts of a VM that is gone since a time, as a request told of it, in a trace;
may raise UnavailableError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventIntake:
    """Does what events ask for."""

    bus: Bus
    retire: RetireVm
    is_gone: IsGone
    count: Callable[[str, str], None]
    clock: Clock
    in_progress_queue: str
    results_topic: str
    settle: timedelta
    allowed_scopes: Sequence[Scope]

    async def receive(self, event: Event) -> None:
        """Does what follows from an event. It may come again: that changes nothing.

        Raises:
            PublishError: Service Bus takes nothing; the event has to come again.
            PostureError: the posture of a VM that is gone can't be changed; likewise.
            DeletionUnclearError: ARM does not tell whether a VM is gone; likewise.
        """
        decisions = decide(
            event, now=self.clock.now(), settle=self.settle, allowed=self.allowed_scopes
        )
        for decision in decisions:
            await self._do(event, decision)
            self.count(event.name, type(decision).__name__.lower())

    async def _do(self, event: Event, decision: Decision) -> None:
        match decision:
            case Assess():
                await self.bus.send(self.in_progress_queue, [self._assessment(decision)])
                _LOG.info("%s: %s is assessed at %s", event.name, decision.vm, decision.due)
            case Retire(vm=vm, at=at):
                if not await self.is_gone(vm):
                    _LOG.warning("%s: ARM does not say that %s is gone", event.name, vm)
                    return
                await self.retire(vm, at, event.key, current_traceparent())
                _LOG.info("%s: %s is gone", event.name, vm)
            case Request():
                await self._ask(event, decision)
            case Ignore(why=why):
                _LOG.debug("%s is ignored: %s", event.name, why)
            case Malformed():
                await self._reject(event, decision)
            case _:
                assert_never(decision)

    def _assessment(self, decision: Assess) -> OutgoingMessage:
        request = AssessmentRequest(
            vm=decision.vm,
            request_id=decision.identity,
            enqueued_at=decision.due,
            requested_by=_REQUESTED_BY,
            reason=decision.reason,
            traceparent=current_traceparent(),
            fresh_since=decision.fresh_since,
            identity=decision.identity,
        )
        return request_message(request, decision.due)

    async def _ask(self, event: Event, decision: Request) -> None:
        """Sends what the event's request comes to; it is held to the contract like any other."""
        now = self.clock.now()
        fields = {"requestedBy": _REQUESTED_BY, **decision.fields}
        message = _message(fields, decision.identity, now, decision.identity)
        match parse_request(message, self.allowed_scopes):
            case Rejection() as rejection:
                await self._publish(rejection)
                return
            case ScanRequest() as scan:
                # A scan by an event has no other name: the event may have no time.
                named = replace(scan, identity=decision.identity)
                messages = [scan_message(named, now)]
            case requests:
                messages = [request_message(split(each)) for each in requests]
        await self.bus.send(self.in_progress_queue, messages)
        _LOG.info("%s: request %s", event.name, decision.identity)

    async def _reject(self, event: Event, malformed: Malformed) -> None:
        """Publishes the event as a request that was rejected, with all that is wrong with it."""
        now = self.clock.now()
        body = {
            "id": event.id,
            "type": event.type,
            "source": event.source,
            "subject": event.subject,
            "time": event.time.isoformat() if event.time is not None else None,
            "data": event.data,
        }
        message = _message(body, event.key, now, name_based_id("malformed-event", event.key))
        await self._publish(Rejection(event.key, "NotUnderstood", malformed.errors, message))

    async def _publish(self, rejection: Rejection) -> None:
        outcome = reject(rejection, self.clock.now())
        await self.bus.send(self.results_topic, [outcome_message(outcome, current_traceparent())])


def _message(
    fields: Mapping[str, Any], message_id: str, now: datetime, identity: str
) -> IncomingMessage:
    """Returns what the event says as a message of the requests queue."""
    return IncomingMessage(
        body=to_json(fields),
        message_id=message_id,
        content_type="application/json",
        application_properties={},
        enqueued_at=now,
        identity=identity,
    )
