"""What the integration tests need before any of them starts, and what they share."""

import asyncio
import fcntl
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio

from localcloud.azurite import CACHE, Azurite, AzuriteError, install, run_azurite


@pytest.fixture(scope="session", autouse=True)
def azurite_is_installed() -> None:
    """Installs Azurite once, from the environment that the tests were started in.

    Some tests start commands in an environment of their own, in which npm may not find its
    registry. Where Azurite can't be installed, the tests that need it say so.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock, suppress(AzuriteError):
        fcntl.flock(lock, fcntl.LOCK_EX)  # one process of a run installs it, the others wait
        asyncio.run(install())


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def azurite() -> AsyncIterator[Azurite]:
    """Azurite, as long as the session: whoever uses it has tables of its own names there."""
    async with run_azurite() as running:
        yield running
