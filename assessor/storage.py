"""Where the app's tables are, and how it gets in."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError, ResourceExistsError
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.data.tables.aio import TableClient, TableServiceClient

from assessor.settings import Settings

# Of the SDK's packages that the app has, none knows the storage suffixes of all clouds: Tables' own
# has the public one, Resource Manager's has ARM's endpoints alone.
_SUFFIXES: Final = {
    "AZURE_PUBLIC_CLOUD": "core.windows.net",
    "AZURE_US_GOVERNMENT": "core.usgovcloudapi.net",
    "AZURE_CHINA_CLOUD": "core.chinacloudapi.cn",
}


@dataclass(frozen=True, slots=True)
class TableStorage:
    """A storage account's tables: an endpoint for an identity, or a connection string."""

    endpoint: str | None = None
    client_id: str | None = None
    connection_string: str | None = field(default=None, repr=False)


def table_storage(settings: Settings) -> TableStorage | None:
    """Returns the storage that the settings name; None if they name none.

    `PostureStorage` goes before the Functions host's own `AzureWebJobsStorage`, and in each an
    endpoint before a connection string.
    """
    jobs_endpoint = settings.jobs_table_uri
    if jobs_endpoint is None and settings.jobs_account_name is not None:
        suffix = _SUFFIXES[settings.arm_cloud_name]
        jobs_endpoint = f"https://{settings.jobs_account_name}.table.{suffix}"
    candidates = (
        TableStorage(settings.posture_table_uri, settings.posture_client_id),
        TableStorage(connection_string=settings.posture_connection_string),
        TableStorage(jobs_endpoint, settings.jobs_client_id),
        TableStorage(connection_string=settings.jobs_connection_string),
    )
    return next((each for each in candidates if each.endpoint or each.connection_string), None)


async def open_tables(
    storage: TableStorage,
    stack: AsyncExitStack,
    transport: Callable[[str], Awaitable[AsyncHttpTransport[Any, Any]]],
    credential: Callable[[str | None], AsyncTokenCredential],
) -> TableServiceClient:
    """Returns a client of the storage, which `stack` closes.

    `transport` returns what calls of an endpoint go through, `credential` the identity of a client
    ID.
    """
    if storage.connection_string is not None:
        endpoint = TableServiceClient.from_connection_string(storage.connection_string).url
        client = TableServiceClient.from_connection_string(
            storage.connection_string, transport=await transport(endpoint)
        )
    else:
        endpoint = storage.endpoint or ""
        client = TableServiceClient(
            endpoint=endpoint,
            credential=await stack.enter_async_context(credential(storage.client_id)),
            transport=await transport(endpoint),
        )
    return await stack.enter_async_context(client)


def reason_of(error: AzureError) -> str:
    """Returns what a table, or the way to it, said: its own code where it has one."""
    return f"{type(error).__name__}: {getattr(error, 'error_code', None) or error}"


class TableMaker:
    """Makes a table when it is first used, once for each worker."""

    def __init__(self, table: TableClient) -> None:
        self._table = table
        self._making = asyncio.Lock()
        self._is_there = False

    async def ensure(self) -> None:
        """Makes the table if this worker has not seen it yet; raises AzureError."""
        async with self._making:
            if self._is_there:
                return
            with suppress(ResourceExistsError):  # it was there, or another worker was faster
                await self._table.create_table()
            self._is_there = True
