"""Fleets of VMs, made from a seed: the same seed gives the same fleet.

A fleet of any size has the two recorded VMs besides; one of at least as many VMs as there are
behaviours has each behaviour at least once.

How long a VM's assessments take depends on its system, as far as public recordings tell: two of
Linux took a minute, five of Windows Server 8.5 to 18.6 (azure-sdk-for-net's session records,
azure-powershell's). So durations are lognormal, for Linux around 100 s with a spread of 0.65, for
Windows around 720 s with one of 0.4; the shape is a choice, and so is that system versions don't
differ. Operations that fail early do so within half a minute (azure-rest-api-specs#31144: 18 s).
Left out: that a VM's durations change with its number of patches, and with its load.
"""

import random
import uuid
from dataclasses import dataclass, replace
from typing import Final

from localcloud.arm.behaviours import BEHAVIOURS
from localcloud.arm.catalogue import PATCHES
from localcloud.arm.model import Json, Region, Vm
from localcloud.arm.recorded import recorded_vm, reference_vm

REGIONS: Final = (
    Region("eastus", -240),
    Region("westus2", -420),
    Region("westeurope", 120),
    Region("northeurope", 60),
    Region("southeastasia", 480),
    Region("centralindia", 330),
)
_IMAGES: Final = tuple(PATCHES)
_SIZES: Final = ("Standard_B2ms", "Standard_D2s_v5", "Standard_D4s_v5", "Standard_E8s_v5")
_ROLES: Final = ("web", "app", "sql", "dc", "batch", "build")
_ENVIRONMENTS: Final = ("prod", "prod", "test", "dev")
_WEIGHTS: Final = {"patches": 60, "clean": 14, "huge": 0}
_DURATIONS: Final = {"Linux": (100.0, 0.65), "Windows": (720.0, 0.4)}
"""Median seconds and the standard deviation of the logarithm, by operating system."""
_LEAST_SECONDS: Final = 20.0
_MOST_SECONDS: Final = 3600.0
_RARE: Final = 2
_GROUPS_A_SUBSCRIPTION: Final = 4
_VMS_A_MISSING_ONE: Final = 25


@dataclass(frozen=True)
class MissingVm:
    """A VM that requests may name and ARM does not have; ``code`` is ARM's answer."""

    id: str
    code: str

    @property
    def expected_outcome(self) -> str:
        """The type of outcome a request for it should lead to."""
        return "PatchAssessor.AssessmentFailed"

    def as_json(self) -> Json:
        """Returns the entry for ``GET /fleet``."""
        return {"id": self.id, "code": self.code, "expectedOutcome": self.expected_outcome}


@dataclass(frozen=True)
class Fleet:
    """VMs, and VMs that are only talked about."""

    vms: tuple[Vm, ...]
    missing: tuple[MissingVm, ...] = ()

    def find(self, behaviour: str) -> Vm:
        """Returns the first VM with a behaviour.

        Raises:
            LookupError: if there is none.
        """
        for vm in self.vms:
            if vm.behaviour == behaviour:
                return vm
        raise LookupError(behaviour)


def make_fleet(seed: int, vms: int) -> Fleet:
    """Returns a fleet of ``vms`` VMs and the two recorded ones.

    Raises:
        ValueError: for a negative number of VMs.
    """
    if vms < 0:
        raise ValueError("a fleet can't have fewer than no VMs")
    rng = random.Random(seed)
    subscriptions = [_uuid(rng) for _ in range(1 + min(2, vms // 10))]
    labels = _labels(rng, vms)
    made = [_vm(rng, index, label, subscriptions) for index, label in enumerate(labels)]
    missing = _missing(rng, made) if made else ()
    return Fleet((*made, recorded_vm(), reference_vm()), missing)


def _labels(rng: random.Random, vms: int) -> list[str]:
    known = list(BEHAVIOURS)
    labels = known[:vms]
    weights = [_WEIGHTS.get(label, _RARE) for label in known]
    labels += rng.choices(known, weights, k=vms - len(labels))
    rng.shuffle(labels)
    return labels


def _vm(rng: random.Random, index: int, label: str, subscriptions: list[str]) -> Vm:
    subscription = rng.randrange(len(subscriptions))
    role, environment = rng.choice(_ROLES), rng.choice(_ENVIRONMENTS)
    group = rng.randrange(_GROUPS_A_SUBSCRIPTION)
    region, image = rng.choice(REGIONS), rng.choice(_IMAGES)
    vm = Vm(
        subscription_id=subscriptions[subscription],
        resource_group=f"rg-{subscription + 1}-{('Shared', 'web', 'Data', 'ops')[group]}",
        name=f"{role}-{environment}-{index:04d}",
        region=region,
        image=image,
        vm_id=_uuid(rng),
        behaviour=label,
        size=rng.choice(_SIZES),
        tags={"environment": environment, "role": role, "patchGroup": f"wave{rng.randint(1, 3)}"},
        duration_seconds=draw_duration(image.os_type, rng),
    )
    return BEHAVIOURS[label](vm, rng)


def draw_duration(os_type: str, rng: random.Random) -> float:
    """Returns how many seconds the assessments of a VM with that operating system take."""
    median, spread = _DURATIONS[os_type]
    drawn = median * rng.lognormvariate(0, spread)
    return round(min(_MOST_SECONDS, max(_LEAST_SECONDS, drawn)), 3)


def _missing(rng: random.Random, vms: list[Vm]) -> tuple[MissingVm, ...]:
    found = []
    for index in range(1 + len(vms) // _VMS_A_MISSING_ONE):
        vm = rng.choice(vms)
        gone, code = replace(vm, name=f"gone-{index:04d}"), "ResourceNotFound"
        if index % 3 == 1:
            gone, code = replace(gone, resource_group="rg-gone"), "ResourceGroupNotFound"
        elif index % 3 == 2:  # noqa: PLR2004 - the third of three kinds
            gone, code = replace(gone, subscription_id=_uuid(rng)), "SubscriptionNotFound"
        found.append(MissingVm(gone.id, code))
    return tuple(found)


def _uuid(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))
