"""A page of a list of VMs, read tolerantly: what can't be asked for is counted, by its reason."""

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from assessor.arm.listing import ListedVm, Page
from assessor.resource_id import ResourceIdError, Scope, VirtualMachineId

_POWER_STATE: Final = "powerstate/"


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
    location, tags = entry.get("location"), entry.get("tags")
    return ListedVm(
        vm_id,
        location=location if isinstance(location, str) else None,
        tags={
            name: value
            for name, value in (tags.items() if isinstance(tags, Mapping) else ())
            if isinstance(value, str)
        },
        power_state=_power_state(entry),
    )


def _power_state(entry: Mapping[str, Any]) -> str | None:
    view: object = entry
    for name in ("properties", "instanceView", "statuses"):
        view = view.get(name) if isinstance(view, Mapping) else None
    for status in view if isinstance(view, list) else ():
        code = status.get("code") if isinstance(status, Mapping) else None
        if isinstance(code, str) and code.lower().startswith(_POWER_STATE):
            return code[len(_POWER_STATE) :]
    return None
