"""How long to wait before ARM, or the bus, is asked again, and for how long that goes on."""

from datetime import timedelta
from random import Random
from typing import Final

GIVES_UP_AFTER: Final = timedelta(days=7)
"""How long it is tried to publish or to remember: then the host gets the error, and makes a dead
letter of the message. Until then a topic or a table that is down delays, and loses nothing."""
_FIRST_SECONDS: Final = 5.0
_MOST_SECONDS: Final = 300.0
_MOST_DOUBLINGS: Final = 8


def delay(attempt: int, retry_after: float | None, random: Random) -> float:
    """Returns the seconds to wait before the next try.

    Exponential with jitter over its upper half, so that what failed together does not come back
    together; what the server asked for is the least.

    Args:
        attempt: how many tries in a row have failed before this one, from 0 on.
        retry_after: the server's own wish in seconds, if it had one.
        random: where the jitter comes from.
    """
    ceiling: float = min(_MOST_SECONDS, _FIRST_SECONDS * 2.0 ** min(attempt, _MOST_DOUBLINGS))
    jittered = ceiling * (0.5 + random.random() / 2)
    if retry_after is None:
        return jittered
    return max(jittered, retry_after + _FIRST_SECONDS * random.random())
