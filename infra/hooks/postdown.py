"""After everything is deleted: takes away what lies outside of the resource group.

`azd down` deletes resource groups. What the app's identity was assigned at subscriptions and in
other resource groups stays, for a principal that is gone, and so do the role definitions; and the
event subscriptions of system topics that were there before, for a function that is gone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hook_arm import NOT_FOUND, Arm, ArmError, arm_of
from hook_azd import HookError, run, say, set_value, value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_API = "2022-04-01"
_EVENTS_API = "2025-02-15"
_ROLES = Path(__file__).resolve().parents[1] / "vm-roles.json"
_OURS = "--query \"[?starts_with(roleName, 'Patch Assessor')].roleName\" --output tsv"
_AUTHORIZATION = "providers/Microsoft.Authorization"


@dataclass(frozen=True)
class Leftovers:
    """What has been dealt with.

    Attributes:
        gone: the IDs of what was deleted.
        commands: what somebody else has to run, as this one may not.
    """

    gone: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)


def postdown(values: Mapping[str, str]) -> None:
    """Deletes assignments, definitions and event subscriptions, or prints the commands for who may.

    Raises:
        HookError: azd's values can't be read, or it doesn't take one.
    """
    environment = value(values, "AZURE_ENV_NAME")
    principal = values.get("DOWN_PRINCIPAL_ID", "").strip()
    if principal:
        left = Leftovers()
        topics = system_topics(values)
        for subscription in subscriptions(values):
            try:
                _take_away(arm_of(values), subscription, principal, left)
            except HookError as error:
                say(f"WARNING: what is left in the subscription {subscription} is unknown. {error}")
                left.commands.extend(_by_hand(subscription, principal))
        for topic in topics:
            try:
                _unsubscribe(arm_of(values), topic, _functions_of(values), left)
            except HookError as error:
                say(f"WARNING: what is left at the system topic {topic} is unknown. {error}")
                left.commands.extend(_unsubscribe_by_hand(topic))
        for each in left.gone:
            say(f"Deleted {each}")
        if left.commands:
            say("WARNING: this is left, for somebody to run who may delete what it names:")
            for command in left.commands:
                say(f"  {command}")
        else:
            set_value(environment, "DOWN_PRINCIPAL_ID", "")
        _say_of_management_group(values, principal)
    say(
        "Unless you said `azd down --purge`, the Log Analytics workspace can be recovered for 14 "
        "days. What you set with `azd env set` is kept for the next `azd up`."
    )


def subscriptions(values: Mapping[str, str]) -> list[str]:
    """Returns the subscriptions whose VMs the app might assess: those of ASSESS_SCOPES.

    Raises:
        HookError: ASSESS_SCOPES is not JSON of the form that docs/deploy.md shows.
    """
    text = values.get("ASSESS_SCOPES", "").strip()
    if not text:
        return [value(values, "AZURE_SUBSCRIPTION_ID").lower()]
    try:
        scopes = json.loads(text)
        return sorted({str(each["subscriptionId"]).lower() for each in scopes})
    except (ValueError, KeyError, TypeError) as error:
        raise HookError(
            'ASSESS_SCOPES must be JSON like [{"subscriptionId": "…", "resourceGroups": []}]; '
            f"it is {text!r}."
        ) from error


def system_topics(values: Mapping[str, str]) -> list[str]:
    """Returns the system topics that were there before the app and that it may have subscribed at.

    Raises:
        HookError: MAINTENANCE_CONFIGURATIONS is not JSON of the form that docs/deploy.md shows.
    """
    text = values.get("MAINTENANCE_CONFIGURATIONS", "").strip() or "[]"
    try:
        named = [str(each.get("systemTopicId") or "") for each in json.loads(text)]
    except (ValueError, AttributeError, TypeError) as error:
        raise HookError(
            'MAINTENANCE_CONFIGURATIONS must be JSON like [{"id": "…", "location": "…"}]; '
            f"it is {text!r}."
        ) from error
    return sorted({each.strip() for each in [values.get("SYSTEM_TOPIC_ID", ""), *named]} - {""})


def _functions_of(values: Mapping[str, str]) -> str:
    """Returns how the IDs of the app's functions begin, in small letters.

    The resource group's name is infra/main.bicep's: azd has forgotten the outputs.
    """
    subscription = value(values, "AZURE_SUBSCRIPTION_ID")
    group = f"rg-{value(values, 'AZURE_ENV_NAME')}"
    return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Web/".lower()


def _unsubscribe(arm: Arm, topic: str, functions: str, left: Leftovers) -> None:
    """Deletes the event subscriptions of a topic that lead to functions of the app.

    Raises:
        ArmError: what there is can't be read.
    """
    try:
        listed = arm.get(f"{topic}/eventSubscriptions", _EVENTS_API).get("value", [])
    except ArmError as error:
        if error.status == NOT_FOUND:  # the topic itself is gone
            return
        raise
    for each in listed:
        destination = each.get("properties", {}).get("destination") or {}
        target = str((destination.get("properties") or {}).get("resourceId", ""))
        if target.lower().startswith(functions):
            command = f"az resource delete --ids {each['id']}"
            _delete(arm, each["id"], command, left, _EVENTS_API)


def _unsubscribe_by_hand(topic: str) -> Sequence[str]:
    parts = topic.strip("/").split("/")
    where = f"--subscription {parts[1]} --resource-group {parts[3]}" if len(parts) > 3 else ""  # noqa: PLR2004 - an ID's first two pairs
    name = f"--system-topic-name {parts[-1]} {where}".strip()
    ours = "--query \"[?starts_with(name, 'patch-assessor-')].name\" --output tsv"
    return [
        f"az eventgrid system-topic event-subscription list {name} {ours}",
        f'az eventgrid system-topic event-subscription delete {name} --name "NAME"   # yours',
    ]


def _take_away(arm: Arm, subscription: str, principal: str, left: Leftovers) -> None:
    """Deletes the principal's assignments, then our role definitions that nobody is assigned.

    Raises:
        ArmError: what there is can't be read.
    """
    scope = f"/subscriptions/{subscription}"
    for each in _listed(arm, scope, "roleAssignments", f"principalId eq '{principal}'"):
        _delete(arm, each["id"], f"az role assignment delete --ids {each['id']}", left)
    if left.commands:  # a role that is still assigned can't be deleted
        left.commands.extend(_definitions_by_hand(subscription))
        return
    assigned = {
        str(each["properties"]["roleDefinitionId"]).rpartition("/")[2]
        for each in _listed(arm, scope, "roleAssignments", "")
    }
    for each in _listed(arm, scope, "roleDefinitions", "type eq 'CustomRole'"):
        name = str(each["properties"]["roleName"])
        elsewhere = each["properties"]["assignableScopes"] != [scope]
        if elsewhere or not name.startswith(_names()) or each["name"] in assigned:
            continue  # somebody else's, a management group's, or another environment's
        command = f'az role definition delete --name "{name}" --scope {scope}'
        _delete(arm, each["id"], command, left)


def _listed(arm: Arm, scope: str, what: str, condition: str) -> list[dict[str, Any]]:
    query = {"$filter": condition} if condition else {}
    listed: list[dict[str, Any]] = arm.get(f"{scope}/{_AUTHORIZATION}/{what}", _API, **query).get(
        "value", []
    )
    return listed


def _delete(arm: Arm, resource: str, command: str, left: Leftovers, api: str = _API) -> None:
    try:
        arm.delete(resource, api)
    except ArmError:
        left.commands.append(command)
    else:
        left.gone.append(resource)


def _names() -> tuple[str, ...]:
    """Returns how the names of our roles begin; each goes on with what makes it unique."""
    roles: dict[str, dict[str, Any]] = json.loads(_ROLES.read_text(encoding="utf-8"))
    return tuple(f"{role['name']} " for role in roles.values())


def _by_hand(subscription: str, principal: str) -> Sequence[str]:
    scope = f"/subscriptions/{subscription}"
    return [
        f"az role assignment list --all --subscription {subscription} --assignee {principal}",
        f"az role assignment delete --assignee {principal} --scope {scope}",
        *_definitions_by_hand(subscription),
    ]


def _definitions_by_hand(subscription: str) -> Sequence[str]:
    scope = f"/subscriptions/{subscription}"
    return [
        f"az role definition list --custom-role-only --scope {scope} {_OURS}",
        f'az role definition delete --scope {scope} --name "NAME"   # each of these',
    ]


def _say_of_management_group(values: Mapping[str, str], principal: str) -> None:
    group = values.get("ASSESS_MANAGEMENT_GROUP", "").strip()
    if group:
        scope = f"/providers/Microsoft.Management/managementGroups/{group}"
        say(
            f"The management group {group} still has the app's role. To take it away:\n"
            f"  az role assignment delete --assignee {principal} --scope {scope}\n"
            f"  az role definition list --custom-role-only --scope {scope} {_OURS}\n"
            f'  az role definition delete --scope {scope} --name "NAME"'
        )


if __name__ == "__main__":
    run(postdown)
