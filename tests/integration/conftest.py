"""What the integration tests need before any of them starts."""

import asyncio
from contextlib import suppress

import pytest

from localcloud.azurite import AzuriteError, install


@pytest.fixture(scope="session", autouse=True)
def azurite_is_installed() -> None:
    """Installs Azurite once, from the environment that the tests were started in.

    Some tests start commands in an environment of their own, in which npm may not find its
    registry. Where Azurite can't be installed, the tests that need it say so.
    """
    with suppress(AzuriteError):
        asyncio.run(install())
