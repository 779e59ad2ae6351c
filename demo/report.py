"""What the demo tells: tables of outcomes, alerts and changes, and what is missing."""

from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from demo.changes import ChangeResult, ChangesResult
from demo.fleet_requests import Expected
from demo.ledger import Ledger
from patch_assessor_cli.arrivals import AlertSummary, OutcomeSummary, RejectionSummary, is_rejection
from plain_text import one_line

SHOWN_ROWS = 40
_SHOWN_MISSING = 20
_STYLES = {"Completed": "green", "Failed": "red", "Skipped": "yellow", "Fired": "red"}


def print_arrivals(console: Console, ledger: Ledger) -> None:
    """Prints what came: outcomes, alerts, and rejected messages with what is wrong with them."""
    _print_outcomes(
        console,
        [OutcomeSummary.of(each) for each in ledger.outcomes if not is_rejection(each)],
    )
    _print_alerts(console, [AlertSummary.of(each) for each in ledger.alerts])
    for rejected in filter(is_rejection, ledger.outcomes):
        _print_rejection(console, RejectionSummary.of(rejected))


def print_changes(console: Console, changes: ChangesResult) -> None:
    """Prints what changed on one VM, and the alert that each change had."""
    table = _table(
        console,
        f"What changed on {changes.vm}",
        ("round", "what happens to it", "status", "critical+security", "other", "alert"),
        right=("round", "critical+security", "other"),
    )
    table.add_column("trace ID", no_wrap=True)
    for number, each in enumerate(changes.results, 1):
        found = each.outcome
        table.add_row(
            str(number),
            each.change.description,
            found.status if found else "no outcome",
            _number(found.grave) if found else "",
            _number(found.other) if found else "",
            _published_alerts(each),
            found.trace_id if found else "",
        )
    _print_table(console, table, len(changes.results))


def _published_alerts(result: ChangeResult) -> str:
    came = ", ".join(f"{alert.condition} {alert.change}" for alert in result.alerts) or "none"
    if result.is_right:
        return came
    return f"{came}; expected {' '.join(result.change.alert or ('none',))}"


def print_verdict(
    console: Console,
    ledger: Ledger,
    changes: ChangesResult | None,
    *,
    seconds: float,
    dead_letters: int,
) -> None:
    """Prints what is missing or too much, and in one last line whether all is right.

    Args:
        console: Where to print.
        ledger: The account of what came.
        changes: What the changes of one VM told; None if there were none.
        seconds: How long it took.
        dead_letters: How many messages could not be handled.
    """
    console.print()
    if dead_letters:
        console.print(f"Messages that a function failed on for good: {dead_letters}; see the logs.")
    for what, several in (
        ("No outcome came", ledger.missing),
        ("More than one outcome came", ledger.repeated),
        ("An outcome came that nobody asked for", ledger.unasked),
    ):
        for each in several[:_SHOWN_MISSING]:
            console.print(f"{what}: {_named(each)}", soft_wrap=True)
        if len(several) > _SHOWN_MISSING:
            console.print(f"… and {len(several) - _SHOWN_MISSING} more.")
    asked, came = len(ledger.expected), len(ledger.outcomes)
    console.print(
        f"{asked} requests, {came} outcomes, {len(ledger.alerts)} alerts in {seconds:.1f} s: "
        f"{_verdict(ledger, changes)}.",
    )


def _verdict(ledger: Ledger, changes: ChangesResult | None) -> str:
    if not ledger.is_right:
        return "this is not right"
    if changes is None:
        return "each request has its one outcome"
    if not changes.is_right:
        return f"the alerts of {changes.vm} are not right"
    return "each request has its one outcome, and each change its alert"


def _print_outcomes(console: Console, outcomes: Sequence[OutcomeSummary]) -> None:
    table = _table(
        console,
        "Outcomes",
        ("VM", "OS", "outcome", "status", "critical+security", "other", "reboot", "seconds"),
        right=("critical+security", "other", "seconds"),
    )
    table.add_column("trace ID = assessmentActivityId", no_wrap=True)
    for each in sorted(outcomes, key=lambda each: each.vm)[:SHOWN_ROWS]:
        table.add_row(
            each.vm,
            each.os,
            _styled(each.outcome),
            each.status,
            _number(each.grave),
            _number(each.other),
            "pending" if each.reboot else "",
            _number(each.seconds, 1),
            each.trace_id,
        )
    _print_table(console, table, len(outcomes))
    by_type = Counter((each.outcome, each.status) for each in outcomes)
    for (outcome, status), count in sorted(by_type.items()):
        console.print(f"{count:5}  {outcome}: {status}")


def _print_alerts(console: Console, alerts: Sequence[AlertSummary]) -> None:
    table = _table(console, "Alerts", ("VM", "condition", "severity", "rule", "change"))
    table.add_column("trace ID", no_wrap=True)
    for each in sorted(alerts, key=lambda each: (each.severity, each.vm))[:SHOWN_ROWS]:
        table.add_row(
            each.vm,
            _styled(each.condition),
            each.severity,
            each.rule,
            each.change,
            each.trace_id,
        )
    _print_table(console, table, len(alerts))
    by_rule = Counter((each.rule, each.condition) for each in alerts)
    for (rule, condition), count in sorted(by_rule.items()):
        console.print(f"{count:5}  {rule}: {condition}")


def _print_rejection(console: Console, rejection: RejectionSummary) -> None:
    console.print()
    console.print(f"Rejected message {rejection.message_id}: {rejection.reason}")
    for error in rejection.errors:
        console.print(f"       {error}", soft_wrap=True)


def _named(expected: Expected) -> str:
    return one_line(f"request {expected.request_id} for {expected.vm_id or 'no VM'}")


def _table(
    console: Console, title: str, columns: Sequence[str], right: Sequence[str] = ()
) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD if console.is_terminal else None,
        padding=(0, 2, 0, 0),
    )
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left")
    return table


def _print_table(console: Console, table: Table, count: int) -> None:
    console.print()
    if count:
        console.print(table)
    else:
        console.print(f"{table.title}: none.")
    if count > SHOWN_ROWS:
        console.print(f"… and {count - SHOWN_ROWS} more; --out FILE writes them all.")


def _styled(text: str) -> Text:
    return Text(text, style=_STYLES.get(text, ""))


def _number(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{value:.{digits}f}"
