"""Tables for the app in a local cloud, if the machine can have them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from localcloud.azurite import CACHE, VERSION, AzuriteError, install, is_installed
from localcloud.cloud import CloudOptions

_STORAGE_SETTINGS: Final = ("PostureStorage", "AzureWebJobsStorage")


def names_storage(options: CloudOptions) -> bool:
    """Returns whether the app's settings name a storage of their own."""
    return any(name.startswith(_STORAGE_SETTINGS) for name in options.settings)


async def with_tables(
    options: CloudOptions, tell: Callable[[str], object], cache: Path = CACHE
) -> CloudOptions:
    """Returns the options with tables, or as they are where there is no Azurite to be had.

    Azurite is installed where it is not; tables that the settings name are left to them.

    Args:
        options: What the local cloud is to be made of.
        tell: Gets a line for people, where there is something to tell.
        cache: Where Azurite is installed, and looked for.
    """
    if names_storage(options):
        return options
    try:
        if not is_installed(cache):
            tell(f"Installing Azurite {VERSION} from npm, for the app's tables (once)")
            await install(cache)
    except AzuriteError as error:
        tell(
            "Azurite could not be installed, so there are no tables and the app remembers VMs in "
            f"memory only; npm says: {_first_line(error.output)}"
        )
        return options
    return replace(options, tables=True)


def _first_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if not line.startswith("npm warn")]
    return next(iter(errors or lines), "nothing")
