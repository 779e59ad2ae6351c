"""The whole app on conversations with ARM that are given as data, in a time that jumps.

A conversation is a list of rules, `{"method", "url", "answers": [{"status", "headers", "body"}]}`.
The first rule whose `url` is in the called one answers, with its answers in turn, the last one
again and again. The app is as `build_app` makes it, over the SDK's own client; messages are
delivered when their time has come, and the clock jumps there.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest import HttpRequest
from azure.core.rest._aiohttp import _CIMultiDict  # how the transport that ships has them
from azure.core.rest._http_response_impl_async import AsyncHttpResponseImpl

from assessor.app import build_app
from assessor.arm.client import ArmClient
from assessor.arm.vm_lister import ArmVmLister
from assessor.bus.message import OutgoingMessage
from assessor.events.event import read_event
from assessor.messages.in_progress import parse_in_progress
from assessor.messages.request import IncomingMessage
from assessor.posture.store import MemoryPosture
from assessor.settings import ArmCloud
from tests.support.app import ports, settings
from tests.support.fakes import FakeBus, FakeClock
from tests.support.recorded_arm import Credential

_CLOUD = ArmCloud("https://management.azure.com", "https://management.azure.com/.default")
_MOST_DELIVERIES = 400


class _Closed:
    """The connection under an answer that was never open."""

    async def close(self) -> None:
        """Holds nothing."""


class ReplayedArm(AsyncHttpTransport[HttpRequest, AsyncHttpResponseImpl]):
    """Answers by rules, and notes what was called."""

    def __init__(self, rules: Sequence[Mapping[str, Any]]) -> None:
        self._rules = [(rule, list(rule["answers"])) for rule in rules]
        self.calls: list[tuple[str, str]] = []

    @property
    def begins(self) -> int:
        """How often an assessment was begun, or tried to be."""
        return sum(method == "POST" for method, _ in self.calls)

    async def send(self, request: HttpRequest, **options: Any) -> AsyncHttpResponseImpl:  # noqa: ANN401 - SDK's
        """Answers as the first rule says that fits."""
        self.calls.append((request.method, request.url))
        response = _response(request, self._answer(request))
        if not options.get("stream"):
            await response.read()
        return response

    def _answer(self, request: HttpRequest) -> Mapping[str, Any]:
        for rule, answers in self._rules:
            if rule["method"] == request.method and rule["url"] in request.url:
                answer: Mapping[str, Any] = answers.pop(0) if len(answers) > 1 else answers[0]
                return answer
        raise AssertionError(f"nobody foresaw {request.method} {request.url}")

    async def open(self) -> None:
        """Holds nothing."""

    async def close(self) -> None:
        """Holds nothing."""

    async def __aexit__(self, *raised: object) -> None:
        """Closes nothing."""
        del raised


def _response(request: HttpRequest, answer: Mapping[str, Any]) -> AsyncHttpResponseImpl:
    body = answer.get("body")
    octets = body.encode() if isinstance(body, str) else json.dumps(body).encode() if body else b""
    headers = {"content-type": "application/json; charset=utf-8"}
    headers |= {name.lower(): value for name, value in answer.get("headers", {}).items()}

    async def stream(**_: object) -> AsyncIterator[bytes]:
        yield octets

    return AsyncHttpResponseImpl(
        request=request,
        internal_response=_Closed(),
        status_code=answer["status"],
        headers=_CIMultiDict(headers),
        reason="",
        content_type=headers["content-type"],
        stream_download_generator=stream,
        block_size=4096,
    )


class Replay:
    """The app, ARM as the rules say, and a bus in memory.

    Attributes:
        arm: what was called.
        bus: what was sent.
        clock: this machine's.
        bus_ahead: how far Service Bus's clock is ahead of it.
    """

    def __init__(
        self,
        rules: Sequence[Mapping[str, Any]],
        now: datetime | None = None,
        credential: AsyncTokenCredential | None = None,
        bus_ahead: timedelta = timedelta(),
    ) -> None:
        self.clock = FakeClock(now) if now else FakeClock()
        self.arm = ReplayedArm(rules)
        self.bus = FakeBus()
        self.bus_ahead = bus_ahead
        self.postures = MemoryPosture()
        client = ArmClient(credential or Credential(), _CLOUD, self.arm)
        self.app = build_app(
            settings(ASSESS_HOLD_SECONDS="0"),
            ports(
                clock=self.clock,
                bus=self.bus,
                arm=client,
                lister=ArmVmLister(client.client, _CLOUD.endpoint),
                postures=self.postures,
            ),
        )
        self._delivered: set[tuple[str, int]] = set()

    @property
    def bus_now(self) -> datetime:
        """The time by Service Bus's clock."""
        return self.clock.now() + self.bus_ahead

    def events(self, *kinds: str) -> list[Any]:
        """Returns the outcomes of these types, without their prefix; all where none is named."""
        found = [json.loads(each.body) for each in self.bus.sent.get("results", [])]
        return [each for each in found if not kinds or each["type"].partition(".")[2] in kinds]

    async def request(self, body: object, **named: Any) -> None:  # noqa: ANN401 - the message's own
        """Delivers a message of the requests queue, and all that follows from it."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        message = IncomingMessage(data, "m-1", None, {}, self.bus_now)
        await self.deliver(message, **named)

    async def deliver(self, message: IncomingMessage, *, only: bool = False) -> None:
        """Delivers a message, and all that follows from it unless it is `only` this one."""
        await self.app.requests.receive(message)
        if not only:
            await self.settle()

    async def event(self, event: object) -> None:
        """Delivers an event of Event Grid's, and all that follows from it."""
        await self.app.events.receive(read_event(json.dumps(event)))
        await self.settle()

    async def settle(self) -> None:
        """Delivers what is scheduled, each message when its time has come, until none is left."""
        for _ in range(_MOST_DELIVERIES):
            due = [
                (message.enqueue_at or self.bus_now, queue, number)
                for queue in ("requests", "in-progress")
                for number, message in enumerate(self.bus.sent.get(queue, []))
                if (queue, number) not in self._delivered
            ]
            if not due:
                return
            at, queue, number = min(due)
            self._delivered.add((queue, number))
            message = self.bus.sent[queue][number]
            self.clock.advance(max(0.0, (at - self.bus_now).total_seconds()))
            await self._receive(queue, message, at)
        raise AssertionError("a storm of messages")

    async def _receive(self, queue: str, message: OutgoingMessage, at: datetime) -> None:
        if queue == "in-progress":
            await self.app.resume(parse_in_progress(message.body), at)
            return
        await self.app.requests.receive(
            IncomingMessage(
                message.body,
                message.message_id,
                message.content_type,
                message.application_properties,
                at,
            )
        )
