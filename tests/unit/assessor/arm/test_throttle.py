"""The rate limiter: what ARM would refuse is held back, and let go at ARM's own pace."""

import math
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assessor.arm.throttling import RateLimiter, Region, dearness, remaining_calls
from tests.support.builders import NOW, OTHER_SUBSCRIPTION, SUBSCRIPTION, recording

_EAST = Region.of(SUBSCRIPTION, "eastus")
_WEST = Region.of(SUBSCRIPTION, "westus")
_MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    "headers",
    [
        ["Microsoft.Compute/A3Min;239,Microsoft.Compute/B30Min;1199"],
        ["Microsoft.Compute/A3Min;239", "Microsoft.Compute/B30Min;1199"],
        [" Microsoft.Compute/A3Min ; 239 , Microsoft.Compute/B30Min;1199 "],
    ],
)
def test_the_header_is_read_once_with_commas_or_several_times(headers: list[str]) -> None:
    """ARM sends it either way."""
    assert remaining_calls(headers) == {
        "Microsoft.Compute/A3Min": 239,
        "Microsoft.Compute/B30Min": 1199,
    }


def test_the_recorded_header_is_read() -> None:
    """As ARM sent it with the 202."""
    headers = recording()[0]["ResponseHeaders"]["x-ms-ratelimit-remaining-resource"]
    assert remaining_calls(headers) == {
        "Microsoft.Compute/UpdateVM3Min": 239,
        "Microsoft.Compute/UpdateVM30Min": 1199,
    }


@given(st.lists(st.text() | st.just("A;1"), max_size=4))
def test_a_part_that_says_nothing_is_passed_over(headers: list[str]) -> None:
    """Whatever a header holds, reading it gives counts or nothing."""
    counts = remaining_calls(headers)
    assert all(count >= 0 for count in counts.values())
    if "A;1" in headers:
        assert counts["A"] == 1


@pytest.mark.parametrize("headers", [[], [""], ["x"], ["x;"], [";1"], ["x;-1"], ["x;1;2"], ["x;y"]])
def test_no_counts_are_no_counts(headers: list[str]) -> None:
    """An empty answer is not a throttle."""
    assert remaining_calls(headers) == {}


def test_a_region_is_one_in_any_spelling() -> None:
    """`East US` is `eastus`, and an unknown location is one of its own."""
    assert Region.of(SUBSCRIPTION.upper(), "East US") == _EAST
    assert Region.of(SUBSCRIPTION, None) == Region.of(SUBSCRIPTION, "")
    assert Region.of(SUBSCRIPTION, None) != _EAST


def test_an_unknown_location_is_a_region_of_its_own() -> None:
    """Of an empty name, which no URL can be made of."""
    assert Region.of("S", None) == Region("s", "")
    assert Region.of("S", "West US") == Region("s", "westus")


def test_an_open_region_lets_everyone_through() -> None:
    """At once, as often as one likes."""
    limiter = RateLimiter(60)
    assert [limiter.turn(_EAST, NOW) for _ in range(100)] == [0.0] * 100


@given(st.integers(1, 600), st.integers(1, 50), st.integers(1, 3600))
def test_those_who_wait_are_let_through_one_by_one_at_the_pace(
    per_minute: int, callers: int, seconds: int
) -> None:
    """The first one a step after the region opens, each other one a step after the one before."""
    limiter = RateLimiter(per_minute)
    limiter.close(_EAST, NOW + timedelta(seconds=seconds))
    turns = [limiter.turn(_EAST, NOW) for _ in range(callers)]
    step = 60 / per_minute
    assert turns[0] == pytest.approx(seconds + step, abs=1e-3)
    assert all(b - a == pytest.approx(step, abs=1e-3) for a, b in pairwise(turns))


def test_a_turn_is_counted_from_when_it_is_asked_for() -> None:
    """Who asks later waits less, for the same turn of the clock."""
    limiter = RateLimiter(60)
    limiter.close(_EAST, NOW + _MINUTE)
    assert limiter.turn(_EAST, NOW) == 61.0
    assert limiter.turn(_EAST, NOW + timedelta(seconds=30)) == 32.0


def test_other_regions_and_subscriptions_are_not_held_back() -> None:
    """ARM's buckets belong to one subscription and region."""
    limiter = RateLimiter(60)
    limiter.close(_EAST, NOW + _MINUTE)
    assert limiter.turn(_WEST, NOW) == 0.0
    assert limiter.turn(Region.of(OTHER_SUBSCRIPTION, "eastus"), NOW) == 0.0
    assert limiter.turn(_EAST, NOW) > 0.0


def test_a_region_opens_when_its_time_has_come() -> None:
    """From that very moment on, and it starts afresh when it is closed again."""
    limiter = RateLimiter(60)
    limiter.close(_EAST, NOW + _MINUTE)
    for _ in range(10):
        limiter.turn(_EAST, NOW)
    assert limiter.turn(_EAST, NOW + _MINUTE) == 0.0
    limiter.close(_EAST, NOW + 2 * _MINUTE)
    assert limiter.turn(_EAST, NOW + _MINUTE) == 61.0


def test_the_latest_time_that_arm_asked_for_counts() -> None:
    """A shorter wish does not shorten a longer one, in whatever order they come."""
    limiter = RateLimiter(60)
    limiter.close(_EAST, NOW + 3 * _MINUTE)
    limiter.close(_EAST, NOW + _MINUTE)
    assert limiter.turn(_EAST, NOW) == 181.0
    limiter.close(_EAST, NOW + 5 * _MINUTE)
    assert limiter.turn(_EAST, NOW) == 301.0


@pytest.mark.parametrize(
    ("remaining", "closed"),
    [({}, False), ({"A": 1}, False), ({"A": 0}, True), ({"A": 500, "B": 0}, True)],
)
def test_an_empty_bucket_closes_the_region_before_arm_refuses(
    remaining: dict[str, int],
    closed: bool,  # noqa: FBT001 - one of the table's columns
) -> None:
    """For the minute in which it is refilled; one empty policy is enough, and none is no news."""
    limiter = RateLimiter(60)
    limiter.note(_EAST, remaining, NOW)
    assert limiter.turn(_EAST, NOW) == (61.0 if closed else 0.0)


def test_polls_become_dear_before_arms_bucket_of_reads_is_empty() -> None:
    """As usual while nearly all are left, or where ARM says nothing; then ever dearer."""
    assert dearness(None) == dearness(250) == dearness(11_999) == dearness(230) == 1.0
    prices = [dearness(left) for left in (229, 125, 60, 20, 0)]
    assert prices == sorted(set(prices))
    assert math.sqrt(prices[-1]) == 6, "gaps grow with the root"


def test_a_hundred_polls_at_once_make_the_next_ones_hardly_dearer() -> None:
    """ARM's bucket is full again four seconds later: whoever began with others is not told late."""
    assert math.sqrt(dearness(150)) < 1.7


def test_gaps_widen_by_the_square_of_the_reads_that_are_missing() -> None:
    """Half of them missing widens the gap by a quarter of what an empty bucket would."""
    assert math.sqrt(dearness(115)) == 1 + 5 / 4
