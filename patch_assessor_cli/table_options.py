"""The options of the commands that read the posture table, and the client that they open."""

from contextlib import AsyncExitStack
from enum import Enum, auto
from typing import Annotated

import typer
from azure.data.tables.aio import TableClient

from patch_assessor_cli.errors import CommandError, ExitCode
from patch_assessor_cli.local import find_local_cloud

StorageConnection = Annotated[
    str | None,
    typer.Option(
        envvar="PostureStorage",
        show_envvar=True,
        help="The storage account, for Azurite and for tests; a running `up` by default.",
    ),
]
TableEndpoint = Annotated[
    str | None,
    typer.Option(
        "--table-service-uri",
        envvar="PostureStorage__tableServiceUri",
        metavar="URI",
        help="The account's table endpoint, as https://example.table.core.windows.net; with "
        "whichever identity DefaultAzureCredential finds.",
    ),
]
TableName = Annotated[str, typer.Option(envvar="POSTURE_TABLE", help="The table.")]
Subscription = Annotated[
    str | None, typer.Option("--subscription", help="Only this subscription's VMs.")
]

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="A table with commas, by RFC 4180.")]


class Output(Enum):
    """How a command writes what it found."""

    PEOPLE = auto()
    JSON = auto()
    CSV = auto()


def output_of(*, as_json: bool, as_csv: bool) -> Output:
    """Returns what the options ask for; raises typer.BadParameter if they ask for both."""
    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv exclude each other")
    if as_json:
        return Output.JSON
    return Output.CSV if as_csv else Output.PEOPLE


async def open_table(
    opened: AsyncExitStack, connection_string: str | None, endpoint: str | None, table: str
) -> TableClient:
    """Returns the table's client, which `opened` closes.

    Raises:
        CommandError: no storage is named.
    """
    if not (connection_string or endpoint):
        running = find_local_cloud()
        connection_string = running.storage_connection_string if running else None
    if connection_string:
        client = TableClient.from_connection_string(connection_string, table)
    elif endpoint:
        # Only here, for it takes a good part of the time in which a command is there.
        from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415

        credential = await opened.enter_async_context(DefaultAzureCredential())
        client = TableClient(endpoint, table, credential=credential)
    else:
        raise CommandError(
            "No storage is named, and no local cloud with tables runs here. Set PostureStorage to "
            "a connection string, or PostureStorage__tableServiceUri to the account's table "
            "endpoint.",
            ExitCode.WRONG_USAGE,
        )
    return await opened.enter_async_context(client)


def no_table(table: TableClient) -> CommandError:
    """Returns what a command says where the table is not there."""
    return CommandError(
        f"There is no table {table.table_name}: the app makes it with its first outcome."
    )
