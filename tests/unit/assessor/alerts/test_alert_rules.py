"""Alert rules: each one through each change that it can have, and what each one has to bring."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from assessor.alerts.decision import decide_by_result, decide_by_time
from assessor.alerts.message import describe
from assessor.alerts.outbox import AlertOutbox
from assessor.alerts.removal import retired
from assessor.alerts.rule import (
    AlertPolicy,
    AlertRule,
    Reading,
    Sentences,
    Severity,
    after_any_assessment,
    after_plain_success,
)
from assessor.alerts.rules import ALERT_COLUMNS, BY_NAME, RULES
from assessor.arm.result import parse_patch
from assessor.messages.outcome import Outcome
from assessor.messages.patches import digest
from assessor.posture.finding import Finding
from assessor.posture.model import Alert, Change, OpenAlert, Posture
from assessor.posture.published_patches import PublishedPatches
from assessor.posture.row import to_row
from assessor.posture.store import MemoryPosture
from patch_assessor_cli.alert_rules import ALERT_RULES
from tests.support.assessments import FIRST_DAY, completed, finding, patch
from tests.support.builders import NOW, VM_ID
from tests.support.fakes import FakeBus, FakeClock
from tests.support.subscriber import heard

ROOT = Path(__file__).parents[4]
DOCS = ROOT / "docs"
CONSOLE = "patch_assessor_console"
DAILY = AlertPolicy(reminder=timedelta(days=1))


@dataclass(frozen=True)
class Example:
    """Outcomes that take one rule through its changes, each on its day.

    Attributes:
        holds: the condition is there.
        more: there is more of it; None for a rule that can't grow.
        clear: a plain success that does not find it.
        doubtful: an assessment that does not find it and resolves nothing.
        silent: an assessment that does not tell.
    """

    holds: Callable[[int], Outcome]
    more: Callable[[int], Outcome] | None
    clear: Callable[[int], Outcome]
    doubtful: Callable[[int], Outcome]
    silent: Callable[[int], Outcome]


EXAMPLES = {
    "CriticalOrSecurityPatchesAvailable": Example(
        holds=lambda day: completed(day, "a"),
        more=lambda day: completed(day, "ab"),
        clear=lambda day: completed(day, "", others=[patch("x", "Other")]),
        doubtful=lambda day: completed(day, "", status="CompletedWithWarnings"),
        silent=lambda day: completed(day, None),
    ),
    "RebootPending": Example(
        holds=lambda day: completed(day, reboot=True),
        more=None,
        clear=lambda day: completed(day, reboot=False),
        doubtful=lambda day: completed(day, reboot=False, status="Unknown"),
        silent=lambda day: completed(day, reboot=None),
    ),
}


def changes(rule: AlertRule, *outcomes: Outcome, policy: AlertPolicy = DAILY) -> list[Alert]:
    """Returns the rule's alerts of a VM with these outcomes, one after the other."""
    posture: Posture | None = None
    alerts: list[Alert] = []
    for outcome in outcomes:
        step = decide_by_result(posture, finding(outcome), policy)
        alerts += (each for each in step.alerts if each.alert.rule == rule.name)
        posture = step.posture
    return alerts


def scripted(rule: AlertRule, change: Change) -> list[Outcome]:
    """Returns outcomes of which the last one brings the change."""
    example = EXAMPLES[rule.name]
    match change:
        case Change.APPEARED:
            return [example.clear(0), example.holds(1)]
        case Change.GREW:
            assert example.more is not None
            return [example.holds(0), example.more(1)]
        case Change.REMINDER:
            return [example.holds(0), example.holds(1)]
        case Change.GONE:
            return [example.holds(0), example.clear(1)]


CUT = patch("3 additional updates of classification Critical reported") | {
    "patchId": "Truncated_patch_list_id"
}
"""What the Linux extension writes in place of three patches, of a list that got too long."""
A = parse_patch(patch("a"))


@pytest.mark.parametrize(
    ("count", "unnamed", "most"), [(None, 3, 4), (0, 3, 4), (4, 3, 4), (9, 8, 9)]
)
def test_patches_of_a_cut_list_are_published_by_their_number(
    count: int | None, unnamed: int, most: int
) -> None:
    """Beside those that it names; ARM's own count is believed where it is the higher one."""
    found = finding(completed(0, ["a"], count=count, others=[CUT]))
    assert BY_NAME["CriticalOrSecurityPatchesAvailable"].by_result(Posture(VM_ID), found) == (
        Reading(
            holds=True,
            grew=True,
            patches=(A,),
            new_patches=(A,),
            published=PublishedPatches((digest(A),), unnamed, most),
        )
    )


@pytest.mark.parametrize(
    ("status", "others", "unnamed"),
    [
        ("Succeeded", [], 0),
        ("Succeeded", [CUT], 4),
        ("CompletedWithWarnings", [], 4),
        ("CompletedWithWarnings", [CUT], 4),
    ],
)
def test_only_a_whole_list_says_that_counted_patches_are_not_there(
    status: str, others: list[dict[str, Any]], unnamed: int
) -> None:
    """Five were counted before; all but the one that is named now may come later, as no news."""
    before = Posture(VM_ID, published=PublishedPatches((), 5, 5))
    found = finding(completed(0, ["a"], count=1, status=status, others=others))
    reading = BY_NAME["CriticalOrSecurityPatchesAvailable"].by_result(before, found)
    assert reading.published == PublishedPatches((digest(A),), unnamed, 5)
    assert not reading.grew


BY_RESULT = [rule for rule in RULES if rule.by_time is None]
"""The rules about what was found; test_overdue.py has the one about silence."""
RULES_AND_CHANGES = [
    pytest.param(rule, change, id=f"{rule.name}-{change}")
    for rule in BY_RESULT
    for change in Change
    if change is not Change.GREW or rule.sentences.grew is not None
]


@pytest.mark.parametrize(("rule", "change"), RULES_AND_CHANGES)
def test_each_rule_goes_through_its_changes(rule: AlertRule, change: Change) -> None:
    """The last alert is of that change, under the alert's one ID, and says so in its sentence."""
    alerts = changes(rule, *scripted(rule, change))
    assert alerts[-1].change is change
    assert len({each.alert.alert_id for each in alerts}) == 1
    assert len({each.id for each in alerts}) == len(alerts)
    sentence = describe(alerts[-1], rule)
    assert sentence.startswith(VM_ID.name)
    assert sentence.endswith(".")
    assert "{" not in sentence


@pytest.mark.parametrize("rule", BY_RESULT, ids=lambda rule: rule.name)
def test_a_condition_that_is_in_doubt_or_not_told_changes_nothing(rule: AlertRule) -> None:
    """Neither resolves an open alert; what a rule trusts does."""
    example = EXAMPLES[rule.name]
    quiet = AlertPolicy()
    alerts = changes(rule, example.holds(0), example.doubtful(1), example.silent(2), policy=quiet)
    assert [each.change for each in alerts] == [Change.APPEARED]
    assert changes(rule, example.silent(0), example.doubtful(1), policy=quiet) == []


@pytest.mark.parametrize("rule", BY_RESULT, ids=lambda rule: rule.name)
def test_the_end_of_a_vm_resolves_each_rule(rule: AlertRule) -> None:
    """Its alert says that the VM is gone."""
    step = decide_by_result(None, finding(EXAMPLES[rule.name].holds(0)), DAILY)
    (alert,) = retired(step.posture, FIRST_DAY + timedelta(days=1), "event-1").alerts
    assert alert.alert.rule == rule.name
    assert "is gone" in describe(alert, rule)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_rule_has_its_columns_and_its_rows_in_the_docs(rule: AlertRule) -> None:
    """`docs/alerts.md` names rule, severity and columns, as the app writes them."""
    opened = OpenAlert(rule.name, "id", "by", FIRST_DAY, FIRST_DAY)
    row = to_row(Posture(VM_ID, open_alerts=(opened,)), ALERT_COLUMNS)
    names = [f"{rule.column}{ending}" for ending in ("Id", "FiredAt")]
    assert all(name in row for name in names)
    page = (DOCS / "alerts.md").read_text("utf-8")
    assert f"| `{rule.name}` | {rule.severity} |" in page
    assert all(f"`{name}`" in page for name in names)


def test_rules_share_neither_name_nor_column_nor_heading() -> None:
    """Each is stored and shown by its own, and has an example above."""
    assert len({rule.name for rule in RULES}) == len(BY_NAME) == len(RULES)
    assert len({rule.column for rule in RULES}) == len({rule.heading for rule in RULES})
    assert len(set(ALERT_COLUMNS.values())) == len(RULES)
    assert EXAMPLES.keys() == {rule.name for rule in BY_RESULT}


def test_no_code_beside_the_rules_knows_one_by_its_name() -> None:
    """So a new one is added in one place; what the commands and the console know is made from it.

    RebootPending is the name of what ARM tells as well, and of a column. What state of a VM the
    console shows rests on two rules, which therefore have names there.
    """
    names = [rule.name for rule in RULES if rule.name != "RebootPending"]
    known = {
        path.relative_to(ROOT).as_posix()
        for package in ("assessor", "handlers", "infra", "patch_assessor_cli", CONSOLE)
        for ending in ("py", "bicep", "kql")
        for path in (ROOT / package).rglob(f"*.{ending}")
        if any(name in path.read_text("utf-8") for name in names)
    }
    assert known == {
        "assessor/alerts/rules.py",
        "patch_assessor_cli/alert_rules.py",
        f"{CONSOLE}/model/vm.py",
    }


def _silent_for_two_days(before: Posture, now: datetime, policy: AlertPolicy) -> bool:
    del policy
    last = before.assessment
    return last is None or now - last.completed_at >= timedelta(days=2)


def _an_assessment_ends_silence(before: Posture, found: Finding) -> Reading:
    del before, found
    return Reading(holds=False)


SILENCE = AlertRule(
    name="Silence",
    severity=Severity.INFORMATIONAL,
    column="SilenceAlert",
    heading="silent",
    by_result=_an_assessment_ends_silence,
    by_time=_silent_for_two_days,
    resolved_by=after_any_assessment,
    sentences=Sentences(
        appeared="{name} is silent.", reminder="{name} is still silent.", gone="{name} speaks."
    ),
)
"""A rule about silence, as any app might have one."""


def test_time_alone_fires_and_reminds_and_a_result_resolves() -> None:
    """Whatever status the result has; the alert's ID is one from fired to resolved."""
    posture = decide_by_result(None, finding(completed(0)), DAILY, [SILENCE]).posture
    said: list[Alert] = []
    for hours in (24, 48, 49, 72):
        now = FIRST_DAY + timedelta(hours=hours, minutes=11)
        step = decide_by_time(posture, now, DAILY, f"timer-{hours}", [SILENCE])
        said += step.alerts
        posture = step.posture
    last = finding(completed(4, status="Unknown"))
    said += decide_by_result(posture, last, DAILY, [SILENCE]).alerts
    assert [each.change for each in said] == [Change.APPEARED, Change.REMINDER, Change.GONE]
    assert [each.request_id for each in said] == ["timer-48", "timer-72", last.request_id]
    assert len({each.alert.alert_id for each in said}) == 1
    assert len({each.id for each in said}) == len(said)


def test_time_touches_no_rule_about_results_and_no_vm_that_is_gone() -> None:
    """Their alerts stay as they are, reminders included."""
    posture = decide_by_result(None, finding(completed(0, "a", reboot=True)), DAILY).posture
    later = FIRST_DAY + timedelta(days=9)
    step = decide_by_time(posture, later, DAILY, "timer", [*RULES, SILENCE])
    assert [each.alert.rule for each in step.alerts] == [SILENCE.name]
    assert [each.rule for each in step.posture.open_alerts] == [*EXAMPLES, SILENCE.name]
    assert decide_by_time(posture, later, DAILY, "timer").posture == posture
    gone = retired(posture, later, "event").posture
    assert decide_by_time(gone, later, DAILY, "timer", [SILENCE]).alerts == ()


def test_a_plain_success_is_what_rules_trust_unless_they_say_otherwise() -> None:
    """So a rule that forgets to say resolves too little, never too much."""
    assert {rule.resolved_by for rule in BY_RESULT} == {after_plain_success}


async def test_the_outbox_publishes_what_time_brings_once() -> None:
    """The timer may come again at once: the alert is open, and waits for its reminder."""
    store, bus = MemoryPosture(), FakeBus()
    outbox = AlertOutbox(
        store=store,
        bus=bus,
        alerts_topic="patch-alerts",
        clock=FakeClock(FIRST_DAY + timedelta(days=9)),
        policy=AlertPolicy(),
        rules=[SILENCE],
    )
    await outbox.conclude(completed(0), None)
    (alert,) = await outbox.check(VM_ID, "timer-1")
    assert await outbox.check(VM_ID, "timer-2") == ()
    (message,) = bus.sent["patch-alerts"]
    assert message.message_id == alert.id
    assert message.application_properties["requestId"] == "timer-1"
    assert heard(message).rule == SILENCE.name
    assert heard(message).data["essentials"]["description"] == f"{VM_ID.name} is silent."


async def test_the_outbox_leaves_alone_what_time_does_not_touch() -> None:
    """Whether the VM is known or not."""
    store, bus = MemoryPosture(), FakeBus()
    outbox = AlertOutbox(
        store=store,
        bus=bus,
        alerts_topic="patch-alerts",
        clock=FakeClock(NOW),
        policy=AlertPolicy(timedelta(hours=1)),
    )
    assert await outbox.check(VM_ID, "timer") == ()
    await outbox.conclude(completed(0, "a"), None)
    before = len(bus.sent["patch-alerts"])
    assert await outbox.check(VM_ID, "timer") == ()
    assert len(bus.sent["patch-alerts"]) == before


def test_the_commands_know_the_rules_of_the_app() -> None:
    """Their copy is made by `make schemas`; run it if this fails."""
    assert [(each.name, each.severity, each.column, each.heading) for each in ALERT_RULES] == [
        (rule.name, rule.severity, rule.column, rule.heading) for rule in RULES
    ]
