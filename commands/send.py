"""`send`: sends a request."""

import json
import sys
import uuid
from pathlib import Path
from typing import Annotated, Final

import typer

from commands.client import REQUESTS_QUEUE, Message, choose_connection, open_client
from commands.client import send as send_messages
from commands.connection_options import ConnectionString, Namespace
from commands.errors import ExitCode
from commands.running import run as run_to_end

_STDIN: Final = "-"


def send(  # noqa: PLR0913 - one for each command line option
    vm_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[VM_ID]...", help="Resource IDs of VMs.", show_default=False),
    ] = None,
    *,
    request_id: Annotated[
        str | None, typer.Option(help="Every answer carries it; the message ID by default.")
    ] = None,
    requested_by: Annotated[str | None, typer.Option(help="Who asks.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why.")] = None,
    file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Send this file's content as it is, in place of VM_ID; - is stdin."
        ),
    ] = None,
    content_type: Annotated[
        str, typer.Option(help="Of the file; application/cloudevents+json for a CloudEvent.")
    ] = "application/json",
    queue: Annotated[
        str, typer.Option(envvar="REQUESTS_QUEUE", help="Where to send.")
    ] = REQUESTS_QUEUE,
    connection_string: ConnectionString = None,
    namespace: Namespace = None,
) -> None:
    """Send a request to assess one VM or several.

    Several VMs make one message with one request ID; each of them gets its own outcome. Prints the
    message's ID.
    """
    if bool(vm_ids) == (file is not None):
        raise typer.BadParameter("Give VM IDs or --file, one of the two.")
    if file is not None and (request_id or requested_by or reason):
        raise typer.BadParameter("A file is sent as it is: put these fields into it.")
    run_to_end(
        _send(
            body=_read(file)
            if file is not None
            else request_body(vm_ids or [], request_id, requested_by, reason),
            content_type=content_type,
            queue=queue,
            connection_string=connection_string,
            namespace=namespace,
        )
    )


def request_body(
    vm_ids: list[str], request_id: str | None, requested_by: str | None, reason: str | None
) -> bytes:
    """Returns the body of a request; fields that were not given are left out."""
    named: dict[str, object] = {"vmId": vm_ids[0]} if len(vm_ids) == 1 else {"vmIds": vm_ids}
    about = {"requestId": request_id, "requestedBy": requested_by, "reason": reason}
    return json.dumps(named | {name: text for name, text in about.items() if text}).encode()


async def _send(
    *,
    body: bytes,
    content_type: str,
    queue: str,
    connection_string: str | None,
    namespace: str | None,
) -> ExitCode:
    message = Message(body, str(uuid.uuid4()), content_type)
    async with open_client(choose_connection(connection_string, namespace)) as client:
        await send_messages(client, queue, [message])
    sys.stdout.write(f"{message.message_id}\n")
    return ExitCode.DONE


def _read(file: str) -> bytes:
    if file == _STDIN:
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file} can't be read: {error.strerror}.") from error
