"""The lists of VMs, through the real SDK, against the local ARM."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from azure.core.pipeline.transport import AioHttpTransport

from assessor.arm.client import ArmClient
from assessor.arm.errors import ArmError, Phase, Verdict, judge
from assessor.arm.listing import Page, PageLinkRefusedError
from assessor.arm.vm_lister import ArmVmLister
from assessor.resource_id import Scope
from assessor.scans.expansion import running_vms
from assessor.settings import ArmCloud
from localcloud.arm.faults import parse_rules
from localcloud.arm.fleet import Fleet
from localcloud.arm.running import ArmOptions, LocalArm, run_arm
from localcloud.arm.scenario import parse_vm
from localcloud.tests.integration.arm_client import SUBSCRIPTION, managed_identity, session_for

pytestmark = pytest.mark.integration

SCOPE = Scope(SUBSCRIPTION)
NUMBER = 120
FLEET = Fleet(
    tuple(
        parse_vm(
            {
                "id": (
                    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/group-{index % 2}"
                    f"/providers/Microsoft.Compute/virtualMachines/vm-{index}"
                ),
                "location": "westeurope" if index % 3 else "eastus",
                "tags": {"Environment": "prod"},
                "power": "deallocated" if index % 4 == 0 else "running",
            }
        )
        for index in range(NUMBER)
    )
)


@asynccontextmanager
async def lists(arm: LocalArm) -> AsyncIterator[ArmVmLister]:
    """Gives the adapter as a worker has it."""
    async with managed_identity(arm) as credential, session_for(arm) as session:
        transport = AioHttpTransport(session=session, session_owner=False)
        cloud = ArmCloud(arm.endpoint, "https://management.azure.com/.default")
        compute = ArmClient(credential, cloud, transport)
        yield ArmVmLister(compute.client, cloud.endpoint)


async def _pages(fleet: ArmVmLister, scope: Scope) -> list[Page]:
    pages = [await fleet.page(scope, None)]
    while (link := pages[-1].next_link) is not None:
        pages.append(await fleet.page(scope, link))
    return pages


async def test_every_page_of_a_subscription_is_listed() -> None:
    """One call for each page, with region and tags, and nothing of it comes twice."""
    async with run_arm(FLEET) as arm, lists(arm) as fleet:
        pages = await _pages(fleet, SCOPE)

    found = [vm for page in pages for vm in page.vms]
    assert len(pages) > 1
    assert len({vm.id for vm in found}) == len(found) == NUMBER
    assert {vm.location for vm in found} == {"eastus", "westeurope"}
    assert all(vm.has({"environment": "prod"}) for vm in found)
    assert all(vm.power_state is None for vm in found)


async def test_a_resource_group_is_listed_by_its_own_list() -> None:
    """In any case of its name."""
    async with run_arm(FLEET) as arm, lists(arm) as fleet:
        pages = await _pages(fleet, Scope(SUBSCRIPTION, "GROUP-1"))
    found = [vm for page in pages for vm in page.vms]
    assert len(found) == NUMBER // 2
    assert {vm.id.resource_group.lower() for vm in found} == {"group-1"}


async def test_power_states_come_with_a_list_of_their_own() -> None:
    """Of a subscription, and of a resource group out of it."""
    async with run_arm(FLEET) as arm, lists(arm) as fleet:
        everywhere = await running_vms(fleet, SCOPE)
        group = await running_vms(fleet, Scope(SUBSCRIPTION, "group-1"))
        page = await fleet.power_page(SCOPE, None)
    assert len(everywhere) == NUMBER * 3 // 4
    assert len(group) == NUMBER // 2
    assert group < everywhere
    assert not any(vm.tags for vm in page.vms)


@pytest.mark.parametrize(
    "link",
    [
        "https://attacker.example/subscriptions/{subscription}/vms?$skiptoken=1",
        "http://{host}/subscriptions/{subscription}/vms?$skiptoken=1",
        "{endpoint}/subscriptions/00000000-0000-0000-0000-000000000009/vms",
        "{endpoint}/subscriptions/{subscription}/../other",
    ],
)
async def test_a_link_that_leads_elsewhere_is_not_followed(link: str) -> None:
    """The SDK would call it with the app's token."""
    async with run_arm(FLEET) as arm, lists(arm) as fleet:
        url = link.format(
            endpoint=arm.endpoint,
            host=arm.endpoint.removeprefix("https://"),
            subscription=SUBSCRIPTION,
        )
        with pytest.raises(PageLinkRefusedError):
            await fleet.page(SCOPE, url)


@pytest.mark.parametrize(
    ("fault", "verdict", "retry_after"),
    [
        ({"status": 429, "retryAfter": 7}, Verdict.WAIT, 7.0),
        ({"status": 503}, Verdict.WAIT, None),
        ("reset", Verdict.WAIT, None),
        ({"status": 403}, Verdict.FINAL, None),
    ],
)
async def test_a_refused_list_is_told_once(
    fault: object, verdict: Verdict, retry_after: float | None
) -> None:
    """The SDK does not try again by itself; who waits is decided elsewhere."""
    async with run_arm(FLEET) as arm, lists(arm) as fleet:
        arm.faults.add(
            parse_rules([{"match": {"operation": "list_subscription"}, "answer": fault}])
        )
        with pytest.raises(ArmError) as refused:
            await fleet.page(SCOPE, None)
        # aiohttp itself repeats a GET whose connection was closed under it, once.
        assert arm.faults.used() == [2 if fault == "reset" else 1]
    assert refused.value.phase is Phase.LIST
    assert judge(refused.value).verdict is verdict
    assert refused.value.retry_after == retry_after


async def test_lists_are_counted_by_arms_own_bucket() -> None:
    """900 lists at once, and then 429 with a time to wait, where ARM enforces its limits."""
    options = ArmOptions(enforce_buckets=True)
    async with run_arm(Fleet(FLEET.vms[:1]), options) as arm, lists(arm) as fleet:
        refused: ArmError | None = None
        for _ in range(20):
            answers = await asyncio.gather(
                *(fleet.page(SCOPE, None) for _ in range(100)), return_exceptions=True
            )
            refused = next((each for each in answers if isinstance(each, ArmError)), None)
            if refused is not None:
                break
    assert refused is not None
    assert refused.is_throttle
    assert refused.retry_after is not None
