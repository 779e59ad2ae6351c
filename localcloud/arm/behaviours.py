"""What VMs of a fleet do when they are assessed, each with what has been seen in the wild.

A behaviour changes a healthy VM into one of its kind; all draw their details from the fleet's
randomness. Error codes and texts are those of Microsoft's patch extensions and of Compute.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, TypeAlias

from localcloud.arm.catalogue import PATCHES, UBUNTU_2204, robotics_patches
from localcloud.arm.model import ApiError, Assessment, InnerError, Patch, Power, Vm

Behaviour: TypeAlias = Callable[[Vm, random.Random], Vm]

_LOG: Final = "/var/log/azure/Microsoft.CPlat.Core.LinuxPatchExtension/12.core.log"


def draw_patches(vm: Vm, rng: random.Random) -> tuple[Patch, ...]:
    """Returns at least one of the patches that the VM's system has, in the catalogue's order."""
    known = PATCHES[vm.image]
    chosen = set(rng.sample(range(len(known)), rng.randint(1, len(known))))
    return tuple(patch for index, patch in enumerate(known) if index in chosen)


def _patches(vm: Vm, rng: random.Random) -> Vm:
    """Finds patches; one VM in three waits for a reboot."""
    found = Assessment(patches=draw_patches(vm, rng), reboot_pending=rng.random() < 1 / 3)
    return replace(vm, assessment=found)


def _clean(vm: Vm, _: random.Random) -> Vm:
    """Finds nothing."""
    return replace(vm, assessment=Assessment())


def _reboot_only(vm: Vm, _: random.Random) -> Vm:
    """Waits for a reboot with no critical or security patch."""
    harmless = tuple(
        patch
        for patch in PATCHES[vm.image]
        if {"Critical", "Security"}.isdisjoint(patch.classifications)
    )
    return replace(vm, assessment=Assessment(patches=harmless, reboot_pending=True))


def _counts_only(vm: Vm, rng: random.Random) -> Vm:
    """Counts without a list (Azure/azure-powershell#25123)."""
    found = Assessment(
        patches=None, critical_and_security_count=rng.randint(1, 9), other_count=rng.randint(0, 9)
    )
    return replace(vm, assessment=found)


def _warnings(vm: Vm, rng: random.Random) -> Vm:
    """Ends with warnings: some packages need a subscription."""
    error = ApiError(
        "1",
        "1 error/s reported. The latest 1 error/s are shared in detail. To view all errors, "
        f"review this log file on the machine: {_LOG}",
        details=(
            ApiError(
                "UA_ESM_REQUIRED",
                "3 patches requires Ubuntu Pro for infrastructure with Extended Security "
                "Maintenance",
            ),
        ),
    )
    found = Assessment(status="CompletedWithWarnings", patches=draw_patches(vm, rng), error=error)
    return replace(vm, assessment=found)


def _unknown(vm: Vm, _: random.Random) -> Vm:
    """Ends in Unknown."""
    return replace(vm, assessment=Assessment(status="Unknown", patches=None))


def _result_failed(vm: Vm, _: random.Random) -> Vm:
    """Fails inside the guest: the operation succeeds, its result has not."""
    error = ApiError(
        "PACKAGE_MANAGER_FAILURE",
        "2 error/s reported. The latest 2 error/s are shared in detail. To view all errors, "
        f"review this log file on the machine: {_LOG}",
        target="PatchAssessmentSummary",
        details=(
            ApiError(
                "PACKAGE_MANAGER_FAILURE",
                "Unexpected return code (100) from package manager on command: sudo apt-get -q "
                "update",
                target="apt",
            ),
            ApiError("ERROR", "Could not get lock /var/lib/apt/lists/lock.", target="dpkg"),
        ),
        inner=InnerError(
            "Exception", "E: Could not get lock /var/lib/apt/lists/lock - open (11: Resource busy)"
        ),
    )
    if vm.image.os_type == "Windows":
        error = ApiError(
            "0x8024402C",
            "Windows Update Agent search failed: the proxy server or target server name can't be "
            "resolved.",
            target="WindowsUpdateAgent",
            details=(ApiError("WU_E_PT_WINHTTP_NAME_NOT_RESOLVED", "HRESULT 0x8024402C"),),
            inner=InnerError(
                "System.Runtime.InteropServices.COMException",
                "Exception from HRESULT: 0x8024402C at WUApiLib.IUpdateSearcher.Search",
            ),
        )
    return replace(vm, assessment=Assessment(status="Failed", error=error))


def _operation_failed(vm: Vm, _: random.Random) -> Vm:
    """Fails outside the guest: the operation itself ends as Failed."""
    error = ApiError(
        "VMAgentStatusCommunicationError",
        f"VM '{vm.name}' has not reported status for VM agent or extensions. Verify that the OS is "
        "up and healthy, the VM has a running VM agent, and that it can establish outbound "
        "connections to Azure storage.",
        target=vm.name,
        inner=InnerError("TimeoutException", "No status blob within the allotted time."),
    )
    failed = Assessment(operation_status="Failed", status="Failed", patches=None, error=error)
    return replace(vm, assessment=failed)


def fail_early(vm: Vm, rng: random.Random) -> Vm:
    """Fails within half a minute: the guest has no extension of its architecture.

    Seen on Linux on Arm64, after 18 seconds (Azure/azure-rest-api-specs#31144, microsoft/lisa).
    """
    error = ApiError(
        "ExtensionNotFound",
        "CPU Architecture 'arm64' was not found in the extension repository",
        target=vm.name,
    )
    failed = Assessment(operation_status="Failed", status="Failed", patches=None, error=error)
    return replace(vm, assessment=failed, duration_seconds=round(rng.uniform(3.0, 30.0), 3))


def _deallocated(vm: Vm, _: random.Random) -> Vm:
    """Is deallocated."""
    return replace(vm, power=Power.DEALLOCATED)


def _stopped(vm: Vm, _: random.Random) -> Vm:
    """Is stopped but still allocated."""
    return replace(vm, power=Power.STOPPED)


def _no_agent(vm: Vm, _: random.Random) -> Vm:
    """Runs without a VM agent."""
    return replace(vm, has_agent=False)


def _deleting(vm: Vm, _: random.Random) -> Vm:
    """Is being deleted."""
    return replace(vm, provisioning_state="Deleting")


def _odd(vm: Vm, rng: random.Random) -> Vm:
    """Has enumeration values that no client knows, and times in mixed precision."""
    strange = Patch(
        patch_id="f3a1d5c4-2b7e-4e19-8c55-91d0a6e4b7f2",
        name="2024-10 Hotpatch Baseline (KB5044284)",
        classifications=("HotPatch", "Security"),
        reboot_behavior="RebootsAtMaintenance",
        kb_id="5044284",
        published="2024-10-08T13:00:00.5+05:30",
        assessment_state="Superseded",
    )
    found = Assessment(patches=(strange, *draw_patches(vm, rng)), odd_times=True)
    return replace(vm, assessment=found)


def _huge(vm: Vm, _: random.Random) -> Vm:
    """Has more patches than one message holds."""
    found = Assessment(patches=robotics_patches(UBUNTU_2204), reboot_pending=True)
    return replace(vm, image=UBUNTU_2204, assessment=found)


BEHAVIOURS: Final[Mapping[str, Behaviour]] = {
    "patches": _patches,
    "clean": _clean,
    "reboot-only": _reboot_only,
    "counts-only": _counts_only,
    "warnings": _warnings,
    "unknown": _unknown,
    "result-failed": _result_failed,
    "operation-failed": _operation_failed,
    "fails-early": fail_early,
    "deallocated": _deallocated,
    "stopped": _stopped,
    "no-agent": _no_agent,
    "deleting": _deleting,
    "odd": _odd,
    "huge": _huge,
}
"""Behaviours by the label that a VM of theirs carries."""
