"""The pace of a scan: when each request is released, by its region and its subscription."""

from datetime import timedelta

import pytest

from assessor.scans.pace import Pace
from tests.support.builders import NOW

SECOND = timedelta(seconds=1)
OF_ALL = timedelta(minutes=1) / 184
"""The time between two turns of a subscription."""


def test_a_region_gives_out_three_minutes_worth_at_once_and_the_rest_evenly() -> None:
    """At 6 a minute 18 at once, then one every ten seconds; another region has its own."""
    pace = Pace(6, {}, NOW)
    turns = [pace.turn("eastus") for _ in range(20)]
    assert turns == [NOW] * 18 + [NOW + 10 * SECOND, NOW + 20 * SECOND]
    assert pace.turn("westus") == NOW


def test_a_subscription_gives_out_a_hundred_at_once_over_all_of_its_regions() -> None:
    """Then 184 a minute, whichever region they are for."""
    pace = Pace(180, {}, NOW)
    turns = [pace.turn(f"region-{index % 4}") for index in range(102)]
    assert turns == [NOW] * 100 + [NOW + OF_ALL, NOW + 2 * OF_ALL]


def test_a_region_is_one_however_its_name_is_written() -> None:
    """As ARM writes it in lists or in URLs; VMs of unknown regions share one of their own."""
    pace = Pace(6, {}, NOW)
    for location in ("West US", "westus", None, None):
        pace.turn(location)
    assert pace.next_turns == {
        "westus": NOW + 20 * SECOND,
        "": NOW + 20 * SECOND,
        "*": NOW + 4 * OF_ALL,
    }


def test_a_pace_goes_on_where_another_invocation_ended() -> None:
    """With what that one had given out; turns that are over count no longer."""
    first = Pace(6, {}, NOW)
    for _ in range(20):
        first.turn("eastus")

    assert Pace(6, first.next_turns, NOW).turn("eastus") == NOW + 30 * SECOND
    later = NOW + 100 * SECOND
    assert Pace(6, first.next_turns, later).turn("eastus") == later
    much_later = NOW + timedelta(hours=1)
    assert Pace(6, first.next_turns, much_later).next_turns == {
        "eastus": much_later,
        "*": much_later,
    }


def test_a_subscriptions_turns_go_on_too() -> None:
    """What a scan's earlier pages took is missing in every region."""
    pace = Pace(180, {"*": NOW + 100 * OF_ALL}, NOW)
    assert pace.turn("eastus") == NOW + OF_ALL


@pytest.mark.parametrize(
    ("regions", "turns", "last"),
    [
        (["eastus"], 18, NOW),
        (["eastus"], 20, NOW + 20 * SECOND),
        (["eastus", "westus", "northeurope"], 60, NOW + 20 * SECOND),
        ([f"region-{index}" for index in range(12)], 110, NOW + 10 * OF_ALL),
        ([], 0, NOW),
    ],
)
def test_the_last_turn_is_that_of_the_bucket_that_takes_longest(
    regions: list[str], turns: int, last: object
) -> None:
    """A region's or the subscription's; now where nothing was given out."""
    pace = Pace(6, {}, NOW)
    given_out = [pace.turn(regions[index % len(regions)]) for index in range(turns)]
    assert pace.last_turn == max(given_out, default=NOW) == last


def test_a_last_turn_that_is_over_is_now() -> None:
    """Whoever waits for it waits no longer."""
    assert Pace(6, {"eastus": NOW - SECOND}, NOW).last_turn == NOW
