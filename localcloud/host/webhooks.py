"""The host's webhook for Event Grid: `/runtime/webhooks/EventGrid?functionName=NAME`.

As the Event Grid extension's: it answers the validation handshake of both schemas by itself, runs
the function once for each event of a delivery, and answers 202 when all of them succeeded, 500
otherwise, so that Event Grid delivers again. A host that is on its way up or down answers 503, as
the host's availability check does: Event Grid gives an event up at a 404. Left out: the system key
(it listens on the loopback interface only), and the trigger metadata.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from localcloud.guard import programs_only
from localcloud.host.bindings import Function, OtherTrigger
from localcloud.host.datum import Datum
from localcloud.host.invocations import Invocations
from localcloud.host.settings import AppSettings
from localcloud.host.spans import Activity

_LOG = logging.getLogger(__name__)
_PATH = "/runtime/webhooks/EventGrid"
_LARGEST = 2 * 1024 * 1024  # Event Grid's batches have at most 1 MB

RunEvent = Callable[[dict[str, Any]], Awaitable[bool]]


class EventGridListener:
    """Serves one function's Event Grid trigger between its start and its stop.

    Attributes:
        takes_more: Whether deliveries are taken.
    """

    def __init__(self, run: RunEvent) -> None:
        self._run = run
        self._running: set[asyncio.Task[bool]] = set()
        self.takes_more = False

    async def start(self) -> None:
        """Take deliveries."""
        self.takes_more = True

    def stop(self) -> None:
        """Take no further deliveries."""
        self.takes_more = False

    async def drained(self) -> None:
        """Wait until nothing is in flight."""
        await asyncio.gather(*self._running, return_exceptions=True)

    async def deliver(self, events: list[dict[str, Any]]) -> bool:
        """Run the function for each event.

        Returns:
            Whether all succeeded.
        """
        tasks = [asyncio.ensure_future(self._run(event)) for event in events]
        self._running.update(tasks)
        for task in tasks:
            task.add_done_callback(self._running.discard)
        return all(await asyncio.gather(*tasks))


_REQUEST = Activity(
    "Microsoft.AspNetCore",
    "POST /runtime/webhooks/EventGrid",
    "SERVER",
    {"http.request.method": "POST", "url.path": "/runtime/webhooks/EventGrid"},
)
"""What the host has under way while it serves a delivery."""


class EventGridWebhook:
    """The webhook, and the functions that it serves.

    Attributes:
        url: Where it listens; a function's name goes into the query.
    """

    def __init__(self) -> None:
        self.url = ""
        self._listeners: dict[str, EventGridListener] = {}

    def listener(
        self,
        function: Function,
        trigger: OtherTrigger,
        settings: AppSettings,
        invocations: Invocations,
    ) -> EventGridListener:
        """Make the listener of one function.

        Returns:
            The listener.
        """
        del settings

        async def run(event: dict[str, Any]) -> bool:
            request = invocations.request(
                function, {trigger.parameter: Datum.json(event)}, {}, event, _REQUEST
            )
            return await invocations.run(function, request, "event")

        return self.attach(function.name, run)

    def attach(self, name: str, run: RunEvent) -> EventGridListener:
        """Serve a function of that name.

        Returns:
            Its listener, which takes nothing yet.
        """
        self._listeners[name] = EventGridListener(run)
        return self._listeners[name]

    async def post(self, request: web.Request) -> web.Response:
        """Take a delivery, or the handshake of the Event Grid schema."""
        name = request.query.get("functionName", "")
        listener = self._listeners.get(name)
        if listener is None or not listener.takes_more:
            return _refusal(name, is_known=listener is not None)
        try:
            events = _events(await request.read())
        except ValueError:
            return web.Response(status=400, text="the body is no event, and no list of events")
        match request.headers.get("aeg-event-type", "").lower():
            case "subscriptionvalidation":
                code = events[0].get("data", {}).get("validationCode") if events else None
                return web.json_response({"validationResponse": code})
            case "unsubscribe":
                return web.Response(status=202)
            case "notification":
                return web.Response(status=202 if await listener.deliver(events) else 500)
            case _:
                return web.Response(status=400, text="aeg-event-type is missing or unknown")

    async def options(self, request: web.Request) -> web.Response:
        """Answer the handshake of CloudEvents webhooks."""
        origin = request.headers.get("WebHook-Request-Origin")
        if origin is None:
            return web.Response(status=400, text="WebHook-Request-Origin is missing")
        return web.Response(headers={"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"})


@asynccontextmanager
async def event_grid_webhook(port: int = 0) -> AsyncIterator[EventGridWebhook]:
    """Serve the webhook while the block runs.

    Args:
        port: Where to listen; 0 chooses a free port.

    Yields:
        The webhook.
    """
    webhook = EventGridWebhook()
    application = web.Application(client_max_size=_LARGEST, middlewares=[programs_only])
    application.router.add_post(_PATH, webhook.post)
    application.router.add_route("OPTIONS", _PATH, webhook.options)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        host, bound = runner.addresses[0][:2]
        webhook.url = f"http://{host}:{bound}{_PATH}"
        yield webhook
    finally:
        await runner.cleanup()


def _refusal(name: str, *, is_known: bool) -> web.Response:
    if is_known:
        return web.Response(status=503, text="Function host is not running.")
    return web.Response(status=404, text=f"cannot find function: '{name}'")


def _events(body: bytes) -> list[dict[str, Any]]:
    """Read a delivery: a list of events, or one CloudEvent.

    Returns:
        The events.

    Raises:
        ValueError: It is neither.
    """
    value = json.loads(body)
    events = value if isinstance(value, list) else [value]
    if not all(isinstance(event, dict) for event in events):
        raise ValueError("not an object")
    return events
