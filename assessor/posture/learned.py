"""What is learned of durations, one assessment after the other, in three numbers.

Durations multiply rather than add (a slow disk makes each assessment longer by the same share), so
it is their logarithms that are averaged. The newest ones count most, so that a VM that has changed
is known again after a few assessments.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

from assessor.expectation import WIDEST, Expectation

PRIOR_SPREAD: Final = 0.125
"""How far apart the durations of one VM are taken to be until there are some."""
_PRIOR_WEIGHT: Final = 2
"""How many durations that assumption is worth."""


@dataclass(frozen=True, slots=True)
class Learned:
    """The durations of one VM, or of one kind of VM.

    Attributes:
        count: how many it was learned from; counted up to the memory that `after` is given.
        log_mean: the mean of the durations' natural logarithms, in seconds.
        log_variance: their variance around it.
    """

    count: Annotated[int, Field(ge=1, le=1_000_000)]
    log_mean: Annotated[float, Field(ge=-20, le=20)]
    log_variance: Annotated[float, Field(ge=0, le=100)]

    @classmethod
    def first(cls, seconds: float) -> "Learned":
        """Returns what one duration tells."""
        return cls(1, math.log(seconds), 0.0)

    def after(self, seconds: float, memory: int) -> "Learned":
        """Returns what is known after one more duration.

        Args:
            seconds: the duration, above zero.
            memory: about how many durations are remembered: a new one has one part in so many.
        """
        count = min(self.count + 1, memory)
        share = 1 / count
        off = math.log(seconds) - self.log_mean
        return Learned(
            count=count,
            log_mean=self.log_mean + share * off,
            log_variance=(1 - share) * (self.log_variance + share * off * off),
        )

    def of_one_vm(self) -> Expectation:
        """Returns what to expect of the next assessment of the VM that this was learned of.

        Few durations say little of how far they lie apart: an assumption counts among them.
        """
        variance = (_PRIOR_WEIGHT * PRIOR_SPREAD**2 + self.count * self.log_variance) / (
            _PRIOR_WEIGHT + self.count
        )
        # The mean of a few is itself off by its share of the spread.
        return self._with_spread(math.sqrt(variance * (1 + 1 / self.count)))

    def of_any_vm(self) -> Expectation:
        """Returns what to expect of a VM of the kind that this was learned of."""
        return self._with_spread(math.sqrt(self.log_variance))

    def _with_spread(self, spread: float) -> Expectation:
        return Expectation(math.exp(self.log_mean), min(spread, WIDEST))
