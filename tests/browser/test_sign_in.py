"""Our own pages in a real Chromium, on a gateway with a database and a vault and no stack behind it."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route, expect

from config.places import Places
from deployments.gateway.app import create_app
from deployments.gateway.first_sign_in import link_file
from tests.browser.conftest import PICTURES, fill_in
from tests.gateway.conftest import PASSWORD, places, vault
from tests.prefect_stand_in import listening
from tests.unit.x_peer import tls_for_loopback
from tests.waiting import until

__all__ = ["places", "vault"]

DESK, PHONE = {"width": 1280, "height": 860}, {"width": 375, "height": 740}


@dataclass
class Door:
    """The gateway at an address, and its admin's key."""

    places: Places
    admin: httpx.AsyncClient

    async def call(self, method: str, path: str, **what: Any) -> httpx.Response:
        """As the admin's key; it must end well."""
        return (await self.admin.request(method, f"/api/v1{path}", **what)).raise_for_status()


@asynccontextmanager
async def opened(places: Places) -> AsyncIterator[Door]:
    app = create_app(places)
    wanted = places.settings.gateway
    tls = {"ssl_certfile": str(wanted.tls_certificate_file), "ssl_keyfile": str(wanted.tls_key_file)}
    async with (
        listening(app, wanted.port or 0, **(tls if wanted.tls_key_file else {})),
        httpx.AsyncClient(base_url=places.gateway, verify=places.gateway_trust(), trust_env=False) as admin,
    ):
        await until(lambda: app.state.opening.ready)
        admin.headers["Authorization"] = f"Bearer {places.cli_key.read_text(encoding='utf-8')}"
        yield Door(places, admin)


@pytest.fixture
async def door(places: Places) -> AsyncIterator[Door]:
    """The gateway on loopback, with a user who looks."""
    async with opened(places) as found:
        await a_viewer(found)
        yield found


async def a_viewer(door: Door) -> None:
    user = (await door.call("POST", "/users", json={"username": "vera", "password": PASSWORD})).json()
    await door.call("POST", "/roles/assign", json={"user_id": user["id"], "role": "viewer"})


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(viewport=DESK, locale="en-GB", timezone_id="UTC")  # type: ignore[arg-type]
    yield context
    await context.close()


@pytest.fixture
async def page(context: BrowserContext) -> Page:
    return await context.new_page()


def path_of(page: Page) -> str:
    return httpx.URL(page.url).path


async def test_a_person_signs_in_and_out_and_is_told_when_it_does_not_fit(
    door: Door, context: BrowserContext, page: Page
) -> None:
    await page.goto(f"{door.places.gateway}/account")
    assert path_of(page) == "/login"
    await fill_in(page, "vera", "not this one")
    await expect(page.get_by_role("alert")).to_contain_text("do not belong together")
    assert await context.cookies() == []
    # The name is still there.
    await expect(page.get_by_label("Name")).to_have_value("vera")
    await expect(page.get_by_label("Password")).to_be_focused()
    await fill_in(page, "vera")
    # He wanted to go there.
    await expect(page.get_by_role("heading", name="API keys")).to_be_visible()
    assert path_of(page) == "/account"
    [cookie] = await context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == ("vivesphere", True, "Lax", "/")
    assert await page.evaluate("document.cookie") == ""
    await page.get_by_role("button", name="Sign out", exact=True).click()
    await expect(page.get_by_role("status")).to_have_text("You are signed out.")
    assert await context.cookies() == []
    # Whoever kept the cookie has nothing of it.
    await context.add_cookies([cookie])  # type: ignore[list-item]
    await page.goto(f"{door.places.gateway}/account")
    assert path_of(page) == "/login"


async def test_a_session_ends_where_somebody_ends_it(door: Door, browser: Browser, page: Page) -> None:
    await page.goto(f"{door.places.gateway}/login")
    await fill_in(page, "vera")
    elsewhere = await browser.new_context()
    other = await elsewhere.new_page()
    await other.goto(f"{door.places.gateway}/login")
    await fill_in(other, "vera")
    await other.get_by_role("button", name="Sign out everywhere else").click()
    await expect(other.get_by_role("status")).to_contain_text("signed out everywhere else")
    await elsewhere.close()
    await page.reload()
    assert path_of(page) == "/login"
    await fill_in(page, "vera")
    await expect(page.get_by_role("button", name="Sign out", exact=True)).to_be_visible()
    await door.call("POST", "/users/vera/offboard")
    await page.reload()
    assert path_of(page) == "/login"


TRICKS = (
    "https://evil.example/",
    "//evil.example/",
    "/\\evil.example/",
    "/\t/evil.example/",
    "\\\\evil.example/",
    "https:evil.example",
    "javascript:alert(1)",
    "/%2f%2fevil.example/",
    "/.//evil.example/",
    "/account/..//evil.example/",
)


@pytest.mark.promise("A1")
async def test_no_link_to_the_sign_in_leads_a_person_elsewhere(door: Door, context: BrowserContext, page: Page) -> None:
    home, asked = door.places.gateway, []

    async def route(route: Route) -> None:
        asked.append(route.request.url)
        await route.continue_() if route.request.url.startswith(f"{home}/") else await route.abort()

    await context.route("**/*", route)
    for trick in TRICKS:
        await page.goto(f"{home}/login?{httpx.QueryParams(next=trick)}")
        await fill_in(page, "vera")
        await page.wait_for_url(lambda url: "/login" not in url)
        assert page.url.startswith(f"{home}/"), trick
    assert [url for url in asked if not url.startswith(f"{home}/")] == []


async def test_by_tls_the_cookie_is_for_this_host_alone(
    places: Places, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("tls")
    _, certificate = tls_for_loopback(folder)
    files = {"tls_certificate_file": certificate, "tls_key_file": folder / "key.pem"}
    gateway = places.settings.gateway.model_copy(update=files)
    by_tls = Places(places.settings.model_copy(update={"gateway": gateway}))
    assert by_tls.gateway.startswith("https://") and by_tls.gateway_trust().verify_mode is ssl.CERT_REQUIRED
    async with opened(by_tls) as door:
        await a_viewer(door)
        context = await browser.new_context(ignore_https_errors=True)
        page = await context.new_page()
        await page.goto(f"{by_tls.gateway}/login")
        await fill_in(page, "vera")
        await expect(page.get_by_role("button", name="Sign out", exact=True)).to_be_visible()
        [cookie] = await context.cookies()
        await context.close()
    assert (cookie["name"], cookie["secure"], cookie["httpOnly"]) == ("__Host-vivesphere", True, True)


async def test_the_page_of_the_api_signs_in_and_calls(door: Door, page: Page) -> None:
    login = {"username": "vera", "password": PASSWORD}
    token = (await door.admin.post("/api/v1/auth/login", json=login)).json()["access_token"]
    await page.goto(f"{door.places.gateway}/docs")
    await page.get_by_role("button", name="Authorize").first.click()
    await page.get_by_label("auth-bearer-value").fill(token)
    await page.get_by_role("button", name="Apply credentials").click()
    await page.get_by_role("button", name="Close", exact=True).click()
    operation = page.locator(".opblock", has=page.locator('[data-path="/api/v1/bots"]')).first
    await operation.locator(".opblock-summary").click()
    await operation.get_by_role("button", name="Try it out").click()
    await operation.get_by_role("button", name="Execute").click()
    await expect(operation.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
    await page.screenshot(path=_picture("docs-answer"))


def _picture(name: str) -> str:
    PICTURES.mkdir(parents=True, exist_ok=True)
    return str(PICTURES / f"{name}.png")


@pytest.mark.parametrize("view", [DESK, PHONE], ids=["desk", "phone"])
async def test_every_page_of_ours_fits_the_window(
    door: Door, page: Page, view: dict[str, int], request: pytest.FixtureRequest
) -> None:
    home = door.places.gateway
    await page.set_viewport_size(view)  # type: ignore[arg-type]
    name = request.node.callspec.id

    async def look(what: str) -> None:
        await page.screenshot(path=_picture(f"{what}-{name}"), full_page=True)
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert (what, await page.evaluate(wide)) == (what, 0)

    await page.goto(link_file(door.places).read_text(encoding="utf-8"))
    await look("choose")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_label("Once more").fill("another one")
    await page.get_by_role("button").click()
    await look("choose-wrong")
    await page.goto(f"{home}/set-password?link=used")
    await look("choose-used")
    await page.goto(f"{home}/oauth/callback?error=access_denied")
    await look("callback")
    await page.goto(f"{home}/login")
    await look("login")
    await fill_in(page, "vera", "not this one")
    await look("login-wrong")
    await fill_in(page, "vera")
    await look("account")
    await page.get_by_label("Name").fill("a script with a name that is rather long")
    await page.get_by_role("button", name="Make a key").click()
    await look("account-key")
    await page.goto(f"{home}/nothing-here")
    await expect(page.get_by_text("There is nothing at this address.")).to_be_visible()
    await look("nothing")
