"""What the host's integration tests share: a bus, a host, and what the sample app reported."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender

from localcloud.host.host import FunctionsHost
from localcloud.host.options import HostOptions
from localcloud.host.supervisor import RestartPolicy
from localcloud.servicebus.entities import Entities, parse_entities
from localcloud.servicebus.server import ServiceBus
from localcloud.tests.integration.servicebus_clients import client as client_of
from tests.support.waiting import BOUND_SECONDS

_SAMPLE = Path(__file__).parent / "host_app"


def entities(*, lock: str = "PT1M", max_deliveries: int = 3) -> Entities:
    """The sample app's entities."""
    properties = {"LockDuration": lock, "MaxDeliveryCount": max_deliveries}
    return parse_entities(
        {
            "UserConfig": {
                "Namespaces": [
                    {
                        "Name": "sbemulatorns",
                        "Queues": [
                            {"Name": name, "Properties": properties} for name in ("work", "sync")
                        ],
                        "Topics": [
                            {
                                "Name": "news",
                                "Properties": {},
                                "Subscriptions": [
                                    {"Name": "all", "Properties": properties, "Rules": []}
                                ],
                            }
                        ],
                    }
                ],
                "Logging": {"Type": "Console"},
            }
        }
    )


@dataclass
class Reports:
    """The sample app's reports, and waiting for one of them."""

    seen: list[dict[str, Any]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, line: str) -> None:
        """Take a line of the worker's output."""
        if line.startswith("REPORT "):
            self.seen.append(json.loads(line.removeprefix("REPORT ")))
        else:
            self.log.append(line)
        self._news.set()

    def matching(self, **fields: object) -> list[dict[str, Any]]:
        """The reports that have these fields."""
        return [each for each in self.seen if fields.items() <= each.items()]

    async def wait(self, count: int = 1, **fields: object) -> list[dict[str, Any]]:
        """Wait for so many reports that have these fields."""
        try:
            async with asyncio.timeout(BOUND_SECONDS):
                while len(found := self.matching(**fields)) < count:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(
                f"no {count} reports with {fields}; reports {self.seen[-20:]}, log {self.log[-20:]}"
            ) from None
        return found


def write_app(directory: Path, changes: Mapping[str, object] | None = None) -> Path:
    """Lay out the sample app in a directory, with other values in host.json where given."""
    configuration = json.loads((_SAMPLE / "host.json").read_text())
    (directory / "host.json").write_text(json.dumps({**configuration, **(changes or {})}))
    shutil.copy(_SAMPLE / "sample_app.py", directory / "function_app.py")
    return directory


def environment(bus: ServiceBus, **settings: str) -> dict[str, str]:
    """The environment of an app on this bus."""
    return {**os.environ, "ServiceBus": bus.connection_string, "WORK_QUEUE": "work", **settings}


@dataclass
class Rig:
    """A running bus, host and client."""

    bus: ServiceBus
    host: FunctionsHost
    reports: Reports
    client: ServiceBusClient
    senders: dict[str, ServiceBusSender] = field(default_factory=dict)

    async def send(self, *messages: ServiceBusMessage, queue: str = "work") -> None:
        """Send messages to a queue."""
        if queue not in self.senders:  # kept open: the client takes half a second each way
            self.senders[queue] = await self.client.get_queue_sender(queue).__aenter__()
        await self.senders[queue].send_messages(list(messages))

    async def order(self, message_id: str, **order: object) -> None:
        """Tell the `work` function what to do."""
        await self.send(ServiceBusMessage(json.dumps(order), message_id=message_id))

    async def dead_letter(self, queue: str = "work") -> ServiceBusReceivedMessage:
        """Take the next dead letter."""
        async with self.client.get_queue_receiver(
            queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER
        ) as receiver:
            (message,) = await receiver.receive_messages(
                max_message_count=1, max_wait_time=BOUND_SECONDS
            )
            await receiver.complete_message(message)
            return message

    def is_empty(self, queue: str = "work") -> bool:
        """Whether the queue holds neither waiting nor locked messages."""
        counts = self.bus.counts()[queue]
        return not counts.active and not counts.locked


@asynccontextmanager
async def rig(
    *,
    host_json: Mapping[str, object] | None = None,
    settings: Mapping[str, str] | None = None,
    lock: str = "PT1M",
    max_deliveries: int = 3,
    restart: RestartPolicy | None = None,
) -> AsyncIterator[Rig]:
    """Run a bus and a host with the sample app."""
    reports = Reports()
    async with AsyncExitStack() as stack:
        app = write_app(Path(stack.enter_context(TemporaryDirectory())), host_json)
        bus = await stack.enter_async_context(
            ServiceBus.start(entities(lock=lock, max_deliveries=max_deliveries))
        )
        client = await stack.enter_async_context(client_of(bus))
        options = HostOptions(
            app=app,
            environment=environment(bus, **(settings or {})),
            worker_output=reports.take,
            restart=restart or RestartPolicy(pause=0.1),
        )
        # Opened while the host starts: the client takes half a second for it.
        host, sender = await asyncio.gather(
            stack.enter_async_context(FunctionsHost(options)),
            client.get_queue_sender("work").__aenter__(),
        )
        yield Rig(bus, host, reports, client, {"work": sender})
