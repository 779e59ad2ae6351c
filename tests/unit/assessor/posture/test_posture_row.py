"""Rows of the posture table: they keep everything, within what Azure Tables take."""

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assessor.alerts.rules import ALERT_COLUMNS
from assessor.posture.durations import Learned
from assessor.posture.lacking import COLUMN_BYTES
from assessor.posture.model import Posture
from assessor.posture.outline import outline_of
from assessor.posture.row import (
    DURATION_COLUMNS,
    RowError,
    durations_from_row,
    from_row,
    keys_of,
    to_row,
)
from assessor.resource_id import VirtualMachineId
from tests.support.assessments import Day, completed, days, patch
from tests.support.builders import VM_ID, vm_ids
from tests.support.properties import tries
from tests.support.saved_postures import saved_postures

MAX_ROW_BYTES = 1024 * 1024


async def postures(*sequence: Day) -> list[Posture]:
    """Returns all postures that these days lead to, unpublished alerts among them."""
    return await saved_postures(*(day.outcome for day in sequence))


@settings(max_examples=tries(60))
@given(days())
async def test_a_row_keeps_a_posture_whole(sequence: list[Day]) -> None:
    """What is read is what was saved, to the microsecond and the last patch."""
    for posture in await postures(*sequence):
        read = from_row(to_row(posture, ALERT_COLUMNS), ALERT_COLUMNS)
        assert read == posture
        assert str(read.vm_id) == str(posture.vm_id)


async def test_a_row_keeps_what_is_no_valid_unicode() -> None:
    """ARM's JSON can hold half of a surrogate pair."""
    day = Day(0, completed(0, others=[patch("\ud800", "Novel"), patch("a", "Critical")]))
    for posture in await postures(day):
        assert from_row(to_row(posture, ALERT_COLUMNS), ALERT_COLUMNS) == posture


async def test_thousands_of_patches_fit_a_row() -> None:
    """With names that compression makes nothing of, and two alerts that are not published yet."""
    chance = random.Random(1)
    names = [chance.randbytes(60).hex() for _ in range(5_000)]
    for posture in await postures(Day(0, completed(0, names, reboot=True))):
        row = to_row(posture, ALERT_COLUMNS)
        found = from_row(row, ALERT_COLUMNS)
        assert replace(found, lacks=posture.lacks, lacks_omitted=0) == posture
        assert found.lacks is not None
        assert posture.lacks is not None
        assert found.lacks_omitted > 0
        assert len(found.lacks) + found.lacks_omitted == len(posture.lacks)
        assert to_row(found, ALERT_COLUMNS)["LacksOmitted"] == found.lacks_omitted
        parts = [value for value in row.values() if isinstance(value, bytes)]
        assert all(len(part) <= COLUMN_BYTES for part in parts)
        assert sum(map(len, parts)) < MAX_ROW_BYTES // 2


@given(vm_ids(), vm_ids())
def test_keys_are_legal_and_tell_vms_apart(one: VirtualMachineId, other: VirtualMachineId) -> None:
    """Without the characters that Azure Tables refuse, and the same in any case."""
    assert not set("/\\#?").intersection("".join(keys_of(one)))
    assert (keys_of(one) == keys_of(other)) == (one == other)
    shouted = VirtualMachineId(one.subscription_id.upper(), one.resource_group, one.name.upper())
    assert keys_of(shouted) == keys_of(one)


async def test_columns_are_there_for_queries() -> None:
    """What people ask for: what is open since when, who was assessed when, who is gone."""
    saved = await postures(Day(0, completed(0, "ab", count=2, reboot=True)))
    row = to_row(saved[-1], ALERT_COLUMNS)
    assert row["VmId"] == str(VM_ID)
    assert (row["Assessed"], row["Retired"], row["OpenAlerts"]) == (True, False, 2)
    assert row["CriticalAndSecurityPatchCount"] == 2
    assert row["RebootPending"] is True
    assert row["PatchesAlertFiredAt"] == row["RebootAlertFiredAt"] == row["AssessedAt"]
    assert None not in row.values()


@pytest.mark.parametrize(
    "damage",
    [{"Format": 2}, {"Part0": b"?"}, {"Parts": 9}, {"Part0": "text"}, {"Parts": None}],
)
async def test_a_row_that_cannot_be_read_is_an_error(damage: dict[str, Any]) -> None:
    """It is never taken for a VM that nothing is known of: its open alerts would be forgotten."""
    saved = await postures(Day(0, completed(0, "a")))
    with pytest.raises(RowError):
        from_row(to_row(saved[-1], ALERT_COLUMNS) | damage, ALERT_COLUMNS)


@given(st.dictionaries(st.text(), st.none() | st.text() | st.integers() | st.binary()))
def test_a_row_of_somebody_else_is_an_error(row: dict[str, Any]) -> None:
    """Whatever is in it."""
    with pytest.raises(RowError):
        from_row(row | {"Format": 1, "Parts": 1}, ALERT_COLUMNS)


@given(
    st.builds(
        Learned,
        st.integers(1, 8),
        st.floats(min_value=-6.9, max_value=11.4),
        st.floats(min_value=0, max_value=84),
    )
)
def test_durations_are_read_from_their_own_columns(learned: Learned) -> None:
    """As they stand in the whole, to the last digits but a few."""
    row = to_row(Posture(VM_ID, durations=learned), ALERT_COLUMNS)
    read = durations_from_row({name: row[name] for name in DURATION_COLUMNS})
    assert read is not None
    assert read.count == learned.count
    assert read.log_mean == pytest.approx(learned.log_mean, abs=1e-9)
    assert read.log_variance == pytest.approx(learned.log_variance, abs=1e-9)


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"DurationCount": 1, "DurationSeconds": 0.0, "DurationSpread": 0.1},
        {"DurationCount": 0, "DurationSeconds": 1.0, "DurationSpread": 0.1},
        {"DurationCount": 1, "DurationSeconds": "long", "DurationSpread": 0.1},
        {"DurationCount": 1, "DurationSeconds": 1.0, "DurationSpread": 1e200},
        {"DurationCount": 1, "DurationSeconds": 1.0, "DurationSpread": None},
    ],
)
def test_durations_that_make_no_sense_are_none(row: dict[str, Any]) -> None:
    """They only say when to poll."""
    assert durations_from_row(row) is None


@pytest.mark.parametrize("odd", [7, 0.5, True, b"x"], ids=repr)
def test_columns_of_another_type_are_as_if_they_were_not_there(odd: object) -> None:
    """Somebody else's row ends no sweep over all of them, and no number is made of a text."""
    row = {**to_row(Posture(VM_ID), ALERT_COLUMNS), "VmId": odd, "LacksOmitted": "many"}

    assert outline_of(row, ALERT_COLUMNS) is None
    assert from_row(row, ALERT_COLUMNS).lacks_omitted == 0
