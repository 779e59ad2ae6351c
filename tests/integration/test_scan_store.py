"""Azure Tables keeps scans as any store of them does: the suite, on Azurite."""

import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from azure.data.tables.aio import TableClient

from assessor.ports import ScanStore
from assessor.scans.tables import TableScans
from localcloud.azurite import Azurite
from tests.support.scan_store import ScanStoreContract

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("azurite"),
]


@pytest_asyncio.fixture(loop_scope="module")
async def table(azurite: Azurite) -> AsyncIterator[TableClient]:
    """The client of a table that is not there yet."""
    name = f"vmscans{uuid.uuid4().hex}"
    async with TableClient.from_connection_string(azurite.connection_string, name) as client:
        yield client


class TestAzurite(ScanStoreContract):
    """Azure Tables, as Azurite serves them."""

    @pytest.fixture
    def store(self, table: TableClient) -> ScanStore:
        """A store whose table is not there yet."""
        return TableScans(table)
