"""Which ARM operation a method and a path name. Paths are case-insensitive, as ARM's are.

Served: the four reads and the one action that a patch assessor needs, and the two lists. Every
other method on a VM still resolves to its RBAC action, because ARM authorises before it acts.
"""

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from dotnet_text import ignoring_case
from localcloud.arm import errors

_API_VERSION: Final = re.compile(r"(?P<day>\d{4}-\d{2}-\d{2})(?:-[A-Za-z]+)?")
_FIRST_API_VERSION: Final = date(2014, 4, 1)


class Kind(StrEnum):
    """Operations, by the names that faults and call counts use."""

    GET_VM = "get_vm"
    INSTANCE_VIEW = "instance_view"
    ASSESS = "assess"
    OPERATION = "operation"
    LOCATION = "location"
    LIST_GROUP = "list_group"
    LIST_SUBSCRIPTION = "list_subscription"
    OTHER = "other"


@dataclass(frozen=True)
class Route:
    """A request, understood.

    Attributes:
        kind: what is asked for.
        action: the RBAC action it needs.
        scope: the path the action must be granted over, as it was written.
        subscription_id: as it was written; so are the following, each empty where not in the path.
    """

    kind: Kind
    action: str
    scope: str
    subscription_id: str
    resource_group: str = ""
    vm_name: str = ""
    location: str = ""
    operation_name: str = ""

    @property
    def vm_key(self) -> str:
        """The resource ID without its case of the VM in the path, empty if there is none."""
        if not self.vm_name:
            return ""
        return ignoring_case(
            f"/subscriptions/{self.subscription_id}/resourcegroups/{self.resource_group}"
            f"/providers/microsoft.compute/virtualmachines/{self.vm_name}"
        )


_SEGMENT: Final = "[^/]+"
_VMS: Final = re.compile(
    rf"/subscriptions/(?P<subscription>{_SEGMENT})"
    rf"(?:/resourcegroups/(?P<group>{_SEGMENT}))?"
    r"/providers/microsoft\.compute/virtualmachines"
    rf"(?:/(?P<vm>{_SEGMENT})(?:/(?P<sub>{_SEGMENT}))?)?/?",
    re.IGNORECASE | re.ASCII,
)
_OPERATION: Final = re.compile(
    rf"/subscriptions/(?P<subscription>{_SEGMENT})/providers/microsoft\.compute"
    rf"/locations/(?P<location>{_SEGMENT})/operations/(?P<name>{_SEGMENT})/?",
    re.IGNORECASE | re.ASCII,
)
_PROVIDER: Final = re.compile(
    rf"/subscriptions/{_SEGMENT}(?:/resourcegroups/{_SEGMENT})?"
    rf"/providers/(?P<namespace>{_SEGMENT})(?:/(?P<type>{_SEGMENT}))?.*",
    re.IGNORECASE | re.ASCII,
)
_VM_TYPE: Final = "Microsoft.Compute/virtualMachines"
_VERBS: Final = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write"}


def is_api_version(text: str) -> bool:
    """Whether a provider may have such an api-version: a day since Compute's first, or a preview.

    Which ones a provider has is not known here: newer SDKs bring newer ones.
    """
    match = _API_VERSION.fullmatch(text)
    try:
        return match is not None and date.fromisoformat(match["day"]) >= _FIRST_API_VERSION
    except ValueError:
        return False


def resolve(method: str, path: str, *, monitor: bool, api_version: str) -> Route:
    """Returns what a request asks for.

    Args:
        method: of HTTP, upper case.
        path: decoded, without the query.
        monitor: whether the query says ``monitor=true``, which makes an operation's URL the one
            that Location names.
        api_version: any; it only appears in the error's text.

    Raises:
        ArmError: 404 for a path that names nothing served here.
    """
    if match := _OPERATION.fullmatch(path):
        kind = Kind.LOCATION if monitor else Kind.OPERATION
        return Route(
            kind if method == "GET" else Kind.OTHER,
            "Microsoft.Compute/locations/operations/read",
            path,
            match["subscription"],
            location=match["location"],
            operation_name=match["name"],
        )
    if match := _VMS.fullmatch(path):
        return _vm_route(method, path, match)
    if match := _PROVIDER.fullmatch(path):
        if match["namespace"].lower() != "microsoft.compute":
            raise errors.unknown_namespace(match["namespace"])
        raise errors.unknown_type(match["type"] or "", api_version)
    raise errors.unknown_type(path.strip("/"), api_version)


def _vm_route(method: str, path: str, match: re.Match[str]) -> Route:
    subscription, group, vm = match["subscription"], match["group"] or "", match["vm"] or ""
    sub = (match["sub"] or "").lower()
    kind, action, scope = Kind.OTHER, f"{_VM_TYPE}/{_VERBS.get(method, 'delete')}", path
    if sub:
        scope = path.rstrip("/").rpartition("/")[0]
        if method == "GET" and sub == "instanceview":
            kind, action = Kind.INSTANCE_VIEW, f"{_VM_TYPE}/instanceView/read"
        elif method == "POST" and sub == "assesspatches":
            kind, action = Kind.ASSESS, f"{_VM_TYPE}/assessPatches/action"
        else:
            action = f"{_VM_TYPE}/{match['sub']}/{'action' if method == 'POST' else 'read'}"
    elif method == "GET":
        kind = Kind.GET_VM if vm else (Kind.LIST_GROUP if group else Kind.LIST_SUBSCRIPTION)
    return Route(kind, action, scope, subscription, group, vm)
