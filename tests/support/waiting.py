"""Waiting in tests: for a condition that is described, and never for a time.

The bound is there for a test that fails. It is far above what anything takes, so that it decides no
test that passes, on however busy a machine.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

BOUND_SECONDS: Final = 480.0
"""Within this anything that is going to happen has happened."""
_LOOK_SECONDS: Final = 0.05


async def eventually(
    condition: Callable[[], bool] | Callable[[], Awaitable[bool]],
    what: str | Callable[[], str],
    within: float = BOUND_SECONDS,
) -> None:
    """Waits until a condition holds.

    Args:
        condition: is looked at again and again; may be a coroutine function.
        what: describes the condition, or returns a description of what is instead.
        within: the seconds after which it is given up.

    Raises:
        AssertionError: the condition never held; it says `what`.
    """
    try:
        async with asyncio.timeout(within):
            while not await _holds(condition):  # noqa: ASYNC110 - nobody tells when it changes
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        said = what if isinstance(what, str) else what()
        raise AssertionError(f"not within {within:g} s: {said}") from None


async def _holds(condition: Callable[[], bool] | Callable[[], Awaitable[bool]]) -> bool:
    answer = condition()
    return answer if isinstance(answer, bool) else await answer
