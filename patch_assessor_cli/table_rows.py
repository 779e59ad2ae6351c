"""Rows of the posture table, page by page, read as fast as the service gives them.

The SDK makes an object of each value by the type that the service writes beside it; for 25,000 VMs
that takes longer than the service does. The types of the columns are known here, so the rows are
asked for without (`odata=nometadata`), and only what needs it is turned into something.
"""

import asyncio
import binascii
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from azure.data.tables.aio import TableClient

from dotnet_text import ignoring_case

Row = Mapping[str, Any]
Decode = Callable[[Any], Any]
"""Makes a value of what stands in the row's JSON; None where that is no such value."""

_RETIRED: Final = "Retired"
_NO_TYPES: Final = {"Accept": "application/json;odata=nometadata"}


def as_is(value: object) -> Any:  # noqa: ANN401 - any JSON
    """Returns what JSON has a form for: text, integers, truth values."""
    return value


def time(value: object) -> datetime | None:
    """Returns a time with its zone, which the service writes as UTC."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if found is None or found.tzinfo is not None:
        return found
    return found.replace(tzinfo=UTC)


def binary(value: object) -> bytes | None:
    """Returns the bytes that the text is the base64 of."""
    try:
        return binascii.a2b_base64(value) if isinstance(value, str) else None
    except ValueError:
        return None


def real(value: object) -> float | None:
    """Returns a number as a float, whole ones too."""
    return float(value) if isinstance(value, int | float) else None


async def read_pages(
    table: TableClient, columns: Mapping[str, Decode], subscription_id: str | None = None
) -> AsyncIterator[list[Row]]:
    """Yields the rows of the VMs that are not gone, in pages, by subscription, group and name.

    The next page is asked for before one is yielded, so that the service works while the caller
    does. A column that a row does not have is absent.

    Args:
        table: The posture table.
        columns: What to read, and how it is decoded.
        subscription_id: Only those of this subscription; of all if None.
    """
    asked: dict[str, Any] = {"select": [*columns, _RETIRED], "headers": dict(_NO_TYPES)}
    # Which VMs are gone is looked at here: no column but the keys spares the service any reading,
    # and Azurite takes a third longer to look at another one.
    if subscription_id is None:
        found = table.list_entities(**asked)
    else:
        parameters = {"subscription": ignoring_case(subscription_id)}
        found = table.query_entities(
            "PartitionKey eq @subscription", parameters=parameters, **asked
        )
    pages = found.by_page()
    decoders = [(name, decode) for name, decode in columns.items() if decode is not as_is]

    async def following() -> Sequence[Row] | None:
        async for page in pages:
            return [each async for each in page]
        return None

    upcoming = asyncio.create_task(following())
    try:
        while (rows := await upcoming) is not None:
            upcoming = asyncio.create_task(following())
            yield await asyncio.to_thread(_decode, rows, decoders)
    finally:
        upcoming.cancel()
        await asyncio.wait({upcoming})


def _decode(rows: Sequence[Row], decoders: Sequence[tuple[str, Decode]]) -> list[Row]:
    decoded: list[Row] = []
    for row in rows:
        values = dict(row)
        if values.pop(_RETIRED, None) is not False:
            continue
        for name, decode in decoders:
            if name in values:
                values[name] = decode(values[name])
        decoded.append(values)
    return decoded
