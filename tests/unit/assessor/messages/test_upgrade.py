"""What a version before has left behind is read by this one: messages, tokens, rows, entities.

The samples under `tests/recorded/<version>` were written by that version, with
tests/support/samples.py.
"""

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from assessor.alerts.rules import ALERT_COLUMNS
from assessor.arm.access_token import Origin
from assessor.arm.continuation import check, name_in
from assessor.messages.in_progress import check_times, parse_in_progress
from assessor.posture.row import from_row
from assessor.scan_account import RUNNING_DIGEST_BYTES, ScanState
from assessor.scans.tables import TableScans
from assessor.telemetry.setup import VERSION
from tests.support.builders import ACTIVITY_ID, NOW, SUBSCRIPTION
from tests.support.memory_table import MemoryTable
from tests.support.samples import FOLDER, SCAN_ID, in_progress, postures, read_row

_ROOT: Final = Path(__file__).parents[4]
_VERSIONS: Final = sorted(
    path.name for path in FOLDER.iterdir() if path.is_dir() and path.name[0].isdigit()
)
_each_version = pytest.mark.parametrize("version", _VERSIONS)


def test_this_version_has_its_samples() -> None:
    """So that the next one is held to them: `python -m tests.support.samples` before a release."""
    assert VERSION in _VERSIONS


@_each_version
@pytest.mark.parametrize("name", in_progress())
def test_a_message_on_its_way_goes_on(version: str, name: str) -> None:
    """As what it was, within the bounds of time that forged ones are held to."""
    body = (FOLDER / version / "in-progress" / f"{name}.json").read_bytes()

    read = parse_in_progress(body)
    assert read == in_progress()[name]
    check_times(read, NOW + timedelta(minutes=1))


@_each_version
@pytest.mark.parametrize("name", ["of-the-sdk", "of-a-known-operation"])
def test_a_token_leads_to_its_operation(version: str, name: str) -> None:
    """The pinned SDK's own, and the one that the app makes for an operation that it found."""
    token = (FOLDER / version / "tokens" / f"{name}.txt").read_text().strip()

    origin = Origin("https://management.azure.com", SUBSCRIPTION, ACTIVITY_ID)
    assert name_in(check(token, origin)) == ACTIVITY_ID


@_each_version
@pytest.mark.parametrize("name", postures())
def test_a_posture_is_remembered(version: str, name: str) -> None:
    """With its open alerts, and with those that are decided and not published."""
    row = read_row((FOLDER / version / "postures" / f"{name}.json").read_text())

    assert from_row(row, ALERT_COLUMNS) == postures()[name]


@_each_version
async def test_a_scan_under_way_comes_to_its_end(version: str) -> None:
    """Its records are counted, and it is summed up once."""
    text = (FOLDER / version / "scans" / "under-way.json").read_text()
    rows: Any = read_row(text)
    table = MemoryTable(rows)
    store = TableScans(table)  # type: ignore[arg-type] # the few methods of it that are called

    assert await store.state(SCAN_ID) == ScanState(NOW, expanded=True)
    assert await store.running(SCAN_ID) == frozenset({bytes(range(RUNNING_DIGEST_BYTES))})
    assert await store.is_pending(SCAN_ID), "one of the three has no outcome yet"
    tally = await store.tally(SCAN_ID)
    assert (tally.requested, tally.assessed, tally.failed) == (3, 1, 1)
    await store.sum_up(SCAN_ID)
    assert await store.state(SCAN_ID) == ScanState(NOW, expanded=True, summed_up=True)
    assert len(table.rows) == 1


@_each_version
def test_every_queue_and_subscription_is_still_there(version: str) -> None:
    """With the filters that it had: who reads one is not asked when the app is upgraded."""
    before, now = (
        _entities(path)
        for path in (FOLDER / version / "servicebus.json", _ROOT / "infra/servicebus.json")
    )
    assert {name: now.get(name) for name in before} == before


def _entities(path: Path) -> Mapping[str, object]:
    """Returns queues, and subscriptions with their rules, by name."""
    (namespace,) = json.loads(path.read_text())["UserConfig"]["Namespaces"]
    return {each["Name"]: None for each in namespace["Queues"]} | {
        f"{topic['Name']}/{each['Name']}": each.get("Rules")
        for topic in namespace["Topics"]
        for each in topic["Subscriptions"]
    }
