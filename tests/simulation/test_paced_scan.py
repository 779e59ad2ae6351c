"""Scans of whole fleets at ARM's pace, in simulated time, ARM's limits enforced.

One outcome for each VM is held by the world itself: a round with none or several for one of them is
an error.
"""

from collections import Counter, defaultdict

import pytest

from benchmarks.figures import calls, makespan
from benchmarks.readings import Readings
from tests.simulation.clock import run_virtual
from tests.simulation.fleet import FleetSpec, make_vms
from tests.simulation.rounds import Round
from tests.simulation.world import open_world

BURST, PER_MINUTE = 100, 184
"""What a scan releases at once for each subscription, and how it goes on."""
MOST_OVER_FLOOR = 1.1


def _busiest(scanned: Round, subscription_of: dict[str, str]) -> int:
    """Returns the most begins that one subscription saw in any minute."""
    begun: dict[str, list[float]] = defaultdict(list)
    for each in scanned.published:
        if each.begun_at is not None:
            begun[subscription_of[each.vm_key]].append(each.begun_at)
    most = 0
    for times in begun.values():
        times.sort()
        first = 0
        for last, at in enumerate(times):
            while at - times[first] >= 60:
                first += 1
            most = max(most, last - first + 1)
    return most


def _subscription_of(spec: FleetSpec) -> dict[str, str]:
    return {vm.key: vm.subscription_id for vm in make_vms(spec)}


def _makespan(scanned: Round) -> float:
    return max(each.at for each in scanned.published) - scanned.started_at


def _assert_paced(scanned: Round, spec: FleetSpec) -> None:
    """No limit of Compute's or ARM's own refuses anything, and hardly any refill is left unused."""
    assert scanned.calls.throttled == Counter()
    busiest = _busiest(scanned, _subscription_of(spec))
    assert busiest <= BURST + PER_MINUTE
    if spec.assessable:
        assert busiest >= min(BURST, max(Counter(_subscription_of(spec).values()).values()))
        assert _over_floor(scanned, spec) <= MOST_OVER_FLOOR


def _over_floor(scanned: Round, spec: FleetSpec) -> float:
    least = makespan.floor(spec, makespan.reads_of(scanned))["makespan_s"]
    return _makespan(scanned) / least


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(FleetSpec(420), id="420 in one region"),
        pytest.param(
            FleetSpec(10_000, linux=0.5, failing_early=0.1),
            id="10,000 in one region",
            marks=[pytest.mark.deep, pytest.mark.takes(120)],
        ),
        pytest.param(
            FleetSpec(12_000, regions=6, linux=0.5, failing_early=0.1),
            id="12,000 in six regions",
            marks=[pytest.mark.deep, pytest.mark.takes(150)],
        ),
        pytest.param(
            FleetSpec(1_000, subscriptions=2, regions=3, assessable=False),
            id="1,000 of all kinds in two subscriptions",
            marks=[pytest.mark.deep, pytest.mark.takes(15)],
        ),
    ],
)
def test_a_fleet_is_scanned_at_arms_pace(spec: FleetSpec) -> None:
    """A subscription has one bucket of reads, however many regions it is in.

    After some twenty minutes as many assessments end as begin, and polls get no denser any more.
    """
    _assert_paced(makespan.scan(spec), spec)


@pytest.mark.deep
@pytest.mark.takes(25)
def test_outcomes_are_on_time_by_system_first_and_later() -> None:
    """Half Linux, half Windows, a tenth failing early: as docs/performance.md has it."""
    spec = calls.spec_of(1_000)
    scans = calls.scan_twice(spec)

    _assert_paced(scans.rounds[calls.FIRST], spec)
    readings = Readings.of(calls.readings_of([scans]))
    assert [each.target for each in calls.judge(readings) if not each.met] == []


@pytest.mark.deep
@pytest.mark.takes(75)
def test_a_fleet_of_windows_alone_is_hardly_refused_anything() -> None:
    """Its first scan takes more reads than ARM refills: polls give way, and the scan is as fast.

    Those that come in the next minutes are scheduled already, so that some come too early.
    """
    spec = FleetSpec(6_000)
    scanned = makespan.scan(spec)

    assert scanned.calls.throttled.total() <= 0.05 * scanned.calls.made.total()
    assert _over_floor(scanned, spec) <= MOST_OVER_FLOOR


def test_a_request_for_one_vm_does_not_wait_for_a_scan() -> None:
    """It comes while most of the scan's own are still to be released, and is done before them."""
    spec = FleetSpec(BURST + PER_MINUTE // 2)
    last = max(make_vms(spec), key=lambda vm: vm.key)  # ARM lists it last

    async def run() -> Round:
        async with open_world(spec) as world:
            return await world.scan("scan", alone=[last])

    scanned = run_virtual(run)
    (begun_at,) = {each.begun_at for each in scanned.published if each.vm_key == last.key}
    assert begun_at is not None
    assert 10 <= begun_at - scanned.started_at < 12, "it had to wait for the scan"
