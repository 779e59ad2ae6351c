"""`python -m localcloud.servicebus`: a bus of its own, until it is told to stop.

Prints one line of JSON on stdout when it is ready: `connectionString`, `amqpPort`, `controlUrl`,
and with `--tls` the `tlsPort`.
SIGTERM or SIGINT stops it gracefully, and with `--exit-with-parent` the end of its stdin does.
"""

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from pydantic import ValidationError

from localcloud.servicebus.control import serve_control
from localcloud.servicebus.entities import EntityConfigError, load_entities
from localcloud.servicebus.server import ServiceBus, TlsOptions

_READ_SIZE = 4096


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m localcloud.servicebus", description="A local Azure Service Bus."
    )
    parser.add_argument(
        "--config", type=Path, required=True, help="entities, in the official emulator's format"
    )
    parser.add_argument("--port", type=int, default=0, help="AMQP port; a free one by default")
    parser.add_argument("--control-port", type=int, default=0, help="control port, likewise")
    parser.add_argument(
        "--state", type=Path, help="loaded at the start if it exists, saved on a graceful stop"
    )
    parser.add_argument(
        "--tls", type=Path, metavar="CA.pem", help="speak TLS as well; the CA is written there"
    )
    parser.add_argument("--tls-port", type=int, default=0, help="TLS port, 5671 for some clients")
    parser.add_argument("--exit-with-parent", action="store_true", help="stop when stdin is closed")
    return parser.parse_args()


def _tls(certificate: Path, port: int) -> TlsOptions:
    from localcloud.tls import LocalAuthority  # noqa: PLC0415 - most buses need no certificate

    authority = LocalAuthority()
    authority.write_certificate(certificate)
    return TlsOptions(authority.server_context(), port)


async def _end_of_stdin(stop: asyncio.Event) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(_READ_SIZE):
        pass
    stop.set()


async def _run(arguments: argparse.Namespace) -> None:
    entities = load_entities(arguments.config)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop.set)
    watcher = asyncio.create_task(_end_of_stdin(stop)) if arguments.exit_with_parent else None
    tls = None if arguments.tls is None else _tls(arguments.tls, arguments.tls_port)
    try:
        async with (
            ServiceBus.start(entities, port=arguments.port, state=arguments.state, tls=tls) as bus,
            serve_control(bus, arguments.control_port) as control_url,
        ):
            ready: dict[str, object] = {
                "connectionString": bus.connection_string,
                "amqpPort": bus.port,
                "controlUrl": control_url,
            }
            if tls is not None:
                ready["tlsPort"] = bus.tls_port
            sys.stdout.write(json.dumps(ready) + "\n")
            sys.stdout.flush()
            await stop.wait()
    finally:
        if watcher is not None:
            watcher.cancel()


def main() -> int:
    """Run the bus.

    Returns:
        The exit code: 0 after a graceful stop, 2 when it can't start.
    """
    try:
        asyncio.run(_run(_arguments()))
    except (EntityConfigError, OSError) as error:
        sys.stderr.write(f"The local Service Bus can't start: {error}\n")
        return 2
    except ValidationError as error:
        sys.stderr.write(f"The state file holds something else: {error.error_count()} problems\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
