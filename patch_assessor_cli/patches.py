"""`patches`: which VMs lack a patch, and which patches are lacked most, from the table alone."""

import sys
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from typing import Annotated, Any, Final

import typer
from azure.core.exceptions import ResourceNotFoundError
from rich.table import Table

from patch_assessor_cli.console import make_console
from patch_assessor_cli.errors import ExitCode
from patch_assessor_cli.fleet_patches import (
    LackedPatch,
    LackingVm,
    count_patches,
    lacking,
    read_lacking,
)
from patch_assessor_cli.progress_bar import progress_bar
from patch_assessor_cli.running import run as run_to_end
from patch_assessor_cli.table_options import (
    AsCsv,
    AsJson,
    Output,
    StorageConnection,
    Subscription,
    TableEndpoint,
    TableName,
    no_table,
    open_table,
    output_of,
)
from patch_assessor_cli.table_output import cell, write_csv, write_json

_SHOWN: Final = 200
_PATCH_FIELDS: Final = ("name", "version", "kb", "classification", "criticalOrSecurity")
Row = dict[str, Any]


def patches(  # noqa: PLR0913 - each is an option of the command
    *,
    part: Annotated[
        str,
        typer.Argument(
            metavar="[PATCH]",
            help="A KB number, a package's name, or part of either; without it, all patches by "
            "how many VMs lack them.",
        ),
    ] = "",
    subscription: Subscription = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    connection_string: StorageConnection = None,
    endpoint: TableEndpoint = None,
    table: TableName = "vmposture",
) -> None:
    """Show which VMs lack a patch, or which patches are lacked by how many VMs."""
    output = output_of(as_json=as_json, as_csv=as_csv)

    async def main() -> ExitCode:
        async with AsyncExitStack() as opened:
            client = await open_table(opened, connection_string, endpoint, table)
            try:
                with progress_bar("VMs read") as advance:
                    fleet: list[LackingVm] = []
                    async for page in read_lacking(client, subscription):
                        fleet += page
                        advance(len(page))
            except ResourceNotFoundError as error:
                raise no_table(client) from error
        rows, columns = rows_of(fleet, part)
        match output:
            case Output.JSON:
                write_json(rows)
            case Output.CSV:
                write_csv(rows, columns)
            case Output.PEOPLE:
                _print(rows, columns)
        if (unknown := unknown_lists(fleet)) is not None:
            sys.stderr.write(f"{unknown}\n")
        return ExitCode.DONE

    run_to_end(main())


def rows_of(fleet: Sequence[LackingVm], part: str) -> tuple[list[Row], tuple[str, ...]]:
    """Returns what is shown, and its columns: VMs that lack a patch, or patches by their VMs."""
    if part:
        columns = ("vmId", "assessedAt", *_PATCH_FIELDS)
        found = lacking(fleet, part)
        fields = {patch: _fields(patch) for patch in {each for _, each in found}}
        return [
            {
                "vmId": vm.vm_id,
                "assessedAt": vm.assessed_at.isoformat() if vm.assessed_at else None,
                **fields[patch],
            }
            for vm, patch in found
        ], columns
    return [{"vms": number, **_fields(patch)} for patch, number in count_patches(fleet)], (
        "vms",
        *_PATCH_FIELDS,
    )


def _fields(patch: LackedPatch) -> Row:
    values = (
        patch.name,
        patch.version,
        patch.article,
        patch.classification,
        patch.is_important,
    )
    return dict(zip(_PATCH_FIELDS, values, strict=True))


def unknown_lists(fleet: Iterable[LackingVm]) -> str | None:
    """Returns a sentence about the VMs whose patches are not known; None if all are."""
    not_told = sum(vm.patches is None for vm in fleet)
    cut = sum(bool(vm.omitted) for vm in fleet)
    sentences = []
    if not_told:
        sentences.append(
            f"Of {not_told} VMs it is not known what they lack: they were never assessed, ARM gave "
            "no list, or an earlier version of the app remembered none; the next assessment tells."
        )
    if cut:
        sentences.append(f"Of {cut} VMs the table keeps only a part of a very long list.")
    return " ".join(sentences) or None


def _print(rows: Sequence[Row], columns: Sequence[str]) -> None:
    console = make_console(is_terminal=sys.stdout.isatty())
    if not rows:
        console.print("No VM is known to lack it.")
        return
    shown = Table(box=None, padding=(0, 2, 0, 0))
    for name in columns:
        shown.add_column(name, overflow="fold")
    for row in rows[:_SHOWN]:
        shown.add_row(*(cell(row[name]) for name in columns))
    console.print(shown)
    if len(rows) > _SHOWN:
        console.print(f"… and {len(rows) - _SHOWN} more; --json and --csv have all.")
