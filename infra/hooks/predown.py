"""Before everything is deleted: keeps what postdown needs, for azd forgets its outputs.

Nothing is taken away here: whoever is asked "are you sure" after this may still say no.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hook_azd import run, set_value, value

if TYPE_CHECKING:
    from collections.abc import Mapping

KEPT = {"ASSESSOR_PRINCIPAL_ID": "DOWN_PRINCIPAL_ID", "AZURE_LOCATION": "DOWN_LOCATION"}
"""Outputs, and the names under which they outlive the deployment."""


def predown(values: Mapping[str, str]) -> None:
    """Keeps what is known; raises HookError where azd doesn't take it."""
    environment = value(values, "AZURE_ENV_NAME")
    for name, kept in KEPT.items():
        if values.get(name, "").strip():
            set_value(environment, kept, values[name])


if __name__ == "__main__":
    run(predown)
