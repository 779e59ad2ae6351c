"""Waiting in tests: for a condition that is described, and never for a time.

The bound is there for a test that fails. It is far above what anything takes, so that it decides no
test that passes, on however busy a machine.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

BOUND_SECONDS: Final = 480.0
"""Within this anything that is going to happen has happened."""
_FIRST_LOOKS_SECONDS: Final = 0.02
_LATER_LOOKS_SECONDS: Final = 0.25
"""To look costs requests to the part that is waited for, which has other things to do meanwhile."""
_SLOWING: Final = 1.3


async def eventually(
    condition: Callable[[], bool] | Callable[[], Awaitable[bool]],
    what: str | Callable[[], str],
    within: float = BOUND_SECONDS,
) -> None:
    """Waits until a condition holds; looks often at first, and less often the longer it takes.

    Args:
        condition: is looked at again and again; may be a coroutine function.
        what: describes the condition, or returns a description of what is instead.
        within: the seconds after which it is given up.

    Raises:
        AssertionError: the condition never held; it says `what`.
    """
    pause = _FIRST_LOOKS_SECONDS
    try:
        async with asyncio.timeout(within):
            while not await _holds(condition):
                await asyncio.sleep(pause)
                pause = min(pause * _SLOWING, _LATER_LOOKS_SECONDS)
    except TimeoutError:
        said = what if isinstance(what, str) else what()
        raise AssertionError(f"not within {within:g} s: {said}") from None


async def _holds(condition: Callable[[], bool] | Callable[[], Awaitable[bool]]) -> bool:
    answer = condition()
    return answer if isinstance(answer, bool) else await answer
