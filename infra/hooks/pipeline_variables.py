"""In GitHub Actions: hands azd the variables that `azd pipeline config` made of its values.

azd takes a variable that is set and empty for a value, and keeps values with JSON's escapes, which
it does not undo. So the workflow names none of them: this passes on those that are not empty, as
they were before.
"""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from hook_azd import HookError, run, value

if TYPE_CHECKING:
    from collections.abc import Mapping

_ROOT = Path(__file__).resolve().parents[2]
_PARAMETERS = _ROOT / "infra" / "main.parameters.json"
_IDENTITY = frozenset({"AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_SUBSCRIPTION_ID"})
_HOOKS = frozenset({"ASSESS_MANAGEMENT_GROUP", "EVENT_GRID", "FUNCTION_WAIT_SECONDS"})
"""What the hooks read; azure.yaml names them too, so that azd makes variables of them."""


def known() -> frozenset[str]:
    """Returns the names that are passed on: no other of the repository's variables becomes one."""
    named = re.findall(r"\$\{(\w+)", _PARAMETERS.read_text(encoding="utf-8"))
    return frozenset(named) | _IDENTITY | _HOOKS


def unescaped(text: str) -> str:
    """Returns a value as it was before azd escaped it; one that somebody wrote by hand as it is."""
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return text


def pipeline_variables(values: Mapping[str, str]) -> None:
    """Appends to the file that GITHUB_ENV names what VARIABLES holds as JSON.

    Raises:
        HookError: it is not run by the workflow.
    """
    target = Path(value(values, "GITHUB_ENV"))
    try:
        variables: dict[str, str] = json.loads(value(values, "VARIABLES"))
    except ValueError as error:
        raise HookError("VARIABLES must be the repository's variables as JSON.") from error
    names = known()
    with target.open("a", encoding="utf-8") as file:
        for name, text in variables.items():
            if name in names and text.strip():
                end = f"end-{secrets.token_hex(8)}"  # values may have lines
                file.write(f"{name}<<{end}\n{unescaped(text)}\n{end}\n")


if __name__ == "__main__":
    run(pipeline_variables)
