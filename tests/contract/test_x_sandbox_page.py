"""The page for people: what it shows, what a click does, and whose clicks do nothing."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import httpx
import pytest

from deployments.x_sandbox.presets import PRESETS
from tests.x_sandbox_process import Caller, XSandboxProcess


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XSandboxProcess]:
    with XSandboxProcess(tmp_path_factory.mktemp("x")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(process: XSandboxProcess) -> XSandboxProcess:
    process.reset()
    return process


class Visitor:
    """A browser without scripts that has opened the page."""

    def __init__(self, sandbox: XSandboxProcess) -> None:
        self.http = httpx.Client(base_url=sandbox.url, headers={"Origin": sandbox.url}, trust_env=False)
        self.page = self.http.get("/").text
        self.token = re.findall(r'name="token" value="([^"]+)"', self.page)[0]

    def click(self, **form: object) -> httpx.Response:
        return self.http.post("/switch", data={"token": self.token, **form})

    def part(self, name: str) -> str:
        """The text of one part of the page, as it is now."""
        reader = _Text()
        reader.feed(self.http.get("/live").json()[name])
        return " ".join(" ".join(reader.words).split())


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_it_shows_posts_with_their_metrics_accounts_clock_and_spending(sandbox: XSandboxProcess) -> None:
    sandbox.account("alice", name="Alice in <Wonderland>", description="Automated.")
    sandbox.clock(now="2027-01-31T08:00:00Z", speed=0)
    Caller(sandbox, "alice").posted("Which one?", poll={"options": ["this", "that"], "duration_minutes": 60})
    sandbox.clock(forward_seconds=86_400)
    visitor = Visitor(sandbox)
    assert re.search(
        r"Alice in <Wonderland> @alice · 2027-01-31 08:00:00 UTC · poll Which one\? this that \d", visitor.part("posts")
    )
    assert visitor.part("now") == "2027-02-01 08:00:00 UTC"
    assert "0.01" in visitor.part("spend")
    assert "POST /2/tweets 1 0.015" in visitor.part("spend")
    assert "Automated." in visitor.part("accounts")
    assert "<Wonderland>" not in visitor.page
    assert "None: this X is well." in visitor.part("faults")


@pytest.mark.parametrize("preset", PRESETS)
def test_a_click_switches_a_fault_on_and_another_off(sandbox: XSandboxProcess, preset: str) -> None:
    visitor = Visitor(sandbox)
    assert visitor.click(do="preset", preset=preset, wanted="on").status_code == 303
    visitor.click(do="preset", preset=preset, wanted="on")
    assert len(sandbox.control.get("/faults").json()) == 1
    assert 'aria-checked="true" aria-label="' + PRESETS[preset].label in visitor.http.get("/live").json()["switches"]
    visitor.click(do="preset", preset=preset, wanted="off")
    assert sandbox.control.get("/faults").json() == []


def test_a_fault_is_made_to_measure_and_switched_off(sandbox: XSandboxProcess) -> None:
    visitor = Visitor(sandbox)
    wanted = {"fault": "problem", "when": "before", "endpoint": "POST /2/tweets", "account": "alice", "count": 2}
    visitor.click(do="add", problem="duplicate", probability="", milliseconds="", **wanted)
    (rule,) = sandbox.control.get("/faults").json()
    assert (rule["problem"], rule["account"], rule["count"], rule["probability"]) == ("duplicate", "alice", 2, 1)
    assert "duplicate before accepting POST /2/tweets, @alice, 2 left" in visitor.part("faults")
    visitor.click(do="off", id=rule["id"])
    assert sandbox.control.get("/faults").json() == []
    wrong = visitor.click(do="add", fault="truncate", when="before")
    assert (wrong.status_code, "after" in wrong.text) == (422, True)


def test_the_clock_is_moved_by_clicks(sandbox: XSandboxProcess) -> None:
    visitor = Visitor(sandbox)
    visitor.click(do="clock", forward_seconds=3_600)
    visitor.click(do="clock", speed=60)
    shown = sandbox.control.get("/clock").json()
    assert shown["speed"] == 60
    assert shown["ahead_seconds"] > 3_500
    visitor.click(do="wall")
    assert sandbox.control.get("/clock").json()["speed"] == 1
    assert visitor.click(do="clock", speed="fast").status_code == 422


def test_accounts_lose_their_standing_by_clicks(sandbox: XSandboxProcess) -> None:
    alice, visitor = Caller(sandbox, "alice"), Visitor(sandbox)
    visitor.click(do="account", username="alice", wanted="suspend")
    assert alice.post("one").status_code == 403
    visitor.click(do="account", username="alice", wanted="restore")
    assert alice.post("two").status_code == 201
    visitor.click(do="account", username="alice", wanted="revoke")
    assert alice.post("three").status_code == 401
    assert visitor.click(do="account", username="nobody", wanted="suspend").status_code == 422
    assert visitor.click(do="explode").status_code == 422


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Host": "evil.example", "Origin": "http://evil.example"},
        {"Host": "127.0.0.1.evil.example:80", "Origin": "http://127.0.0.1.evil.example:80"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    ],
)
def test_a_click_from_elsewhere_does_nothing(sandbox: XSandboxProcess, headers: dict[str, str]) -> None:
    visitor = Visitor(sandbox)
    form = {"token": visitor.token, "do": "preset", "preset": "frozen", "wanted": "on"}
    assert visitor.http.post("/switch", data=form, headers=headers).status_code == 403
    assert sandbox.control.get("/faults").json() == []


@pytest.mark.parametrize("token", ["", "guess"])
def test_a_click_without_the_page_s_own_token_does_nothing(sandbox: XSandboxProcess, token: str) -> None:
    visitor = Visitor(sandbox)
    visitor.token = token
    assert visitor.click(do="off").status_code == 403


@pytest.mark.parametrize("path", ["/", "/live"])
def test_a_name_that_was_pointed_here_is_not_answered(sandbox: XSandboxProcess, path: str) -> None:
    for host in ("rebound.example", "rebound.example:80", "[", "127.0.0.1.nip.example"):
        answer = httpx.get(sandbox.url + path, headers={"Host": host}, trust_env=False)
        assert (answer.status_code, "token" in answer.text) == (403, False)
    assert httpx.get(f"http://localhost:{sandbox.port}{path}", trust_env=False).status_code == 200


def test_the_page_holds_no_control_token_and_no_other_site_may_frame_or_read_it(sandbox: XSandboxProcess) -> None:
    visitor = Visitor(sandbox)
    assert sandbox.token_file.read_text().strip() not in visitor.page
    answer = visitor.http.get("/")
    policy = answer.headers["content-security-policy"]
    assert all(part in policy for part in ("default-src 'none'", "frame-ancestors 'none'", "form-action 'self'"))
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert visitor.http.get("/sandbox/faults", headers={"Authorization": f"Bearer {visitor.token}"}).status_code == 401
