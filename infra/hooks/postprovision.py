"""After provisioning: the right to assess the VMs of a management group, where one is named.

A subscription's deployment can't hold one of a management group, so this is a deployment of its
own, by az. Where az is not there, or may not, the command is printed for whoever may; the app is
deployed all the same, and assesses nothing in the group until it was run.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from hook_azd import CommandError, call, run, say, value

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEMPLATE = Path(__file__).resolve().parents[1] / "app" / "vm-management-group.bicep"


def postprovision(values: Mapping[str, str]) -> None:
    """Deploys the assignment, or prints how.

    Raises:
        HookError: azd did not say where, or for whom.
    """
    group = values.get("ASSESS_MANAGEMENT_GROUP", "").strip()
    if not group:
        return
    command = (
        *("az", "deployment", "mg", "create"),
        *("--management-group-id", group),
        *("--location", value(values, "AZURE_LOCATION")),
        *("--name", f"patch-assessor-{value(values, 'AZURE_ENV_NAME')}"[:64]),
        *("--template-file", str(_TEMPLATE)),
        *("--parameters", f"principalId={value(values, 'ASSESSOR_PRINCIPAL_ID')}"),
    )
    try:
        call(*command, "--only-show-errors", "--output", "none")
    except CommandError as error:
        say(
            f"WARNING: the app may not assess VMs under the management group {group} yet. {error}\n"
            "Let somebody with Owner or User Access Administrator on the group run:\n"
            f"  {shlex.join(command)}"
        )
    else:
        say(f"The app may assess the VMs under the management group {group}.")


if __name__ == "__main__":
    run(postprovision)
