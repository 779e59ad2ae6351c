"""`posture`: shows what the fleet looks like now, from the table and without any message."""

import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Any, Final

import typer
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables.aio import TableClient
from rich.console import Console
from rich.table import Table

from patch_assessor_cli.alert_rules import ALERT_RULES
from patch_assessor_cli.console import make_console
from patch_assessor_cli.errors import CommandError, ExitCode
from patch_assessor_cli.fleet_posture import SubscriptionPosture, VmPosture, read_fleet, sum_up
from patch_assessor_cli.json_lines import json_line
from patch_assessor_cli.local import find_local_cloud
from patch_assessor_cli.progress_bar import progress_bar
from patch_assessor_cli.running import run as run_to_end
from plain_text import one_line

_SHOWN_VMS: Final = 40
_UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60))


def posture(
    *,
    subscription: Annotated[
        str | None, typer.Option("--subscription", help="Only this subscription's VMs.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, one for each VM.")
    ] = False,
    connection_string: Annotated[
        str | None,
        typer.Option(
            envvar="PostureStorage",
            show_envvar=True,
            help="The storage account, for Azurite and for tests; a running `up` by default.",
        ),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(
            "--table-service-uri",
            envvar="PostureStorage__tableServiceUri",
            metavar="URI",
            help="The account's table endpoint, as https://example.table.core.windows.net; with "
            "whichever identity DefaultAzureCredential finds.",
        ),
    ] = None,
    table: Annotated[str, typer.Option(envvar="POSTURE_TABLE", help="The table.")] = "vmposture",
) -> None:
    """Show the fleet: VMs by subscription, open alerts with their age, who was never assessed."""

    async def main() -> ExitCode:
        async with AsyncExitStack() as opened:
            client = await _open(opened, connection_string, endpoint, table)
            fleet = await _read(client, subscription)
        if as_json:
            for vm in fleet:
                sys.stdout.write(f"{json_line(to_json(vm))}\n")
        else:
            print_fleet(make_console(is_terminal=sys.stdout.isatty()), fleet, datetime.now(UTC))
        return ExitCode.DONE

    run_to_end(main())


async def _open(
    opened: AsyncExitStack, connection_string: str | None, endpoint: str | None, table: str
) -> TableClient:
    if not (connection_string or endpoint):
        running = find_local_cloud()
        connection_string = running.storage_connection_string if running else None
    if connection_string:
        client = TableClient.from_connection_string(connection_string, table)
    elif endpoint:
        # Takes a while to import, which a connection string need not wait for.
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


async def _read(table: TableClient, subscription: str | None) -> list[VmPosture]:
    fleet = []
    try:
        with progress_bar("VMs read") as advance:
            async for vm in read_fleet(table, subscription):
                fleet.append(vm)
                advance()
    except ResourceNotFoundError as error:
        raise CommandError(
            f"There is no table {table.table_name}: the app makes it with its first outcome."
        ) from error
    return fleet


def to_json(vm: VmPosture) -> dict[str, Any]:
    """Returns a VM for machines: the attributes in camel case, times as RFC 3339."""
    return {_camel(name): _plain(value) for name, value in asdict(vm).items()}


def print_fleet(console: Console, fleet: Sequence[VmPosture], now: datetime) -> None:
    """Prints the fleet for people.

    Args:
        console: Where to.
        fleet: The VMs.
        now: What ages are counted to.
    """
    if not fleet:
        console.print("The table is empty: no VM has been assessed.")
        return
    console.print(_subscriptions(sum_up(fleet), now))
    _print_some(console, "Open alerts, the oldest first", _alerts(fleet, now), _alert_table())
    _print_some(console, "Never assessed", _never(fleet, now), _never_table())


def _subscriptions(sums: Sequence[SubscriptionPosture], now: datetime) -> Table:
    table = _table("subscription")
    for name in ("VMs", "never assessed", *(rule.heading for rule in ALERT_RULES)):
        table.add_column(name, justify="right")
    for name in ("oldest alert", "last assessed", "waiting longest"):
        table.add_column(name)
    for each in sums:
        table.add_row(
            one_line(each.subscription_id),
            str(each.vms),
            str(each.never_assessed),
            *(str(each.open_alerts[rule.name]) for rule in ALERT_RULES),
            *(age(at, now) for at in (each.oldest_alert, each.assessed_last, each.assessed_first)),
        )
    return table


def _alert_table() -> Table:
    table = _table("VM")
    for name in ("rule", "open for", "critical and security", "last assessed", "last attempt"):
        table.add_column(name)
    return table


def _alerts(fleet: Sequence[VmPosture], now: datetime) -> list[tuple[str, ...]]:
    alerts = sorted(
        ((at, rule, vm) for vm in fleet for rule, at in vm.open_alerts.items()),
        key=lambda each: each[:2],
    )
    return [
        (
            _name(vm),
            rule,
            age(at, now),
            "?" if vm.critical_and_security_count is None else str(vm.critical_and_security_count),
            age(vm.assessed_at, now),
            _attempt(vm, now),
        )
        for at, rule, vm in alerts
    ]


def _never_table() -> Table:
    table = _table("VM")
    table.add_column("last attempt")
    return table


def _never(fleet: Sequence[VmPosture], now: datetime) -> list[tuple[str, ...]]:
    return [(_name(vm), _attempt(vm, now)) for vm in fleet if vm.assessed_at is None]


def _print_some(
    console: Console, title: str, rows: Sequence[tuple[str, ...]], table: Table
) -> None:
    if not rows:
        return
    for row in islice(rows, _SHOWN_VMS):
        table.add_row(*map(one_line, row))
    console.print(f"\n{title}: {len(rows)}")
    console.print(table)
    if len(rows) > _SHOWN_VMS:
        console.print(f"… and {len(rows) - _SHOWN_VMS} more; --json has all.")


def _table(first: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column(first, overflow="fold")
    return table


def _name(vm: VmPosture) -> str:
    """Returns the VM as group/name: the subscription stands in the table above."""
    *_, group, _, _, _, name = ("", "", "", "", *vm.vm_id.split("/"))
    return f"{group}/{name}"


def _attempt(vm: VmPosture, now: datetime) -> str:
    if vm.attempted_at is None:
        return ""
    return f"{vm.attempt_reason}, {age(vm.attempted_at, now)} ago"


def age(since: datetime | None, now: datetime) -> str:
    """Returns the time from `since` to `now` in its largest unit; `never` without a `since`."""
    if since is None:
        return "never"
    seconds = max(0, (now - since) // timedelta(seconds=1))
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def _plain(value: object) -> object:
    match value:
        case datetime():
            text = value.astimezone(UTC).isoformat(timespec="milliseconds")
            return text.replace("+00:00", "Z")
        case dict():
            return {name: _plain(each) for name, each in value.items()}
        case _:
            return value
