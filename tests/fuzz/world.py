"""The whole app, but for its sockets, between an ARM that answers anything and a bus in memory.

What is promised whatever comes in, and checked here: no exception leaves a handler (but for the one
that the in-progress queue's trigger documents), ARM's token goes to ARM's origin and to the
subscription that is asked about alone, whatever goes out is what the schemas say, and each request
comes to an end: an outcome or a rejection, in a bounded number of messages and calls.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest import HttpRequest
from azure.core.rest._http_response_impl_async import AsyncHttpResponseImpl

from assessor.app import build_app
from assessor.arm.client import ArmClient
from assessor.arm.vm_lister import ArmVmLister
from assessor.events.event import read_event
from assessor.messages.in_progress import InProgressError, parse_in_progress
from assessor.messages.request import IncomingMessage
from assessor.settings import ArmCloud
from assessor.telemetry.telemetry import Telemetry
from tests.support.app import ENTITIES, ports, settings, silent_telemetry
from tests.support.fakes import FakeClock
from tests.support.memory_bus import MemoryBus
from tests.support.recorded_arm import Credential
from tests.support.schemas import assert_published

_ENDPOINT: Final = "https://management.azure.com"
_MOST_DELIVERIES: Final = 400
"""Far more than an assessment of two hours takes, whatever ARM answers."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What ARM answers to one call.

    Attributes:
        status: the HTTP status.
        headers: the headers, by lower-case name.
        body: the bytes of the body.
        breaks: raised in place of an answer.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    breaks: Exception | None = None


class _Closed:
    async def close(self) -> None:
        """Holds nothing."""


class OddArm(AsyncHttpTransport[HttpRequest, AsyncHttpResponseImpl]):
    """Answers each call with the next of its answers, and for ever with the last.

    Attributes:
        calls: the URLs that were called, each with the token.
    """

    def __init__(
        self, answers: Sequence[Answer], place: str = f"{_ENDPOINT}/subscriptions/"
    ) -> None:
        """Keeps the answers; there is at least one.

        Args:
            answers: what is answered.
            place: where calls may go; one that goes elsewhere is a finding.
        """
        self._answers = list(answers)
        self._place = place
        self.calls: list[str] = []

    async def send(self, request: HttpRequest, **options: Any) -> AsyncHttpResponseImpl:  # noqa: ANN401 - SDK's
        """Answers; raises what the answer breaks with."""
        self.calls.append(request.url)
        assert request.url.startswith(self._place), request.url
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if answer.breaks is not None:
            raise answer.breaks

        async def body(**_: object) -> AsyncIterator[bytes]:
            yield answer.body

        response = AsyncHttpResponseImpl(
            request=request,
            internal_response=_Closed(),
            status_code=answer.status,
            headers=answer.headers,
            reason="",
            content_type=answer.headers.get("content-type", ""),
            stream_download_generator=body,
            block_size=4096,
        )
        if not options.get("stream"):
            await response.read()
        return response

    async def open(self) -> None:
        """Holds nothing."""

    async def close(self) -> None:
        """Holds nothing."""

    async def __aexit__(self, *raised: object) -> None:
        """Closes nothing."""
        del raised


@cache
def _telemetry() -> Telemetry:
    """Returns telemetry that goes nowhere; to make it takes longer than many an input."""
    return silent_telemetry()


class World:
    """The app, with ways to bring it what comes from outside.

    Attributes:
        arm: the ARM that it calls.
        bus: what it has sent.
    """

    def __init__(self, answers: Sequence[Answer], **named: str) -> None:
        """Builds the app.

        Args:
            answers: ARM's.
            named: settings.
        """
        self._clock = FakeClock()
        self.bus = MemoryBus(ENTITIES.values(), self._clock.now)
        self.arm = OddArm(answers)
        cloud = ArmCloud(_ENDPOINT, f"{_ENDPOINT}/.default")
        client = ArmClient(Credential(), cloud, self.arm)
        self.app = build_app(
            settings(ASSESS_HOLD_SECONDS="0", **named),
            ports(
                clock=self._clock,
                bus=self.bus,
                arm=client,
                lister=ArmVmLister(client.client, _ENDPOINT),
                telemetry=_telemetry(),
            ),
        )
        self._resumed = 0

    async def request(
        self, body: bytes, content_type: str | None = None, properties: dict[str, Any] | None = None
    ) -> None:
        """Delivers a message of the requests queue."""
        message = IncomingMessage(
            body=body,
            message_id="message-1",
            content_type=content_type,
            application_properties=properties or {},
            enqueued_at=self._clock.now(),
        )
        await self.app.requests.receive(message)

    async def event(self, text: str) -> None:
        """Delivers an event of Event Grid."""
        await self.app.events.receive(read_event(text))

    async def in_progress(self, body: bytes) -> None:
        """Delivers a message of the in-progress queue; one that nobody wrote is refused."""
        with suppress(InProgressError):
            await self.app.resume(parse_in_progress(body), self._clock.now())

    async def settle(self) -> None:
        """Delivers what the app has scheduled, each message at its time, until nothing is left."""
        queue = ENTITIES["IN_PROGRESS_QUEUE"]
        while len(sent := self.bus.sent.get(queue, [])) > self._resumed:
            message = sent[self._resumed]
            self._resumed += 1
            assert self._resumed < _MOST_DELIVERIES, "it goes on for ever"
            if message.enqueue_at is not None:
                wait = message.enqueue_at - self._clock.now()
                self._clock.advance(max(0.0, wait.total_seconds()))
            await self.app.resume(parse_in_progress(message.body), self._clock.now())

    def scheduled(self) -> list[bytes]:
        """Returns the bodies of what the app has sent to itself."""
        return [each.body for each in self.bus.sent.get(ENTITIES["IN_PROGRESS_QUEUE"], [])]

    def outcomes(self) -> list[dict[str, Any]]:
        """Returns the data of what was published on the results topic, checked by its schema."""
        return self._published("RESULTS_TOPIC")

    def check_published(self) -> None:
        """Holds everything that went out against the schemas."""
        self._published("RESULTS_TOPIC")
        self._published("ALERTS_TOPIC")

    def _published(self, entity: str) -> list[dict[str, Any]]:
        messages = self.bus.sent.get(ENTITIES[entity], [])
        for each in messages:
            assert_published(each)
        return [json.loads(each.body) for each in messages]
