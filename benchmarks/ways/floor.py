"""The floor: the exchange that an assessment takes, and nothing else.

The same calls of ARM, messages and rows as the app's, over bare aiohttp and azure-servicebus: no
checks, no retries, no traces, nothing that survives a crash. What the app takes above it is what
being an app costs.

Two processes, as host and language worker are two, so that a worker is held against a worker: the
receiver takes messages off the queues, hands each over a socket, and settles it when the answer
comes; the worker does the rest. Prints one line of JSON when it is ready: `workerPid`.
"""

import argparse
import asyncio
import json
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

from benchmarks.ways.floor_errors import FloorError
from benchmarks.ways.floor_messages import IN_PROGRESS, REQUESTS
from benchmarks.ways.floor_worker import FloorPlan, PollTimes, work

_RECEIVERS: Final = 4
"""Receivers of each queue: while one settles, others receive."""
_BATCH: Final = 50
_WAIT_SECONDS: Final = 30.0
_LINE_LIMIT: Final = 1024 * 1024
"""Longer than any message that the bus takes."""


def main() -> int:
    """Runs one of the two roles; returns the exit code."""
    arguments = _arguments(sys.argv[1:])
    if arguments.role == "worker":
        polls = PollTimes(arguments.first, arguments.gap)
        plan = FloorPlan(polls, alerts=arguments.alert, tables=arguments.tables)
        asyncio.run(_work(plan, socket.socket(fileno=arguments.socket)))
    else:
        asyncio.run(_receive_all(sys.argv[1:], watch=arguments.exit_with_parent))
    return 0


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.ways.floor", description=__doc__)
    parser.add_argument("--role", choices=("receiver", "worker"), default="receiver")
    parser.add_argument("--socket", type=int, help="the worker's end of the socket pair")
    parser.add_argument("--first", type=float, required=True, help="seconds before the first poll")
    parser.add_argument("--gap", type=float, required=True, help="seconds between two polls")
    parser.add_argument("--alert", action="store_true", help="send alerts where there are patches")
    parser.add_argument("--tables", action="store_true", help="keep a row for each VM")
    parser.add_argument("--exit-with-parent", action="store_true", help="end when stdin is closed")
    return parser.parse_args(given)


async def _work(plan: FloorPlan, link: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=link, limit=_LINE_LIMIT)
    await work(plan, os.environ, reader, writer)


class Link:
    """The receiver's end: hands messages over, and tells when the worker is done with each."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Keeps the streams; `listen` has to run for answers to arrive."""
        self._reader = reader
        self._writer = writer
        self._pending: dict[int, asyncio.Future[None]] = {}
        self._next = 0

    async def listen(self) -> None:
        """Takes answers until there are no more; raises FloorError then."""
        while line := await self._reader.readline():
            self._pending.pop(int(line)).set_result(None)
        raise FloorError("worker", "it ended")

    def hand_over(self, queue: str, message: ServiceBusReceivedMessage) -> "asyncio.Future[None]":
        """Hands a message over; the future is done when it can be settled."""
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending[self._next] = answer
        body = b"".join(message.body).decode()
        item = {"id": self._next, "queue": queue, "body": body}
        self._next += 1
        self._writer.write(json.dumps(item).encode() + b"\n")
        return answer


async def _receive_all(arguments: Sequence[str], *, watch: bool) -> None:
    async with AsyncExitStack() as stack:
        ours, theirs = socket.socketpair()
        with theirs:
            worker = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "benchmarks.ways.floor",
                *arguments,
                "--role=worker",
                f"--socket={theirs.fileno()}",
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )
        reader, writer = await asyncio.open_connection(sock=ours)
        stack.callback(writer.close)  # which ends the worker
        link = Link(reader, writer)
        connection = os.environ["ServiceBus"]  # noqa: SIM112 - the setting's name
        client = await stack.enter_async_context(
            ServiceBusClient.from_connection_string(connection)
        )
        receivers = [
            (queue, await stack.enter_async_context(client.get_queue_receiver(queue)))
            for queue in (REQUESTS, IN_PROGRESS)
            for _ in range(_RECEIVERS)
        ]
        if not await reader.readline():
            raise FloorError("worker", "it did not start")
        sys.stdout.write(json.dumps({"workerPid": worker.pid}) + "\n")
        sys.stdout.flush()
        loops = [_receive(queue, receiver, link) for queue, receiver in receivers]
        await until_parent_ends(asyncio.gather(link.listen(), *loops), watch=watch)


async def _receive(queue: str, receiver: ServiceBusReceiver, link: Link) -> None:
    while True:
        batch = await receiver.receive_messages(_BATCH, max_wait_time=_WAIT_SECONDS)
        answers = [link.hand_over(queue, message) for message in batch]
        for message, answer in zip(batch, answers, strict=True):
            await answer
            await receiver.complete_message(message)


async def until_parent_ends(work: "asyncio.Future[Any]", *, watch: bool) -> None:
    """Lets `work` go on until it ends by itself or, if wanted, until stdin is closed."""
    if watch:
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: _UntilEnd(work.cancel), sys.stdin
        )
    try:
        await work
    except asyncio.CancelledError:
        return


class _UntilEnd(asyncio.Protocol):
    """Does something when its pipe ends."""

    def __init__(self, on_end: Callable[[], object]) -> None:
        self._on_end = on_end

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        """Takes note of the end."""
        self._on_end()


if __name__ == "__main__":
    sys.exit(main())
