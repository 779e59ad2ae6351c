"""Whatever comes from outside: a clear rejection or a correct outcome, never an exception.

`make test-deep` tries some hundred inputs of each kind; `make fuzz` has a coverage-guided fuzzer
look for others, by the same tests.
"""

import asyncio
import json
import zlib
from collections.abc import Coroutine
from contextlib import suppress
from functools import cache
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assessor.alerts.rules import ALERT_COLUMNS
from assessor.arm.access_token import Origin
from assessor.arm.continuation import TokenRefusedError, check
from assessor.posture.model import Posture
from assessor.posture.row import RowError, from_row, to_row
from assessor.scans.tables import TableScans
from assessor.settings import Settings
from tests.fuzz import inputs
from tests.fuzz.edges import read_or_refuse
from tests.fuzz.world import Answer, World
from tests.support import event_grid
from tests.support.builders import NOW, SUBSCRIPTION, VM_ID, json_values, vm_json
from tests.support.memory_table import MemoryTable

pytestmark = pytest.mark.deep

_GOOD: Final = [Answer(404, {}, b'{"error": {"code": "ResourceNotFound", "message": "x"}}')]
_LOOP: Final = asyncio.new_event_loop()


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Runs it; a loop for each of a million inputs would take longer than they do."""
    _LOOP.run_until_complete(work)


@given(inputs.bodies(inputs.REQUEST, inputs.SCOPE), inputs.CONTENT_TYPES, inputs.PROPERTIES)
def test_a_request_of_any_form_is_answered(
    body: bytes, content_type: str | None, properties: dict[str, Any]
) -> None:
    """Each message ends in outcomes or a rejection, by its schema."""

    async def deliver() -> None:
        world = World(_GOOD)
        await world.request(body, content_type, properties)
        await world.settle()
        assert world.outcomes(), "the message was lost"

    _run(deliver())


@given(inputs.bodies(inputs.CLOUD_EVENT), inputs.CONTENT_TYPES, inputs.PROPERTIES)
def test_a_cloud_event_of_any_form_is_answered(
    body: bytes, content_type: str | None, properties: dict[str, Any]
) -> None:
    """Structured or binary, with whatever attributes."""

    async def deliver() -> None:
        world = World(_GOOD)
        await world.request(body, content_type, properties)
        await world.settle()
        assert world.outcomes(), "the message was lost"

    _run(deliver())


_EVENTS: Final = (
    event_grid.written(),
    event_grid.deleted(),
    event_grid.notified(),
    event_grid.maintained(SUBSCRIPTION, "x"),
    event_grid.requested(inputs.REQUEST),
    event_grid.as_cloud_event(event_grid.started()),
)


@given(inputs.bodies(*_EVENTS))
def test_an_event_of_any_form_is_taken(body: bytes) -> None:
    """It is never answered with an error, for which Event Grid would come again for a day."""

    async def deliver() -> None:
        world = World(_GOOD)
        await world.event(body.decode(errors="replace"))
        await world.settle()
        world.check_published()

    _run(deliver())


@pytest.mark.takes(35)
@given(inputs.answers())
def test_an_assessment_ends_whatever_arm_answers(answers: list[Answer]) -> None:
    """In one outcome, by its schema, after a bounded number of calls."""

    async def deliver() -> None:
        world = World(answers)
        await world.request(json.dumps(inputs.REQUEST).encode())
        await world.settle()
        assert len(world.outcomes()) == 1
        world.check_published()

    _run(deliver())


@given(inputs.pages())
def test_a_scan_ends_whatever_arm_answers(answers: list[Answer]) -> None:
    """In its sum, or a rejection; each of its VMs with its outcome."""

    async def deliver() -> None:
        world = World(answers)
        await world.request(json.dumps(inputs.SCOPE).encode())
        await world.settle()
        assert world.outcomes()

    _run(deliver())


@cache
def _written() -> list[Any]:
    """Returns what the app itself writes on the in-progress queue, as JSON."""
    written: list[bytes] = []

    async def write() -> None:
        accepted = Answer(202, {"azure-asyncoperation": inputs.OPERATION, "retry-after": "15"})
        world = World([Answer(200, {}, json.dumps(vm_json()).encode()), accepted])
        await world.request(json.dumps(inputs.REQUEST).encode())
        written.extend(world.scheduled())

    _run(write())
    return [json.loads(each) for each in written]


@given(
    st.deferred(lambda: st.sampled_from(_written()).flatmap(inputs.nearly))
    | st.binary(max_size=200),
    inputs.answers(),
)
def test_what_is_in_progress_is_refused_or_ends(body: bytes, answers: list[Answer]) -> None:
    """Whoever wrote it: no call but to ARM's origin, and an end."""

    async def deliver() -> None:
        world = World(answers)
        await world.in_progress(body)
        await world.settle()
        world.check_published()

    _run(deliver())


@given(st.text(max_size=300) | json_values().map(json.dumps))
def test_a_token_is_refused_or_leads_to_arm(token: str) -> None:
    """Nothing but the one error."""
    origin = Origin("https://management.azure.com", SUBSCRIPTION)
    with suppress(TokenRefusedError):
        check(token, origin)


_SETTINGS: Final = sorted(each.alias or name for name, each in Settings.model_fields.items())
_VALUES: Final = st.sampled_from(
    [
        *("", " ", ",", "0", "-1", "1e400", "nan", "x" * 5_000, "0 0 2 * * *", "*/0 * * * * *"),
        *("https://a.table.core.windows.net", "UseDevelopmentStorage=true", "env=prod,x", "=,="),
        *(f"/subscriptions/{SUBSCRIPTION}", "contoso.servicebus.windows.net", "Endpoint=sb://x/;"),
    ]
)


@given(st.dictionaries(st.sampled_from(_SETTINGS), _VALUES | st.text(max_size=60), max_size=6))
def test_settings_are_read_or_refused_by_name(environment: dict[str, str]) -> None:
    """One line that names the setting, whatever its text is."""
    read_or_refuse(environment)


_POSTURE: Final = Posture(VM_ID)
_VALUE: Final = st.one_of(
    st.none(), st.text(max_size=30), st.integers(), st.floats(), st.booleans(), st.datetimes()
) | st.binary(max_size=100)


@given(
    st.dictionaries(
        st.sampled_from([*to_row(_POSTURE, ALERT_COLUMNS), "Format", "Parts", "Part0", "Other"]),
        _VALUE | json_values().map(lambda each: zlib.compress(json.dumps(each).encode())),
        max_size=5,
    )
)
def test_a_row_of_any_age_is_read_or_set_aside(columns: dict[str, Any]) -> None:
    """A row that can't be read raises the one error that has it set aside."""
    with suppress(RowError):
        from_row(to_row(_POSTURE, ALERT_COLUMNS) | columns, ALERT_COLUMNS)


_SCAN_COLUMNS: Final = (
    *("StartedAt", "Expanded", "SummedUp", "RunningRows", "Digests"),
    *("Ending", "Critical", "Reboot", "At", "Other"),
)


@given(st.dictionaries(st.sampled_from(_SCAN_COLUMNS), _VALUE, max_size=5))
def test_the_rows_of_a_scan_are_read_whatever_is_in_them(columns: dict[str, Any]) -> None:
    """What this version does not know counts as not there."""
    keys = ("scan", "running|00000", f"vm|{SUBSCRIPTION}|group|vm-1")
    table = MemoryTable({"PartitionKey": "scan", "RowKey": key} | columns for key in keys)
    store = TableScans(table)  # type: ignore[arg-type] # the few methods of it that are called

    async def read() -> None:
        await store.open("scan", NOW)
        await store.state("scan")
        await store.running("scan")
        assert (await store.tally("scan")).requested == 1
        assert await store.is_pending("scan") == (columns.get("Ending") is None)

    _run(read())
