"""Scans of whole fleets, end to end: the app in its host, on the local cloud."""

import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from assessor.bus.servicebus import tls_context
from localcloud.azurite import run_azurite
from localcloud.cloud import CloudOptions, LocalCloud
from tests.support.cloud_harness import OFTEN, REQUESTS, Harness, Published, app_with_calls

pytestmark = pytest.mark.integration

SUBSCRIPTIONS: Final = (
    "11111111-2222-4333-8444-555555555555",
    "66666666-7777-4888-8999-aaaaaaaaaaaa",
)
OTHER_SUBSCRIPTION: Final = "77777777-8888-4999-8aaa-bbbbbbbbbbbb"
REGIONS: Final = ("eastus", "westeurope", "southeastasia")
MINUTE: Final = timedelta(minutes=1)
CALLS: Final = 16
"""What a host works on at a time; a scan's first VMs are more, so that some wait for others."""


def _vm(index: int, **fields: object) -> dict[str, object]:
    subscription = SUBSCRIPTIONS[index % 2]
    return {
        "id": (
            f"/subscriptions/{subscription}/resourceGroups/group-{index % 5}"
            f"/providers/Microsoft.Compute/virtualMachines/vm-{index:04d}"
        ),
        "location": REGIONS[index % 3],
        "behaviour": "patches",
        "tags": {"environment": "prod" if index % 10 else "test"},
        "durationSeconds": 2,
        **fields,
    }


@asynccontextmanager
async def _cloud(
    directory: Path,
    vms: Sequence[Mapping[str, object]],
    settings: Mapping[str, str],
    **options: Any,  # noqa: ANN401 - CloudOptions' own
) -> AsyncIterator[Harness]:
    scenario = directory / "fleet.json"
    scenario.write_text(json.dumps({"vms": list(vms)}))
    async with AsyncExitStack() as stack:
        cloud = await stack.enter_async_context(
            LocalCloud(
                CloudOptions(
                    logs=directory / "logs",
                    app=app_with_calls(directory, CALLS),
                    scenario=scenario,
                    settings={**OFTEN, **settings},
                    **options,
                )
            )
        )
        yield Harness(
            cloud,
            await stack.enter_async_context(aiohttp.ClientSession()),
            await stack.enter_async_context(
                ServiceBusClient.from_connection_string(
                    cloud.connection_string, ssl_context=tls_context()
                )
            ),
        )


def _scan(subscription: str, **fields: object) -> ServiceBusMessage:
    body = {"scope": f"/subscriptions/{subscription}", "requestId": subscription, **fields}
    return ServiceBusMessage(json.dumps(body), message_id=f"scan {subscription}")


def _sums(arrived: Sequence[Published]) -> list[Mapping[str, Any]]:
    return [each.data for each in arrived if each.type == "ScanCompleted"]


def _busiest(posts: Sequence[Mapping[str, Any]], region_of: Mapping[str, str]) -> int:
    """Returns the most begins that one subscription and region saw in any minute."""
    times: dict[str, list[datetime]] = defaultdict(list)
    for post in posts:
        vm_id = str(post["vmId"]).lower()
        times[f"{vm_id.split('/')[2]} {region_of[vm_id]}"].append(
            datetime.fromisoformat(post["time"])
        )
    most = 0
    for each in times.values():
        each.sort()
        first = 0
        for last, moment in enumerate(each):
            while moment - each[first] >= MINUTE:
                first += 1
            most = max(most, last - first + 1)
    return most


async def test_a_fleet_is_scanned_at_the_pace_that_is_set(tmp_path: Path) -> None:
    """Two subscriptions, three regions, and ARM's limits enforced, in real time.

    At 10 a minute 30 of a subscription's VMs in one region are released at once, and the others
    one every six seconds. A request for one VM that comes while those wait does not wait. Sizes
    and ARM's own pace are proven in simulated time: tests/simulation/test_paced_scan.py.
    """
    burst, pace, late = 30, 10, 4
    fleet = [
        *(_vm(2 * index, location=REGIONS[0]) for index in range(burst + late)),
        *(_vm(2 * index + 1) for index in range(12)),
    ]
    elsewhere = str(fleet[0]["id"]).replace(SUBSCRIPTIONS[0], OTHER_SUBSCRIPTION)
    extra = _vm(len(fleet), id=elsewhere)
    settings = {"ASSESS_HOLD_SECONDS": "20", "SCAN_PACE_PER_MINUTE": str(pace)}
    async with _cloud(
        tmp_path, [*fleet, extra], time_scale=1.0, enforce_limits=True, settings=settings
    ) as harness:
        await harness.send(REQUESTS, [_scan(each) for each in SUBSCRIPTIONS])

        async def under_way() -> bool:
            return bool(await harness.posts())

        await harness.until(under_way, "the first of the scan's assessments")
        single = {"vmId": extra["id"], "requestId": "single"}
        await harness.send(REQUESTS, [ServiceBusMessage(json.dumps(single))])
        await harness.until_told(len(fleet) + 1 + len(SUBSCRIPTIONS))
        arrived = await harness.outcomes()
        calls = await harness.calls()

    completed = [each.request_id for each in arrived if each.type == "AssessmentCompleted"]
    assert completed.index("single") < len(completed) - 1, "it had to wait for the scan"
    assert calls["byStatus"].get("429", 0) == 0
    region_of = {str(each["id"]).lower(): str(each["location"]) for each in (*fleet, extra)}
    assert _busiest(calls["assessPosts"], region_of) <= burst + pace
    assert _last_begin(calls["assessPosts"]) >= timedelta(minutes=late / pace) * 0.9
    assert Counter(each["status"] for each in calls["assessPosts"]) == {202: len(fleet) + 1}
    sums = _sums(arrived)
    assert sum(each["vms"]["assessed"] for each in sums) == len(fleet)
    assert [each["status"] for each in sums] == ["Succeeded", "Succeeded"]
    assert all(each["vms"]["missing"] == 0 for each in sums)


def _last_begin(posts: Sequence[Mapping[str, Any]]) -> timedelta:
    """Returns how long after the first begin the last one came."""
    times = [datetime.fromisoformat(post["time"]) for post in posts]
    return max(times) - min(times)


async def test_a_worker_that_dies_while_it_expands_loses_and_doubles_nothing(
    tmp_path: Path,
) -> None:
    """Half-way through three pages the worker is killed; another goes on, and the sum is right.

    A page has ten VMs. Assessments are short, so that the work is that of the scan.
    """
    fleet = [_vm(index * 2, durationSeconds=1) for index in range(25)]
    async with AsyncExitStack() as stack:
        azurite = await stack.enter_async_context(run_azurite())
        harness = await stack.enter_async_context(
            _cloud(
                tmp_path,
                fleet,
                time_scale=1.0,
                page_size=10,
                entities=_short_locks(tmp_path),
                settings={
                    "ASSESS_HOLD_SECONDS": "0",
                    "PostureStorage": azurite.connection_string,
                },
            )
        )
        await harness.break_arm(
            {"match": {"operation": "list_subscription"}, "answer": {"slow": 4}}
        )
        await harness.send(REQUESTS, [_scan(SUBSCRIPTIONS[0])])

        async def half_way() -> bool:
            (pages,) = await harness.faults_used()
            return pages >= 2

        await harness.until(half_way, "the second of three pages")
        (host,) = harness.cloud.hosts
        assert await harness.kill_worker(host)
        await harness.until_told(len(fleet) + 1, within=300)
        arrived = await harness.outcomes()
        posts = await harness.posts()

    assert Counter(each.type for each in arrived) == {
        "AssessmentCompleted": len(fleet),
        "ScanCompleted": 1,
    }
    assert {each.vm_id for each in arrived if each.vm_id.count("/") > 4} == {
        str(each["id"]) for each in fleet
    }
    begun = Counter(post.activity_id for post in posts if post.status == 202)
    assert len(begun) == len(fleet)
    (total,) = _sums(arrived)
    assert (total["vms"]["requested"], total["vms"]["assessed"]) == (len(fleet), len(fleet))
    assert total["status"] == "Succeeded"


def _short_locks(directory: Path) -> Path:
    """Returns the real list of entities with locks that a dead worker holds for seconds only."""
    source = Path(__file__).parents[2] / "infra" / "servicebus.json"
    config = json.loads(source.read_text("utf-8"))
    for queue in config["UserConfig"]["Namespaces"][0]["Queues"]:
        queue["Properties"]["LockDuration"] = "PT5S"
    path = directory / "servicebus.json"
    path.write_text(json.dumps(config))
    return path
