"""A real headless Chromium for the console's tests."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, Page, async_playwright

from tests.browser.rig_process import START_SECONDS

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
"""Where the browser is: as CHROMIUM says, or else on the path."""
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None,
    reason="no Chromium is on the path (apt-get install chromium), and CHROMIUM names none",
)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Runs a Chromium; as root it goes without its sandbox, which root may not have."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], timeout=START_SECONDS * 1000
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def page_of(browser: Browser, address: str) -> AsyncIterator[Page]:
    """Opens a page of its own; errors that it logs, and calls elsewhere, fail the test."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    wrong: list[str] = []
    try:
        page = await context.new_page()
        page.set_default_timeout(START_SECONDS * 1000)
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on(
            "console",
            lambda message: wrong.append(message.text) if message.type == "error" else None,
        )
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith(
                    (address, address.replace("http", "ws"), "data:", "blob:")
                )
                else wrong.append(f"asks {request.url}")
            ),
        )
        yield page
    finally:
        await context.close()
    assert wrong == [], wrong  # not a test module: pytest would say nothing of it


async def opened(page: Page, address: str) -> None:
    """Goes to an address and waits until the page is live."""
    await page.goto(address)
    await page.wait_for_function("() => window.did_handshake === true")
