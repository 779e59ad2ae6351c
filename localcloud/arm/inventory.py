"""What ARM tells of itself: subscriptions, tenants, locations and resource groups.

As much as `az cloud register`, `az login --identity` and `az group list` ask for, of what the fleet
is made of. Any caller with a token sees all of it, where Azure shows what he has some right to.
Left out: paging, filters, tags of groups, and the details that these answers have besides.
"""

import re
from collections.abc import Iterable
from typing import Final

from localcloud.arm.model import Json, Vm
from localcloud.identity import ARM_AUDIENCES, SYSTEM_ASSIGNED

METADATA_PATH: Final = "/metadata/endpoints"
_PATH: Final = re.compile(
    r"/(?:(?P<tenants>tenants)|subscriptions(?:/(?P<subscription>[^/]+)"
    r"(?:/(?P<what>locations|resourcegroups)(?:/(?P<group>[^/]+))?)?)?)/?",
    re.IGNORECASE | re.ASCII,
)


def inventory(  # noqa: PLR0911 - one return for each path
    path: str, vms: Iterable[Vm]
) -> Json | None:
    """Returns what a GET of `path` answers; None where it is another's, or there is no such thing.

    Args:
        path: decoded, without the query.
        vms: the fleet.
    """
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    fleet = list(vms)
    if match["tenants"]:
        tenant = SYSTEM_ASSIGNED.tenant_id
        return {"value": [{"id": f"/tenants/{tenant}", "tenantId": tenant}]}
    subscriptions = sorted({vm.subscription_id.lower() for vm in fleet})
    if match["subscription"] is None:
        return {"value": [_subscription(each) for each in subscriptions]}
    subscription = match["subscription"].lower()
    if subscription not in subscriptions:
        return None
    mine = [vm for vm in fleet if vm.subscription_id.lower() == subscription]
    match (match["what"] or "").lower():
        case "":
            return _subscription(subscription)
        case "locations" if match["group"] is None:
            names = sorted({vm.region.name for vm in mine})
            return {"value": [_location(subscription, name) for name in names]}
        case "resourcegroups":
            return _groups(subscription, mine, match["group"])
        case _:
            return None


def cloud_metadata(origin: str) -> Json:
    """Returns what ARM tells of its cloud to anybody, as `az cloud register` reads it.

    Args:
        origin: where this ARM is. No sign-in but a managed identity's leads anywhere.
    """
    return {
        "name": "LocalCloud",
        "resourceManager": f"{origin}/",
        "authentication": {
            "loginEndpoint": origin,
            "audiences": [f"{each}/" for each in sorted(ARM_AUDIENCES)],
            "tenant": SYSTEM_ASSIGNED.tenant_id,
            "identityProvider": "AAD",
        },
        "suffixes": {},
    }


def _subscription(subscription_id: str) -> Json:
    return {
        "id": f"/subscriptions/{subscription_id}",
        "subscriptionId": subscription_id,
        "tenantId": SYSTEM_ASSIGNED.tenant_id,
        "displayName": f"Local {subscription_id[:8]}",
        "state": "Enabled",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
    }


def _location(subscription_id: str, name: str) -> Json:
    return {
        "id": f"/subscriptions/{subscription_id}/locations/{name}",
        "name": name,
        "type": "Region",
        "displayName": name,
        "metadata": {"regionType": "Physical"},
    }


def _groups(subscription_id: str, vms: list[Vm], name: str | None) -> Json | None:
    found = {vm.resource_group.lower(): _group(subscription_id, vm) for vm in reversed(vms)}
    if name is not None:
        return found.get(name.lower())
    return {"value": [group for _, group in sorted(found.items())]}


def _group(subscription_id: str, vm: Vm) -> Json:
    return {
        "id": f"/subscriptions/{subscription_id}/resourceGroups/{vm.resource_group}",
        "name": vm.resource_group,
        "type": "Microsoft.Resources/resourceGroups",
        "location": vm.region.name,
        "properties": {"provisioningState": "Succeeded"},
    }
