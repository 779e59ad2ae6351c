"""The listener of a timer trigger: NCRONTAB schedules in UTC, late firings included.

A schedule's status (last and next occurrence) is kept in a file, as the real host keeps it in blob
storage: a host that starts after an occurrence has passed fires at once, and says that it is late.
Left out: the lease that lets one host of many fire (here each fires), `runOnStartup`, TimeSpan
schedules, `WEBSITE_TIME_ZONE`, and retry policies.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from localcloud.host.bindings import Function, OtherTrigger
from localcloud.host.datum import Datum
from localcloud.host.errors import ConfigurationError
from localcloud.host.invocations import Invocations
from localcloud.host.settings import AppSettings
from ncrontab import Ncrontab, NcrontabError

_LOG = logging.getLogger(__name__)

Fire = Callable[[Datum], Awaitable[object]]
_NEVER: Final = datetime.max.replace(tzinfo=UTC)
"""What .NET says of a schedule that never comes."""


@dataclass(frozen=True, slots=True)
class Status:
    """A schedule's status.

    Attributes:
        last: The occurrence that was fired last; None if none was.
        next: The occurrence that comes next.
    """

    last: datetime | None
    next: datetime

    def to_json(self) -> dict[str, str]:
        """The status under the real host's names."""
        last = self.last.isoformat() if self.last else "0001-01-01T00:00:00"
        return {"Last": last, "Next": self.next.isoformat(), "LastUpdated": last}


class StatusFile:
    """Keeps one schedule's status over restarts; in memory only without a path."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def read(self) -> Status | None:
        """Read what was kept.

        Returns:
            The status; None if there is none.
        """
        if self._path is None or not self._path.exists():
            return None
        kept = json.loads(self._path.read_text("utf-8"))
        last = datetime.fromisoformat(kept["Last"])
        return Status(last if last.tzinfo else None, datetime.fromisoformat(kept["Next"]))

    def write(self, status: Status) -> None:
        """Keep a status, all at once."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps(status.to_json()), "utf-8")
        draft.replace(self._path)


class TimerListener:
    """Fires one function by its schedule."""

    def __init__(
        self, schedule: Ncrontab, fire: Fire, status: StatusFile, now: Callable[[], datetime]
    ) -> None:
        self._schedule = schedule
        self._fire = fire
        self._status = status
        self._now = now
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to wait for occurrences."""
        self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        """Fire no more."""
        self._stopping.set()

    async def drained(self) -> None:
        """Wait until a firing that is under way has ended."""
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        kept = self._status.read()
        now = self._now()
        if kept is not None and kept.next <= now:
            await self._occur(kept, is_past_due=True)
            kept = Status(kept.next, self._after(self._now()))
        status = kept or Status(None, self._after(now))
        self._status.write(status)
        while await self._waits_for(status.next):
            await self._occur(status, is_past_due=False)
            status = Status(status.next, self._after(max(status.next, self._now())))
            self._status.write(status)

    async def _waits_for(self, moment: datetime) -> bool:
        """Wait until then; false if there is nothing to fire any more."""
        seconds = (moment - self._now()).total_seconds()
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._stopping.wait()
        except TimeoutError:
            return not self._stopping.is_set()
        return False

    async def _occur(self, status: Status, *, is_past_due: bool) -> None:
        info = {
            "Schedule": {"AdjustForDST": True},
            "ScheduleStatus": status.to_json(),
            "IsPastDue": is_past_due,
        }
        await self._fire(Datum.json(info))

    def _after(self, moment: datetime) -> datetime:
        return self._schedule.next(moment) or _NEVER


class Timers:
    """Makes the listeners of timer triggers."""

    def __init__(self, directory: Path | None = None) -> None:
        """Keeps where the schedules' status goes.

        Args:
            directory: Keeps a file for each function; None forgets it with the host.
        """
        self._directory = directory

    def listener(
        self,
        function: Function,
        trigger: OtherTrigger,
        settings: AppSettings,
        invocations: Invocations,
    ) -> TimerListener:
        """Make the listener of one function.

        Returns:
            The listener.

        Raises:
            ConfigurationError: The schedule is none.
        """
        where = f"function {function.name}"
        text = settings.resolve(str(trigger.binding.get("schedule", "")), where=where)
        try:
            schedule = Ncrontab(text)
        except NcrontabError as error:
            raise ConfigurationError(
                where, expected=f"an NCRONTAB expression ({error.problem})", actual=text
            ) from error
        if not schedule.comes:
            _LOG.warning("%s: the schedule %s never comes", where, text)

        async def fire(info: Datum) -> None:
            request = invocations.request(function, {trigger.parameter: info}, {}, {})
            await invocations.run(function, request, "timer")

        path = self._directory / f"{function.name}.json" if self._directory else None
        return TimerListener(schedule, fire, StatusFile(path), lambda: datetime.now(UTC))
