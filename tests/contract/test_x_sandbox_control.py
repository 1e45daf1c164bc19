"""The control plane and the page for people."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest

from deployments.x_sandbox.settings import EndpointName
from tests.x_sandbox_process import XSandboxProcess


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XSandboxProcess]:
    with XSandboxProcess(tmp_path_factory.mktemp("x")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(process: XSandboxProcess) -> XSandboxProcess:
    process.reset()
    return process


@pytest.mark.parametrize("authorization", ["", "Bearer wrong", "Basic eA=="])
def test_the_control_plane_asks_for_its_token(sandbox: XSandboxProcess, authorization: str) -> None:
    for method, path in [("GET", "/sandbox/ledger"), ("POST", "/sandbox/tokens"), ("DELETE", "/sandbox/faults")]:
        answer = httpx.request(method, sandbox.url + path, headers={"Authorization": authorization}, trust_env=False)
        assert answer.status_code == 401
    assert httpx.get(f"{sandbox.url}/sandbox/health", trust_env=False).json()["status"] == "ok"


def test_the_same_app_twice_is_one_app(sandbox: XSandboxProcess) -> None:
    first, again = sandbox.app("weather"), sandbox.app("weather", redirect_uri="http://127.0.0.1:9000/back")
    assert (first["client_id"], first["client_secret"]) == (again["client_id"], again["client_secret"])
    assert again["redirect_uris"] == ["http://127.0.0.1:9000/back"]
    assert sandbox.app("public", confidential=False)["client_secret"] is None


def test_the_same_account_twice_is_one_account(sandbox: XSandboxProcess) -> None:
    body = [{"username": "alice", "name": "Alice", "description": "A bot"}, {"username": "ALICE", "name": "Alice B"}]
    first, again = sandbox.control.post("/accounts", json=body).json()
    assert (first["id"], again["name"], again["description"]) == (again["id"], "Alice B", "A bot")
    assert [account["username"] for account in sandbox.control.get("/accounts").json()] == ["alice"]


def test_a_thousand_accounts_get_tokens_in_one_call(sandbox: XSandboxProcess) -> None:
    tokens = sandbox.tokens(*(f"bot{number}" for number in range(1_000)))
    assert len({token["access_token"] for token in tokens}) == 1_000
    last = {"Authorization": f"Bearer {tokens[-1]['access_token']}"}
    assert httpx.get(f"{sandbox.url}/2/users/me", headers=last, trust_env=False).json()["data"]["username"] == "bot999"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/apps", {"name": "a"}, 422),
        ("/accounts", {"username": "alice"}, 422),
        ("/accounts", [{"username": "no spaces"}], 422),
        ("/tokens", {"client_id": "stranger", "accounts": ["alice"]}, 404),
        ("/tokens", {"client_id": "stranger", "accounts": ["alice"], "scopes": ["eat"]}, 422),
        ("/settings", {"colour": "red"}, 422),
        ("/settings", {"latency_ms": [5, 1]}, 422),
        ("/settings", {"latency_ms": "NaN"}, 422),
        ("/settings", {"limits": {"POST /2/tweets": {"per_minute": 1}}}, 422),
        ("/settings", {"limits": {"POST /2/twets": {"user_15_minutes": 1}}}, 422),
        ("/reset", {"everything": True}, 422),
        ("/clock", {"now": "2026-01-01T00:00:00"}, 422),
        ("/clock", {"now": "1999-01-01T00:00:00Z"}, 422),
        ("/clock", {"now": "2026-01-01T00:00:00Z", "ahead_seconds": 1}, 422),
        ("/clock", {"speed": -1}, 422),
        ("/credits", {"usd": 1}, 422),
        ("/credits", {"usd": 1, "client_id": "stranger"}, 404),
        ("/credits", {"usd": 1, "account": "stranger"}, 404),
        ("/settings", {"prices_usd": {"smile": 1}}, 422),
    ],
)
def test_bad_input_is_refused_with_a_reason(sandbox: XSandboxProcess, path: str, body: Any, status: int) -> None:
    answer = sandbox.control.post(path, json=body)
    assert answer.status_code == status
    assert answer.json()["detail"]
    assert sandbox.control.post("/apps", content=b"{").status_code == 422
    assert sandbox.control.get("/ledger?after=x").status_code == 422


@pytest.mark.parametrize("name", get_args(EndpointName))
def test_every_endpoint_that_can_be_named_is_there(sandbox: XSandboxProcess, name: str) -> None:
    method, path = name.split()
    answer = httpx.request(method, sandbox.url + re.sub(r"\{\w+\}", "1", path), trust_env=False)
    assert answer.status_code == (403 if path == "/oauth2/token" else 401)  # X's oldest endpoint says it that way


def test_every_endpoint_is_described() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "x_sandbox.md").read_text()
    assert [name for name in get_args(EndpointName) if f"| `{name}` |" not in page] == []


def test_the_ledger_is_read_in_pages_and_by_kind(sandbox: XSandboxProcess) -> None:
    start = sandbox.control.get("/health").json()["last_seq"]
    sandbox.tokens("alice", "bob")
    page = sandbox.control.get(f"/ledger?after={start}&limit=1&kinds=account,token").json()
    assert [entry["username"] for entry in page["entries"]] == ["alice"]
    rest = sandbox.control.get(f"/ledger?after={page['next_after']}&kinds=account").json()
    assert [entry["username"] for entry in rest["entries"]] == ["bob"]
    assert rest["next_after"] == sandbox.control.get("/health").json()["last_seq"]


def test_a_reset_may_keep_the_accounts(sandbox: XSandboxProcess) -> None:
    token = {"Authorization": f"Bearer {sandbox.tokens('alice')[0]['access_token']}"}
    with httpx.Client(base_url=sandbox.url, headers=token, trust_env=False) as client:
        client.post("/2/tweets", json={"text": "same"})
        sandbox.fault("drop")
        sandbox.reset(keep_accounts=True)
        assert client.post("/2/tweets", json={"text": "same"}).status_code == 201
        sandbox.reset()
        assert client.get("/2/users/me").status_code == 401


def test_the_front_page_shows_posts_accounts_and_faults_and_escapes_them(sandbox: XSandboxProcess) -> None:
    sandbox.control.post("/accounts", json=[{"username": "alice", "name": "<i>Alice</i>", "description": "<u>bio</u>"}])
    token = {"Authorization": f"Bearer {sandbox.tokens('alice')[0]['access_token']}"}
    httpx.post(f"{sandbox.url}/2/tweets", json={"text": "<script>alert(1)</script>"}, headers=token, trust_env=False)
    sandbox.fault("drop", when="after", account="<b>x</b>", count=3)
    answer = httpx.get(sandbox.url, trust_env=False)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "&lt;script&gt;alert(1)" in answer.text
    assert not any(tag in answer.text for tag in ("<script>", "<i>", "<u>", "<b>"))
    assert "drop</span> after accepting" in answer.text
