"""The fleet of a simulation, and how long each of its assessments takes.

A VM's own typical duration is drawn by the local cloud's rule for its operating system. From one
assessment of a VM to its next, durations vary by a share that is a parameter, for it is not known:
the two recorded ones of Windows 2016, of different VMs, took 639 s and 665 s.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random
from typing import Final

from localcloud.arm.behaviours import BEHAVIOURS, fail_early
from localcloud.arm.catalogue import PATCHES
from localcloud.arm.fleet import REGIONS, draw_duration, make_fleet
from localcloud.arm.model import Assessment, Vm

_LINUX: Final = tuple(image for image in PATCHES if image.os_type == "Linux")
_WINDOWS: Final = tuple(image for image in PATCHES if image.os_type == "Windows")
FAILING_EARLY: Final = "fails-early"
"""The behaviour of VMs whose operations fail within half a minute."""
_GROUP_NUMBERS: Final = 10
_SPARE: Final = 1.25
"""How many more VMs are made than are needed: one in twelve can't be assessed."""
_LEAST_SPARE: Final = 40


@dataclass(frozen=True, slots=True)
class FleetSpec:
    """What fleet to simulate.

    Attributes:
        vms: how many VMs.
        seed: what they, and their durations, are made from.
        subscriptions: in how many subscriptions they lie, by turns.
        regions: in how many regions of each, by turns.
        within: the standard deviation of the logarithm of one VM's durations.
        assessable: whether all of them can be assessed; else one in twelve is off, or has no agent.
        linux: which share of them runs Linux; the others run Windows.
        failing_early: which share of them fails within half a minute.
    """

    vms: int
    seed: int = 1
    subscriptions: int = 1
    regions: int = 1
    within: float = 0.1
    assessable: bool = True
    linux: float = 0.0
    failing_early: float = 0.0


def subscription_id(index: int) -> str:
    """Returns the ID of a simulation's subscription of that number, from 0 on."""
    return f"00000000-0000-4000-8000-{index + 1:012d}"


@lru_cache(maxsize=1)
def make_vms(spec: FleetSpec) -> tuple[Vm, ...]:
    """Returns the fleet's VMs.

    Raises:
        ValueError: more regions than the local cloud has.
    """
    if spec.regions > len(REGIONS):
        raise ValueError(f"there are {len(REGIONS)} regions, not {spec.regions}")
    made = make_fleet(spec.seed, int(spec.vms * _SPARE) + _LEAST_SPARE).vms
    chosen = [
        vm
        for vm in made
        if vm.verbatim is None
        and vm.behaviour != FAILING_EARLY  # the spec says how many of these there are
        and not (spec.assessable and vm.skip_reason)
    ]
    return tuple(_placed(vm, index, spec) for index, vm in enumerate(chosen[: spec.vms]))


def _placed(vm: Vm, index: int, spec: FleetSpec) -> Vm:
    turn, subscription = divmod(index, spec.subscriptions)
    random = Random(f"{spec.seed} system of {index}")
    image = random.choice(_LINUX if random.random() < spec.linux else _WINDOWS)
    placed = replace(
        vm,
        subscription_id=subscription_id(subscription),
        resource_group=f"rg-{turn % _GROUP_NUMBERS}",
        region=REGIONS[turn % spec.regions],
        image=image,
        assessment=Assessment(),
        duration_seconds=draw_duration(image.os_type, random),
    )
    if random.random() < spec.failing_early:
        return fail_early(replace(placed, behaviour=FAILING_EARLY), random)
    return BEHAVIOURS[vm.behaviour](placed, random)


class DrawnDurations:
    """Durations that depend on nothing but the seed, the VM and the assessment's number.

    So whatever assesses the fleet, in whatever order, meets the same ones.
    """

    def __init__(self, seed: int, within: float) -> None:
        """Keeps what they are drawn by; FleetSpec tells what that is."""
        self._seed = seed
        self._within = within

    def of(self, vm: Vm, number: int) -> float:
        """Returns the seconds that the VM's assessment of that number takes, from 0 on."""
        random = Random(f"{self._seed} {vm.key} {number}")
        return vm.duration_seconds * random.lognormvariate(0, self._within)
