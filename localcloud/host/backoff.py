"""How long to wait before trying again: exponential with full jitter below a ceiling."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """The waiting times, in seconds.

    Attributes:
        base: The first ceiling.
        ceiling: The largest one.
    """

    base: float = 0.1
    ceiling: float = 5.0

    def delay(self, failures: int, source: random.Random) -> float:
        """Choose a waiting time.

        Args:
            failures: How many attempts have failed in a row, at least one.
            source: Where the jitter comes from.

        Returns:
            Seconds: between half the ceiling for this attempt and all of it.
        """
        top = min(self.ceiling, self.base * 2.0 ** min(failures - 1, 32))
        return top * (0.5 + source.random() / 2)
