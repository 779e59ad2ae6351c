"""The bare loop that a bus allows: receive, send one message, complete; no work in between.

What an honest user writes for speed with azure-servicebus: batches of up to 50 are received, and
what is received is answered by one message each. Several loops share the process, each with a
receiver and a sender of its own, so that one works while others wait for the bus. Prints one line
of JSON when it is ready: `workerPid`, its own process.
"""

import argparse
import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack
from typing import Final

from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender

from benchmarks.ways.floor import until_parent_ends
from benchmarks.ways.floor_messages import REQUESTS, RESULTS

_BATCH: Final = 50
_WAIT_SECONDS: Final = 30.0


def main() -> int:
    """Runs the loops; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.ways.receive_complete_send", description=__doc__
    )
    parser.add_argument("--loops", type=int, default=8, help="how many share the process")
    parser.add_argument("--exit-with-parent", action="store_true", help="end when stdin is closed")
    arguments = parser.parse_args()
    asyncio.run(_run(arguments.loops, watch=arguments.exit_with_parent))
    return 0


async def _run(loops: int, *, watch: bool) -> None:
    connection = os.environ["ServiceBus"]  # noqa: SIM112 - the setting's name
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            ServiceBusClient.from_connection_string(connection)
        )
        pairs = [
            (
                await stack.enter_async_context(client.get_queue_receiver(REQUESTS)),
                await stack.enter_async_context(client.get_topic_sender(RESULTS)),
            )
            for _ in range(loops)
        ]
        sys.stdout.write(json.dumps({"workerPid": os.getpid()}) + "\n")
        sys.stdout.flush()
        await until_parent_ends(asyncio.gather(*(_loop(*pair) for pair in pairs)), watch=watch)


async def _loop(receiver: ServiceBusReceiver, sender: ServiceBusSender) -> None:
    while True:
        batch = await receiver.receive_messages(_BATCH, max_wait_time=_WAIT_SECONDS)
        for message in batch:
            await sender.send_messages(_answer(message))
            await receiver.complete_message(message)


def _answer(message: ServiceBusReceivedMessage) -> ServiceBusMessage:
    return ServiceBusMessage(
        b"".join(message.body),
        message_id=message.message_id,
        correlation_id=message.correlation_id,
        content_type="application/json",
    )


if __name__ == "__main__":
    sys.exit(main())
