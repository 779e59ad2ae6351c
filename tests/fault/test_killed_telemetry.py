"""What a worker had told before it was killed is kept: Flex Consumption ends workers by SIGKILL."""

from pathlib import Path

import pytest

from assessor.telemetry.setup import METRICS_EVERY_MS
from localcloud.otlp import Collector, collector
from tests.support.cloud_harness import Plan, Request, running, vm, vm_id

pytestmark = pytest.mark.fault

SLACK_SECONDS = 10
"""What a busy machine takes on top to send what is due."""
LOST_AT_MOST_SECONDS = METRICS_EVERY_MS / 1_000 + SLACK_SECONDS


async def test_a_killed_worker_loses_no_more_than_the_last_seconds(tmp_path: Path) -> None:
    """With the intervals that are deployed, all three signals are out soon, without a farewell."""
    async with collector() as (taken, endpoint):
        plan = Plan(
            [vm(index, seconds=1) for index in range(2)],
            settings={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint},
        )
        async with running(tmp_path, plan) as harness:
            (host,) = harness.cloud.hosts
            await harness.ask([Request("before", vm_id(0))])
            await harness.until_told(1)

            async def is_out() -> bool:
                return signals_of(taken, assessments=1)

            await harness.until(is_out, "spans, logs and metrics are out", LOST_AT_MOST_SECONDS)
            assert await harness.kill_worker(host)

            await harness.ask([Request("after", vm_id(1))])
            await harness.until_told(2)

            async def both_are_out() -> bool:
                return signals_of(taken, assessments=2)

            await harness.until(both_are_out, "its heir's as well", LOST_AT_MOST_SECONDS)


def signals_of(taken: Collector, assessments: int) -> bool:
    """Returns whether so many assessments are in the traces, in the logs and in the metrics."""
    roots = [span for span in taken.spans if span.name == "assess_patches"]
    logged = {log.trace_id for log in taken.logs}
    counted = sum(point.value for point in taken.points if point.name == "assessor.assessments")
    return (
        len(roots) == assessments
        and {root.trace_id for root in roots} <= logged
        and counted == assessments
    )
