"""Scans: every VM once, at its pace, and a sum that is right whatever dies."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assessor.arm.errors import ArmError, Phase
from assessor.arm.result import ApiError
from assessor.messages.in_progress import parse_in_progress
from assessor.messages.request import AssessmentRequest
from assessor.scans.completion import interval
from assessor.scans.pace import Pace
from tests.support.builders import NOW
from tests.support.properties import tries
from tests.support.scan_world import SUBSCRIPTION, ScanWorld, vms

REGIONS = ("eastus", "westeurope", "southeastasia")


def _vm_of(body: bytes) -> str:
    request = parse_in_progress(body)
    assert isinstance(request, AssessmentRequest)
    return str(request.vm)


def _requested(world: ScanWorld) -> Counter[str]:
    return Counter(_vm_of(each.body) for each in world.requested.values())


def _refusal(status: int, code: str, retry_after: float | None = None) -> ArmError:
    return ArmError(Phase.LIST, status, ApiError(code, "no"), retry_after)


async def test_each_vm_of_a_scope_is_asked_for_once_and_the_scan_is_summed_up() -> None:
    """Over pages and invocations; the sum has one event, and every number of it is right."""
    world = ScanWorld(vms(7))
    world.results_of_vm = {
        "vm-0": {"criticalAndSecurityPatchCount": 2},
        "vm-1": {"rebootPending": True},
        "vm-2": {"status": "Failed"},
        "vm-3": {"criticalAndSecurityPatchCount": 1, "rebootPending": True},
    }
    world.ask(requestedBy="ops", reason="monthly")
    began = world.clock.now()
    await world.run()

    assert _requested(world) == Counter({str(vm.id): 1 for vm in world.fleet.listed})
    (total,) = world.sums()
    assert total["vms"] == {
        "found": 7,
        "unreadable": 0,
        "requested": 7,
        "assessed": 6,
        "failed": 1,
        "skipped": 0,
        "missing": 0,
        "withCriticalPatches": 2,
        "rebootPending": 2,
    }
    assert (total["status"], total["error"]) == ("Succeeded", None)
    assert total["scope"] == f"/subscriptions/{SUBSCRIPTION}"
    assert total["request"]["requestId"] == "r-1"
    assert total["request"]["requestedBy"] == "ops"
    last = max(
        datetime.fromisoformat(each["data"]["completedDateTime"]) for each in world.outcomes()
    )
    assert total["durationSeconds"] == pytest.approx((last - began).total_seconds(), abs=0.001)


async def test_each_request_of_a_scan_carries_the_scan() -> None:
    """The scan's ID, its request's ID and reason, to the outcome; the sum has the same ID."""
    world = ScanWorld(vms(3))
    world.ask(reason="monthly")
    await world.run()

    (total,) = world.sums()
    requests = [each["data"]["request"] for each in world.outcomes()]
    assert {each["scanId"] for each in requests} == {total["scanId"]}
    assert {(each["requestId"], each["reason"]) for each in requests} == {("r-1", "monthly")}


@pytest.mark.parametrize("running_only", [False, True])
async def test_wherever_a_worker_dies_nothing_is_lost_or_doubled(running_only: bool) -> None:  # noqa: FBT001 - a case
    """At every pause: each VM once, one outcome for each, one sum, and it adds up."""
    untouched = ScanWorld(vms(3))
    untouched.ask(runningOnly=running_only)
    await untouched.run()
    pauses = untouched.mortality.passed
    expected, sums = _requested(untouched), untouched.sums()
    assert pauses > 30

    for at in range(1, pauses + 1):
        world = ScanWorld(vms(3), dies_at=at)
        world.ask(runningOnly=running_only)
        await world.run()

        assert world.deaths == 1, f"nobody died at pause {at}"
        assert _requested(world) == expected, f"died at pause {at}"
        assert len(world.outcomes()) == len(expected), f"died at pause {at}"
        (total,) = world.sums()
        assert total["vms"] == sums[0]["vms"], f"died at pause {at}"
        assert total["status"] == "Succeeded"


async def test_tags_and_power_states_narrow_a_scope_down() -> None:
    """Tags come with one list of ARM, power states with another."""
    world = ScanWorld(vms(12), page_size=5)
    world.ask(tags={"Environment": "prod", "OWNER": None}, runningOnly=True)
    await world.run()

    wanted = [vm for vm in world.fleet.listed if vm.is_running and vm.tags["environment"] == "prod"]
    assert _requested(world) == Counter(str(vm.id) for vm in wanted)
    (total,) = world.sums()
    assert total["vms"]["found"] == 12
    assert total["vms"]["requested"] == len(wanted) == 4


async def test_a_resource_group_is_scanned_alone() -> None:
    """Names in any case."""
    world = ScanWorld(vms(6))
    world.ask(scope=f"/subscriptions/{SUBSCRIPTION}/resourceGroups/GROUP-1")
    await world.run()

    assert sorted(each.rpartition("/")[2] for each in _requested(world)) == ["vm-1", "vm-3", "vm-5"]


async def test_a_scope_without_vms_is_summed_up_too() -> None:
    """Whoever asked hears that there was nothing."""
    world = ScanWorld([])
    world.ask()
    await world.run()

    (total,) = world.sums()
    assert (total["status"], total["vms"]["found"], total["vms"]["requested"]) == (
        "Succeeded",
        0,
        0,
    )


async def test_the_same_message_again_scans_nothing_again() -> None:
    """Long after the bus has forgotten it; another message with that request ID is another scan."""
    world = ScanWorld(vms(3))
    world.ask("m-1")
    await world.run()
    calls = world.fleet.calls
    world.ask("m-1")
    world._seen.clear()
    await world.run()
    assert world.fleet.calls == calls
    assert len(world.sums()) == 1

    world.ask("m-2")
    await world.run()
    assert len(world.sums()) == 2


async def test_a_throttled_list_goes_on_where_it_was() -> None:
    """After the time that ARM asks for, with the page that was refused."""
    world = ScanWorld(vms(6))
    world.fleet.errors = {1: [_refusal(429, "TooManyRequests", 1200.0)]}
    world.ask()
    began = world.clock.now()
    await world.run()

    (total,) = world.sums()
    assert (total["status"], total["vms"]["assessed"]) == ("Succeeded", 6)
    assert world.clock.now() - began >= timedelta(seconds=1200)
    assert world.fleet.calls == 4


async def test_a_scope_that_cannot_be_listed_is_reported() -> None:
    """With ARM's own words; what was listed before is assessed and counted."""
    world = ScanWorld(vms(6))
    world.fleet.errors = {1: [_refusal(403, "AuthorizationFailed")]}
    world.ask()
    await world.run()

    (total,) = world.sums()
    assert (total["status"], total["error"]["code"]) == ("Failed", "AuthorizationFailed")
    assert (total["vms"]["found"], total["vms"]["assessed"]) == (2, 2)


async def test_vms_that_cant_be_asked_for_are_in_the_sum() -> None:
    """Each page's, with their reasons; a scan that lacks them has not succeeded."""
    world = ScanWorld(vms(4), page_size=2)
    world.fleet.unreadable = {0: {"UnknownResourceId": 2}, 1: {"UnknownResourceId": 1}}
    world.ask()
    await world.run()

    (total,) = world.sums()
    assert total["status"] == "Incomplete"
    assert total["unreadable"] == {"UnknownResourceId": 3}
    counts = total["vms"]
    assert (counts["found"], counts["unreadable"], counts["assessed"]) == (7, 3, 4)


@pytest.mark.parametrize(("page", "back_to"), [(1, 1), (2, 1)])
async def test_a_link_that_leads_back_ends_the_scan_with_a_reason(page: int, back_to: int) -> None:
    """To itself or to a page before it; what was listed until then is assessed."""
    world = ScanWorld(vms(8), page_size=2)
    world.fleet.leads_back = {page: back_to}
    world.ask()
    await world.run()

    (total,) = world.sums()
    assert (total["status"], total["error"]["code"]) == ("Failed", "PageLinkRefused")
    assert total["vms"]["assessed"] == 2 * (page + 1)


@pytest.mark.parametrize("many_workers", [False, True])
async def test_power_states_are_listed_once_for_a_scan(many_workers: bool) -> None:  # noqa: FBT001 - a case
    """Not once for each invocation that the scan takes, nor for each worker that takes part."""
    world = ScanWorld(vms(12), page_size=2, many_workers=many_workers)
    world.ask(runningOnly=True)
    await world.run()

    assert world.fleet.power_calls == 6
    (total,) = world.sums()
    assert total["vms"]["requested"] == 8


async def test_a_list_that_never_comes_ends_at_the_deadline() -> None:
    """ARM is asked again and again, and then the scan has failed."""
    world = ScanWorld(vms(2))
    world.fleet.errors = {0: [_refusal(503, "ServiceUnavailable") for _ in range(1000)]}
    world.ask()
    began = world.clock.now()
    await world.run()

    (total,) = world.sums()
    assert (total["status"], total["error"]["code"]) == ("Failed", "ServiceUnavailable")
    assert timedelta(minutes=120) <= world.clock.now() - began <= timedelta(minutes=130)


async def test_an_outcome_that_never_comes_is_missing_in_the_sum() -> None:
    """The scan's own deadline ends it; it says how many it waited for."""
    world = ScanWorld(vms(4))
    world.lost = {world.fleet.listed[1].id.key}
    world.ask()
    await world.run()

    (total,) = world.sums()
    assert (total["status"], total["vms"]["missing"], total["vms"]["assessed"]) == (
        "Incomplete",
        1,
        3,
    )


def overdraws(times: Sequence[datetime], per_minute: int) -> bool:
    """Returns whether a bucket like ARM's, of three minutes' refill, would ever be empty."""
    level, last = 3.0 * per_minute, times[0]
    for at in times:
        level = min(3.0 * per_minute, level + (at - last) / timedelta(minutes=1) * per_minute) - 1
        last = at
        if level < -0.001:  # turns are given out to the microsecond
            return True
    return False


async def test_requests_of_a_region_are_released_as_arms_bucket_allows_and_no_faster() -> None:
    """Regions side by side: neither a region's bucket is overdrawn nor the subscription's.

    Its first 100 appear at once, the others at 184 a minute, and no turn is left unused.
    """
    world = ScanWorld(vms(400, REGIONS), page_size=100)
    region_of = {str(vm.id): vm.location for vm in world.fleet.listed}
    world.ask()
    began = world.clock.now()
    await world.run()

    released: dict[str | None, list[datetime]] = defaultdict(list)
    for message in world.requested.values():
        assert message.enqueue_at is not None
        released[region_of[_vm_of(message.body)]].append(message.enqueue_at)
    for times in released.values():
        times.sort()
        assert not overdraws(times, per_minute=180)
    together = sorted(at for times in released.values() for at in times)
    assert len(together) == 400
    assert together[99] == began
    assert together[100] > began
    evenly = timedelta(minutes=(400 - 100) / 184)
    assert together[-1] - began == pytest.approx(evenly, abs=timedelta(seconds=0.01))


async def test_a_large_region_is_released_at_once_and_then_at_the_pace() -> None:
    """100 at the start, the 400th after 300 more at 184 a minute."""
    world = ScanWorld(vms(400, REGIONS[:1]), page_size=100)
    world.ask()
    began = world.clock.now()
    await world.run()

    times = sorted(each.enqueue_at or began for each in world.requested.values())
    assert times[99] - began < timedelta(seconds=1)
    assert times[100] - began >= timedelta(seconds=0.3)
    assert times[-1] - began == pytest.approx(timedelta(minutes=300 / 184), abs=timedelta(0, 0.01))


@pytest.mark.parametrize("number", [2_000, pytest.param(50_000, marks=pytest.mark.deep)])
async def test_the_vms_of_a_large_fleet_are_never_held_at_once(number: int) -> None:
    """A page at a time goes out, and what is handed over stays small, however many there are."""
    world = ScanWorld(vms(number, REGIONS), page_size=500, assesses=False)
    world.ask()
    await world.run()

    assert len(world.requested) == number
    assert world.largest_transfer == 500
    assert world.largest_hand_over < 4096


@given(
    st.lists(st.tuples(st.sampled_from(REGIONS), st.integers(0, 300)), max_size=60),
    st.integers(1, 9) | st.integers(1, 200),
)
@settings(max_examples=tries(200))
def test_no_interruption_makes_a_pace_overdraw_a_bucket(
    turns: list[tuple[str, int]], per_minute: int
) -> None:
    """However late each next turn is asked for, by whichever invocation."""
    now = NOW
    next_turns: Mapping[str, datetime] = {}
    given_out: dict[str, list[datetime]] = defaultdict(list)
    for region, pause in turns:
        now += timedelta(seconds=pause)
        pace = Pace(per_minute, next_turns, now)
        given_out[region].append(pace.turn(region))
        next_turns = pace.next_turns
    for times in given_out.values():
        assert times == sorted(times)
        assert not overdraws(times, per_minute)


def test_looks_become_rarer_and_large_scans_are_looked_at_less() -> None:
    """From seconds to a minute; 50,000 records are counted every eight minutes at most."""
    assert interval(0, 10) == timedelta(seconds=5)
    assert interval(5, 10) > interval(4, 10)
    assert interval(1000, 10) == timedelta(seconds=60)
    assert interval(0, 50_000) == timedelta(seconds=500)
