"""Reads all sources again and again into the memory, each in a loop of its own."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final

import aiohttp
from azure.core.exceptions import AzureError

from patch_assessor_cli.client import open_client
from patch_assessor_cli.errors import CommandError
from patch_assessor_console.memory import Memory, Source
from patch_assessor_console.readers.bus import follow_topics, peek_in_progress
from patch_assessor_console.readers.counts import open_counts
from patch_assessor_console.readers.local import LocalCloud
from patch_assessor_console.readers.table import TableReader, open_table
from patch_assessor_console.target import Target
from plain_text import one_line

_LOG: Final = logging.getLogger(__name__)
_LIVE_SECONDS: Final = 1.0
_TABLE_SECONDS: Final = 5.0
_TABLE_SHARE: Final = 10
"""Reading the table takes one part in so many of the time, however large it is."""
_AGAIN_SECONDS: Final = 2.0


async def read_all(target: Target, memory: Memory, http: aiohttp.ClientSession) -> None:
    """Reads every source until it is cancelled. What can't be read is noted, and tried again."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_again(memory, Source.TOPICS, lambda: _topics(target, memory)))
        group.create_task(_again(memory, Source.COUNTS, lambda: _counts(target, memory, http)))
        group.create_task(_again(memory, Source.IN_PROGRESS, lambda: _progress(target, memory)))
        if target.has_table:
            group.create_task(_again(memory, Source.TABLE, lambda: _table(target, memory)))
        if target.local is not None:
            cloud = LocalCloud(http, target.local)
            group.create_task(_again(memory, Source.ARM, lambda: _buckets(cloud, memory)))


async def _again(memory: Memory, source: Source, read: Callable[[], Awaitable[None]]) -> None:
    """Reads until it fails, notes why, and reads again."""
    while True:
        try:
            await read()
        except CommandError as error:
            memory.is_away(source, one_line(error.sentence))
        except AzureError as error:
            memory.is_away(source, one_line(f"{type(error).__name__}: {error.message}"))
        except Exception as error:  # noqa: BLE001 - the page goes on with what it has
            _LOG.exception("The %s can't be read", source)
            memory.is_away(source, f"{type(error).__name__}; the log has more.")
        await asyncio.sleep(_AGAIN_SECONDS)


async def _topics(target: Target, memory: Memory) -> None:
    await follow_topics(
        target, memory.take_outcome, memory.take_alert, lambda: memory.is_well(Source.TOPICS)
    )


async def _counts(target: Target, memory: Memory, http: aiohttp.ClientSession) -> None:
    async with open_counts(target, http) as counts:
        while True:
            memory.take_counts(await counts.read())
            memory.is_well(Source.COUNTS)
            await asyncio.sleep(_LIVE_SECONDS)


async def _progress(target: Target, memory: Memory) -> None:
    async with open_client(target.connection) as client:
        while True:
            memory.take_in_progress(await peek_in_progress(client, target.in_progress_queue))
            memory.is_well(Source.IN_PROGRESS)
            await asyncio.sleep(_LIVE_SECONDS)


async def _table(target: Target, memory: Memory) -> None:
    async with AsyncExitStack() as opened:
        table = await opened.enter_async_context(open_table(target))
        reader = TableReader()
        while True:
            began = time.monotonic()
            began_at = memory.now()
            memory.take_table(await reader.read(table), began_at)
            memory.is_well(Source.TABLE)
            took = time.monotonic() - began
            await asyncio.sleep(max(_TABLE_SECONDS, took * _TABLE_SHARE))


async def _buckets(cloud: LocalCloud, memory: Memory) -> None:
    while True:
        memory.take_buckets(await cloud.buckets())
        memory.is_well(Source.ARM)
        await asyncio.sleep(_LIVE_SECONDS)
