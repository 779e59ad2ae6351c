"""The entities' counts: of a local bus by its control surface, of a namespace by its management."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

import aiohttp
from azure.identity.aio import DefaultAzureCredential
from azure.servicebus.aio.management import ServiceBusAdministrationClient

from patch_assessor_console.model.flow import Entity
from patch_assessor_console.readers.local import LocalCloud
from patch_assessor_console.target import Target


class Counts(Protocol):
    """Tells the counts of every queue and subscription."""

    async def read(self) -> list[Entity]:
        """Returns the entities with their counts, in the order of their names."""
        ...


@asynccontextmanager
async def open_counts(target: Target, http: aiohttp.ClientSession) -> AsyncIterator[Counts]:
    """Yields the counts of where the console goes."""
    if target.local is not None:
        yield _LocalCounts(LocalCloud(http, target.local))
        return
    async with AsyncExitStack() as opened:
        if target.connection.connection_string is not None:
            client = ServiceBusAdministrationClient.from_connection_string(
                target.connection.connection_string
            )
        else:
            credential = await opened.enter_async_context(DefaultAzureCredential())
            client = ServiceBusAdministrationClient(target.connection.namespace or "", credential)
        yield _NamespaceCounts(await opened.enter_async_context(client))


class _LocalCounts:
    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud = cloud

    async def read(self) -> list[Entity]:
        entities = await self._cloud.entities()
        return [_local(name, counts) for name, counts in sorted(entities.items())]


class _NamespaceCounts:
    def __init__(self, client: ServiceBusAdministrationClient) -> None:
        self._client = client

    async def read(self) -> list[Entity]:
        entities = [
            Entity(
                each.name,
                each.active_message_count or 0,
                None,  # the service does not tell
                each.scheduled_message_count or 0,
                each.dead_letter_message_count or 0,
            )
            async for each in self._client.list_queues_runtime_properties()
        ]
        async for topic in self._client.list_topics():
            subscriptions = self._client.list_subscriptions_runtime_properties(topic.name)
            entities += [
                Entity(
                    f"{topic.name}/{each.name}",
                    each.active_message_count or 0,
                    None,
                    0,
                    each.dead_letter_message_count or 0,
                )
                async for each in subscriptions
            ]
        return sorted(entities, key=lambda each: each.name)


def _local(name: str, counts: Mapping[str, int]) -> Entity:
    return Entity(
        name=name.replace("/Subscriptions/", "/"),
        active=counts["active"],
        locked=counts["locked"],
        scheduled=counts["scheduled"],
        dead=counts["deadLetter"],
    )
