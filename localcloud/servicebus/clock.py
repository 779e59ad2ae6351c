"""Time as the bus counts it: whole milliseconds since the Unix epoch, AMQP's timestamp."""

import time
from collections.abc import Callable
from typing import TypeAlias

Milliseconds: TypeAlias = int
Clock: TypeAlias = Callable[[], Milliseconds]


def system_clock() -> Milliseconds:
    """The machine's time.

    Returns:
        Milliseconds since the Unix epoch, UTC.
    """
    return time.time_ns() // 1_000_000
