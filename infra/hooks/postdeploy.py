"""After a deployment: subscribes the function to Event Grid, which takes none that isn't there.

With EVENT_GRID=true the first deployment is followed by a second provisioning, once the function
can be listed. If that fails, nothing stays set: the next deployment tries again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hook_arm import Arm, ArmError, arm_of
from hook_azd import HookError, follow, is_true, run, say, seconds, set_value, value, wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping

FUNCTION = "resource_events"
_API = "2024-04-01"
_EVERY_SECONDS = 10


def postdeploy(values: Mapping[str, str]) -> None:
    """Waits for the function and provisions again, if events are wanted and not yet subscribed to.

    Raises:
        HookError: the function does not come, or the second provisioning fails.
    """
    if not is_true(values, "EVENT_GRID") or is_true(values, "SUBSCRIBE_EVENTS"):
        return
    environment = value(values, "AZURE_ENV_NAME")
    patience = seconds(values, "FUNCTION_WAIT_SECONDS", 600)
    say(f"Waiting until Azure lists the function {FUNCTION}, for at most {patience:g} s")
    _wait_for_function(values, patience)
    say("Provisioning again, to subscribe it to Event Grid")
    done = False
    set_value(environment, "SUBSCRIBE_EVENTS", "true")
    try:
        follow("azd", "provision", "--no-prompt", "--environment", environment)
        done = True
    finally:
        if not done:
            set_value(environment, "SUBSCRIBE_EVENTS", "false")
            say(
                "Event Grid is not subscribed to; the app is deployed and works without. "
                "`azd hooks run postdeploy` tries again."
            )


def _wait_for_function(values: Mapping[str, str], patience: float) -> None:
    arm = arm_of(values)
    site = (
        f"/subscriptions/{value(values, 'AZURE_SUBSCRIPTION_ID')}"
        f"/resourceGroups/{value(values, 'AZURE_RESOURCE_GROUP')}"
        f"/providers/Microsoft.Web/sites/{value(values, 'AZURE_FUNCTION_NAME')}"
    )
    last: list[str] = ["it is not in the list"]

    def ask() -> bool | None:
        try:
            return FUNCTION in _functions(arm, site) or None
        except (
            ArmError
        ) as error:  # a site that has just been deployed answers 404 and 5xx for a while
            last.append(str(error))
            return None

    if wait_for(ask, patience, _EVERY_SECONDS) is None:
        raise HookError(
            f"Azure does not list the function {FUNCTION} after {patience:g} s ({last[-1]}). If "
            "the app did not start, its log stream says why. `azd hooks run postdeploy` tries "
            "again; FUNCTION_WAIT_SECONDS sets how long it waits."
        )


def _functions(arm: Arm, site: str) -> set[str]:
    """Returns the names of a site's functions; raises ArmError."""
    listed = arm.get(f"{site}/functions", _API).get("value", [])
    return {str(each.get("name", "")).rpartition("/")[2] for each in listed}


if __name__ == "__main__":
    run(postdeploy)
