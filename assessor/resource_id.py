r"""Azure resource IDs: parsed by a strict grammar, compared as ARM compares them.

An ID that arrives in a message ends up in a URL that is called with the app's own identity, so
nothing but the characters that ARM allows in each segment gets through. Letters may be of any
script; which characters are letters, and what is equal when case does not count, is .NET's to say.
Source of the rules: "Naming rules and restrictions for Azure resources", Microsoft.Resources and
Microsoft.Compute, whose own rule for a VM is `^[^_\W][\w-._]{0,79}(?<![-.])$`.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from dotnet_text import ignoring_case, is_word

_GUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_PLAIN: Final = re.compile(r"[0-9a-zA-Z_.-]+")
"""What most names are made of; a name of other characters is looked at one by one."""
_LONGEST_GROUP: Final = 90
_LONGEST_VM: Final = 80
_SHAPE: Final = (
    "",
    "subscriptions",
    None,
    "resourcegroups",
    None,
    "providers",
    "microsoft.compute",
    "virtualmachines",
    None,
)
"""An ID's segments; None stands for a name."""
_SCOPE_DEPTHS: Final = (3, 5, 9)
"""How many segments a subscription, a resource group and a VM have."""


def _is_guid(text: str) -> bool:
    return _GUID.fullmatch(text) is not None


def _is_plain(text: str) -> bool:
    return _PLAIN.fullmatch(text) is not None


def _is_group(text: str) -> bool:
    return (
        0 < len(text) <= _LONGEST_GROUP
        and not text.endswith(".")
        and (_is_plain(text) or all(char in "().-" or is_word(char) for char in text))
    )


def _is_vm(text: str) -> bool:
    return (
        0 < len(text) <= _LONGEST_VM
        and text[0] not in "_.-"
        and text[-1] not in ".-"
        and (_is_plain(text) or all(char in ".-" or is_word(char) for char in text))
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
    """The ID without its case: what to compare, to look up and to derive other IDs from."""

    def __post_init__(self) -> None:
        """Check the names and derive the key; raises ResourceIdError for the first bad name."""
        check_name("subscriptionId", self.subscription_id)
        check_name("resourceGroupName", self.resource_group)
        check_name("vmName", self.name)
        object.__setattr__(self, "key", ignoring_case(str(self)))

    def __str__(self) -> str:
        """The resource ID as ARM writes it, with the names in the case that they were given in."""
        return (
            f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.Compute/virtualMachines/{self.name}"
        )

    @classmethod
    def parse(cls, text: str) -> "VirtualMachineId":
        """Returns the ID that `text` spells; raises ResourceIdError for anything else."""
        names = _names(text)
        if names is None or len(names) != len(_NAMES):
            raise ResourceIdError(
                "vmId",
                text,
                "the resource ID of a virtual machine (/subscriptions/{guid}/resourceGroups/{name}"
                "/providers/Microsoft.Compute/virtualMachines/{name})",
            )
        return cls(*names)


_NAMES: Final[dict[str, tuple[Callable[[str], bool], str]]] = {
    "subscriptionId": (_is_guid, "a GUID"),
    "resourceGroupName": (
        _is_group,
        "1 to 90 letters, digits, '_', '-', '.', '(' or ')', without a '.' at its end",
    ),
    "vmName": (
        _is_vm,
        "1 to 80 letters, digits, '_', '-' or '.'; a letter or digit first, no '-' or '.' last",
    ),
}
"""By the order in which an ID has them."""


def check_name(field: str, value: str) -> str:
    """Returns `value` if it is a legal `subscriptionId`, `resourceGroupName` or `vmName`.

    Raises:
        ResourceIdError: it is not.
    """
    is_legal, expected = _NAMES[field]
    if not is_legal(value):
        raise ResourceIdError(field, value, expected)
    return value


def _names(text: str) -> list[str] | None:
    """Returns the names in the ID of a subscription, a resource group or a VM; None in no ID."""
    segments = text.split("/")
    if len(segments) not in _SCOPE_DEPTHS:
        return None
    shape = _SHAPE[: len(segments)]
    pairs = list(zip(segments, shape, strict=True))
    if any(fixed is not None and ignoring_case(segment) != fixed for segment, fixed in pairs):
        return None
    names = [segment for segment, fixed in pairs if fixed is None]
    rules = (is_legal for is_legal, _ in _NAMES.values())
    legal = all(is_legal(name) for name, is_legal in zip(names, rules, strict=False))
    return names if legal else None


@dataclass(frozen=True, slots=True)
class Scope:
    """A part of ARM's tree: a subscription, one of its resource groups, or one VM."""

    subscription_id: str
    resource_group: str | None = None
    vm_name: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Scope":
        """Returns the scope that `text` spells; raises ResourceIdError for anything else."""
        names = _names(text.removesuffix("/"))
        if names is None:
            raise ResourceIdError(
                "scope", text, "/subscriptions/{guid}, one of its resource groups, or one VM's ID"
            )
        return cls(*names)

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
        """The scope without its case: what to compare and to derive IDs from."""
        return ignoring_case(str(self))

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
            mine is None or (its is not None and ignoring_case(mine) == ignoring_case(its))
            for mine, its in pairs
        )


def is_allowed(part: VirtualMachineId | Scope, allowed: Iterable[Scope]) -> bool:
    """Whether `part` lies in one of the `allowed` scopes; no scope at all allows everything."""
    scopes = tuple(allowed)
    if isinstance(part, Scope):
        return not scopes or any(scope.covers(part) for scope in scopes)
    return not scopes or any(scope.contains(part) for scope in scopes)
