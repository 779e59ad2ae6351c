"""What `posture` shows of the fleet, for people and for machines."""

import io
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from patch_assessor_cli.alert_rules import ALERT_RULES
from patch_assessor_cli.console import make_console
from patch_assessor_cli.fleet_posture import NO_TAG, VmPosture, sum_by_tag, sum_up
from patch_assessor_cli.posture import age, print_fleet
from patch_assessor_cli.posture_rows import (
    CSV_COLUMNS,
    TAG_COLUMNS,
    tag_rows,
    to_json,
    to_row,
)
from tests.support.builders import NOW, OTHER_SUBSCRIPTION, SUBSCRIPTION

PATCHES = "CriticalOrSecurityPatchesAvailable"


def vm(
    name: str,
    *,
    subscription: str = SUBSCRIPTION,
    assessed: int | None = 1,
    patches_since: int | None = None,
    reboot_since: int | None = None,
    reason: str | None = None,
) -> VmPosture:
    """Returns a VM whose times are given as hours ago."""
    since = {PATCHES: patches_since, "RebootPending": reboot_since}
    return VmPosture(
        subscription_id=subscription,
        vm_id=(
            f"/subscriptions/{subscription}/resourceGroups/group"
            f"/providers/Microsoft.Compute/virtualMachines/{name}"
        ),
        assessed_at=None if assessed is None else hours_ago(assessed),
        status=None if assessed is None else "Succeeded",
        open_alerts={rule: hours_ago(hours) for rule, hours in since.items() if hours is not None},
        attempted_at=hours_ago(2) if reason else None,
        attempt_reason=reason,
    )


def hours_ago(hours: int) -> datetime:
    """Returns that time."""
    return NOW - timedelta(hours=hours)


def printed(*fleet: VmPosture) -> str:
    """Returns what people see where nobody watches."""
    console = make_console(is_terminal=False)
    console.file = io.StringIO()
    print_fleet(console, fleet, NOW)
    return console.file.getvalue()


def test_a_subscription_is_one_line() -> None:
    """How many VMs, how many of them with what, and the oldest of each."""
    first, second = sum_up(
        [
            vm("a", assessed=30, patches_since=200),
            vm("b", assessed=2, patches_since=1, reboot_since=300),
            vm("c", assessed=None, reason="VmNotRunning"),
            vm("d", subscription=OTHER_SUBSCRIPTION),
        ]
    )
    assert (first.subscription_id, first.vms, first.oldest_alert) == (OTHER_SUBSCRIPTION, 1, None)
    assert (second.vms, second.never_assessed) == (3, 1)
    none_open = {rule.name: 0 for rule in ALERT_RULES}
    assert second.open_alerts == none_open | {PATCHES: 2, "RebootPending": 1}
    assert second.oldest_alert == hours_ago(300)
    assert (second.assessed_first, second.assessed_last) == (hours_ago(30), hours_ago(2))


def test_open_alerts_are_shown_with_their_age_the_oldest_first() -> None:
    """And what came to nothing since, as the reason why the alert may be out of date."""
    text = printed(vm("young", patches_since=1), vm("old", reboot_since=50, reason="VmNotRunning"))
    assert "Open alerts, the oldest first: 2" in text
    old, young = (text.index(f"group/{name}") for name in ("old", "young"))
    assert old < young
    line = text[old:].splitlines()[0]
    assert "RebootPending" in line
    assert "2 d" in line
    assert "VmNotRunning, 2 h ago" in line


def test_who_was_never_assessed_is_shown_with_the_reason() -> None:
    """They would look healthy otherwise."""
    text = printed(vm("off", assessed=None, reason="VmNotRunning"))
    assert "Not assessed: 1" in text
    assert "VmNotRunning, 2 h ago" in text


def test_a_long_list_says_how_much_is_left_out() -> None:
    """A fleet has more alerts than a screen has lines."""
    text = printed(*(vm(f"vm-{number}", patches_since=number) for number in range(1, 101)))
    assert "… and 60 more; --json has all." in text


def test_an_empty_table_is_said_to_be_empty() -> None:
    """Not a table without lines."""
    assert "no VM has been assessed" in printed()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (7200, "2 h"), (90000, "1 d")],
)
def test_an_age_is_told_in_its_largest_unit(seconds: int, text: str) -> None:
    """Rounded down."""
    assert age(NOW - timedelta(seconds=seconds), NOW) == text


def test_a_clock_that_is_behind_shows_no_negative_age() -> None:
    """And what never happened has none."""
    assert age(NOW + timedelta(seconds=5), NOW) == "0 s"
    assert age(None, NOW) == "never"


def test_machines_get_the_same_names_as_from_everything_else() -> None:
    """Camel case, RFC 3339."""
    shown = to_json(vm("a", patches_since=1))
    assert shown["assessedAt"] == "2026-01-05T11:00:00.000Z"
    assert shown["openAlerts"] == {PATCHES: "2026-01-05T11:00:00.000Z"}
    assert shown["rebootPending"] is None


def test_rows_without_an_assessment_are_read() -> None:
    """A VM that was tried only has few columns."""
    row = {"PartitionKey": SUBSCRIPTION, "VmId": "/subscriptions/s", "AttemptReason": "x"}
    assert VmPosture.of(row).assessed_at is None


def test_a_vm_without_an_assessment_has_a_state_and_no_numbers() -> None:
    """`not assessed` is no zero, for machines and in a table."""
    never, once = vm("a", assessed=None, reason="VmNotRunning"), vm("b")
    assert (to_json(never)["state"], to_json(once)["state"]) == ("not assessed", "assessed")
    row = to_row(never)
    assert set(CSV_COLUMNS) <= row.keys()
    assert (row["state"], row["criticalAndSecurityCount"]) == ("not assessed", None)
    assert "not assessed" in printed(never, once)


def test_the_fleet_is_summed_up_by_a_tag() -> None:
    """Whatever the case of its name; those that lack it have a line of their own."""
    fleet = [
        replace(vm("a", patches_since=3), tags={"Owner": "team-a"}),
        replace(vm("b"), tags={"owner": "team-a"}),
        replace(vm("c", assessed=None), tags={"owner": "team-b"}),
        vm("d"),
    ]
    sums = sum_by_tag(fleet, "OWNER")
    assert [(each.subscription_id, each.vms, each.never_assessed) for each in sums] == [
        (NO_TAG, 1, 0),
        ("team-a", 2, 0),
        ("team-b", 1, 1),
    ]
    rows = tag_rows(fleet, "owner")
    assert all(tuple(row) == TAG_COLUMNS for row in rows)
    assert [(row["value"], row["vms"], row["notAssessed"]) for row in rows] == [
        (None, 1, 0),
        ("team-a", 2, 0),
        ("team-b", 1, 1),
    ]
    assert [row["criticalOrSecurityPatchesAvailable"] for row in rows] == [0, 1, 0]
    assert [bool(row["oldestAlert"]) for row in rows] == [False, True, False]


def test_a_row_has_the_vms_tags() -> None:
    """As JSON; anything else is not known."""
    row = {"PartitionKey": SUBSCRIPTION, "VmId": "/subscriptions/s"}
    assert VmPosture.of(row | {"Tags": '{"owner": "team-a"}'}).tag("Owner") == "team-a"
    assert VmPosture.of(row | {"Tags": "?"}).tags is None
    assert VmPosture.of(row).tag("owner") is None
