"""`patches`: the table's answer is what a scan of all the lists would say."""

import csv
import io
import json
import random
import zlib
from dataclasses import astuple, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assessor.alerts.decision import decide_by_result
from assessor.alerts.rule import AlertPolicy
from assessor.alerts.rules import ALERT_COLUMNS
from assessor.arm.result import parse_patch
from assessor.posture.lacking import LackedPatch, from_columns, lacked, to_columns
from assessor.posture.model import Posture
from assessor.posture.row import from_row, to_row
from assessor.resource_id import VirtualMachineId
from patch_assessor_cli.fleet_patches import LackingVm, RowReader
from patch_assessor_cli.patches import rows_of, unknown_lists
from patch_assessor_cli.table_output import write_csv
from tests.support.assessments import completed, finding, patch
from tests.support.builders import NOW, REFERENCE_RESULT, SUBSCRIPTION, VM_ID

RAW = st.fixed_dictionaries(
    {},
    optional={
        "patchId": st.sampled_from(["a", "b", "Truncated_patch_list_id"]),
        "name": st.sampled_from(
            ["openssl", "OpenSSL-libs", "2023-10 Update (KB5031364)", "linux-image", "Straße"]
        )
        | st.text('],["\\ntrue', max_size=8),  # what stands between patches in a list's JSON
        "version": st.sampled_from(["1.0", "2.0", ""]),
        "kbId": st.sampled_from(["5031364", "KB5031364", "890830"]),
        "classifications": st.lists(st.sampled_from(["Security", "Other", "Odd"]), max_size=2),
    },
)
FLEETS = st.lists(st.none() | st.lists(RAW, max_size=6), max_size=8)
PARTS = st.sampled_from(["KB5031364", "kb5031364", "5031364", "ssl", "OPENSSL", "STRASSE", "none"])


def fleet_of(lists: list[list[dict[str, Any]] | None]) -> list[LackingVm]:
    """Returns the VMs as the command reads them from the rows that the app writes."""
    reader = RowReader()
    return [
        reader.read(
            to_row(
                Posture(
                    VirtualMachineId(SUBSCRIPTION, "group", f"vm-{number}"),
                    lacks=lacked(None if raw is None else map(parse_patch, raw)),
                ),
                ALERT_COLUMNS,
            )
        )
        for number, raw in enumerate(lists)
    ]


def scanned(lists: list[list[dict[str, Any]] | None]) -> list[tuple[str, str, str, str]]:
    """Returns each VM with each patch of ARM's own list: a full scan."""
    return [
        (f"vm-{number}", each.name or "", each.version or "", (each.kb_id or "").upper())
        for number, raw in enumerate(lists)
        for each in map(parse_patch, raw or ())
        if not each.hidden
    ]


@given(FLEETS, PARTS)
def test_the_vms_that_lack_a_patch_are_those_of_a_full_scan(
    lists: list[list[dict[str, Any]] | None], part: str
) -> None:
    """By its article, with or without KB before it, or by any part of its name, in any case."""
    rows, _ = rows_of(fleet_of(lists), part)
    found = sorted((row["vmId"].rpartition("/")[2], row["name"], row["kb"]) for row in rows)
    wanted = part.casefold()
    assert found == sorted(
        (vm, name, f"KB{kb.removeprefix('KB')}" if kb else "")
        for vm, name, _, kb in scanned(lists)
        if wanted in name.casefold() or (kb and wanted in f"kb{kb.removeprefix('KB')}".casefold())
    )


@given(FLEETS)
def test_each_different_patch_is_one_object(lists: list[list[dict[str, Any]] | None]) -> None:
    """That is what they are compared and counted by, however many VMs lack it."""
    patches = {each for vm in fleet_of(lists) for each in vm.patches or ()}
    assert len({astuple(each) for each in patches}) == len(patches)


@given(FLEETS)
def test_the_patches_are_counted_as_a_full_scan_counts_them(
    lists: list[list[dict[str, Any]] | None],
) -> None:
    """Each VM once for each patch, the most lacked first."""
    rows, _ = rows_of(fleet_of(lists), "")
    numbers = [row["vms"] for row in rows]
    assert numbers == sorted(numbers, reverse=True)
    for row in rows:
        assert row["vms"] >= 1
    by_name: dict[tuple[str, str], set[str]] = {}
    for vm, name, version, _ in scanned(lists):
        by_name.setdefault((name, version), set()).add(vm)
    assert {(row["name"], row["version"]) for row in rows} == by_name.keys()
    for (name, version), holders in by_name.items():
        shown = [row["vms"] for row in rows if (row["name"], row["version"]) == (name, version)]
        assert max(shown) <= len(holders) <= sum(shown)


def test_an_assessments_list_is_remembered_and_its_successors_takes_its_place() -> None:
    """A newest assessment without a list leaves nothing known, and no list of an earlier one."""
    step = decide_by_result(None, finding(completed(0, "ab")), AlertPolicy())
    assert step.posture.lacks is not None
    assert [each.name for each in step.posture.lacks] == ["a", "b"]
    assert from_row(to_row(step.posture, ALERT_COLUMNS), ALERT_COLUMNS) == step.posture
    after = decide_by_result(step.posture, finding(completed(1, None, count=2)), AlertPolicy())
    assert after.posture.lacks is None


def test_the_rows_of_an_earlier_version_are_not_known_and_said_to_be() -> None:
    """They have no such columns; nothing of them is taken for a VM that lacks nothing."""
    fleet = fleet_of([None, [], [patch("a")]])
    assert [each.patches is None for each in fleet] == [True, False, False]
    sentence = unknown_lists(fleet)
    assert sentence is not None
    assert sentence.startswith("Of 1 VMs it is not known what they lack")
    assert unknown_lists(fleet[1:]) is None


def test_the_references_patches_are_found_by_their_articles() -> None:
    """As the REST reference shows them: the number without KB, the name with it."""
    rows, columns = rows_of(fleet_of([list(REFERENCE_RESULT["availablePatches"])]), "KB890830")
    (row,) = rows
    assert row["kb"] == "KB890830"
    assert row["criticalOrSecurity"] is False
    assert set(columns) == row.keys()


def test_a_list_beyond_all_measure_keeps_the_important_patches() -> None:
    """And says how many it does not have."""
    draw = random.Random(1)
    many = tuple(
        LackedPatch(f"{number}-{draw.random()}{draw.random()}", "", "", "", number < 10)
        for number in range(20_000)
    )
    columns = to_columns(many)
    kept = from_columns(columns)
    assert kept is not None
    assert kept == many[: len(kept)]
    assert columns["LacksOmitted"] == len(many) - len(kept)
    (vm,) = fleet_of([None])
    assert replace(vm, omitted=3).omitted == 3


@pytest.mark.parametrize(
    "damaged",
    [
        b"?",
        b"x\x9c\x03\x00",
        b"",
        *map(
            zlib.compress,
            (
                b"",
                b"[",
                b"[[",
                b'[["a"]]',
                b'[["a",1,"","",true]]',
                b'[["a","","","",true],[]]',
                b'[["a","","","",true],["b"]]',
                b"[" * 100_000,
                b"7",
            ),
        ),
    ],
)
def test_columns_that_can_not_be_read_are_not_known(damaged: bytes) -> None:
    """They keep neither the app from its work nor the command from the rest of the fleet."""
    assert from_columns({"Lacks0": damaged}) is None
    row = {"VmId": str(VM_ID), "AssessedAt": NOW, "Lacks0": damaged}
    assert RowReader().read(row).patches is None


def test_csv_is_what_a_spreadsheet_reads(capsys: pytest.CaptureFixture[str]) -> None:
    """Commas and quotes within names; nothing that would be taken for a formula; one line each."""
    names = ['=HYPERLINK("x")', "a,b", 'say "x"', "two\nlines", "plain"]
    rows, columns = rows_of(fleet_of([[patch(name) for name in names]]), "")
    write_csv(rows, columns)
    text = capsys.readouterr().out
    read = list(csv.DictReader(io.StringIO(text)))
    assert len(text.splitlines()) == len(names) + 1
    shown = {each["name"] for each in read}
    assert {"a,b", 'say "x"', "plain"} <= shown
    assert not any(name.startswith("=") for name in shown)
    assert {each["criticalOrSecurity"] for each in read} == {"true"}
    assert all(json.dumps(row) for row in rows)
