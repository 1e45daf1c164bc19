"""What an operator sees and clicks on the page of the X sandbox, and what another site cannot click there."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import PICTURES, WINDOW
from tests.waiting import until
from tests.x_sandbox_process import Caller, XSandboxProcess

TRICK = """<!DOCTYPE html><title>Another site</title><p id="said"></p>
<form method="post" action="{url}/switch"><input name="do" value="preset"><input name="preset" value="frozen">
<input name="wanted" value="on"><button>win a prize</button></form>
<script>
const attempts = [
  fetch("{url}/live").then((answer) => answer.text()),
  fetch("{url}/switch", {{method: "POST", mode: "no-cors", body: new URLSearchParams({{do: "off"}})}}),
];
Promise.allSettled(attempts).then(([read]) => {{ document.getElementById("said").textContent = read.status; }});
</script>"""


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XSandboxProcess]:
    with XSandboxProcess(tmp_path_factory.mktemp("x")) as process:
        yield process


@pytest.fixture
async def page(browser: Browser, sandbox: XSandboxProcess, request: pytest.FixtureRequest) -> AsyncIterator[Page]:
    sandbox.reset()
    context = await browser.new_context(viewport=WINDOW, locale="en-GB", timezone_id="UTC")  # type: ignore[arg-type]
    page = await context.new_page()
    yield page
    PICTURES.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=PICTURES / f"{Path(request.node.name).name}.png")
    await context.close()


async def test_posts_appear_by_themselves_and_a_switch_breaks_and_heals(sandbox: XSandboxProcess, page: Page) -> None:
    alice = Caller(sandbox, "alice")
    await page.goto(sandbox.url)
    await expect(page.get_by_text("Nobody has posted yet.")).to_be_visible()
    alice.posted("Hello from <b>outside</b>")
    await expect(page.get_by_role("article")).to_contain_text("Hello from <b>outside</b>")
    switch = page.get_by_role("switch", name="Out of order")
    await expect(switch).to_have_attribute("aria-checked", "false")
    await switch.click()
    await expect(switch).to_have_attribute("aria-checked", "true")
    assert alice.post("broken").status_code == 503
    await switch.click()
    await expect(switch).to_have_attribute("aria-checked", "false")
    assert alice.post("healed").status_code == 201


async def test_a_fault_to_measure_and_an_error_in_it_are_shown(sandbox: XSandboxProcess, page: Page) -> None:
    await page.goto(sandbox.url)
    await page.get_by_text("More exactly").click()
    await page.get_by_label("Fault").select_option("cut")
    await page.get_by_role("button", name="Switch on").click()
    await expect(page.get_by_role("status")).to_contain_text("cut breaks an answer")
    await page.get_by_label("When").select_option("after")
    await page.get_by_label("Account", exact=True).fill("alice")
    await page.get_by_role("button", name="Switch on").click()
    await expect(page.locator("#faults")).to_contain_text("@alice")
    await expect(page.get_by_role("status")).to_have_text("")
    await page.get_by_role("button", name="all off").click()
    await expect(page.locator("#faults")).to_contain_text("this X is well")


async def test_the_clock_and_the_accounts_are_a_click_away(sandbox: XSandboxProcess, page: Page) -> None:
    alice = Caller(sandbox, "alice")
    await page.goto(sandbox.url)
    await page.get_by_role("button", name="+1 day").click()
    await until(lambda: sandbox.control.get("/clock").json()["ahead_seconds"] > 86_000)
    await page.get_by_role("button", name="wall clock").click()
    await until(lambda: abs(sandbox.control.get("/clock").json()["ahead_seconds"]) < 1)
    await page.get_by_role("button", name="suspend").click()
    await expect(page.locator("#accounts")).to_contain_text("suspended")
    assert alice.post("no").status_code == 403


async def test_another_site_can_neither_click_nor_read_it(sandbox: XSandboxProcess, page: Page) -> None:
    sandbox.fault("drop", account="nobody")

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(TRICK.format(url=sandbox.url).encode())

        def log_message(self, *_: object) -> None:
            pass

    site = HTTPServer(("127.0.0.1", 0), Site)
    Thread(target=site.serve_forever, daemon=True).start()
    try:
        await page.goto(f"http://127.0.0.1:{site.server_port}")
        await expect(page.locator("#said")).to_have_text("rejected")
        await page.get_by_role("button", name="win a prize").click()
        await expect(page.get_by_text("A click counts on this page alone.")).to_be_visible()
        assert [rule["fault"] for rule in sandbox.control.get("/faults").json()] == ["drop"]
    finally:
        await asyncio.to_thread(site.shutdown)
        site.server_close()
