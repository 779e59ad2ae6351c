"""Patches: which of them are critical or security ones, and which are the same."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from assessor.arm.result import Patch

CLASSIFICATIONS: Final[Mapping[str, bool]] = {
    # VMGuestPatchClassification_Windows and _Linux of Microsoft.Compute: what an installation can
    # be asked to include.
    "critical": True,
    "security": True,
    "updaterollup": False,
    "featurepack": False,
    "servicepack": False,
    "definition": False,
    "tools": False,
    "updates": False,
    "other": False,
    # Azure/LinuxPatchExtension, Constants.PackageClassification. Its StatusHandler counts
    # Critical, Security and Security-ESM (Ubuntu Pro's) in criticalAndSecurityPatchCount.
    "security-esm": True,
    "unclassified": False,
    # The names that the Windows Update API gives its categories, seen in assessments as they are.
    "criticalupdates": True,
    "securityupdates": True,
    "updaterollups": False,
    "featurepacks": False,
    "servicepacks": False,
    "definitionupdates": False,
}
"""Every classification that is known, in lower case and without spaces: does it count as critical
or security? One that is not here doesn't; alerts show such patches beside those that do."""


def is_critical_or_security(patch: Patch) -> bool:
    """Whether one of the patch's classifications is a critical or security one."""
    return any(CLASSIFICATIONS.get(_folded(each), False) for each in patch.classifications)


def unknown_classifications(patches: Iterable[Patch]) -> tuple[str, ...]:
    """Returns the classifications that no table of ours has, as ARM wrote them, sorted."""
    return tuple(
        sorted(
            {
                each
                for patch in patches
                for each in patch.classifications
                if _folded(each) not in CLASSIFICATIONS
            }
        )
    )


def most_important_first(patches: Iterable[Patch]) -> list[Patch]:
    """Returns the patches with the critical and security ones first, else in their order."""
    return sorted(patches, key=is_critical_or_security, reverse=True)


def within(patches: Sequence[Patch], max_bytes: int) -> tuple[Patch, ...]:
    """Returns as many of the first patches as take `max_bytes` of JSON at the most."""
    room = max_bytes
    for position, patch in enumerate(patches):
        room -= len(json.dumps(patch.raw)) + len(", ")
        if room < 0:
            return tuple(patches[:position])
    return tuple(patches)


def identity(patch: Patch) -> str:
    """Returns what tells this patch from others, in every assessment of one VM.

    `patchId` where there is one: Windows Update's ID of the update, or the Linux extension's
    `{name}_{version}_{os}` (Azure/LinuxPatchExtension, StatusHandler). Its name, version and KB
    otherwise.
    """
    if patch.patch_id:
        return patch.patch_id.lower()
    return f"{patch.name}|{patch.version}|{patch.kb_id}".lower()


def digest(patch: Patch) -> str:
    """Returns 16 hex digits that stand for the patch's identity, to remember it by.

    With 64 bits, two of 10,000 patches share a digest once in 400 billion VMs.
    """
    return hashlib.sha256(identity(patch).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _folded(classification: str) -> str:
    return "".join(classification.split()).lower()
