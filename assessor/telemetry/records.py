"""Records: one structured log record for each outcome, never sampled, whole and bounded.

What counts, lists or alerts in Application Insights reads these; spans are for looking into one
assessment. The Azure Monitor exporter makes a row of AppEvents of a log record that carries
CUSTOM_EVENT. A record that comes again has the ID that it had: whoever reads records counts each
ID once.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from opentelemetry.util.types import AttributeValue

from assessor.telemetry.attributes import CUSTOM_EVENT, RECORD_ID, STATUS
from plain_text import one_line

_LOG: Final = logging.getLogger(__name__)
_TEXT: Final = 256
"""The most characters that a text in a record has; names in ARM are shorter."""
_LONG: Final = 512
"""The most that a resource ID has."""
_WAIT_SECONDS: Final = 2.0
"""How long a message waits to be settled until its record is out."""
_SILENT_SECONDS: Final = 60.0
"""How long nobody waits after a collector that took longer."""

Facts = Mapping[str, AttributeValue | None]
"""What a record tells, by the attribute's name; None where it is not known."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is told of one outcome.

    Attributes:
        name: the CloudEvents type of what was published.
        id: its ID; a repeat of the same outcome has the same one.
        text: what a log shows.
        status: how it ended, in a word.
        facts: what else is told; texts are cut to what any real one has.
        level: the log level.
    """

    name: str
    id: str
    text: str
    status: str = ""
    facts: Facts = field(default_factory=dict)
    level: int = logging.INFO

    def attributes(self) -> dict[str, AttributeValue]:
        """Returns the attributes of its log record, within their bounds."""
        told = {CUSTOM_EVENT: self.name, RECORD_ID: self.id, STATUS: self.status, **self.facts}
        return {name: _bounded(value) for name, value in told.items() if value is not None}


def _bounded(value: AttributeValue) -> AttributeValue:
    if not isinstance(value, str):
        return value
    return one_line(value[: _LONG if value.startswith("/subscriptions/") else _TEXT])


class Records:
    """Writes records, and has them out before their messages are settled.

    A worker may be killed at any time. One that is killed before its message is settled is followed
    by another that does the same again, and writes the record again; so a record that is out by
    then is never lost.
    """

    def __init__(
        self,
        flush: Callable[[], object] | None = None,
        *,
        wait_seconds: float = _WAIT_SECONDS,
    ) -> None:
        """Writes to the app's log.

        `flush` sends what was logged, and blocks until that is done; without it nothing is sent.
        """
        self._flush = flush
        self._wait_seconds = wait_seconds
        self._turn = asyncio.Lock()
        self._written = 0
        self._sent = 0
        self._silent_until = 0.0

    async def write(self, *records: Record) -> None:
        """Writes the records, and waits until they are out, or for a moment at the most."""
        for record in records:
            _LOG.log(record.level, "%s", record.text, extra=record.attributes())
        if records:
            self._written += 1
            await self._out()

    async def _out(self) -> None:
        if self._flush is None or time.monotonic() < self._silent_until:
            return
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._join(self._flush, self._written)
        except TimeoutError:
            self._silent_until = time.monotonic() + _SILENT_SECONDS

    async def _join(self, flush: Callable[[], object], mine: int) -> None:
        """Flushes, once for all that wait at the same time."""
        async with self._turn:
            if self._sent >= mine:
                return
            upto = self._written
            await _in_thread(flush)
            self._sent = upto


def _in_thread(work: Callable[[], object]) -> asyncio.Future[None]:
    """Returns what is done when `work` is, in a thread that ends with the process."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def tell() -> None:
        if not done.done():
            done.set_result(None)

    def run() -> None:
        try:
            work()
        finally:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(tell)

    threading.Thread(target=run, daemon=True, name="records").start()
    return done
