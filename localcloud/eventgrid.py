"""Event Grid on this machine: delivers events to a webhook as the service does.

The handshake before the first delivery, one event a delivery in either schema, at least once: an
event may come twice, and comes again, later and later, where the webhook does not answer with
success. Answers that the service never retries end the event in the dead letters.
Source: learn.microsoft.com, "Webhook event delivery", "Event Grid message delivery and retry".
Left out: topics and filters (each event goes to the one subscription), output batching, delayed
delivery to an endpoint that fails often, and authentication with Microsoft Entra ID.
"""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from random import Random
from typing import Any, Final

import aiohttp

_PAUSES: Final = (10, 30, 60, 300, 600, 1800, 3600, 10800, 21600, 43200)
"""Seconds before each next attempt; the last one repeats."""
_ATTEMPTS: Final = 30
_ANSWER_SECONDS: Final = 30.0
_FINAL: Final = frozenset({400, 401, 403, 404, 413})
"""Answers of a webhook after which an event is not delivered again."""

Event = Mapping[str, Any]


class Schema(StrEnum):
    """How events go over the wire."""

    EVENT_GRID = "EventGridSchema"
    CLOUD_EVENTS = "CloudEventSchemaV1_0"


class HandshakeError(Exception):
    """The webhook does not prove that it wants events.

    Attributes:
        status: What it answered.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"the webhook did not answer the validation handshake: {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that was given up; `status` is the last answer, 0 if there was none."""

    event: Event
    attempts: int
    status: int


@dataclass(frozen=True, slots=True)
class Habits:
    """How the service behaves in this run.

    Attributes:
        duplicates: The share of events that are delivered twice.
        time_scale: How many times faster than real the pauses between attempts are.
        source: Where chance comes from.
        sleep: Waits.
    """

    duplicates: float = 0.0
    time_scale: float = 1.0
    source: Random = field(default_factory=Random)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class EventGrid:
    """One subscription: a webhook, and what was delivered to it.

    Attributes:
        attempts: How many deliveries were tried.
        dead_letters: What was given up.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        endpoint: str,
        schema: Schema = Schema.EVENT_GRID,
        habits: Habits | None = None,
    ) -> None:
        """Names the subscription; nothing is sent yet.

        Args:
            session: Makes the calls.
            endpoint: The webhook, with the function's name in its query.
            schema: The schema of deliveries.
            habits: How the service behaves.
        """
        self._session = session
        self._endpoint = endpoint
        self._schema = schema
        self._habits = habits or Habits()
        self.attempts = 0
        self.dead_letters: list[DeadLetter] = []

    async def subscribe(self) -> None:
        """Do the validation handshake.

        Raises:
            HandshakeError: The webhook does not answer as it should.
        """
        if self._schema is Schema.CLOUD_EVENTS:
            await self._ask_by_options()
        else:
            await self._ask_by_code()

    async def publish(self, events: Sequence[Event]) -> None:
        """Deliver events, all at the same time; returns when each is delivered or given up."""
        await asyncio.gather(*(self._deliver(event) for event in events))

    async def _deliver(self, event: Event) -> None:
        twice = self._habits.source.random() < self._habits.duplicates
        for _ in range(2 if twice else 1):
            await self._deliver_once(event)

    async def _deliver_once(self, event: Event) -> None:
        status = 0
        for attempt in range(_ATTEMPTS):
            if attempt:
                pause = _PAUSES[min(attempt, len(_PAUSES)) - 1]
                await self._habits.sleep(pause / self._habits.time_scale)
            status = await self._attempt(event, attempt)
            if status in range(200, 205):
                return
            if status in _FINAL:
                self.dead_letters.append(DeadLetter(event, attempt + 1, status))
                return
        self.dead_letters.append(DeadLetter(event, _ATTEMPTS, status))

    async def _attempt(self, event: Event, failures: int) -> int:
        self.attempts += 1
        is_cloud_event = self._schema is Schema.CLOUD_EVENTS
        kind = "application/cloudevents+json" if is_cloud_event else "application/json"
        try:
            async with self._session.post(
                self._endpoint,
                data=json.dumps(event if is_cloud_event else [event]).encode(),
                headers={
                    "aeg-event-type": "Notification",
                    "aeg-delivery-count": str(failures),
                    "Content-Type": f"{kind}; charset=utf-8",
                },
                timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS),
            ) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return 0

    async def _ask_by_code(self) -> None:
        code = str(uuid.UUID(int=self._habits.source.getrandbits(128), version=4)).upper()
        event = {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, code)),
            "topic": "/subscriptions/00000000-0000-0000-0000-000000000000",
            "subject": "",
            "data": {"validationCode": code},
            "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
            "eventTime": datetime.now(UTC).isoformat(),
            "metadataVersion": "1",
            "dataVersion": "2",
        }
        async with self._session.post(
            self._endpoint,
            data=json.dumps([event]).encode(),
            headers={
                "aeg-event-type": "SubscriptionValidation",
                "Content-Type": "application/json; charset=utf-8",
            },
        ) as answer:
            if answer.status != 200 or (await answer.json()).get("validationResponse") != code:  # noqa: PLR2004 - HTTP
                raise HandshakeError(answer.status)

    async def _ask_by_options(self) -> None:
        async with self._session.options(
            self._endpoint, headers={"WebHook-Request-Origin": "eventgrid.azure.net"}
        ) as answer:
            allowed = answer.headers.get("WebHook-Allowed-Origin")
            if answer.status != 200 or allowed not in {"*", "eventgrid.azure.net"}:  # noqa: PLR2004 - HTTP
                raise HandshakeError(answer.status)
