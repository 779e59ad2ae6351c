"""A host with as many calls at the same time as there are messages: to see what each one takes.

The worker, its runtime and what it is sent are those of `localcloud.host`. That host has a receiver
for each call, and a thousand receivers keep a machine busy with nothing; the real host shares one,
and so does this. No lock is renewed: the queue's has to last as long as the measurement. Left out:
timers and every other trigger, restarts, and a drain. Prints one line of JSON when it is ready:
`workerPid`.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

from benchmarks.ways.floor import until_parent_ends
from localcloud.host.bindings import Function, Queue, ServiceBusTrigger, read_function
from localcloud.host.bus import to_bus_message
from localcloud.host.invocations import Invocations
from localcloud.host.process import WorkerOptions, WorkerProcess, start_worker
from localcloud.host.settings import merge_settings
from localcloud.host.wire import Invoke, Invoked

_BATCH: Final = 50
_WAIT_SECONDS: Final = 30.0
_END_SECONDS: Final = 5.0


def main() -> int:
    """Runs the host; returns the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.wide_host", description=__doc__)
    parser.add_argument("--app", type=Path, required=True, help="the function app's directory")
    parser.add_argument("--exit-with-parent", action="store_true", help="end when stdin is closed")
    arguments = parser.parse_args()
    asyncio.run(_run(arguments.app.resolve(), watch=arguments.exit_with_parent))
    return 0


async def _run(app: Path, *, watch: bool) -> None:
    settings = merge_settings(os.environ, None)
    environment = {"FUNCTIONS_WORKER_RUNTIME": "python", **settings.environment}
    async with AsyncExitStack() as stack:
        worker = await start_worker(WorkerOptions(app, environment, _log))
        stack.push_async_callback(worker.close, _END_SECONDS)
        invocations = _invocations(worker)
        client = await stack.enter_async_context(
            ServiceBusClient.from_connection_string(settings.get("ServiceBus") or "")
        )
        loops = []
        for function in (read_function(each, settings) for each in worker.functions):
            match function.trigger:
                case ServiceBusTrigger(entity=Queue(name)) as trigger:
                    receiver = client.get_queue_receiver(name)
                    await stack.enter_async_context(receiver)
                    loops.append(_serve(receiver, invocations, function, trigger))
                case _:
                    continue
        sys.stdout.write(json.dumps({"workerPid": worker.pid}) + "\n")
        sys.stdout.flush()
        await until_parent_ends(asyncio.gather(*loops), watch=watch)


def _invocations(worker: WorkerProcess) -> Invocations:
    def run(function: str, request: Invoke, limit: float | None) -> Awaitable[Invoked]:
        del function, limit  # no call is ended for taking long
        return worker.invoke(request)

    return Invocations(run, None, time.monotonic, random.Random())


async def _serve(
    receiver: ServiceBusReceiver,
    invocations: Invocations,
    function: Function,
    trigger: ServiceBusTrigger,
) -> None:
    async def one(received: ServiceBusReceivedMessage) -> None:
        if await invocations.on_message(function, trigger, to_bus_message(received)):
            await receiver.complete_message(received)

    async with asyncio.TaskGroup() as tasks:
        while True:
            for received in await receiver.receive_messages(_BATCH, max_wait_time=_WAIT_SECONDS):
                tasks.create_task(one(received))


def _log(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
