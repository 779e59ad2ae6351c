"""A table in memory, as far as the scans' store calls it: what it is given and what it gives."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

Row = dict[str, Any]


class MemoryTable:
    """Keeps rows by their keys; every write merges."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.rows = {(row["PartitionKey"], row["RowKey"]): row for row in rows}

    async def create_table(self) -> None:
        """Is there already."""

    async def create_entity(self, row: Mapping[str, Any]) -> None:
        """Adds a row; raises ResourceExistsError."""
        if _key(row) in self.rows:
            raise ResourceExistsError("there is one")
        self.rows[_key(row)] = dict(row)

    async def get_entity(
        self, partition: str, row: str, *, select: list[str] | None = None
    ) -> Mapping[str, Any]:
        """Returns a row; raises ResourceNotFoundError."""
        del select
        if (partition, row) not in self.rows:
            raise ResourceNotFoundError("there is none")
        return self.rows[partition, row]

    async def update_entity(self, row: Mapping[str, Any], *, mode: object) -> None:
        """Merges into a row; raises ResourceNotFoundError."""
        await self.get_entity(*_key(row))
        await self.upsert_entity(row, mode=mode)

    async def upsert_entity(self, row: Mapping[str, Any], *, mode: object) -> None:
        """Merges into a row, or adds it."""
        del mode
        self.rows[_key(row)] = {**self.rows.get(_key(row), {}), **row}

    async def submit_transaction(
        self, operations: Iterable[tuple[str, Mapping[str, Any], Mapping[str, Any]]]
    ) -> None:
        """Merges or deletes rows."""
        for operation, row, _ in operations:
            if operation == "delete":
                del self.rows[_key(row)]
            else:
                await self.upsert_entity(row, mode=None)

    async def query_entities(
        self, query: str, *, parameters: Mapping[str, str], select: list[str]
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Yields the rows of a partition within a range of row keys."""
        del query, select
        for (partition, key), row in sorted(self.rows.items()):
            if partition == parameters["scan"] and parameters["first"] <= key < parameters["end"]:
                yield row


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["PartitionKey"], row["RowKey"]
