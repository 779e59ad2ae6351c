"""Before everything is deleted: keeps what postdown needs, for azd forgets its outputs.

Nothing is taken away here: whoever is asked "are you sure" after this may still say no.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hook_azd import run, set_value, value

if TYPE_CHECKING:
    from collections.abc import Mapping


def predown(values: Mapping[str, str]) -> None:
    """Keeps whom the app was; raises HookError where azd doesn't take it."""
    environment = value(values, "AZURE_ENV_NAME")
    principal = values.get("ASSESSOR_PRINCIPAL_ID", "").strip()
    if principal:
        set_value(environment, "DOWN_PRINCIPAL_ID", principal)


if __name__ == "__main__":
    run(predown)
