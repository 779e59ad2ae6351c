"""`send`: sends a request."""

import json
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from patch_assessor_cli.client import REQUESTS_QUEUE, Message, choose_connection, open_client
from patch_assessor_cli.client import send as send_messages
from patch_assessor_cli.connection_options import ConnectionString, Namespace
from patch_assessor_cli.errors import ExitCode
from patch_assessor_cli.running import run as run_to_end

_STDIN: Final = "-"


def send(  # noqa: PLR0913 - one for each command line option
    vm_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="VM_ID", help="Resource IDs of VMs.", show_default=False),
    ] = None,
    *,
    scope: Annotated[
        str | None,
        typer.Option(
            help="Ask for all VMs of a subscription or resource group, in place of VM_ID.",
            show_default=False,
        ),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=VALUE]",
            help="With --scope: only VMs that have this tag, with any value if none is given; "
            "may be given several times.",
            show_default=False,
        ),
    ] = None,
    running_only: Annotated[
        bool, typer.Option("--running-only", help="With --scope: leave out VMs that do not run.")
    ] = False,
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
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
    connection_string: ConnectionString = None,
    namespace: Namespace = None,
) -> None:
    """Send a request to assess one VM, several, or all of a scope.

    Several VMs make one message with one request ID; each of them gets its own outcome. Prints the
    message's ID, which is the request ID too where none was given.
    """
    if [bool(vm_ids), scope is not None, file is not None].count(True) != 1:
        raise typer.BadParameter("Give VM IDs, --scope or --file, one of the three.")
    if scope is None and (tag or running_only):
        raise typer.BadParameter("--tag and --running-only go with --scope.")
    if file is not None and (request_id or requested_by or reason):
        raise typer.BadParameter("A file is sent as it is: put these fields into it.")
    run_to_end(
        _send(
            body=_read(file)
            if file is not None
            else request_body(
                vm_ids or [],
                request_id,
                requested_by,
                reason,
                narrowed(scope, tag or [], running_only=running_only) if scope else None,
            ),
            content_type=content_type,
            queue=queue,
            as_json=as_json,
            connection_string=connection_string,
            namespace=namespace,
        )
    )


def narrowed(scope: str, tags: list[str], *, running_only: bool) -> dict[str, object]:
    """Returns the fields that name the VMs of a scope.

    Raises:
        typer.BadParameter: A tag has no name.
    """
    pairs = [text.partition("=") for text in tags]
    if not all(name for name, _, _ in pairs):
        raise typer.BadParameter("A tag needs a name.", param_hint="--tag")
    named: dict[str, object] = {"scope": scope}
    if pairs:
        named["tags"] = {name: value if equals else None for name, equals, value in pairs}
    return named | {"runningOnly": True} if running_only else named


def request_body(
    vm_ids: list[str],
    request_id: str | None,
    requested_by: str | None,
    reason: str | None,
    scope: Mapping[str, object] | None = None,
) -> bytes:
    """Returns the body of a request; fields that were not given are left out.

    Args:
        vm_ids: The VMs; none where `scope` names them.
        request_id: The requester's ID.
        requested_by: Who asks.
        reason: Why.
        scope: The fields that name the VMs of a scope.
    """
    listed: Mapping[str, object] = {"vmId": vm_ids[0]} if len(vm_ids) == 1 else {"vmIds": vm_ids}
    named = dict(scope or listed)
    about = {"requestId": request_id, "requestedBy": requested_by, "reason": reason}
    return json.dumps(named | {name: text for name, text in about.items() if text}).encode()


async def _send(  # noqa: PLR0913 - the command's options
    *,
    body: bytes,
    content_type: str,
    queue: str,
    as_json: bool,
    connection_string: str | None,
    namespace: str | None,
) -> ExitCode:
    message = Message(body, str(uuid.uuid4()), content_type)
    async with open_client(choose_connection(connection_string, namespace)) as client:
        await send_messages(client, queue, [message])
    told = json.dumps({"queue": queue, "messageId": message.message_id})
    sys.stdout.write(f"{told if as_json else message.message_id}\n")
    return ExitCode.DONE


def _read(file: str) -> bytes:
    if file == _STDIN:
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file} can't be read: {error.strerror}.") from error
