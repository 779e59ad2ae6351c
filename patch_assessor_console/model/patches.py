"""Each patch with the VMs that lack it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from patch_assessor_console.model.patch import Patch
from patch_assessor_console.model.vm import Vm

_NEVER: Final[Mapping[str, datetime]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class LackedPatch:
    """A patch that VMs lack.

    Attributes:
        patch: The patch.
        vms: How many VMs lack it.
        since: When the first of them was seen to.
    """

    patch: Patch
    vms: int
    since: datetime | None


def lacked_patches(
    vms: Iterable[Vm], first_seen: Mapping[str, datetime] = _NEVER
) -> list[LackedPatch]:
    """Returns the patches that VMs lack: the grave ones first, then by how many VMs lack them.

    Args:
        vms: The fleet.
        first_seen: When a patch was first seen to be lacked, by its key.
    """
    found: dict[str, Patch] = {}
    counts: Counter[str] = Counter()
    since: dict[str, datetime] = {}
    for vm in vms:
        by_key = {patch.key: patch for patch in vm.patches or ()}
        counts.update(by_key.keys())
        for key, patch in by_key.items():
            found.setdefault(key, patch)
        if vm.assessed_at is not None:
            for key in by_key:
                if key not in since or vm.assessed_at < since[key]:
                    since[key] = vm.assessed_at
    lacked = [
        LackedPatch(patch, counts[key], first_seen.get(key) or since.get(key))
        for key, patch in found.items()
    ]
    return sorted(lacked, key=lambda each: (not each.patch.is_grave, -each.vms, each.patch.name))


def search_patches(patches: Iterable[LackedPatch], text: str) -> list[LackedPatch]:
    """Returns the patches with each of the text's words in name, KB, version or classification."""
    words = text.lower().split()
    return [each for each in patches if all(word in _searched(each.patch) for word in words)]


def _searched(patch: Patch) -> str:
    return "\n".join((patch.name, patch.kb, patch.version, *patch.classifications)).lower()
