"""The console in a real browser: each view empty, with a fleet of 10,000, and in trouble."""

import json
from collections.abc import AsyncIterator, Callable
from itertools import product
from typing import Any, Final, Literal

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from tests.browser.browser import chromium, needs_chromium, opened, page_of
from tests.browser.console_rig import MARKUP
from tests.browser.rig_process import Rig, rig

pytestmark = [
    pytest.mark.integration,
    pytest.mark.deep,
    needs_chromium,
    pytest.mark.asyncio(loop_scope="module"),
]

VIEWS = ("/", "/?by=subscription", "/patches", "/flow", "/act", "/charts")
FIRST_VM = (
    "/vm?id=/subscriptions/cccccccc-0000-4000-8000-000000000000/resourceGroups/rg-00"
    "/providers/Microsoft.Compute/virtualMachines/vm-00000"
)
COUNT = ".data-table:not(.groups *) .table-count"
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
BUDGET_MS = 100
MEASURED = 7
ROWS_OF_A_PAGE = 50
_TO_NEW_ROWS = """
([change, selector]) => new Promise((resolve) => {
  const tables = document.querySelectorAll("tbody");
  const body = tables[tables.length - 1];
  const target = document.querySelector(selector);
  const observer = new MutationObserver(() => {
    observer.disconnect();
    resolve(performance.now() - began);
  });
  observer.observe(body, { childList: true, subtree: true, characterData: true });
  const began = performance.now();
  if (change === null) target.click();
  else { target.value = change; target.dispatchEvent(new Event("input", { bubbles: true })); }
})
"""
"""Changes a field or clicks, and tells after how many milliseconds the table has other rows."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for the module."""
    async with chromium() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def console() -> AsyncIterator[Rig]:
    """A console over 10,000 VMs, whose topics can't be read."""
    async with rig(10_000, "away") as running:
        yield running


@pytest.fixture(scope="module")
def large(console: Rig) -> str:
    """The address of that console."""
    return console.address


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def empty() -> AsyncIterator[str]:
    """The address of a console that knows of nothing."""
    async with rig(0) as running:
        yield running.address


async def serious(page: Page) -> list[str]:
    """Returns what axe finds that is serious or critical.

    It fetches no style sheet again, which the page would show a progress bar for.
    """
    found: dict[str, Any] = (await Axe().run(page, options={"preload": False})).response
    return [
        f"{each['id']}: {each['help']}: {[node['html'][:200] for node in each['nodes'][:3]]}"
        for each in found["violations"]
        if each["impact"] in {"serious", "critical"}
    ]


@pytest.mark.parametrize("view", [*VIEWS, FIRST_VM])
async def test_every_view_is_readable_in_either_scheme_and_width(
    browser: Browser, large: str, view: str
) -> None:
    """Axe finds nothing serious; nothing but a table is wider than the window.

    Both are the style sheet's alone, so that a view is opened once for all.
    """
    async with page_of(browser, large) as page:
        await opened(page, large + view)
        for width, scheme in product((1280, 400), SCHEMES):
            await page.set_viewport_size({"width": width, "height": 900})
            await page.emulate_media(color_scheme=scheme)
            assert await serious(page) == [], (width, scheme)
            wide = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert wide <= 0, (width, scheme)


async def test_every_view_says_that_there_is_nothing_yet(browser: Browser, empty: str) -> None:
    """An empty console is no error."""
    async with page_of(browser, empty) as page:
        for view in (*VIEWS, "/vm?id=/nothing"):
            await opened(page, empty + view)
            assert await serious(page) == [], view
            await expect(page.locator("h1")).to_be_visible()
        await opened(page, empty)
        await expect(page.get_by_text("No VM to show.")).to_be_visible()


async def test_what_can_not_be_read_is_said_and_the_rest_is_shown(
    browser: Browser, large: str
) -> None:
    """While the bus is away the fleet is there."""
    async with page_of(browser, large) as page:
        await opened(page, large)
        await expect(page.locator(".trouble")).to_contain_text("The topics can't be read since")
        await expect(page.locator(COUNT)).to_have_text("10,000 rows, page 1 of 200")


async def test_text_of_strangers_is_text(browser: Browser, large: str) -> None:
    """A tag, a reason and an address that are markup show as what they are, and run nothing."""
    async with page_of(browser, large) as page:
        for view in ("/?q=vm-00000", FIRST_VM, f"/?patch={MARKUP}", f"/vm?id=/x/{MARKUP}"):
            await opened(page, large + view)
            assert "owned" not in await page.title()
            assert await page.locator("main img, main b").count() == 0
        await opened(page, f"{large}/?q=vm-00000")
        await expect(page.locator("td", has_text="owner=").first).to_contain_text(MARKUP)
        await expect(page.locator(".trouble")).to_contain_text(MARKUP)


async def test_filters_are_in_the_address_and_come_back_from_it(
    browser: Browser, large: str
) -> None:
    """What one sees can be passed on, and its CSV is of the same VMs."""
    async with page_of(browser, large) as page:
        await opened(page, large)
        await page.get_by_role("link", name="reboot pending").click()
        await page.get_by_label("Search").fill("ubuntu")
        await page.get_by_role("button", name="Critical and security").click()
        await page.wait_for_url("**/?q=ubuntu&show=reboot&sort=-critical")
        count = await page.locator(COUNT).text_content()
        first = await page.locator("tbody tr").first.get_attribute("data-row")
        link = await page.get_by_role("link", name="CSV").get_attribute("href")
        await opened(page, page.url)
        assert await page.locator(COUNT).text_content() == count
        assert await page.locator("tbody tr").first.get_attribute("data-row") == first
        assert await page.get_by_label("Search").input_value() == "ubuntu"
        answer = await page.request.get(f"{large}{link}")
        lines = (await answer.text()).splitlines()
        assert count is not None
        assert count.startswith(f"{len(lines) - 1:,} rows")
        assert lines[1].endswith(str(first))


async def test_all_can_be_done_by_keys(browser: Browser, large: str) -> None:
    """From the top of the page to a sorted table, a selection, and what is asked for it."""
    async with page_of(browser, large) as page:
        await opened(page, large)
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="To the content")).to_be_focused()
        await page.get_by_role("button", name="State").focus()
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/?sort=state")
        await expect(page.locator("th[aria-sort=ascending]")).to_have_text("State ▲")
        await page.locator("tbody input").first.focus()
        await page.keyboard.press("Space")
        chosen = page.get_by_role("button", name="Assess selected (1)")
        await chosen.focus()
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/act?vm=*")
        await page.wait_for_function("() => window.did_handshake === true")
        await page.get_by_role("button", name="Assess these VMs").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator(".confirm")).to_contain_text("Sends one request for /subscr")
        await page.get_by_role("button", name="Leave it").press("Enter")
        await expect(page.locator(".confirm")).to_have_count(0)


async def test_groups_lead_to_their_vms(browser: Browser, large: str) -> None:
    """Grouped by a tag, each group opens as the fleet narrowed to it."""
    async with page_of(browser, large) as page:
        await opened(page, large)
        await page.get_by_label("Group by").select_option("tag:env")
        await page.wait_for_url("**by=tag%3Aenv")
        await page.get_by_role("link", name="prod", exact=True).click()
        await page.wait_for_url("**/?tag=env%3Dprod")
        await expect(page.get_by_role("combobox", name="Tag", exact=True)).to_have_value("env=prod")


async def test_a_patch_leads_to_the_vms_that_lack_it(browser: Browser, large: str) -> None:
    """As many as were counted."""
    async with page_of(browser, large) as page:
        await opened(page, f"{large}/patches")
        count = page.locator("tbody tr").first.locator("a")
        number = await count.text_content()
        await count.click()
        await expect(page.locator(COUNT)).to_contain_text(f"{number} rows")
        await expect(page.get_by_text("Only VMs that lack KB")).to_be_visible()


async def changed(page: Page, change: str | None, selector: str) -> float:
    """Changes a field or clicks; returns the milliseconds until the table has other rows."""
    return float(await page.evaluate(_TO_NEW_ROWS, [change, selector]))


async def test_a_filter_and_a_sort_of_10000_rows_take_less_than_100_ms(
    browser: Browser, console: Rig, record_property: Callable[[str, object], None]
) -> None:
    """Of the console's processor: the browser gets a page of rows, however many there are.

    From the key press to the new rows it takes hardly longer on a machine that does nothing else;
    that is recorded, and decides nothing.
    """
    async with page_of(browser, console.address) as page:
        await opened(page, console.address)
        for what in ("filter", "sort"):
            began, times = console.processor_seconds(), []
            for number in range(MEASURED):
                if what == "filter":
                    word = ["vm-000", "rg-1 ubuntu "][number % 2] + str(number)
                    times.append(await changed(page, word, "input[type=search]"))
                else:
                    times.append(await changed(page, None, f"th:nth-child({2 + number}) button"))
            used = 1000 * (console.processor_seconds() - began) / MEASURED
            record_property(f"{what}_ms", json.dumps([*map(round, sorted(times))]))
            record_property(f"{what}_processor_ms", round(used))
            assert used < BUDGET_MS, (what, used)
            assert await page.locator("tbody tr").count() <= ROWS_OF_A_PAGE
            await opened(page, console.address)


async def test_nothing_moves_while_data_streams(browser: Browser, large: str) -> None:
    """The layout shift that the browser itself counts after the page is there."""
    async with page_of(browser, large) as page:
        for view in ("/", "/flow", "/charts"):
            await opened(page, large + view)
            await page.wait_for_timeout(1500)  # what comes while it is built is no shift of data
            await page.evaluate(
                "window.shift = 0; new PerformanceObserver((list) => list.getEntries().forEach("
                "(entry) => { window.shift += entry.value; })).observe({type: 'layout-shift'})"
            )
            await page.wait_for_timeout(3000)
            assert await page.evaluate("window.shift") < 0.01, view
