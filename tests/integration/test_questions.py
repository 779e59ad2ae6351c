"""Every query of infra/ and docs/, executed on what the real exporter sends, against the messages.

The engine is duckdb-kql; whether the queries are Kusto to Kusto's own language service too is
`make check-infra`'s business.
"""

import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb_kql
import pytest

from assessor.telemetry import azure_monitor
from tests.support.answers import PAGE, QUESTIONS, asked, told_nights
from tests.support.mixed_fleet import FLEET, Nights, vm_id
from tests.support.promises import OTLP_ALONE, pattern_of, promised
from tests.support.telemetry_size import QUIET, measure

pytestmark = [pytest.mark.integration, pytest.mark.deep]
_ROOT: Final = Path(__file__).parents[2]
_FENCED: Final = re.compile(r"```(?:kusto|kql)\n(.*?)```", re.DOTALL)
_QUERIES: Final = {path.stem: path.read_text() for path in (_ROOT / "infra/kql").glob("*.kql")} | {
    f"{page.stem}-{number}": query
    for page in sorted((_ROOT / "docs").glob("*.md"))
    for number, query in enumerate(
        re.findall(r"```(?:kusto|kql)\n(.*?)```", page.read_text(), re.DOTALL)
    )
}
Row = Mapping[str, Any]


@dataclass
class Workspace:
    """The tables, and what really happened."""

    nights: Nights
    tables: Any
    items: Sequence[Mapping[str, Any]]
    is_whole: bool
    asked: set[str] = field(default_factory=set)

    def ask(self, name: str, trace: str = "") -> list[Row]:
        """Returns the rows that a query answers with."""
        self.asked.add(name)
        answer = duckdb_kql.query(self.tables, _QUERIES[name].replace("{trace}", trace))
        return [dict(zip(answer.columns, row, strict=True)) for row in answer.fetchall()]

    def of(self, *types: str) -> list[tuple[datetime, Mapping[str, Any]]]:
        """Returns the messages of those types, each with when it was published."""
        wanted = {f"PatchAssessor.{each}" for each in types}
        return [(at, event) for at, event in self.nights.results() if event["type"] in wanted]


@pytest.fixture(params=["1", "0.25"], ids=["all traces", "a quarter of the traces"])
async def workspace(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Workspace]:
    for name, value in {**QUIET, "TMPDIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    # Which calls to the tables have rows is drawn: of so many here, each kind of call has one.
    monkeypatch.setattr(azure_monitor, "TABLE_CALLS_A_ROW", 2)
    async with told_nights(request.param) as (nights, taken, records):
        # Of a worker that is killed now nothing more comes: each record went with its outcome.
        assert records >= len(list(nights.results()))
        yield Workspace(nights, taken.tables(), taken.items, request.param == "1")


async def test_each_question_is_answered_by_what_happened(workspace: Workspace) -> None:
    """Row by row, whatever share of the traces is sampled."""
    _outcomes(workspace)
    _failing(workspace)
    _overdue(workspace)
    _posture(workspace)
    _trend(workspace)
    _reboots(workspace)
    _slowest(workspace)
    _rejected(workspace)
    assert workspace.ask("silent") == []
    _throttled(workspace)
    _looked_into(workspace)
    _promises(workspace)
    _page(workspace)
    assert workspace.asked == _QUERIES.keys(), "each query is held to something"
    assert "a secret" not in str(workspace.items)


def _promises(workspace: Workspace) -> None:
    """Every name that docs/observability.md promises arrives, and none that it does not name."""
    names: dict[str, set[str]] = {}
    properties: dict[str, set[str]] = {}
    for item in workspace.items:
        data, kind = item["data"]["baseData"], item["data"]["baseType"]
        is_metric = kind == "MetricData"
        name = data["metrics"][0]["name"] if is_metric else str(data.get("name"))
        names.setdefault(kind, set()).add(name)
        of = name if is_metric else "rows"
        properties.setdefault(of, set()).update(data.get("properties") or {})
    page = promised()
    assert names["EventData"] == page.records
    for metric, dimensions in page.metrics.items():
        if metric not in OTLP_ALONE:
            assert metric in names["MetricData"]
            assert properties[metric] == dimensions, metric
    assert names["MetricData"] == page.metrics.keys() - OTLP_ALONE.keys()
    if not workspace.is_whole:
        return  # whose traces are kept decides what spans there are
    arrived = set().union(*properties.values())
    assert page.attributes - arrived == {each for each in OTLP_ALONE if each in page.attributes}
    assert {each for each in arrived if each.startswith("patch_assessor.")} <= page.attributes
    spans = names["RemoteDependencyData"] | names["RequestData"]
    for written in page.spans:
        has = any(pattern_of(written).fullmatch(name) for name in spans)
        assert has is (written not in OTLP_ALONE), written
    assert all(
        any(pattern_of(written).fullmatch(name) for written in page.spans) for name in spans
    ), spans
    _no_resource_id_in_a_name_or_a_dimension(names, workspace.items)


def _no_resource_id_in_a_name_or_a_dimension(
    names: Mapping[str, set[str]], items: Sequence[Mapping[str, Any]]
) -> None:
    told = {each for kind, of_kind in names.items() if kind != "MessageData" for each in of_kind}
    for item in items:
        data = item["data"]["baseData"]
        told |= {str(item["tags"].get("ai.operation.name")), str(data.get("target"))}
        if item["data"]["baseType"] == "MetricData":
            told |= {str(each) for each in (data.get("properties") or {}).values()}
    assert not [each for each in told if "/subscriptions/" in each.lower()]
    assert not [each for each in told if any(f"/{name}" in each for name in FLEET)]


def _page(workspace: Workspace) -> None:
    """docs/answers.md has the rows that came of it."""
    if workspace.is_whole:
        told = asked(workspace.nights, workspace.ask)
        assert PAGE.read_text() == told, "python -m tests.support.answers makes it anew"
        assert {each.query for each in QUESTIONS} == _QUERIES.keys()
    else:
        workspace.asked.add("throttled")  # which the page with all traces asks


def _name(event: Mapping[str, Any]) -> str:
    return str(event["type"]).partition(".")[2]


def _vm(event: Mapping[str, Any]) -> str:
    return str(event["data"]["vmId"]).lower()


def _outcomes(workspace: Workspace) -> None:
    """Each outcome once, although a killed worker's and a refused alert's came twice."""
    told = Counter(
        (_name(event), at.replace(minute=0, second=0, microsecond=0, tzinfo=None))
        for at, event in workspace.nights.results()
    )
    rows = workspace.ask("outcomes")
    assert {(row["Outcome"], row["Hour"]): row["Outcomes"] for row in rows} == dict(told)


def _failing(workspace: Workspace) -> None:
    failures: dict[str, list[tuple[datetime, str]]] = {}
    for at, event in workspace.of("AssessmentFailed"):
        failures.setdefault(_vm(event), []).append((at, event["data"]["error"]["code"]))
    rows = {row["Vm"]: (row["Failures"], row["Reason"]) for row in workspace.ask("failing")}
    assert rows == {vm: (len(all_of), max(all_of)[1]) for vm, all_of in failures.items()}
    assert {vm.rpartition("/")[2] for vm in rows} >= {
        "no-rights",
        "not-there",
        "throttled",
        "failed",
    }


def _overdue(workspace: Workspace) -> None:
    recent = datetime.now(UTC) - timedelta(hours=1)
    expected = {
        _vm(event)
        for at, event in workspace.of("AssessmentFailed")
        if event["data"]["error"]["code"] == "DeadlineExceeded" and at > recent
    }
    assert {row["Vm"] for row in workspace.ask("overdue")} == expected


def _last_completed(workspace: Workspace) -> dict[str, tuple[datetime, Mapping[str, Any]]]:
    return {_vm(event): (at, event["data"]) for at, event in workspace.of("AssessmentCompleted")}


def _posture(workspace: Workspace) -> None:
    completed = _last_completed(workspace)
    started = max(
        datetime.fromisoformat(event["data"]["startedDateTime"])
        for _, event in workspace.of("ScanCompleted")
    )
    latest = {
        _vm(event): event
        for _, event in workspace.of("AssessmentCompleted", "AssessmentFailed", "AssessmentSkipped")
    }
    rows = {row["Vm"]: row for row in workspace.ask("posture")}
    assert rows.keys() == {str(vm_id(name)).lower() for name in FLEET}
    for vm, row in rows.items():
        at, data = completed.get(vm, (None, {}))
        state = (
            "Deleted" if vm in workspace.nights.gone
            else "Never assessed" if at is None
            else "Older than the newest scan" if at < started
            else "Current"
        )  # fmt: skip
        assert row["State"] == state, vm
        assert (row["Status"], row["Critical"], row["Other"], row["RebootPending"]) == (
            data.get("status"),
            data.get("criticalAndSecurityPatchCount"),
            data.get("otherPatchCount"),
            data.get("rebootPending"),
        ), vm
        assert row["Last"] == _name(latest[vm]), vm
    states = Counter(row["State"] for row in rows.values())
    assert states.keys() == {"Deleted", "Never assessed", "Older than the newest scan", "Current"}


def _trend(workspace: Workspace) -> None:
    days: dict[datetime, tuple[int, int]] = {}
    moments = [at for at, _ in workspace.of("AssessmentCompleted")]
    for day in {at.replace(hour=0, minute=0, second=0, microsecond=0) for at in moments}:
        end = day + timedelta(days=1)
        known = {
            _vm(event): event["data"]["criticalAndSecurityPatchCount"]
            for at, event in workspace.of("AssessmentCompleted")
            if at < end
        }
        if end > workspace.nights.gone_at:
            known = {vm: n for vm, n in known.items() if vm not in workspace.nights.gone}
        days[day.replace(tzinfo=None)] = (sum(known.values()), sum(n > 0 for n in known.values()))
    rows = {row["Day"]: (row["Critical"], row["Vms"]) for row in workspace.ask("trend")}
    assert {day: rows[day] for day in days} == days


def _reboots(workspace: Workspace) -> None:
    """Since when is when the alert fired, which the alerts topic tells."""
    since: dict[str, str] = {}
    for _, event in workspace.nights.alerts():
        essentials = event["data"]["data"]["essentials"]
        if essentials["alertRule"] == "RebootPending":
            vm = essentials["alertTargetIDs"][0].lower()
            if essentials["monitorCondition"] == "Fired":
                since.setdefault(vm, essentials["firedDateTime"])
            else:
                since.pop(vm, None)
    rows = workspace.ask("reboots")
    assert {row["Vm"]: row["Since"] for row in rows} == {
        vm: datetime.fromisoformat(at).replace(tzinfo=None) for vm, at in since.items()
    }
    assert [row["Since"] for row in rows] == sorted(row["Since"] for row in rows)


def _slowest(workspace: Workspace) -> None:
    took = {
        _vm(event): round(event["data"]["operationSeconds"] / 60, 1)
        for _, event in workspace.of("AssessmentCompleted", "AssessmentFailed")
        if event["data"].get("operationSeconds") is not None
    }
    rows = workspace.ask("slowest")
    assert {row["Vm"] for row in rows} == took.keys()
    assert [row["Minutes"] for row in rows] == sorted(
        (row["Minutes"] for row in rows), reverse=True
    )


def _rejected(workspace: Workspace) -> None:
    assert [row["Recent"] for row in workspace.ask("rejected")] == [
        len(workspace.of("RequestRejected"))
    ]


def _throttled(workspace: Workspace) -> None:
    refused = sum(n for (_, status), n in workspace.nights.arm.calls.items() if status == 429)
    query = _QUERIES["throttled"].replace("> 20", "> 0")
    answer = duckdb_kql.query(workspace.tables, query).fetchall()
    assert [row[-1] for row in answer] == [refused]


def _looked_into(workspace: Workspace) -> None:
    """What reads spans has whole traces or nothing of them."""
    (everything,) = workspace.tables.execute("SELECT count(*) FROM AppDependencies").fetchone()
    assert everything
    refused = workspace.ask("throttled-calls")
    assert {(row["Name"], row["Wait"]) for row in refused} <= {
        ("POST virtualMachines/assessPatches", "1200")
    }
    traces = workspace.tables.execute(
        "SELECT DISTINCT OperationId FROM AppDependencies WHERE Name = 'locations/operations'"
        " OR Name = 'GET locations/operations'"
    ).fetchall()
    assert traces
    for (trace,) in traces:
        what = {row["What"] for row in workspace.ask("trace", trace)}
        # What came before the 202 is sampled by the message's trace, not by the assessment's.
        assert not workspace.is_whole or "GET virtualMachines" in what
        assert {
            "assess_patches",
            "follow",
            "POST virtualMachines/assessPatches",
            "GET locations/operations",
        } <= what


async def test_an_assessment_costs_no_more_than_is_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most 25 rows and 25 KB with all traces kept: docs/deploy.md's cost rests on it."""
    for name, value in {**QUIET, "TMPDIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    size = await measure()
    assert size.items <= 25
    assert size.kilobytes <= 25
