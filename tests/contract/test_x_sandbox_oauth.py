"""The sandbox hands out and ends tokens as X does."""

import base64
import hashlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.x_sandbox_process import REDIRECT_URI, XSandboxProcess

VERIFIER = "a-verifier-of-at-least-forty-three-characters-length"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
SCOPE = "tweet.read tweet.write users.read offline.access"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XSandboxProcess]:
    with XSandboxProcess(tmp_path_factory.mktemp("x")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(process: XSandboxProcess) -> XSandboxProcess:
    process.reset()
    return process


class Client:
    """An app's side of the dance."""

    def __init__(self, sandbox: XSandboxProcess, confidential: bool = True) -> None:
        self.app = sandbox.app("weather", confidential=confidential)
        self.http = httpx.Client(base_url=sandbox.url, trust_env=False)
        self._auth = (self.app["client_id"], self.app["client_secret"]) if confidential else None

    def query(self, **change: str) -> dict[str, str]:
        return {
            "response_type": "code",
            "client_id": self.app["client_id"],
            "redirect_uri": REDIRECT_URI,
            "scope": SCOPE,
            "state": "s 1",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        } | change

    def decide(self, decision: str = "allow", username: str = "alice", **change: str) -> dict[str, str]:
        form = {"username": username, "description": "A bot by @owner", "decision": decision}
        answer = self.http.post("/i/oauth2/authorize", data={**self.query(**change), **form})
        assert answer.status_code == 302, answer.text
        assert answer.headers["location"].startswith(REDIRECT_URI)
        return {key: values[0] for key, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}

    def token(self, **form: str) -> httpx.Response:
        body = form if self._auth else {"client_id": self.app["client_id"], **form}
        return self.http.post("/2/oauth2/token", data=body, auth=self._auth)

    def exchange(self, code: str, verifier: str = VERIFIER) -> httpx.Response:
        return self.token(grant_type="authorization_code", code=code, redirect_uri=REDIRECT_URI, code_verifier=verifier)

    def tokens(self) -> dict[str, Any]:
        return dict(self.exchange(self.decide()["code"]).raise_for_status().json())

    def refresh(self, refresh_token: str) -> httpx.Response:
        return self.token(grant_type="refresh_token", refresh_token=refresh_token)

    def me(self, access_token: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {access_token}"}
        return self.http.get("/2/users/me?user.fields=description", headers=headers)


def test_the_consent_page_says_what_it_is_and_escapes_what_it_shows(sandbox: XSandboxProcess) -> None:
    client = Client(sandbox)
    page = client.http.get("/i/oauth2/authorize", params=client.query(state='"><script>')).text
    assert "This is the X sandbox, not X" in page
    assert "weather" in page
    assert "<script>" not in page


@pytest.mark.parametrize("confidential", [True, False])
def test_a_code_becomes_tokens_for_an_account_made_on_the_spot(sandbox: XSandboxProcess, confidential: bool) -> None:
    client = Client(sandbox, confidential)
    back = client.decide()
    assert back["state"] == "s 1"
    tokens = client.exchange(back["code"]).json()
    assert (tokens["token_type"], tokens["expires_in"], tokens["scope"]) == ("bearer", 7200, SCOPE)
    me = client.me(tokens["access_token"]).json()["data"]
    assert (me["username"], me["description"]) == ("alice", "A bot by @owner")
    (entry,) = sandbox.ledger("token")
    assert (entry["grant"], entry["result"], entry["username"]) == ("authorization_code", "granted", "alice")


def test_consent_for_a_known_account_keeps_it(sandbox: XSandboxProcess) -> None:
    (before,) = sandbox.accounts("Alice")
    client = Client(sandbox)
    assert client.me(client.tokens()["access_token"]).json()["data"]["id"] == before["id"]


def test_a_denied_consent_goes_back_without_a_code(sandbox: XSandboxProcess) -> None:
    assert Client(sandbox).decide("deny", username="") == {"state": "s 1", "error": "access_denied"}


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "stranger"},
        {"redirect_uri": "http://127.0.0.1:8000/other"},
        {"response_type": "token"},
        {"scope": "tweet.eat"},
        {"code_challenge": ""},
        {"state": ""},
    ],
)
def test_a_wrong_request_for_consent_is_never_sent_back(sandbox: XSandboxProcess, change: dict[str, str]) -> None:
    client = Client(sandbox)
    assert client.http.get("/i/oauth2/authorize", params=client.query(**change)).status_code == 400
    form = {**client.query(**change), "username": "alice", "decision": "allow"}
    assert client.http.post("/i/oauth2/authorize", data=form).status_code == 400


def test_a_small_s_and_json_are_taken_as_x_takes_them(sandbox: XSandboxProcess) -> None:
    client = Client(sandbox)
    code = client.decide(code_challenge_method="s256")["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI}
    auth = (client.app["client_id"], client.app["client_secret"])
    answer = client.http.post("/2/oauth2/token", json={**form, "code_verifier": VERIFIER}, auth=auth)
    assert client.me(answer.json()["access_token"]).status_code == 200
    revoked = client.http.post("/2/oauth2/revoke", json={"token": answer.json()["access_token"]}, auth=auth)
    assert revoked.json() == {"revoked": True}


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"grant_type": 5}', b"\xff"])
def test_json_that_names_no_grant_is_refused(sandbox: XSandboxProcess, body: bytes) -> None:
    client = Client(sandbox)
    auth = (client.app["client_id"], client.app["client_secret"])
    headers = {"content-type": "application/json"}
    answer = client.http.post("/2/oauth2/token", content=body, headers=headers, auth=auth)
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


def test_consumer_key_and_secret_bring_the_one_token_of_an_app(sandbox: XSandboxProcess) -> None:
    client, given = Client(sandbox), sandbox.oauth1_token("alice", app="weather")

    def ask(secret: str, **form: str) -> httpx.Response:
        return client.http.post("/oauth2/token", data=form, auth=(given["consumer_key"], secret))

    first, second = (ask(given["consumer_secret"], grant_type="client_credentials").json() for _ in range(2))
    assert first == second == {"token_type": "bearer", "access_token": first["access_token"]}
    headers = {"Authorization": f"Bearer {first['access_token']}"}
    assert client.http.get("/2/users/by?usernames=alice", headers=headers).json()["data"][0]["username"] == "alice"
    assert client.http.get("/2/users/me", headers=headers).status_code == 403
    stranger, nothing = ask("guess", grant_type="client_credentials"), ask(given["consumer_secret"])
    assert (stranger.status_code, stranger.json()["errors"][0]["code"]) == (403, 99)
    assert (nothing.status_code, nothing.json()["errors"][0]["code"]) == (403, 170)
    assert [entry["result"] for entry in sandbox.ledger("token")][1:] == ["granted", "refused", "refused"]


def test_a_code_works_once(sandbox: XSandboxProcess) -> None:
    client = Client(sandbox)
    code = client.decide()["code"]
    assert client.exchange(code).status_code == 200
    assert client.exchange(code).status_code == 400


def test_a_code_dies_after_thirty_seconds(sandbox: XSandboxProcess) -> None:
    client = Client(sandbox)
    code = client.decide()["code"]
    sandbox.clock(ahead_seconds=31)
    answer = client.exchange(code)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    sandbox.settings(code_seconds=60)
    fresh = client.decide()["code"]
    sandbox.clock(ahead_seconds=62)
    assert client.exchange(fresh).status_code == 200


def test_a_wrong_verifier_is_refused_and_costs_the_code(sandbox: XSandboxProcess) -> None:
    client = Client(sandbox)
    code = client.decide()["code"]
    assert client.exchange(code, verifier="a-guess").status_code == 400
    assert client.exchange(code).status_code == 400


def test_a_confidential_app_must_prove_itself(sandbox: XSandboxProcess) -> None:
    client = Client(sandbox)
    form = {"grant_type": "refresh_token", "refresh_token": "x", "client_id": client.app["client_id"]}
    assert client.http.post("/2/oauth2/token", data=form).status_code == 401
    assert client.http.post("/2/oauth2/token", data=form, auth=(client.app["client_id"], "x")).status_code == 401
    assert client.token(grant_type="password").json()["error"] == "unsupported_grant_type"


def test_without_offline_access_there_is_no_refresh_token(sandbox: XSandboxProcess) -> None:
    client = Client(sandbox)
    assert "refresh_token" not in client.exchange(client.decide(scope="users.read tweet.read")["code"]).json()


def test_a_refresh_token_works_once_and_its_replay_kills_the_family(sandbox: XSandboxProcess) -> None:
    client = Client(sandbox)
    first = client.tokens()
    second = client.refresh(first["refresh_token"]).json()
    assert client.me(first["access_token"]).status_code == 200
    assert client.me(second["access_token"]).status_code == 200

    replay = client.refresh(first["refresh_token"])
    assert (replay.status_code, replay.json()["error"]) == (400, "invalid_request")
    assert client.me(first["access_token"]).status_code == 401
    assert client.me(second["access_token"]).status_code == 401
    assert client.refresh(second["refresh_token"]).status_code == 400
    results = [entry["result"] for entry in sandbox.ledger("token")]
    assert results == ["granted", "granted", "family_killed", "refused"]
    assert client.me(client.tokens()["access_token"]).status_code == 200


def test_another_app_cannot_use_a_refresh_token(sandbox: XSandboxProcess) -> None:
    client = Client(sandbox)
    tokens = client.tokens()
    other = sandbox.app("other")
    stolen = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    answer = client.http.post("/2/oauth2/token", data=stolen, auth=(other["client_id"], other["client_secret"]))
    assert answer.status_code == 400
    assert client.refresh(tokens["refresh_token"]).status_code == 200


@pytest.mark.parametrize(("which", "refreshes"), [("access_token", 200), ("refresh_token", 400)])
def test_a_revoked_token_is_dead(sandbox: XSandboxProcess, which: str, refreshes: int) -> None:
    client = Client(sandbox)
    tokens = client.tokens()
    auth = (client.app["client_id"], client.app["client_secret"])
    answer = client.http.post("/2/oauth2/revoke", data={"token": tokens[which]}, auth=auth)
    assert answer.json() == {"revoked": True}
    assert client.me(tokens["access_token"]).status_code == 401
    assert client.refresh(tokens["refresh_token"]).status_code == refreshes


def test_a_token_call_can_be_broken_for_one_account(sandbox: XSandboxProcess) -> None:
    client = Client(sandbox)
    alice, bob = client.tokens(), client.exchange(client.decide(username="bob")["code"]).json()
    sandbox.fault("error", when="after", endpoint="POST /2/oauth2/token", account="alice", count=1)
    assert client.refresh(bob["refresh_token"]).status_code == 200
    assert client.refresh(alice["refresh_token"]).status_code == 503
    assert sandbox.ledger("token")[-1]["result"] == "granted"
