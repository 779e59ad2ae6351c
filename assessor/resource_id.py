"""Azure resource IDs: parsed by a strict grammar, compared as ARM compares them.

An ID that arrives in a message ends up in a URL that is called with the app's own identity, so
nothing but the characters that ARM allows in each segment gets through.
Source of the rules: "Naming rules and restrictions for Azure resources", Microsoft.Resources and
Microsoft.Compute. A VM's name may hold an underscore: flexible scale sets name theirs
`{set}_{hash}`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

_GUID: Final = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_GROUP: Final = r"(?u:[\w().-]{0,89}[\w()-])"
"""Letters of any script; all else is ASCII, or a long s (U+017F) would pass for an S."""
_VM: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,78}[A-Za-z0-9_])?"

_SUBSCRIPTION_ID = re.compile(_GUID)
_RESOURCE_GROUP_NAME = re.compile(_GROUP)
_VM_NAME = re.compile(_VM)
_VM_ID = re.compile(
    rf"/subscriptions/(?P<subscription>{_GUID})"
    rf"/resourceGroups/(?P<group>{_GROUP})"
    rf"/providers/Microsoft\.Compute/virtualMachines/(?P<vm>{_VM})",
    re.IGNORECASE | re.ASCII,
)
_SCOPE = re.compile(
    rf"/subscriptions/(?P<subscription>{_GUID})"
    rf"(?:/resourceGroups/(?P<group>{_GROUP})"
    rf"(?:/providers/Microsoft\.Compute/virtualMachines/(?P<vm>{_VM}))?)?/?",
    re.IGNORECASE | re.ASCII,
)


class ResourceIdError(ValueError):
    """A text that is not the resource ID, or the name, that was asked for.

    Attributes:
        field: what was asked for: `vmId`, `scope`, `subscriptionId`, `resourceGroupName`, `vmName`.
        value: the text that was given.
        expected: what would have been right, as one phrase.
    """

    def __init__(self, field: str, value: str, expected: str) -> None:
        super().__init__(f"{field} must be {expected}, not {value!r}")
        self.field = field
        self.value = value
        self.expected = expected


@dataclass(frozen=True, slots=True)
class VirtualMachineId:
    """The resource ID of one virtual machine.

    Two IDs that differ only in case are one VM for ARM, and are equal here.
    """

    subscription_id: str = field(compare=False)
    resource_group: str = field(compare=False)
    name: str = field(compare=False)
    key: str = field(init=False, repr=False)
    """The ID in lower case: what to compare, to look up and to derive other IDs from."""

    def __post_init__(self) -> None:
        """Check the names and derive the key; raises ResourceIdError for the first bad name."""
        check_name("subscriptionId", self.subscription_id)
        check_name("resourceGroupName", self.resource_group)
        check_name("vmName", self.name)
        object.__setattr__(self, "key", str(self).lower())

    def __str__(self) -> str:
        """The resource ID as ARM writes it, with the names in the case that they were given in."""
        return (
            f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.Compute/virtualMachines/{self.name}"
        )

    @classmethod
    def parse(cls, text: str) -> "VirtualMachineId":
        """Returns the ID that `text` spells; raises ResourceIdError for anything else."""
        match = _VM_ID.fullmatch(text)
        if match is None:
            raise ResourceIdError(
                "vmId",
                text,
                "the resource ID of a virtual machine (/subscriptions/{guid}/resourceGroups/{name}"
                "/providers/Microsoft.Compute/virtualMachines/{name})",
            )
        return cls(match["subscription"], match["group"], match["vm"])


_NAMES: Final = {
    "subscriptionId": (_SUBSCRIPTION_ID, "a GUID"),
    "resourceGroupName": (
        _RESOURCE_GROUP_NAME,
        "1 to 90 letters, digits, '_', '-', '.', '(' or ')', without a '.' at its end",
    ),
    "vmName": (
        _VM_NAME,
        "1 to 80 letters, digits, '_', '-' or '.', without '-' or '.' at its ends",
    ),
}


def check_name(field: str, value: str) -> str:
    """Returns `value` if it is a legal `subscriptionId`, `resourceGroupName` or `vmName`.

    Raises:
        ResourceIdError: it is not.
    """
    pattern, expected = _NAMES[field]
    if pattern.fullmatch(value) is None:
        raise ResourceIdError(field, value, expected)
    return value


@dataclass(frozen=True, slots=True)
class Scope:
    """A part of ARM's tree: a subscription, one of its resource groups, or one VM."""

    subscription_id: str
    resource_group: str | None = None
    vm_name: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Scope":
        """Returns the scope that `text` spells; raises ResourceIdError for anything else."""
        match = _SCOPE.fullmatch(text)
        if match is None:
            raise ResourceIdError(
                "scope", text, "/subscriptions/{guid}, one of its resource groups, or one VM's ID"
            )
        return cls(match["subscription"], match["group"], match["vm"])

    def __str__(self) -> str:
        """The scope as ARM writes it, with the names in the case that they were given in."""
        text = f"/subscriptions/{self.subscription_id}"
        if self.resource_group is not None:
            text += f"/resourceGroups/{self.resource_group}"
        if self.vm_name is not None:
            text += f"/providers/Microsoft.Compute/virtualMachines/{self.vm_name}"
        return text

    @property
    def key(self) -> str:
        """The scope in lower case: what to compare and to derive IDs from."""
        return str(self).lower()

    def contains(self, vm: VirtualMachineId) -> bool:
        """Whether `vm` lies in this scope, compared without regard to case."""
        return self.covers(Scope(vm.subscription_id, vm.resource_group, vm.name))

    def covers(self, other: "Scope") -> bool:
        """Whether all of `other` lies in this scope, compared without regard to case."""
        pairs = (
            (self.subscription_id, other.subscription_id),
            (self.resource_group, other.resource_group),
            (self.vm_name, other.vm_name),
        )
        return all(
            mine is None or (its is not None and mine.lower() == its.lower()) for mine, its in pairs
        )


def is_allowed(part: VirtualMachineId | Scope, allowed: Iterable[Scope]) -> bool:
    """Whether `part` lies in one of the `allowed` scopes; no scope at all allows everything."""
    scopes = tuple(allowed)
    if isinstance(part, Scope):
        return not scopes or any(scope.covers(part) for scope in scopes)
    return not scopes or any(scope.contains(part) for scope in scopes)
