"""Postures in Azure Tables, through azure-data-tables."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from azure.core import MatchConditions
from azure.core.exceptions import (
    AzureError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.data.tables import TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient

from assessor.posture.durations import Learned
from assessor.posture.model import Posture
from assessor.posture.outline import OUTLINE_COLUMNS, OutlinePage, Place, outline_of
from assessor.posture.row import (
    DURATION_COLUMNS,
    AlertColumns,
    Row,
    RowError,
    durations_from_row,
    from_row,
    keys_of,
    to_row,
)
from assessor.posture.store import PostureConflictError, PostureError, Remembered
from assessor.resource_id import VirtualMachineId
from assessor.storage import TableMaker, reason_of

_LOG: Final = logging.getLogger(__name__)
_PAGE: Final = 1000
_BATCH: Final = 100
"""The most rows that an answer of Azure Tables, and one transaction of it, have."""


class TablePosture:
    """Remembers postures in one table, which it creates if it is not there.

    The SDK repeats a call that got no answer. If the first one was carried out all the same, the
    repeat of a save is refused: a conflict with oneself, which a new load clears up.
    """

    def __init__(
        self,
        table: TableClient,
        alert_columns: AlertColumns,
        on_unreadable: Callable[[RowError], None] = lambda _: None,
    ) -> None:
        """Keeps what it works with; `on_unreadable` is told of each row that is set aside."""
        self._on_unreadable = on_unreadable
        self._table = table
        self._alert_columns = alert_columns  # what begins the columns of each rule, by its name
        self._maker = TableMaker(table)

    async def load(self, vm_id: VirtualMachineId) -> Remembered | None:
        """Returns what is remembered of a VM by one point read; None if nothing is.

        A row that this version can't read is set aside: it is told of, and counts as a VM that
        nothing is known of, whose next save replaces the row.

        Raises:
            PostureError: the table did not answer.
        """
        partition, row = keys_of(vm_id)
        try:
            await self._maker.ensure()
            entity = await self._table.get_entity(partition, row)
            return Remembered(self._posture(vm_id, entity), str(entity.metadata["etag"]))
        except ResourceNotFoundError:
            return None
        except AzureError as error:
            raise PostureError(vm_id, reason_of(error)) from error

    def _posture(self, vm_id: VirtualMachineId, entity: Row) -> Posture:
        try:
            return from_row(entity, self._alert_columns)
        except RowError as error:
            _LOG.error(
                "the posture of %s is set aside, and its alerts start anew: %s", vm_id, error
            )
            self._on_unreadable(error)
            return Posture(vm_id)

    async def durations(self, vm_id: VirtualMachineId) -> Learned | None:
        """Returns how long the VM's assessments took, by a point read of three columns.

        Raises:
            PostureError: the table did not answer.
        """
        partition, row = keys_of(vm_id)
        try:
            await self._maker.ensure()
            return durations_from_row(
                await self._table.get_entity(partition, row, select=list(DURATION_COLUMNS))
            )
        except ResourceNotFoundError:
            return None
        except AzureError as error:
            raise PostureError(vm_id, reason_of(error)) from error

    async def save(self, posture: Posture, etag: str | None) -> str:
        """Remembers `posture`, and returns its etag.

        Raises:
            PostureConflictError: the row is not the one of `etag` any more.
            PostureError: the table did not take it, or did not say whether it did.
        """
        try:
            await self._maker.ensure()
            if etag is None:
                saved = await self._table.create_entity(to_row(posture, self._alert_columns))
            else:
                saved = await self._table.update_entity(
                    to_row(posture, self._alert_columns),
                    mode=UpdateMode.REPLACE,
                    etag=etag,
                    match_condition=MatchConditions.IfNotModified,
                )
        except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError) as error:
            raise PostureConflictError(posture.vm_id, reason_of(error)) from error
        except AzureError as error:
            raise PostureError(posture.vm_id, reason_of(error)) from error
        return str(saved["etag"])

    async def outlines(self, after: Place) -> OutlinePage:
        """Returns up to a thousand rows of one partition; raises PostureError.

        A page that is short, or empty, is not the end: the service ends pages where it likes.
        """
        columns = [*OUTLINE_COLUMNS]
        for name in self._alert_columns.values():
            columns += [f"{name}Id", f"{name}FiredAt"]
        try:
            await self._maker.ensure()
            partition = after.partition or await self._partition_after("")
            if partition is None:
                return OutlinePage((), None)
            rows = self._table.query_entities(
                "PartitionKey eq @partition and RowKey gt @row and Retired eq false",
                parameters={"partition": partition, "row": after.row},
                select=columns,
                results_per_page=_PAGE,
            ).by_page()
            async for page in rows:
                found = [each async for each in page]
                if found:
                    outlined = (outline_of(each, self._alert_columns) for each in found)
                    return OutlinePage(
                        tuple(each for each in outlined if each is not None),
                        Place(partition, str(found[-1]["RowKey"])),
                    )
            following = await self._partition_after(partition)
        except AzureError as error:
            raise PostureError(None, reason_of(error)) from error
        return OutlinePage((), None if following is None else Place(following))

    async def _partition_after(self, partition: str) -> str | None:
        """Returns the partition that follows in the order of keys; None behind the last one."""
        rows = self._table.query_entities(
            "PartitionKey gt @partition",
            parameters={"partition": partition},
            select=["PartitionKey"],
            results_per_page=1,
        )
        async for row in rows:
            return str(row["PartitionKey"])
        return None

    async def sight(self, found: Sequence[Posture]) -> None:
        """Makes a row for each posture that has none, a hundred at a time; raises PostureError."""
        keys = {keys_of(each.vm_id): each for each in found}
        try:
            await self._maker.ensure()
            there = await self._there(sorted(keys))
            new = [posture for key, posture in keys.items() if key not in there]
            for first in range(0, len(new), _BATCH):
                await self._create(new[first : first + _BATCH])
        except AzureError as error:
            raise PostureError(None, reason_of(error)) from error

    async def _there(self, keys: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Returns which rows are there between the first key and the last one."""
        if not keys:
            return set()
        rows = self._table.query_entities(
            "PartitionKey eq @partition and RowKey ge @first and RowKey le @last",
            parameters={"partition": keys[0][0], "first": keys[0][1], "last": keys[-1][1]},
            select=["PartitionKey", "RowKey"],
        )
        return {(str(row["PartitionKey"]), str(row["RowKey"])) async for row in rows}

    async def _create(self, postures: Sequence[Posture]) -> None:
        rows = [to_row(each, self._alert_columns) for each in postures]
        try:
            await self._table.submit_transaction([("create", row) for row in rows])
        except (ResourceExistsError, TableTransactionError):
            for row in rows:  # somebody made one of them since
                with suppress(ResourceExistsError):
                    await self._table.create_entity(row)
