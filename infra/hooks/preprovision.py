"""Before provisioning: registers the resource providers that the deployment uses.

ARM registers by itself those whose resources a template names. It doesn't know of Microsoft.App,
which the subnet of a Flex Consumption app is delegated to, and it can't where the deployer may not.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from hook_arm import FORBIDDEN, Arm, ArmError, arm_of
from hook_azd import HookError, run, say, seconds, value, wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping

_API = "2021-04-01"
_INFRA = Path(__file__).resolve().parents[1]
_RESOURCE = re.compile(r"^\s*resource \w+ '(Microsoft\.\w+)/", re.MULTILINE)
_DELEGATED = "Microsoft.App"
_ALWAYS_THERE = frozenset({"Microsoft.Authorization", "Microsoft.Resources"})


def namespaces() -> list[str]:
    """Returns the resource providers that infra/ uses, in order."""
    named = {
        namespace
        for path in _INFRA.rglob("*.bicep")
        for namespace in _RESOURCE.findall(path.read_text(encoding="utf-8"))
    }
    return sorted({*named, _DELEGATED} - _ALWAYS_THERE)


def preprovision(values: Mapping[str, str]) -> None:
    """Registers what is not registered, and waits a while for it.

    Raises:
        HookError: something is not registered, and whoever deploys may not register it.
    """
    subscription = value(values, "AZURE_SUBSCRIPTION_ID")
    patience = seconds(values, "PROVIDERS_WAIT_SECONDS", 120)
    arm = arm_of(values)
    refused: list[str] = []
    pending: list[str] = []
    for namespace in namespaces():
        try:
            if _state(arm, subscription, namespace) == "Registered":
                continue
        except ArmError as error:
            say(f"Whether {namespace} is registered could not be read ({error}). Going on.")
            continue
        try:
            arm.post(f"/subscriptions/{subscription}/providers/{namespace}/register", _API)
        except ArmError as error:
            if error.status != FORBIDDEN:
                raise
            refused.append(namespace)
        else:
            say(f"Registering {namespace}")
            pending.append(namespace)
    if refused:
        raise HookError(_ask_for(subscription, refused))
    for namespace in pending:
        if not _registered(arm, subscription, namespace, patience):
            say(
                f"{namespace} is still being registered. Going on: regions become ready one by one."
            )


def _state(arm: Arm, subscription: str, namespace: str) -> str:
    provider = arm.get(f"/subscriptions/{subscription}/providers/{namespace}", _API)
    return str(provider.get("registrationState", ""))


def _registered(arm: Arm, subscription: str, namespace: str, patience: float) -> bool:
    def ask() -> bool | None:
        return _state(arm, subscription, namespace) == "Registered" or None

    return wait_for(ask, patience, every=5) is not None


def _ask_for(subscription: str, refused: list[str]) -> str:
    commands = "".join(
        f"\n  az provider register --namespace {each} --subscription {subscription}"
        for each in refused
    )
    return (
        f"{', '.join(refused)} must be registered in the subscription {subscription}, and you may "
        "not do that. Ask somebody with Contributor or Owner on it to run, once:"
        f"{commands}\nThen run azd again."
    )


if __name__ == "__main__":
    run(preprovision)
