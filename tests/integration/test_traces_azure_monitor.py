"""Telemetry as Azure Monitor gets it: through its own exporter, with a managed identity's token."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from assessor.telemetry.attributes import ACTIVITY_ID
from assessor.telemetry.context import trace_id_of
from localcloud.tls import LocalAuthority
from tests.support.answers import answer
from tests.support.cloud_harness import Plan, Request, running, vm, vm_id
from tests.support.ingestion import INSTRUMENTATION_KEY, ingestion
from tests.support.telemetry_size import QUIET

pytestmark = pytest.mark.integration


async def test_azure_monitor_gets_the_trace_with_an_entra_token(tmp_path: Path) -> None:
    """The operation's ID is the activity ID; no key is used but the identity's token."""
    authority = LocalAuthority()
    async with ingestion(authority.server_context()) as (taken, endpoint):
        settings = {
            "APPLICATIONINSIGHTS_CONNECTION_STRING": (
                f"InstrumentationKey={INSTRUMENTATION_KEY};IngestionEndpoint={endpoint}"
            ),
            "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "Authorization=AAD",
            "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
            "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
            "REQUESTS_CA_BUNDLE": str(authority.write_certificate(tmp_path / "ca.pem")),
            "TMPDIR": str(tmp_path),
        }
        async with running(tmp_path, Plan([vm(0, seconds=1)], settings=settings)) as harness:
            await harness.ask([Request("r-1", vm_id(0))])
            await harness.until_told(1)
            (outcome,) = await harness.outcomes()
            (host,) = harness.cloud.hosts
            await harness.cloud.stop_host(host)  # flushes
    activity_id = str(outcome.data["assessmentActivityId"])

    (root,) = (
        each
        for each in taken.of_type("RemoteDependencyData")
        if each["data"]["baseData"]["name"] == "assess_patches"
    )
    assert root["tags"]["ai.operation.id"] == f"{trace_id_of(activity_id):032x}"
    assert root["data"]["baseData"]["properties"][ACTIVITY_ID] == activity_id
    assert "process assessment-requests" in {
        each["data"]["baseData"]["name"] for each in taken.of_type("RequestData")
    }
    assert "assessor.assessments" in {
        each["data"]["baseData"]["metrics"][0]["name"] for each in taken.of_type("MetricData")
    }
    tokens = {
        (each["data"]["baseData"]["name"], each["data"]["baseData"]["target"])
        for each in taken.of_type("RemoteDependencyData")
        if "token" in each["data"]["baseData"]["name"]
    }
    assert tokens == {("GET token", "managed-identity")}, "the application map shows the identity"
    (record,) = taken.of_type("EventData")
    assert record["data"]["baseData"]["name"] == "PatchAssessor.AssessmentCompleted"
    assert _properties(record)[ACTIVITY_ID] == activity_id
    assert record["tags"]["ai.operation.id"] == root["tags"]["ai.operation.id"]
    assert taken.authorizations
    assert all(each.startswith("Bearer ey") for each in taken.authorizations)


@pytest.mark.deep
async def test_workers_that_are_killed_lose_no_record(tmp_path: Path) -> None:
    """By SIGKILL, and their host at last; each outcome has its record, and queries are right.

    Nothing leaves a worker by itself: log records are exported every ten minutes, and no worker is
    asked to flush. So what arrives went out before its message was settled.
    """
    kinds = ("patches", "result-failed", "deallocated", "no-agent", "unknown", "operation-failed")
    vms = [
        vm(index, seconds=2 + index % 4, behaviour=kinds[index % len(kinds)]) for index in range(24)
    ]
    async with ingestion() as (taken, endpoint):
        settings = {
            "APPLICATIONINSIGHTS_CONNECTION_STRING": (
                f"InstrumentationKey={INSTRUMENTATION_KEY};IngestionEndpoint={endpoint}"
            ),
            **QUIET,
            "OTEL_BLRP_SCHEDULE_DELAY": "600000",
            "TMPDIR": str(tmp_path),
        }
        async with running(tmp_path, Plan(vms, settings=settings)) as harness:
            (host,) = harness.cloud.hosts
            asked = [Request(f"r-{index}", vm_id(index)) for index in range(len(vms))]
            await harness.ask([*asked, Request("r-none", "nonsense")])
            kills = 0
            for outcomes in (4, 12):  # with a third the host would give up, as the real one does
                await harness.until_outcomes(outcomes)
                kills += await harness.kill_worker(host)
            await harness.until_told(len(vms) + 1)
            await harness.kill_host(host)
            told = await harness.outcomes()
    assert kills == 2

    records = {_properties(each)["patch_assessor.id"] for each in taken.of_type("EventData")}
    assert records == {each.message_id for each in told}
    tables = taken.tables()
    counts: Counter[str] = Counter()
    for row in answer(tables, "outcomes"):
        counts[row["Outcome"]] += row["Outcomes"]
    assert counts == Counter(each.type for each in told)
    failed = {
        str(each.data["vmId"]).lower(): each.error_code
        for each in told
        if each.type == "AssessmentFailed"
    }
    assert {row["Vm"]: row["Reason"] for row in answer(tables, "failing")} == failed


def _properties(item: Mapping[str, Any]) -> Mapping[str, Any]:
    properties: Mapping[str, Any] = item["data"]["baseData"].get("properties") or {}
    return properties
