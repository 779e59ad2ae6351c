"""A table in memory, as far as the scans' store calls it through azure-data-tables.

It answers and refuses as Azure Tables and the SDK do there: with the columns that are asked for,
rows in the order of their keys, at most a hundred of one partition in a transaction, and nothing
before the table is made.
"""

import operator
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Final

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.data.tables import UpdateMode

Row = dict[str, Any]
_COMPARED: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "eq": operator.eq,
    "ge": operator.ge,
    "lt": operator.lt,
}
_MOST_IN_TRANSACTION: Final = 100


class MemoryTable:
    """Keeps rows by their keys.

    Attributes:
        rows: what it keeps.
        shown: the names of the columns that queries have given out.
    """

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        """Holds those rows; without any, the table is still to be made."""
        self.rows = {(row["PartitionKey"], row["RowKey"]): row for row in rows}
        self.shown: set[str] = set()
        self._is_there = bool(self.rows)

    async def create_table(self) -> None:
        """Makes the table; raises ResourceExistsError."""
        if self._is_there:
            raise ResourceExistsError("there is one")
        self._is_there = True

    async def create_entity(self, row: Mapping[str, Any]) -> None:
        """Adds a row; raises ResourceExistsError."""
        self._check()
        if _key(row) in self.rows:
            raise ResourceExistsError("there is one")
        self.rows[_key(row)] = dict(row)

    async def get_entity(self, partition: str, row: str) -> Mapping[str, Any]:
        """Returns a row; raises ResourceNotFoundError."""
        self._check()
        if (partition, row) not in self.rows:
            raise ResourceNotFoundError("there is none")
        return self.rows[partition, row]

    async def update_entity(
        self, row: Mapping[str, Any], mode: UpdateMode = UpdateMode.MERGE
    ) -> None:
        """Writes a row that is there; raises ResourceNotFoundError."""
        await self.get_entity(*_key(row))
        await self.upsert_entity(row, mode)

    async def upsert_entity(
        self, row: Mapping[str, Any], mode: UpdateMode = UpdateMode.MERGE
    ) -> None:
        """Writes a row."""
        self._check()
        before = self.rows.get(_key(row), {}) if UpdateMode(mode) is UpdateMode.MERGE else {}
        self.rows[_key(row)] = {**before, **row}

    async def submit_transaction(
        self, operations: Iterable[tuple[str, Mapping[str, Any], Mapping[str, Any]]]
    ) -> None:
        """Writes or deletes rows of one partition."""
        self._check()
        taken = list(operations)
        if len(taken) > _MOST_IN_TRANSACTION:
            raise ValueError("too many for one transaction")
        if len({row["PartitionKey"] for _, row, _ in taken}) > 1:
            raise ValueError("of more than one partition")
        for operation, row, options in taken:
            match operation.lower():
                case "delete":
                    del self.rows[_key(row)]
                case "upsert":
                    await self.upsert_entity(row, **options)
                case _:
                    raise ValueError(operation)

    async def query_entities(
        self, query: str, *, parameters: Mapping[str, str], select: list[str] | None = None
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Yields the rows of which all comparisons of the query hold."""
        self._check()
        wanted = [each.split(" ") for each in query.split(" and ")]
        for _, row in sorted(self.rows.items()):
            if all(
                _COMPARED[compared](row[name], parameters[value.removeprefix("@")])
                for name, compared, value in wanted
            ):
                shown = {name: row[name] for name in row if select is None or name in select}
                self.shown |= shown.keys()
                yield shown

    def _check(self) -> None:
        if not self._is_there:
            raise ResourceNotFoundError("there is no such table")


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["PartitionKey"], row["RowKey"]
