"""The local host's timers, on a clock that the test moves."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from localcloud.host.datum import Datum
from localcloud.host.timers import Status, StatusFile, TimerListener
from ncrontab import Ncrontab

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


class Fired:
    """Keeps what was fired, and lets the test wait for it."""

    def __init__(self) -> None:
        self.infos: list[dict[str, Any]] = []
        self._news = asyncio.Event()

    async def fire(self, info: Datum) -> None:
        """Keeps it."""
        assert isinstance(info.value, str)
        self.infos.append(json.loads(info.value))
        self._news.set()

    async def wait(self, count: int) -> None:
        """Waits until so many were fired."""
        async with asyncio.timeout(10):
            while len(self.infos) < count:
                self._news.clear()
                await self._news.wait()


def _listener(
    fired: Fired,
    now: Callable[[], datetime],
    path: Path | None = None,
    schedule: str = "0 0 2 * * *",
) -> TimerListener:
    return TimerListener(Ncrontab(schedule), fired.fire, StatusFile(path), now)


async def _stop(listener: TimerListener) -> None:
    listener.stop()
    await listener.drained()


async def test_a_timer_fires_at_its_occurrences() -> None:
    """Each second here, and it says that it is in time."""
    fired = Fired()
    listener = _listener(fired, lambda: datetime.now(UTC), schedule="* * * * * *")
    await listener.start()
    await fired.wait(2)
    await _stop(listener)
    assert all(not info["IsPastDue"] for info in fired.infos)
    first, second = (info["ScheduleStatus"]["Next"] for info in fired.infos[:2])
    assert datetime.fromisoformat(second) > datetime.fromisoformat(first)


async def test_a_host_that_was_away_fires_late_and_says_so(tmp_path: Path) -> None:
    """Once, for however many occurrences were missed; then it waits for the next one."""
    path = tmp_path / "scan.json"
    StatusFile(path).write(Status(NOON - timedelta(days=3), NOON - timedelta(days=2)))
    fired = Fired()
    listener = _listener(fired, lambda: NOON, path)
    await listener.start()
    await fired.wait(1)
    await _stop(listener)
    (info,) = fired.infos
    assert info["IsPastDue"]
    kept = StatusFile(path).read()
    assert kept is not None
    assert kept.next == datetime(2026, 1, 6, 2, tzinfo=UTC)


async def test_a_host_that_was_not_away_fires_nothing_at_its_start(tmp_path: Path) -> None:
    """Neither the first time, nor when the next occurrence is still to come."""
    for _ in range(2):
        fired = Fired()
        listener = _listener(fired, lambda: NOON, tmp_path / "scan.json")
        await listener.start()
        await _stop(listener)
        assert fired.infos == []
