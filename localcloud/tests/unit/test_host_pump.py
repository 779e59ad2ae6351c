"""The trigger loop on fake ports: settlement, outages, stopping, renewal."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.host.backoff import Backoff
from localcloud.host.errors import BusUnavailableError
from localcloud.host.messages import BusMessage
from localcloud.host.ports import Delivery, Inbox
from localcloud.host.pump import Outage, Slot, SlotContext, SlotOptions
from localcloud.host.renewal import renewal_delay, renewed

START = datetime(2026, 1, 1, tzinfo=UTC)
AWAY = BusUnavailableError("q", "away")


@dataclass
class FakeDelivery:
    """Records the effects on it, in order, in the bus's journal."""

    message: BusMessage
    journal: list[str]
    locked_until: datetime = START + timedelta(minutes=1)
    fail_with: BusUnavailableError | None = None
    renewals: list[datetime] = field(default_factory=list)

    async def complete(self) -> None:
        """Complete it."""
        self._note("complete")

    async def abandon(self) -> None:
        """Abandon it."""
        self._note("abandon")

    async def renew_lock(self) -> datetime:
        """Hand out the next lock end, or refuse."""
        self._note("renew")
        return self.renewals.pop(0)

    def _note(self, what: str) -> None:
        self.journal.append(f"{what} {self.message.message_id}")
        if self.fail_with is not None:
            raise self.fail_with


@dataclass
class FakeBus:
    """Hands out scripted inboxes: each a list of deliveries or errors, then silence."""

    scripts: list[list[FakeDelivery | Exception | None] | Exception]
    journal: list[str]

    async def open_inbox(self) -> Inbox:
        """Open the next inbox of the script."""
        script = self.scripts.pop(0) if self.scripts else []
        self.journal.append("open")
        if isinstance(script, Exception):
            raise script
        return FakeInbox(script, self.journal)


@dataclass
class FakeInbox:
    """One scripted inbox."""

    script: list[FakeDelivery | Exception | None]
    journal: list[str]

    async def receive(self) -> Delivery | None:
        """Play the next line of the script."""
        if not self.script:
            self.journal.append("silence")
            await asyncio.Event().wait()
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    async def close(self) -> None:
        """Note it."""
        self.journal.append("close")


def delivery(name: str, journal: list[str], **fields: object) -> FakeDelivery:
    """A delivery of a message of this name."""
    return FakeDelivery(BusMessage(b"", name, "t", 1, 1, START), journal, **fields)  # type: ignore[arg-type] # test data


async def until(condition: Callable[[], bool]) -> None:
    """Let tasks run until a condition holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - conditions here have no event
            await asyncio.sleep(0)


async def run(
    bus: FakeBus,
    handle: Callable[[BusMessage], Awaitable[bool]],
    last: str,
    *,
    auto_complete: bool = True,
) -> Slot:
    """Run a slot until the journal's last entry is this one, then stop it."""

    async def adapted(message: BusMessage) -> bool:
        return await handle(message)

    slot = Slot(
        SlotContext(
            open_inbox=bus.open_inbox,
            handle=adapted,
            options=SlotOptions(auto_complete, timedelta(minutes=5), Backoff(0.001, 0.001)),
            outage=Outage("q"),
            now=lambda: START,
            source=random.Random(1),
        )
    )
    task = asyncio.create_task(slot.run())
    try:
        await until(lambda: bus.journal[-1:] == [last])
    finally:
        slot.stop()
        await task
    return slot


async def succeed(_: BusMessage) -> bool:
    """A function that succeeds."""
    return True


async def fail(_: BusMessage) -> bool:
    """A function that fails."""
    return False


@pytest.mark.parametrize(
    ("handle", "auto_complete", "settled"),
    [
        (succeed, True, ["complete a"]),
        (fail, True, ["abandon a"]),
        (succeed, False, []),
        (fail, False, ["abandon a"]),
    ],
)
async def test_outcome_decides_the_settlement(
    handle: Callable[[BusMessage], Awaitable[bool]], *, auto_complete: bool, settled: list[str]
) -> None:
    """Success completes unless auto-complete is off; failure abandons."""
    journal: list[str] = []
    bus = FakeBus([[delivery("a", journal)]], journal)
    await run(bus, handle, "silence", auto_complete=auto_complete)
    assert journal == ["open", *settled, "silence", "close"]


async def test_lost_lock_does_not_end_the_loop() -> None:
    """A settlement that fails is given up; the next message is served on the same receiver."""
    journal: list[str] = []
    lost = delivery("a", journal, fail_with=AWAY)
    await run(FakeBus([[lost, delivery("b", journal)]], journal), succeed, "silence")
    assert journal == ["open", "complete a", "complete b", "silence", "close"]


async def test_outage_reopens_the_receiver() -> None:
    """An error closes the receiver and opens another one, as often as it takes."""
    journal: list[str] = []
    bus = FakeBus([AWAY, [AWAY], AWAY, [ValueError("unforeseen")], [None]], journal)
    await run(bus, succeed, "silence")
    assert journal == ["open", "open", "close", "open", "open", "close", "open", "silence", "close"]


async def test_stop_lets_the_message_in_hand_end() -> None:
    """A stop during the function: it ends, its message is settled, no other is asked for."""
    journal: list[str] = []
    going, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: BusMessage) -> bool:
        going.set()
        journal.append("running")
        await go_on.wait()
        return True

    bus = FakeBus([[delivery("a", journal), delivery("b", journal)]], journal)
    running = asyncio.create_task(run(bus, slow, "running"))
    await going.wait()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not running.done()
    go_on.set()
    await running
    assert journal == ["open", "running", "complete a", "close"]


async def test_cancelling_a_slot_closes_its_receiver() -> None:
    """Cancellation is honoured and leaks nothing."""
    journal: list[str] = []
    slot = asyncio.create_task(run(FakeBus([[]], journal), succeed, "never"))
    await until(lambda: "silence" in journal)
    slots = [each for each in asyncio.all_tasks() if "Slot.run" in repr(each)]
    assert len(slots) == 1
    slots[0].cancel()
    slot.cancel()
    await asyncio.gather(slot, *slots, return_exceptions=True)
    assert journal == ["open", "silence", "close"]


async def test_lock_is_renewed_until_the_longest_duration() -> None:
    """Renewals follow the lock's end and stop before the limit."""
    journal: list[str] = []
    clock = [START]
    soon = timedelta(milliseconds=2)
    held = delivery(
        "a", journal, locked_until=START + soon, renewals=[START + soon, START + soon * 2]
    )
    held.renewals = [START + soon * 2, START + timedelta(hours=1)]
    async with renewed(held, timedelta(minutes=5), lambda: clock[0]):
        await until(lambda: not held.renewals)
    assert journal == ["renew a", "renew a"]


async def test_failed_renewal_is_the_last() -> None:
    """A lock that is lost is not renewed again; the function may still end."""
    journal: list[str] = []
    held = delivery("a", journal, locked_until=START, fail_with=AWAY)
    async with renewed(held, timedelta(minutes=5), lambda: START):
        await until(lambda: bool(journal))
    assert journal == ["renew a"]


async def test_no_renewal_when_none_is_allowed() -> None:
    """A longest duration of zero leaves the lock alone."""
    journal: list[str] = []
    async with renewed(delivery("a", journal, locked_until=START), timedelta(0), lambda: START):
        await asyncio.sleep(0)
    assert journal == []


@given(st.timedeltas(min_value=timedelta(seconds=-5), max_value=timedelta(minutes=10)))
def test_renewal_is_due_before_the_lock_ends(remaining: timedelta) -> None:
    """Never after the end, never negative, and at most ten seconds early."""
    delay = renewal_delay(remaining)
    assert timedelta(0) <= delay <= max(remaining, timedelta(0))
    assert remaining - delay <= timedelta(seconds=10)


@given(st.integers(1, 10_000), st.integers())
def test_backoff_stays_below_its_ceiling(failures: int, seed: int) -> None:
    """However long the outage, a wait is short enough to notice its end, and never nothing."""
    delay = Backoff(0.1, 5.0).delay(failures, random.Random(seed))
    assert 0.05 <= delay <= 5.0
