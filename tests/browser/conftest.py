"""Prefect's own pages in a real Chromium, on the stack of the session."""

import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, Route, async_playwright, expect

from config.loading import APP_ROOT
from deployments.local import environment
from tests.posting_stack import PostingStack, posting_stack, stack

__all__ = ["posting_stack", "stack"]

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
WINDOW = {"width": 1400, "height": 900}
# What the last look of each test saw, for whoever wonders why it failed.
PICTURES = APP_ROOT / "build" / "browser"
NOT_TRIED = "NOT TRIED: Prefect's pages, because no Chromium is installed; `make browser` insists on it"

expect.set_options(timeout=20_000)
_missing: list[str] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _missing:
        terminalreporter.write_sep("!", NOT_TRIED, red=True, bold=True)


@pytest.fixture(scope="package", autouse=True)
def chromium(request: pytest.FixtureRequest) -> str:
    """The system's own browser; it comes first, because without it no stack need start."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found:
        return found
    if request.config.getoption("--browser"):
        pytest.fail(f"none of {', '.join(PROGRAMS)} is installed: apt-get install chromium", pytrace=False)
    _missing.append("chromium")
    pytest.skip(NOT_TRIED)


@pytest.fixture(scope="package")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """One for all tests; each has a window of its own."""
    # As root, as in a container, Chromium does not start with a sandbox of its own.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        await browser.close()


def address(stack: PostingStack) -> str:
    """Where `up` says that Prefect's pages are."""
    return stack.running.places.prefect.removesuffix("/api")


@pytest.fixture
async def window(browser: Browser, stack: PostingStack, request: pytest.FixtureRequest) -> AsyncIterator[Page]:
    """A window in which nobody has signed in; it sees this machine alone."""
    home = address(stack)
    context = await browser.new_context(viewport=WINDOW, locale="en-GB", timezone_id="UTC")  # type: ignore[arg-type]

    async def route(request: Route) -> None:
        await (request.continue_() if request.request.url.startswith(home) else request.abort())

    await context.route("**/*", route)
    page = await context.new_page()
    yield page
    PICTURES.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=PICTURES / f"{Path(request.node.name).name}.png")
    await context.close()


@pytest.fixture
async def page(window: Page, stack: PostingStack) -> Page:
    """The dashboard, signed in to with what stands in the 0600 file that `up` names."""
    auth = environment.prefect_auth(stack.running.places)
    assert auth is not None
    await sign_in(window, address(stack), auth)
    await expect(window).to_have_url(re.compile("/dashboard"))
    return window


async def sign_in(window: Page, home: str, auth: str) -> None:
    """Open the pages and answer what they ask."""
    await window.goto(home)
    await window.get_by_placeholder("admin:pass").fill(auth)
    await window.get_by_role("button", name="Login").click()
