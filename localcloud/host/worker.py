"""The language worker's process: `python -m localcloud.host.worker --app DIR --socket FD`.

Started by the host with one end of a socket pair. All invocations are tasks on one event loop, as
in the real worker; synchronous functions run in the runtime's thread pool. SIGTERM is ignored
unless the app installs a handler of its own: the worker serves what is in flight until the host
closes the socket. A loop that the app blocks can't notice that, so a thread watches the socket
too. Left out: log records as RPC messages; they go to stderr, as the app's own output does.
"""

import argparse
import asyncio
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from pathlib import Path

from localcloud.host.logs import PlainFormatter
from localcloud.host.wire import Indexed, IndexingFailed, Invoke, Message, encode, read_message

_GRACE_SECONDS = 5.0
_HUNG_UP = getattr(select, "POLLRDHUP", select.POLLHUP)  # POLLRDHUP is Linux; others say POLLHUP
_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "information": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "none": logging.CRITICAL + 1,
}


def main() -> int:
    """Run the worker.

    Returns:
        The exit code: 0 when the host closed the socket, 1 when the app can't be indexed.
    """
    parser = argparse.ArgumentParser(prog="localcloud.host.worker")
    parser.add_argument("--app", type=Path, required=True)
    parser.add_argument("--socket", type=int, required=True)
    parser.add_argument("--log-level", choices=sorted(_LEVELS), default="information")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    link = socket.socket(fileno=options.socket)
    _leave_with_host(link)
    _enter(options.app)
    _log_to_stderr(_LEVELS[options.log_level])
    return asyncio.run(_serve(options.app, link))


def _enter(app: Path) -> None:
    """Make the app's directory what it is in Azure: the current one and first on the path."""
    os.chdir(app)
    sys.path[0] = str(app)  # `-m` had put the directory that holds localcloud there


def _leave_with_host(link: socket.socket) -> None:
    """End this process soon after the host's end of the socket is gone."""

    def watch() -> None:
        poller = select.poll()
        poller.register(link.fileno(), _HUNG_UP)
        poller.poll()
        time.sleep(_GRACE_SECONDS)  # the loop notices as well and normally is done by then
        os._exit(1)

    threading.Thread(target=watch, name="host-watch", daemon=True).start()


def _log_to_stderr(level: int) -> None:
    from localcloud.host import runtime  # noqa: PLC0415 - after the app's directory is on the path

    def add_invocation(record: logging.LogRecord) -> bool:
        invocation = runtime.current_invocation_id()
        record.invocation = f" [{invocation}]" if invocation else ""
        return True

    handler = logging.StreamHandler()
    handler.addFilter(add_invocation)
    handler.setFormatter(
        PlainFormatter("%(asctime)s %(levelname)s worker %(name)s%(invocation)s %(message)s")
    )
    logging.basicConfig(level=level, handlers=[handler])
    # The runtime's own chatter: the real host keeps these system logs from the user too.
    logging.getLogger("azure.functions").setLevel(max(level, logging.WARNING))


async def _serve(app: Path, link: socket.socket) -> int:
    from localcloud.host import runtime  # noqa: PLC0415 - after the app's directory is on the path

    reader, writer = await asyncio.open_connection(sock=link)
    try:
        runtime.start()
        functions = runtime.index(app)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the app raises is reported
        await _send(writer, IndexingFailed(_one_line(error), traceback.format_exc()))
        return 1
    await _send(writer, Indexed(functions))
    running: set[asyncio.Task[None]] = set()

    async def run(request: Invoke) -> None:
        await _send(writer, await runtime.invoke(request))

    while (message := await read_message(reader)) is not None:
        if isinstance(message, Invoke):
            task = asyncio.create_task(run(message))
            running.add(task)
            task.add_done_callback(running.discard)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    runtime.stop()
    return 0


async def _send(writer: asyncio.StreamWriter, message: Message) -> None:
    try:
        writer.write(encode(message))
        await writer.drain()
    except ConnectionError:
        return  # the host is gone; the read loop ends on the same


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


if __name__ == "__main__":
    sys.exit(main())
