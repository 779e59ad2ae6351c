"""How long the scan of a whole subscription takes, held against what ARM's bucket alone dictates.

In simulation and unscaled time, with ARM's and Compute's buckets enforced: one request for a
subscription whose VMs all lie in one region, and run Windows, which is polled most. The floor is
what nobody can beat who reads ARM as often: the same VMs in the same order, each begun the moment
that the tighter bucket allows it, that of begins or that of reads, its outcome known the moment
that it ends.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.readings import Reading, Readings, Verdict, read_off
from localcloud.arm.buckets import DOCUMENTED, FRONT_DOOR, Policy
from localcloud.arm.routing import Kind
from tests.simulation.clock import run_virtual
from tests.simulation.fleet import DrawnDurations, FleetSpec, make_vms
from tests.simulation.rounds import Round
from tests.simulation.world import open_world

FIGURE: Final = "makespan"
APP: Final = "app"
ALL_AT_ONCE: Final = "all at once"
FLOOR: Final = "floor"

_BEGINS: Final[Policy] = DOCUMENTED[Kind.ASSESS][0]
_READS: Final[Policy] = FRONT_DOOR[Kind.GET_VM][0]
_MOST_OVER_FLOOR: Final = 1.1
_MOST_AT_ONCE: Final = 1_000
"""So many VMs released at once tell what comes of it: refusals beyond count, for many minutes."""


def measure(sizes: Sequence[int], *, seed: int = 1) -> list[Reading]:
    """Returns the readings; it runs event loops of its own, so async code can't call it.

    Args:
        sizes: how many VMs.
        seed: what fleets and durations are made from.
    """
    readings: list[Reading] = []
    for size in sizes:
        spec = FleetSpec(size, seed=seed)
        scanned = scan(spec)
        readings += read_off(FIGURE, APP, size, _numbers(scanned))
        if size <= _MOST_AT_ONCE:
            readings += read_off(FIGURE, ALL_AT_ONCE, size, _numbers(assess_at_once(spec)))
        least = floor(spec, reads_of(scanned))
        readings += read_off(FIGURE, FLOOR, size, least, "closed form")
    return readings


def scan(spec: FleetSpec) -> Round:
    """Returns what became of a scan of the fleet's subscription."""

    async def run() -> Round:
        async with open_world(spec) as world:
            return await world.scan("scan")

    return run_virtual(run)


def assess_at_once(spec: FleetSpec) -> Round:
    """Returns what became of the same VMs where all of their requests are released at once."""

    async def run() -> Round:
        async with open_world(spec) as world:
            return await world.assess("at-once", paced=False)

    return run_virtual(run)


def reads_of(done: Round) -> float:
    """Returns how many reads of ARM an assessment took."""
    return (done.calls.made.total() - done.calls.made[Kind.ASSESS]) / len(done.published)


def floor(spec: FleetSpec, reads: float) -> Mapping[str, float]:
    """Returns the times that the tighter bucket allows at best, of one subscription.

    Args:
        spec: the fleet.
        reads: how many reads an assessment takes.
    """
    durations = DrawnDurations(spec.seed, spec.within)
    vms = sorted(make_vms(spec), key=lambda vm: vm.key)  # as ARM lists them
    begins_before: Counter[str] = Counter()
    begun = []
    for number, vm in enumerate(vms):
        read_at = token_at(round((number + 1) * reads) - 1, _READS)
        begun.append(max(token_at(begins_before[vm.region.name]), read_at))
        begins_before[vm.region.name] += 1
    ends = [at + durations.of(vm, 0) for at, vm in zip(begun, vms, strict=True)]
    return {"makespan_s": max(ends), "begun_s": max(begun)}


def token_at(number: int, policy: Policy = _BEGINS) -> float:
    """Returns when a bucket that was full at 0 s holds a token for the call of that number.

    Args:
        number: counts from 0 on; each earlier call took a token as soon as there was one.
        policy: the bucket.
    """
    return max(0, number + 1 - policy.capacity) * 60 / policy.per_minute


def judge(readings: Readings) -> list[Verdict]:
    """Returns whether the largest scan came near the floor without being refused anything."""
    sizes = readings.sizes(FIGURE, APP, "makespan_s")
    if not sizes:
        return []
    size = sizes[-1]
    makespan = readings.value(FIGURE, APP, size, "makespan_s")
    least = readings.value(FIGURE, FLOOR, size, "makespan_s")
    refused = readings.value(FIGURE, APP, size, "throttled")
    return [
        Verdict(
            f"at most {_MOST_OVER_FLOOR:g} times what ARM's bucket dictates, and no 429",
            f"{makespan / least:.3f} times the floor of {least:.0f} s, {refused:g} calls refused",
            makespan <= _MOST_OVER_FLOOR * least and refused == 0,
            size,
        )
    ]


def _numbers(done: Round) -> Mapping[str, float]:
    begun = [each.begun_at for each in done.published if each.begun_at is not None]
    return {
        "makespan_s": done.published[-1].at - done.started_at,
        "begun_s": max(begun) - done.started_at,
        "throttled": done.calls.throttled.total(),
        "arm_calls": done.calls.made.total() / len(done.published),
    }
