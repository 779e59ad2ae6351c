"""Lists that the Linux extension cut: records in them that stand for patches, and are none."""

from datetime import timedelta
from typing import Any

import pytest

from assessor.alerts.decision import decide_by_result
from assessor.alerts.message import describe
from assessor.alerts.rule import AlertPolicy
from assessor.alerts.rules import BY_NAME
from assessor.arm.result import parse_patch
from assessor.messages.outcome import Outcome
from assessor.posture.model import Alert, Change, Posture
from assessor.scans.store import concluded
from tests.support.assessments import completed, finding, patch

RULE = "CriticalOrSecurityPatchesAvailable"
NAMES = [f"p{number:03}" for number in range(600)]
WARNED = "CompletedWithWarnings"


def cut(number: object, classification: str = "Security") -> dict[str, Any]:
    """Returns the record in place of so many patches."""
    return {
        "patchId": "Truncated_patch_list_id",
        "name": f"{number} additional updates of classification {classification} reported",
        "version": "0.0.0",
        "classifications": [classification],
    }


def alerts_of(*outcomes: Outcome) -> list[Alert]:
    """Returns the alerts about patches that these outcomes bring, one after the other."""
    posture: Posture | None = None
    alerts: list[Alert] = []
    for outcome in outcomes:
        step = decide_by_result(posture, finding(outcome), AlertPolicy(reminder=timedelta()))
        alerts += (each for each in step.alerts if each.alert.rule == RULE)
        posture = step.posture
    return alerts


def _said(*outcomes: Outcome) -> list[Change]:
    return [each.change for each in alerts_of(*outcomes)]


@pytest.mark.parametrize("status", ["Succeeded", WARNED])
@pytest.mark.parametrize("count", [600, None])
def test_a_list_that_is_cut_is_no_growth(status: str, count: int | None) -> None:
    """Nor is one that is cut elsewhere, or that is whole again."""
    said = _said(
        completed(0, NAMES, count=count),
        completed(1, NAMES[3:], count=count, status=status, others=[cut(3)]),
        completed(2, NAMES[:580], count=count, status=status, others=[cut(20)]),
        completed(3, NAMES, count=count),
    )
    assert said == [Change.APPEARED]


@pytest.mark.parametrize("status", ["Succeeded", WARNED])
@pytest.mark.parametrize("count", [600, 0, None])
def test_names_that_come_for_patches_that_were_hidden_are_no_growth(
    status: str, count: int | None
) -> None:
    """They were counted before, by the record if not by ARM's own count."""
    said = _said(
        completed(0, NAMES[:590], count=count, status=status, others=[cut(10)]),
        completed(1, NAMES[5:], count=count, status=status, others=[cut(5)]),
        completed(2, NAMES, count=count),
    )
    assert said == [Change.APPEARED]


def test_more_patches_than_were_hidden_are_growth() -> None:
    """As they are in any list."""
    said = _said(
        completed(0, NAMES[:590], count=600, status=WARNED, others=[cut(10)]),
        completed(1, [*NAMES, "new"], count=601),
    )
    assert said == [Change.APPEARED, Change.GREW]


def test_hidden_patches_alone_are_lacking_patches() -> None:
    """And resolve nothing; hidden patches of other kinds do not count."""
    hidden = completed(1, [], count=None, others=[cut(1)])
    assert _said(completed(0, ["a"]), hidden) == [Change.APPEARED]
    assert _said(hidden) == [Change.APPEARED]
    assert concluded(hidden).critical
    assert _said(completed(0, [], count=0, others=[cut(7, "Other")])) == []


def test_the_record_is_no_patch_of_an_alert_and_is_counted_in_the_outcome() -> None:
    """The list itself stays as ARM sent it."""
    outcome = completed(0, ["a"], count=4, others=[cut(3), cut(9, "Other")])
    assert outcome.data["availablePatchesTruncated"] == 12
    assert outcome.data["availablePatches"] == [patch("a"), cut(3), cut(9, "Other")]
    (alert,) = alerts_of(outcome)
    assert [each.name for each in alert.patches or ()] == ["a"]
    assert "availablePatchesTruncated" not in completed(0, ["a"]).data


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (cut(3), 3),
        (cut(0), 1),
        (cut("many"), 1),
        (cut(3) | {"patchId": "TRUNCATED_PATCH_LIST_ID", "name": None}, 1),
        (patch("a"), 0),
        (patch("3 additional updates"), 0),
    ],
)
def test_a_record_stands_for_its_number(record: dict[str, Any], expected: int) -> None:
    """For one at the least, whatever its name; a patch stands for itself."""
    assert parse_patch(record).hidden == expected


@pytest.mark.parametrize("count", [0, None, 1])
def test_a_sentence_agrees_with_the_patches_that_the_alert_shows(count: int | None) -> None:
    """ARM's count may be below its own list: Ubuntu Pro's patches have been seen so."""
    esm = patch("libssl1.1", "Security-ESM")
    (alert,) = alerts_of(completed(0, [], count=count, others=[esm]))
    assert describe(alert, BY_NAME[RULE]).endswith("lacks 1 critical or security patch.")


def test_no_sentence_says_zero() -> None:
    """Where neither the count nor the list tells a number, none is said."""
    (alert,) = alerts_of(completed(0, [], count=None, others=[cut(2)]))
    assert " 0 " not in describe(alert, BY_NAME[RULE])
