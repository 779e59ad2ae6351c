"""The listener of a Service Bus trigger: all slots of one function."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from localcloud.host.hostjson import ServiceBusOptions
from localcloud.host.ports import HandleMessage, OpenInbox
from localcloud.host.pump import Outage, Slot, SlotContext, SlotOptions


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What listeners take from outside: time and randomness."""

    now: Callable[[], datetime]
    source: random.Random


class ServiceBusListener:
    """Serves a Service Bus trigger with as many slots as maxConcurrentCalls."""

    def __init__(
        self,
        entity: str,
        open_inbox: OpenInbox,
        handle: HandleMessage,
        options: ServiceBusOptions,
        surroundings: Surroundings,
    ) -> None:
        context = SlotContext(
            open_inbox=open_inbox,
            handle=handle,
            options=SlotOptions(
                auto_complete=options.auto_complete_messages,
                max_auto_lock_renewal=options.max_auto_lock_renewal,
            ),
            outage=Outage(entity),
            now=surroundings.now,
            source=surroundings.source,
        )
        self._slots = [Slot(context) for _ in range(options.max_concurrent_calls)]
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Open all receivers; returns when each has been tried once."""
        self._tasks = [asyncio.create_task(slot.run()) for slot in self._slots]
        await asyncio.gather(*(slot.tried.wait() for slot in self._slots))

    def stop(self) -> None:
        """Ask for no further messages."""
        for slot in self._slots:
            slot.stop()

    async def drained(self) -> None:
        """Wait until every message in flight is settled and every receiver closed."""
        await asyncio.gather(*self._tasks)
