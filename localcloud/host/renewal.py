"""Keeping a message's lock while its function runs.

As the .NET client's processor does: the next renewal is due when half of what is left has passed,
or ten seconds before the end if that is later, until the longest duration allowed is over.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

from localcloud.host.errors import BusUnavailableError
from localcloud.host.ports import Delivery

_LOG = logging.getLogger(__name__)
_LARGEST_BUFFER = timedelta(seconds=10)


def renewal_delay(remaining: timedelta) -> timedelta:
    """Say when to renew.

    Args:
        remaining: What is left of the lock.

    Returns:
        How long to wait before the renewal; zero when the lock is as good as over.
    """
    buffer = min(remaining / 2, _LARGEST_BUFFER)
    return max(remaining - buffer, timedelta(0))


@contextlib.asynccontextmanager
async def renewed(
    delivery: Delivery, longest: timedelta, now: Callable[[], datetime]
) -> AsyncIterator[None]:
    """Renew the delivery's lock while the block runs.

    A renewal under way is finished before the block is left, because the receiver may then be
    used for settling and takes one caller at a time.

    Args:
        delivery: Whose lock it is.
        longest: How long renewals go on, from now; zero means never.
        now: The clock, with a time zone.

    Yields:
        Nothing.
    """
    over = asyncio.Event()
    renewer = asyncio.create_task(_renew(delivery, now() + longest, now, over))
    try:
        yield
    finally:
        over.set()
        await renewer


async def _renew(
    delivery: Delivery, until: datetime, now: Callable[[], datetime], over: asyncio.Event
) -> None:
    locked_until = delivery.locked_until
    while not over.is_set():
        delay = renewal_delay(locked_until - now())
        if now() + delay >= until:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), delay.total_seconds())
            return
        try:
            locked_until = await delivery.renew_lock()
        except BusUnavailableError as error:
            _LOG.warning("message lock not renewed: %s", error)
            return
