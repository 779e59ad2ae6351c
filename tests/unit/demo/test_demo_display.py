"""What the demo shows while it runs and when it is over, on a terminal and elsewhere."""

import io
from collections import Counter
from dataclasses import replace

from rich.console import Console

from demo.display import Snapshot, make_display
from demo.fleet_requests import Expected
from demo.ledger import Ledger
from demo.report import SHOWN_ROWS, print_arrivals, print_verdict
from demo.waiting import Waiting
from localcloud.control import Counts
from patch_assessor_cli.arrivals import Arrival
from patch_assessor_cli.client import ALERTS_TOPIC, RESULTS_TOPIC
from patch_assessor_cli.console import make_console

ESCAPE = "\x1b"
VM = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines"


def captured() -> tuple[Console, io.StringIO]:
    """The console that is used where nobody watches, and what is printed on it."""
    console = make_console(is_terminal=False)
    console.file = io.StringIO()
    return console, console.file


def snapshot(seconds: float, outcomes: int, dead: int = 0) -> Snapshot:
    """How far a demo of ten requests is."""
    waiting = Waiting(queued=0, held=10 - outcomes, in_progress=0, unread=0, dead=dead)
    return Snapshot(seconds, 10, waiting, Counter({"AssessmentCompleted": outcomes}), Counter())


def ledger_of(vms: int, missing: int = 0) -> Ledger:
    """The account of a demo in which the last outcomes are missing."""
    ledger = Ledger(Expected.of("r", f"{VM}/vm-{number:03d}") for number in range(vms))
    for number in range(vms - missing):
        name = f"vm-{number:03d}"
        data = {
            "vmId": f"{VM}/{name}",
            "vmName": name,
            "status": "Succeeded",
            "criticalAndSecurityPatchCount": 2,
            "assessmentActivityId": f"00000000-0000-4000-8000-{number:012d}",
        }
        body = {"type": "PatchAssessor.AssessmentCompleted", "data": data}
        ledger.take(Arrival(RESULTS_TOPIC, name, "r", None, None, None, {}, body))
    return ledger


def report(console: Console, ledger: Ledger, seconds: float = 1.0, dead_letters: int = 0) -> None:
    """Prints all of a demo without a second act."""
    print_arrivals(console, ledger)
    print_verdict(console, ledger, None, seconds=seconds, dead_letters=dead_letters)


def test_where_nobody_watches_there_are_plain_lines_and_only_when_something_changed() -> None:
    """A log is no place for a line every quarter of a second."""
    console, printed = captured()
    with make_display(console) as display:
        for step in range(100):
            display.show(snapshot(seconds=step / 4, outcomes=5 if step >= 50 else 0))
    lines = printed.getvalue().splitlines()
    assert len(lines) == 2
    assert "outcomes 5 of 10" in lines[1]
    assert ESCAPE not in printed.getvalue()


def test_on_a_terminal_the_last_state_stays() -> None:
    """What was shown last is not wiped away."""
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=80)
    with make_display(console) as display:
        display.show(snapshot(seconds=1, outcomes=3))
        display.show(snapshot(seconds=2, outcomes=9))
    assert ESCAPE in shown.getvalue()
    assert "9 of 10" in shown.getvalue().rpartition("outcomes")[2]


def test_dead_letters_are_shown_once_there_are_any() -> None:
    """They are none of a good run's business."""
    assert "dead letters" not in dict(snapshot(1, 1).parts())
    assert dict(snapshot(1, 1, dead=2).parts())["dead letters"] == "2"


def test_the_bus_counts_as_quiet_only_when_nothing_is_on_its_way() -> None:
    """A message that a function holds, one that is scheduled, one that nobody has read yet."""
    nothing = Counts(active=0, locked=0, scheduled=0, dead_letter=0, total=0)
    names = (
        "assessment-requests",
        "assessments-in-progress",
        "assessment-results/Subscriptions/all",
        "assessment-results/Subscriptions/rejected",
        "patch-alerts/Subscriptions/all",
    )
    quiet = dict.fromkeys(names, nothing)
    assert Waiting.of(quiet).is_over
    for name, count in (
        ("assessment-requests", "active"),
        ("assessment-requests", "locked"),
        ("assessments-in-progress", "scheduled"),
        ("assessments-in-progress", "locked"),
        ("assessment-results/Subscriptions/all", "active"),
        ("patch-alerts/Subscriptions/all", "locked"),
    ):
        assert not Waiting.of(quiet | {name: replace(nothing, **{count: 1})}).is_over, (name, count)
    unread = {"assessment-results/Subscriptions/rejected": replace(nothing, active=1)}
    assert Waiting.of(quiet | unread).is_over  # nobody reads that one here


def test_a_report_without_a_terminal_has_whole_trace_ids_and_no_control_codes() -> None:
    """Nothing is folded or cut."""
    console, printed = captured()
    report(console, ledger_of(3), 4.2)
    text = printed.getvalue()
    assert "00000000000040008000000000000002" in text
    assert ESCAPE not in text
    assert text.endswith(
        "3 requests, 3 outcomes, 0 alerts in 4.2 s: each request has its one outcome.\n"
    )


def test_a_large_fleet_is_shown_in_part_and_counted_whole() -> None:
    """The first rows, how many more there are, and the counts by status."""
    console, printed = captured()
    report(console, ledger_of(SHOWN_ROWS + 2))
    text = printed.getvalue()
    assert f"vm-{SHOWN_ROWS - 1:03d}" in text
    assert f"vm-{SHOWN_ROWS:03d}" not in text
    assert "… and 2 more" in text
    assert "42  Completed: Succeeded" in text


def test_a_report_names_each_request_without_an_outcome() -> None:
    """So that one knows where to look."""
    console, printed = captured()
    report(console, ledger_of(4, missing=2), dead_letters=2)
    missing = [line for line in printed.getvalue().splitlines() if line.startswith("No outcome")]
    assert missing == [
        f"No outcome came: request r for {VM.lower()}/vm-002",
        f"No outcome came: request r for {VM.lower()}/vm-003",
    ]
    assert "this is not right" in printed.getvalue()
    assert "failed on for good: 2; see the logs" in printed.getvalue()


def test_markup_in_what_others_wrote_is_text() -> None:
    """A description with brackets changes no colours and raises nothing."""
    console, printed = captured()
    ledger = ledger_of(1)
    essentials = {"alertRule": "[bold]Rule[/red]", "monitorCondition": "Fired"}
    body = {"type": "PatchAssessor.AlertFired", "data": {"data": {"essentials": essentials}}}
    ledger.take(Arrival(ALERTS_TOPIC, "a", "r", None, None, None, {}, body))
    report(console, ledger)
    assert "[bold]Rule[/red]" in printed.getvalue()
