"""The pull loop of a Service Bus trigger: one slot works on one message at a time.

A function has as many slots as maxConcurrentCalls, each with a receiver of its own. The Python
client reads and writes one connection under one lock, so receiving, renewing and settling at the
same time on a shared receiver stall each other by up to 0.2 s; in a slot they follow each other.
The real host shares one connection between all its calls; on the bus it looks the same, but for
the number of connections. A slot asks for one message only when it is free, so nothing waits
locked in a buffer.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from localcloud.host.backoff import Backoff
from localcloud.host.errors import BusUnavailableError
from localcloud.host.ports import Delivery, HandleMessage, Inbox, OpenInbox
from localcloud.host.renewal import renewed

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SlotOptions:
    """How a slot treats its messages.

    Attributes:
        auto_complete: Whether success completes the message; if not, its lock runs out.
        max_auto_lock_renewal: For how long a running invocation's lock is renewed.
        backoff: The waiting times while the bus is away.
    """

    auto_complete: bool
    max_auto_lock_renewal: timedelta
    backoff: Backoff = field(default_factory=Backoff)


class Outage:
    """Logs that an entity is away, and back, once each, however many slots notice."""

    def __init__(self, entity: str) -> None:
        self._entity = entity
        self._away = False

    def begin(self, error: BusUnavailableError) -> None:
        """Note a failure."""
        if not self._away:
            self._away = True
            _LOG.warning("receiving from %s is interrupted: %s", self._entity, error.reason)

    def end(self) -> None:
        """Note that receiving works."""
        if self._away:
            self._away = False
            _LOG.warning("receiving from %s again", self._entity)


@dataclass(frozen=True, slots=True)
class SlotContext:
    """What all slots of a function share."""

    open_inbox: OpenInbox
    handle: HandleMessage
    options: SlotOptions
    outage: Outage
    now: Callable[[], datetime]
    source: random.Random


class Slot:
    """Receives a message, has it handled, settles it, and starts over."""

    def __init__(self, context: SlotContext) -> None:
        self._context = context
        self._stopping = asyncio.Event()
        self._receiving: asyncio.Task[Delivery | None] | None = None
        self._failures = 0
        self.tried = asyncio.Event()
        """Set when the first attempt to attach has ended, either way."""

    def stop(self) -> None:
        """Ask for no further message. What is being handled goes on to its settlement."""
        self._stopping.set()
        if self._receiving is not None:
            self._receiving.cancel()

    async def run(self) -> None:
        """Work until stopped, whatever the bus does."""
        while not self._stopping.is_set():
            try:
                await self._attach_and_serve()
            except BusUnavailableError as error:
                self._context.outage.begin(error)
                await self._pause()
            except Exception:  # noqa: BLE001 - logged, and pulling must survive anything
                _LOG.exception("receiving failed in an unforeseen way")
                await self._pause()

    async def _attach_and_serve(self) -> None:
        try:
            inbox = await self._context.open_inbox()
        finally:
            self.tried.set()
        self._context.outage.end()
        try:
            await self._serve(inbox)
        finally:
            await inbox.close()

    async def _pause(self) -> None:
        self._failures += 1
        delay = self._context.options.backoff.delay(self._failures, self._context.source)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), delay)

    async def _serve(self, inbox: Inbox) -> None:
        while not self._stopping.is_set():
            delivery = await self._receive(inbox)
            self._failures = 0
            if delivery is not None:
                await self._process(delivery)

    async def _receive(self, inbox: Inbox) -> Delivery | None:
        """Wait for a message, in a task of its own so that `stop` can end just that."""
        self._receiving = asyncio.ensure_future(inbox.receive())
        try:
            return await self._receiving
        except asyncio.CancelledError:
            if not self._stopping.is_set() or not self._receiving.cancelled():
                self._receiving.cancel()
                raise
            return None
        finally:
            self._receiving = None

    async def _process(self, delivery: Delivery) -> None:
        context = self._context
        async with renewed(delivery, context.options.max_auto_lock_renewal, context.now):
            succeeded = await context.handle(delivery.message)
        try:
            if not succeeded:
                await delivery.abandon()
            elif context.options.auto_complete:
                await delivery.complete()
        except BusUnavailableError as error:
            _LOG.warning(
                "message %s was not settled and will come again: %s",
                delivery.message.message_id,
                error,
            )
