"""Scenarios: VMs stated one by one, as JSON, and the changes that control calls make.

A scenario is ``{"vms": [...]}``. Each VM has ``id`` and, optionally, ``location``, ``osType`` or
``os`` (such as ``ubuntu-22.04``), ``tags``, and everything that a change has: ``power``,
``agent``, ``provisioningState``, ``durationSeconds``, ``operationStatus``, ``status``,
``rebootPending``, ``criticalAndSecurityPatchCount``, ``otherPatchCount``, ``availablePatches``
(in the REST reference's shape) and ``error`` (likewise). ``behaviour`` starts from one of the
fleet's behaviours. ``fleet: {"seed": 1, "vms": 50}`` adds a generated fleet.
"""

import random
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from localcloud.arm import catalogue
from localcloud.arm.behaviours import BEHAVIOURS
from localcloud.arm.fleet import REGIONS, Fleet, make_fleet
from localcloud.arm.model import ApiError, Assessment, InnerError, Patch, Power, Region, Vm

_ID: Final = re.compile(
    r"/subscriptions/([^/]+)/resourceGroups/([^/]+)/providers/Microsoft\.Compute/virtualMachines"
    r"/([^/]+)",
    re.IGNORECASE,
)
_SYSTEMS: Final = {
    "windows-2016": catalogue.WINDOWS_2016,
    "windows-2019": catalogue.WINDOWS_2019,
    "windows-2022": catalogue.WINDOWS_2022,
    "windows-2025": catalogue.WINDOWS_2025,
    "ubuntu-20.04": catalogue.UBUNTU_2004,
    "ubuntu-22.04": catalogue.UBUNTU_2204,
    "ubuntu-24.04": catalogue.UBUNTU_2404,
    "rhel-8": catalogue.RHEL_8,
    "rhel-9": catalogue.RHEL_9,
    "sles-15": catalogue.SLES_15,
    "debian-12": catalogue.DEBIAN_12,
}
_BY_TYPE: Final = {"windows": "windows-2022", "linux": "ubuntu-22.04"}
_REGIONS: Final = {region.name: region for region in REGIONS}
_ASSESSMENT_FIELDS: Final = frozenset(
    {
        "operationStatus",
        "status",
        "rebootPending",
        "criticalAndSecurityPatchCount",
        "otherPatchCount",
        "availablePatches",
        "error",
    }
)
_CHANGE_FIELDS: Final = _ASSESSMENT_FIELDS | {
    "power",
    "agent",
    "provisioningState",
    "durationSeconds",
}
_VM_FIELDS: Final = _CHANGE_FIELDS | {"id", "location", "osType", "os", "tags", "behaviour"}


class ScenarioError(ValueError):
    """A scenario or change that can't be understood; ``field`` names the part."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


@dataclass(frozen=True)
class Change:
    """What a control call changes about a VM; None leaves as is."""

    assessment: Assessment | None = None
    power: Power | None = None
    has_agent: bool | None = None
    provisioning_state: str | None = None
    duration_seconds: float | None = None


def parse_scenario(document: Mapping[str, Any]) -> Fleet:
    """Returns the fleet that a scenario states.

    Raises:
        ScenarioError: naming the part that is wrong.
    """
    _only(document, {"vms", "fleet"}, "scenario")
    stated = tuple(parse_vm(entry) for entry in document.get("vms", ()))
    if "fleet" not in document:
        return Fleet(stated)
    generated = make_fleet(document["fleet"].get("seed", 0), document["fleet"].get("vms", 0))
    return Fleet(stated + generated.vms, generated.missing)


def parse_vm(entry: Mapping[str, Any]) -> Vm:
    """Returns the VM that an entry of a scenario states.

    Raises:
        ScenarioError: naming the part that is wrong.
    """
    _only(entry, _VM_FIELDS, "vm")
    match = _ID.fullmatch(str(entry.get("id")))
    if match is None:
        raise ScenarioError("id", "must be the resource ID of a VM")
    system = entry.get("os") or _BY_TYPE.get(str(entry.get("osType", "linux")).lower())
    if system not in _SYSTEMS:
        raise ScenarioError("os", f"must be one of {sorted(_SYSTEMS)}")
    behaviour = entry.get("behaviour", "clean")
    if behaviour not in BEHAVIOURS:
        raise ScenarioError("behaviour", f"must be one of {sorted(BEHAVIOURS)}")
    location = str(entry.get("location", "eastus")).lower()
    vm = Vm(
        subscription_id=match[1],
        resource_group=match[2],
        name=match[3],
        region=_REGIONS.get(location, Region(location, 0)),
        image=_SYSTEMS[system],
        vm_id=str(uuid.uuid5(uuid.NAMESPACE_URL, match[0].lower())),
        behaviour=behaviour,
        tags=dict(entry.get("tags", {})),
    )
    vm = BEHAVIOURS[behaviour](vm, random.Random(vm.key))
    change = parse_change({k: v for k, v in entry.items() if k in _CHANGE_FIELDS}, vm)
    return apply(vm, change)


def parse_change(document: Mapping[str, Any], vm: Vm) -> Change:
    """Returns the change that a document asks for; what it leaves out stays as it is on ``vm``.

    Raises:
        ScenarioError: naming the part that is wrong.
    """
    _only(document, _CHANGE_FIELDS, "change")
    power = document.get("power")
    if power is not None and power not in set(Power):
        raise ScenarioError("power", f"must be one of {[state.value for state in Power]}")
    return Change(
        assessment=_assessment(document, vm.assessment)
        if _ASSESSMENT_FIELDS & document.keys()
        else None,
        power=None if power is None else Power(power),
        has_agent=document.get("agent"),
        provisioning_state=document.get("provisioningState"),
        duration_seconds=document.get("durationSeconds"),
    )


def apply(vm: Vm, change: Change) -> Vm:
    """Returns a VM with a change made. A VM with a new assessment answers no recording."""
    return replace(
        vm,
        assessment=change.assessment or vm.assessment,
        verbatim=vm.verbatim if change.assessment is None else None,
        power=change.power or vm.power,
        has_agent=vm.has_agent if change.has_agent is None else change.has_agent,
        provisioning_state=change.provisioning_state or vm.provisioning_state,
        duration_seconds=vm.duration_seconds
        if change.duration_seconds is None
        else change.duration_seconds,
    )


def _assessment(document: Mapping[str, Any], base: Assessment) -> Assessment:
    patches = base.patches
    grave, other = base.critical_and_security_count, base.other_count
    if "availablePatches" in document:
        listed = document["availablePatches"]
        patches = None if listed is None else tuple(_patch(patch) for patch in listed)
        grave = other = None
    return Assessment(
        operation_status=document.get("operationStatus", base.operation_status),
        status=document.get("status", base.status),
        patches=patches,
        critical_and_security_count=document.get("criticalAndSecurityPatchCount", grave),
        other_count=document.get("otherPatchCount", other),
        reboot_pending=document.get("rebootPending", base.reboot_pending),
        error=_error(document["error"]) if document.get("error") else None,
        odd_times=base.odd_times,
    )


def _patch(document: Mapping[str, Any]) -> Patch:
    name = document.get("name")
    if not isinstance(name, str):
        raise ScenarioError("availablePatches", "each patch needs a name")
    return Patch(
        patch_id=document.get("patchId") or str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
        name=name,
        classifications=tuple(document.get("classifications", ("Other",))),
        reboot_behavior=document.get("rebootBehavior", "Unknown"),
        version=document.get("version"),
        kb_id=document.get("kbId"),
        published=document.get("publishedDate"),
        assessment_state=document.get("assessmentState", "Available"),
    )


def _error(document: Mapping[str, Any]) -> ApiError:
    inner = document.get("innererror")
    return ApiError(
        code=document.get("code", "ERROR"),
        message=document.get("message", ""),
        target=document.get("target"),
        details=tuple(_error(detail) for detail in document.get("details", ())),
        inner=InnerError(inner.get("exceptiontype", ""), inner.get("errordetail", ""))
        if inner
        else None,
    )


def _only(document: Mapping[str, Any], known: frozenset[str] | set[str], where: str) -> None:
    if unknown := document.keys() - known:
        raise ScenarioError(where, f"unknown fields {sorted(unknown)}")
