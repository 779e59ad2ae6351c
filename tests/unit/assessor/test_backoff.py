"""Back-off: longer from try to try, spread out, and never less than ARM asked for."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assessor.backoff import delay

_ATTEMPTS = st.integers(0, 10_000)
_SEEDS = st.integers()


@given(_ATTEMPTS, _SEEDS)
def test_a_delay_lies_in_the_upper_half_of_its_ceiling(attempt: int, seed: int) -> None:
    """5 s, doubled for each failed try, up to 5 minutes; half of it is jitter."""
    ceiling = min(300.0, 5.0 * 2 ** min(attempt, 60))
    assert ceiling / 2 <= delay(attempt, None, Random(seed)) <= ceiling


@given(_ATTEMPTS, st.floats(0, 100_000), _SEEDS)
def test_what_arm_asks_for_is_the_least(attempt: int, retry_after: float, seed: int) -> None:
    """And what is added to it stays small."""
    waited = delay(attempt, retry_after, Random(seed))
    assert waited >= retry_after
    assert waited <= max(300.0, retry_after + 5.0)


@pytest.mark.parametrize("retry_after", [None, 0.0, 1200.0])
def test_what_failed_together_does_not_come_back_together(retry_after: float | None) -> None:
    """A hundred that are told the same come at a hundred different times."""
    random = Random(7)
    assert len({delay(3, retry_after, random) for _ in range(100)}) == 100


def test_the_same_chance_gives_the_same_delay() -> None:
    """Nothing but the given randomness decides."""
    assert delay(2, 10.0, Random(1)) == delay(2, 10.0, Random(1))
