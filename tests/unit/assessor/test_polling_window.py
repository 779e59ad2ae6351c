"""The polling window: an invocation waits within it, and reschedules instead of waiting longer."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from assessor.clock import PollingWindow

_ENOUGH_SECONDS = 10.0


class _Time:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(st.floats(0, 300), st.floats(0, 5000), st.floats(0, 5000))
def test_a_wait_that_ends_after_the_hold_is_not_begun(
    seconds: float, passed: float, delay: float
) -> None:
    """The delay goes along, for the message that is scheduled in its place."""
    time = _Time()
    window = PollingWindow(seconds, time, asyncio.Event())
    time.now += passed

    assume(time.now + delay > 1000.0 + seconds)
    assert asyncio.run(window.wait(delay)) == delay


async def test_a_wait_within_the_hold_is_waited_out() -> None:
    """It returns when its delay is over; by the window's own time none has passed here."""
    window = PollingWindow(20.0, _Time(), asyncio.Event())
    async with asyncio.timeout(_ENOUGH_SECONDS):
        assert await window.wait(0.0) is None
        assert await window.wait(0.01) is None


async def test_a_hold_is_used_up_by_what_happens_in_it() -> None:
    """Not by its waits alone: polls take their time as well."""
    time = _Time()
    window = PollingWindow(20.0, time, asyncio.Event())
    time.now += 19.995
    async with asyncio.timeout(_ENOUGH_SECONDS):
        assert await window.wait(0.001) is None
    time.now += 0.01
    assert await window.wait(0.001) == 0.001


async def test_each_wait_is_enclosed_and_nothing_else_is() -> None:
    """So that waits can be seen in a trace: those that were begun, to their very end."""
    stopping, told = asyncio.Event(), list[str]()

    @contextmanager
    def waiting() -> Iterator[None]:
        told.append("begins")
        yield
        told.append("ends")

    window = PollingWindow(20.0, _Time(), stopping, waiting)
    await window.wait(0.0)
    assert told == ["begins", "ends"]
    assert await window.wait(21.0) == 21.0
    stopping.set()
    assert await window.wait(1.0) == 1.0
    assert told == ["begins", "ends"]


@pytest.mark.parametrize(("passed", "stopped"), [(19.9, False), (20.0, True), (0.0, True)])
def test_a_hold_is_over_at_its_end_or_with_the_worker(passed: float, stopped: object) -> None:
    """Whichever comes first."""
    time, stopping = _Time(), asyncio.Event()
    window = PollingWindow(20.0, time, stopping)
    time.now += passed
    if stopped and passed < 20.0:
        stopping.set()
    assert window.is_over is stopped


async def test_nothing_is_waited_for_once_the_worker_is_told_to_go() -> None:
    """A worker that stops has no time left, whatever its window says."""
    stopping = asyncio.Event()
    window = PollingWindow(20.0, _Time(), stopping)
    stopping.set()
    assert await window.wait(5.0) == 5.0


async def test_a_wait_ends_when_the_worker_is_told_to_go() -> None:
    """What is left of the delay goes along: the next look is due no earlier and no later."""
    time, stopping = _Time(), asyncio.Event()
    waiting = asyncio.create_task(PollingWindow(3600.0, time, stopping).wait(1000.0))
    await asyncio.sleep(0)  # the task now waits
    time.now += 400.0
    stopping.set()
    async with asyncio.timeout(_ENOUGH_SECONDS):
        assert await waiting == 600.0


async def test_what_is_left_is_never_less_than_nothing() -> None:
    """A worker that was held up hands over for now, not for the past."""
    time, stopping = _Time(), asyncio.Event()
    waiting = asyncio.create_task(PollingWindow(3600.0, time, stopping).wait(1000.0))
    await asyncio.sleep(0)
    time.now += 2000.0
    stopping.set()
    async with asyncio.timeout(_ENOUGH_SECONDS):
        assert await waiting == 0.0


async def test_a_cancelled_wait_is_cancelled() -> None:
    """The host's own stop is no hand-over."""
    waiting = asyncio.create_task(PollingWindow(3600.0, _Time(), asyncio.Event()).wait(1000.0))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(_ENOUGH_SECONDS):
            await waiting
