"""Act's buttons in a real browser, against a local cloud: what they say is what they do."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.browser import chromium, needs_chromium, opened, page_of
from tests.browser.rig_process import START_SECONDS
from tests.integration.commands_harness import Place, up

pytestmark = [
    pytest.mark.integration,
    pytest.mark.deep,
    needs_chromium,
    pytest.mark.asyncio(loop_scope="module"),
]

_ADDRESS = re.compile(r"The console is at (\S+)")
_VM = re.compile(r"/subscriptions/\S+/virtualMachines/\S+")
_LONG = START_SECONDS * 1000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Place, str, str]]:
    """Runs `up`; yields its place, the console's address and a VM of its fleet."""
    place = Place(tmp_path_factory.mktemp("act"))
    async with up(place, "--vms", "3", "--time-scale", "300") as running:
        told = await running.printed("make dead-letters")
        if (address := _ADDRESS.search(told)) is None:
            address = _ADDRESS.search(told + await running.printed("The console is at"))
        vm = _VM.search(told)
        assert address is not None
        assert vm is not None
        yield place, address[1], vm[0]


async def done(page: Page, button: str, says: str) -> str:
    """Clicks a button, reads what it would do, has it done; returns what was done."""
    await page.get_by_role("button", name=button, exact=True).click()
    await expect(page.locator(".confirm")).to_contain_text(says, timeout=_LONG)
    await page.get_by_role("button", name="Do it").click()
    told = page.locator("p.told")
    await expect(told).to_have_text(re.compile("[^…]+"), timeout=_LONG)
    return str(await told.text_content())


async def heard(place: Place, request_id: str, count: int) -> dict[str, Any]:
    """Waits for so many messages, alerts among them; returns the outcome of a request."""
    watch = await place.run("watch", "--json", "--count", str(count), "--for", str(START_SECONDS))
    assert watch.code == 0, watch
    messages = [json.loads(line) for line in watch.out.splitlines()]
    (event,) = (
        each["body"]
        for each in messages
        if each["correlationId"] == request_id and ".Alert" not in each["body"]["type"]
    )
    assert isinstance(event, dict)
    return event


@pytest.mark.takes(50)
async def test_what_act_says_is_what_it_does(cloud: tuple[Place, str, str]) -> None:
    """A stopped VM is skipped, one that got patches has them; throttles and kills lose nothing."""
    place, address, vm = cloud
    async with chromium() as browser, page_of(browser, address) as page:
        await opened(page, f"{address}/act?vm={vm}")
        await expect(page.locator("textarea")).to_have_value(vm)
        assert await done(page, "Stop it", "is deallocated: its next assessment is skipped") == (
            "Done."
        )
        sent = await done(page, "Assess these VMs", "Sends one request for /subscriptions/")
        assert sent.startswith("Sent. The message's ID is ")
        event = await heard(place, sent.split()[-1].rstrip("."), 1)
        assert event["type"] == "PatchAssessor.AssessmentSkipped"
        assert await done(page, "Start it", "is running") == "Done."
        assert await done(page, "Give it patches", "one security and one critical") == "Done."
        assert await done(page, "Throttle it", "429 and a Retry-After") == "Done."
        sent = await done(page, "Assess these VMs", "Sends one request for /subscriptions/")
        killed = await done(page, "Kill a worker", "with SIGKILL")
        assert killed == "Killed; its host starts another."
        event = await heard(place, sent.split()[-1].rstrip("."), 3)  # with an alert of each rule
        assert event["type"] == "PatchAssessor.AssessmentCompleted"
        names = {each.get("name") for each in event["data"]["availablePatches"]}
        assert {"openssl", "2026-11 Cumulative Update (KB5099999)"} <= names
        await page.get_by_label("Scope").fill("/".join(vm.split("/")[:3]))
        await page.get_by_label("Only with the tag").fill("nobody=has-this")
        sent = await done(page, "Scan this scope", "Sends one request for all VMs of /subscr")
        assert sent.startswith("Sent. The message's ID is ")
        await opened(page, f"{address}/patches")
        await expect(page.locator("tbody")).to_contain_text("KB5099999", timeout=_LONG)
