"""`posture`: shows what the fleet looks like now, from the table and without any message."""

import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Final

import typer
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables.aio import TableClient
from rich.console import Console
from rich.table import Table

from patch_assessor_cli.alert_rules import ALERT_RULES
from patch_assessor_cli.console import make_console
from patch_assessor_cli.errors import ExitCode
from patch_assessor_cli.fleet_posture import (
    SubscriptionPosture,
    VmPosture,
    read_fleet,
    sum_by_tag,
    sum_up,
)
from patch_assessor_cli.posture_rows import CSV_COLUMNS, TAG_COLUMNS, tag_rows, to_json, to_row
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
from patch_assessor_cli.table_output import write_csv, write_json
from plain_text import one_line

_SHOWN_VMS: Final = 40
_UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60))


def posture(  # noqa: PLR0913 - each is an option of the command
    *,
    subscription: Subscription = None,
    by_tag: Annotated[
        str | None,
        typer.Option("--by-tag", metavar="NAME", help="Sum up by this tag, not by subscription."),
    ] = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    connection_string: StorageConnection = None,
    endpoint: TableEndpoint = None,
    table: TableName = "vmposture",
) -> None:
    """Show the fleet: VMs by subscription, open alerts with their age, who was never assessed."""
    output = output_of(as_json=as_json, as_csv=as_csv)

    async def main() -> ExitCode:
        async with AsyncExitStack() as opened:
            client = await open_table(opened, connection_string, endpoint, table)
            fleet = await _read(client, subscription)
        match output:
            case Output.JSON if by_tag is None:
                write_json(map(to_json, fleet))
            case Output.CSV if by_tag is None:
                write_csv(map(to_row, fleet), CSV_COLUMNS)
            case Output.JSON:
                write_json(tag_rows(fleet, by_tag or ""))
            case Output.CSV:
                write_csv(tag_rows(fleet, by_tag or ""), TAG_COLUMNS)
            case Output.PEOPLE:
                console = make_console(is_terminal=sys.stdout.isatty())
                print_fleet(console, fleet, datetime.now(UTC), by_tag)
        return ExitCode.DONE

    run_to_end(main())


async def _read(table: TableClient, subscription: str | None) -> list[VmPosture]:
    fleet: list[VmPosture] = []
    try:
        with progress_bar("VMs read") as advance:
            async for page in read_fleet(table, subscription):
                fleet += page
                advance(len(page))
    except ResourceNotFoundError as error:
        raise no_table(table) from error
    return fleet


def print_fleet(
    console: Console, fleet: Sequence[VmPosture], now: datetime, by_tag: str | None = None
) -> None:
    """Prints the fleet for people.

    Args:
        console: Where to.
        fleet: The VMs.
        now: What ages are counted to.
        by_tag: The tag whose values are summed up; the subscriptions are if None.
    """
    if not fleet:
        console.print("The table is empty: no VM has been assessed.")
        return
    if by_tag is None:
        console.print(_groups("subscription", sum_up(fleet), now))
    else:
        console.print(_groups(by_tag, sum_by_tag(fleet, by_tag), now))
    _print_some(console, "Open alerts, the oldest first", _alerts(fleet, now), _alert_table())
    _print_some(console, "Not assessed", _never(fleet, now), _never_table())


def _groups(first: str, sums: Sequence[SubscriptionPosture], now: datetime) -> Table:
    table = _table(one_line(first))
    for name in ("VMs", "not assessed", *(rule.heading for rule in ALERT_RULES)):
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
