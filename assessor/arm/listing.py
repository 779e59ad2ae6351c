"""Lists of VMs, page by page, read tolerantly: what can't be asked for is counted by its reason."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from assessor.arm.reading import object_of, text_of
from assessor.arm.virtual_machine import power_state
from assessor.resource_id import ResourceIdError, Scope, VirtualMachineId
from dotnet_text import ignoring_case


@dataclass(frozen=True, slots=True)
class ListedVm:
    """A VM as a list shows it. What the list did not tell is None."""

    id: VirtualMachineId
    location: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    power_state: str | None = None

    @property
    def is_running(self) -> bool:
        """Whether ARM says that the VM runs."""
        return self.power_state is not None and self.power_state.lower() == "running"

    def has(self, tags: Mapping[str, str | None]) -> bool:
        """Whether the VM has all of `tags`; None stands for any value.

        As in ARM, names are compared without regard to case, values to the letter.
        """
        mine = {ignoring_case(name): value for name, value in self.tags.items()}
        return all(
            key in mine and value in {None, mine[key]}
            for key, value in ((ignoring_case(name), value) for name, value in tags.items())
        )


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list.

    `next_link` leads to the next page; None on the last one. `unreadable` tells how many more VMs
    are on it that can't be asked for, by the reason.
    """

    vms: tuple[ListedVm, ...]
    next_link: str | None = None
    unreadable: Mapping[str, int] = field(default_factory=dict)


class PageLinkRefusedError(Exception):
    """A link to a next page that will not be followed.

    Attributes:
        problem: what is wrong with it, without the link's own text.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(f"the link to the next page is refused: {problem}")
        self.problem = problem


class Unreadable(StrEnum):
    """Why a VM of a list can't be asked for."""

    NOT_AN_OBJECT = "NotAnObject"
    """The entry is no JSON object."""
    NO_RESOURCE_ID = "NoResourceId"
    """The entry has no ID, or it is no text."""
    UNKNOWN_RESOURCE_ID = "UnknownResourceId"
    """The ID is no VM's by ARM's own rules for names."""
    OUT_OF_SCOPE = "OutOfScope"
    """The VM does not lie in the scope that was listed."""


def read_page(document: Mapping[str, Any] | None, scope: Scope) -> Page:
    """Returns the page that ARM's answer holds; its link is as it came.

    Raises:
        ValueError: there is no object, no list in it, or its link is no text.
    """
    if document is None:
        raise ValueError("it is no JSON object")
    entries, link = document.get("value"), document.get("nextLink")
    if entries is None:
        entries = []
    if not isinstance(entries, list):
        raise ValueError("value is no array")  # noqa: TRY004 - what a reader of JSON raises
    if link is not None and not isinstance(link, str):
        raise ValueError("nextLink is no text")
    read = [_read(entry, scope) for entry in entries]
    return Page(
        tuple(each for each in read if isinstance(each, ListedVm)),
        link or None,
        dict(Counter(each.value for each in read if isinstance(each, Unreadable))),
    )


def _read(entry: object, scope: Scope) -> ListedVm | Unreadable:
    if not isinstance(entry, Mapping):
        return Unreadable.NOT_AN_OBJECT
    text = entry.get("id")
    if not isinstance(text, str) or not text:
        return Unreadable.NO_RESOURCE_ID
    try:
        vm_id = VirtualMachineId.parse(text)
    except ResourceIdError:
        return Unreadable.UNKNOWN_RESOURCE_ID
    if not scope.contains(vm_id):
        return Unreadable.OUT_OF_SCOPE
    view = object_of(object_of(entry.get("properties")).get("instanceView"))
    return ListedVm(
        vm_id,
        location=text_of(entry.get("location")),
        tags={
            name: value
            for name, value in object_of(entry.get("tags")).items()
            if isinstance(value, str)
        },
        power_state=power_state(view),
    )
