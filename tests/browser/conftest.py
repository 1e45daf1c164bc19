"""Prefect's own pages in a real Chromium, on the stack of the session."""

import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, Route, async_playwright, expect

from config.loading import APP_ROOT
from tasks.connections import open_connections
from tasks.domain.roles import system
from tasks.operations import users
from tests.gateway.conftest import PASSWORD
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
    return stack.running.places.prefect_pages


@pytest.fixture(scope="package")
async def people(posting_stack: PostingStack) -> Mapping[str, str]:
    """The name of a user of each role; each has PASSWORD."""
    made = {}
    async with open_connections("gateway", posting_stack.running.places) as at:
        for role in ("viewer", "operator", "admin"):
            user = (await users.add(at, f"browsing-{role}", PASSWORD, system("tests"))).user
            await users.assign(at, user.id, role, None, None, system("tests"))
            made[role] = user.username
    return made


async def fill_in(page: Page, username: str, password: str = PASSWORD) -> None:
    """Fill in the page that asks for name and password, and send it."""
    await page.get_by_label("Name").fill(username)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()


class Window:
    """A window of somebody's: what it asked of other machines is written down and not answered."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.elsewhere: list[str] = []


Opens = Callable[[str | None], Awaitable[Window]]


@pytest.fixture
async def opens(
    browser: Browser, stack: PostingStack, people: Mapping[str, str], request: pytest.FixtureRequest
) -> AsyncIterator[Opens]:
    """`await opens("viewer")`: a window in which somebody of that role has signed in by the page, or nobody has."""
    home = stack.running.places.front_door
    windows: list[tuple[str, Window]] = []

    async def opening(role: str | None) -> Window:
        context = await browser.new_context(
            viewport=WINDOW,  # type: ignore[arg-type]
            locale="en-GB",
            timezone_id="UTC",
        )
        window = Window(await context.new_page())
        windows.append((role or "nobody", window))

        async def route(route: Route) -> None:
            if route.request.url.startswith(home):
                await route.continue_()
            else:
                window.elsewhere.append(route.request.url)
                await route.abort()

        await context.route("**/*", route)
        if role:
            await window.page.goto(f"{home}/login")
            await fill_in(window.page, people[role])
            await expect(window.page.get_by_role("button", name="Sign out", exact=True)).to_be_visible()
        return window

    yield opening
    PICTURES.mkdir(parents=True, exist_ok=True)
    for role, window in windows:
        await window.page.screenshot(path=PICTURES / f"{Path(request.node.name).name}-{role}.png")
        await window.page.context.close()


@pytest.fixture
async def page(opens: Opens, stack: PostingStack) -> Page:
    """The dashboard, as an operator sees it."""
    window = await opens("operator")
    await window.page.goto(address(stack))
    await expect(window.page).to_have_url(re.compile("/dashboard"))
    return window.page
