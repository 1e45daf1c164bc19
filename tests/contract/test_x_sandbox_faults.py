"""The sandbox breaks on demand, and its ledger tells what it had accepted by then."""

import asyncio
import json
import socket
import struct
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest

from tests.x_sandbox_process import XSandboxProcess

CREATE = "POST /2/tweets"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XSandboxProcess]:
    with XSandboxProcess(tmp_path_factory.mktemp("x")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(process: XSandboxProcess) -> XSandboxProcess:
    process.reset()
    return process


def token_of(sandbox: XSandboxProcess, username: str = "alice") -> str:
    return str(sandbox.tokens(username)[0]["access_token"])


def request(token: str, text: str = "hello") -> bytes:
    body = json.dumps({"text": text}).encode()
    head = [
        "POST /2/tweets HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {token}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


def post(sandbox: XSandboxProcess, token: str, text: str = "hello") -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.post(f"{sandbox.url}/2/tweets", json={"text": text}, headers=headers, trust_env=False)


def bytes_back(sandbox: XSandboxProcess, sent: bytes) -> bytes:
    """Everything that comes back before the connection ends; raises ConnectionResetError on a reset."""
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=10) as raw:
        raw.sendall(sent)
        received = b""
        while chunk := raw.recv(65_536):
            received += chunk
        return received


def texts(sandbox: XSandboxProcess) -> list[str]:
    return [entry["text"] for entry in sandbox.ledger("create")]


@pytest.mark.parametrize(("when", "accepted"), [("before", []), ("after", ["hello"])])
def test_a_dropped_request_gets_not_one_byte(sandbox: XSandboxProcess, when: str, accepted: list[str]) -> None:
    sandbox.fault("drop", when=when, endpoint=CREATE, count=1)
    assert bytes_back(sandbox, request(token_of(sandbox))) == b""
    assert texts(sandbox) == accepted
    (entry,) = sandbox.ledger("fault")
    assert (entry["fault"], entry["when"], entry["x_post_id"] is not None) == ("drop", when, when == "after")


@pytest.mark.parametrize(("when", "accepted"), [("before", []), ("after", ["hello"])])
def test_a_reset_is_a_reset(sandbox: XSandboxProcess, when: str, accepted: list[str]) -> None:
    sandbox.fault("reset", when=when, endpoint=CREATE, count=1)
    with pytest.raises(ConnectionResetError):
        bytes_back(sandbox, request(token_of(sandbox)))
    assert texts(sandbox) == accepted


@pytest.mark.parametrize(("when", "accepted"), [("before", []), ("after", ["hello"])])
def test_a_server_error_may_come_before_or_after_acceptance(
    sandbox: XSandboxProcess, when: str, accepted: list[str]
) -> None:
    sandbox.fault("error", when=when, endpoint=CREATE, count=1, status=502)
    assert post(sandbox, token_of(sandbox)).status_code == 502
    assert texts(sandbox) == accepted


@pytest.mark.parametrize(
    ("name", "status", "word"),
    [
        ("unauthorized", 401, "Unauthorized"),
        ("credits-depleted", 402, "credits"),
        ("client-not-enrolled", 403, "client-not-enrolled"),
        ("unsupported-authentication", 403, "Unsupported Authentication"),
        ("oauth1-permissions", 403, "oauth1"),
        ("user-suspended", 403, "suspended"),
        ("user-suspended-code-64", 403, '"code":64'),
        ("account-locked", 403, '"code":326'),
        ("reply-gate", 403, "Reply to this conversation"),
        ("duplicate", 403, "duplicate content"),
        ("too-many-requests", 429, "Too Many Requests"),
        ("too-many-requests-code-88", 429, '"code":88'),
        ("usage-capped", 429, "usage-capped"),
        ("not-found-empty", 404, ""),
    ],
)
def test_x_s_refusals_can_be_called_up(sandbox: XSandboxProcess, name: str, status: int, word: str) -> None:
    sandbox.fault("problem", problem=name, endpoint=CREATE)
    answer = post(sandbox, token_of(sandbox))
    assert (answer.status_code, word in answer.text) == (status, True)
    assert texts(sandbox) == []


def test_a_called_up_429_says_when_it_ends(sandbox: XSandboxProcess) -> None:
    sandbox.fault("problem", problem="too-many-requests", reset_seconds=600)
    answer = post(sandbox, token_of(sandbox))
    assert answer.headers["x-rate-limit-remaining"] == "0"
    assert int(answer.headers["x-rate-limit-reset"]) == pytest.approx(time.time() + 600, abs=10)


def test_the_network_in_front_of_x_answers_in_html(sandbox: XSandboxProcess) -> None:
    sandbox.fault("html", status=403)
    answer = post(sandbox, token_of(sandbox))
    assert (answer.status_code, answer.headers["content-type"]) == (403, "text/html; charset=utf-8")
    assert answer.text.startswith("<!DOCTYPE html>")


def test_truncated_json_is_whole_as_http_and_broken_as_json(sandbox: XSandboxProcess) -> None:
    sandbox.fault("truncate", when="after")
    answer = post(sandbox, token_of(sandbox))
    assert answer.status_code == 201
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_a_cut_answer_ends_before_its_length(sandbox: XSandboxProcess) -> None:
    sandbox.fault("cut", when="after")
    with pytest.raises(httpx.RemoteProtocolError):
        post(sandbox, token_of(sandbox))
    assert texts(sandbox) == ["hello"]


async def test_a_drip_outlasts_a_deadline_though_every_read_succeeds(sandbox: XSandboxProcess) -> None:
    token = token_of(sandbox)
    sandbox.fault("drip", when="after", milliseconds=50)
    async with httpx.AsyncClient(timeout=1, trust_env=False) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                headers = {"Authorization": f"Bearer {token}"}
                await client.post(f"{sandbox.url}/2/tweets", json={"text": "a" * 100}, headers=headers)
    assert texts(sandbox) == ["a" * 100]


@pytest.mark.parametrize(("when", "accepted"), [("before", []), ("after", ["hello"])])
def test_a_frozen_request_is_never_answered(sandbox: XSandboxProcess, when: str, accepted: list[str]) -> None:
    token = token_of(sandbox)
    sandbox.fault("freeze", when=when, endpoint=CREATE)
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=0.3) as raw:
        raw.sendall(request(token))
        with pytest.raises(TimeoutError):
            raw.recv(1)
    assert texts(sandbox) == accepted


async def test_a_delayed_request_is_accepted_although_its_sender_has_left(sandbox: XSandboxProcess) -> None:
    token = token_of(sandbox)
    sandbox.fault("delay", milliseconds=200, endpoint=CREATE)
    with socket.create_connection(("127.0.0.1", sandbox.port)) as raw:
        raw.sendall(request(token))
    assert texts(sandbox) == []
    (entry,) = await sandbox.ledger_holds("create")
    assert entry["text"] == "hello"


@pytest.mark.parametrize("hard", [True, False])
async def test_a_request_in_the_queue_of_a_stopped_sandbox_outlives_its_sender(
    sandbox: XSandboxProcess, hard: bool
) -> None:
    token = token_of(sandbox)
    sandbox.pause()
    try:
        with socket.create_connection(("127.0.0.1", sandbox.port)) as raw:
            if hard:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            head, _, body = request(token).partition(b"\r\n\r\n")
            raw.sendall(head + b"\r\n\r\n")
            raw.sendall(body)
    finally:
        sandbox.resume()
    await sandbox.ledger_holds("create")
    assert texts(sandbox) == ["hello"]


def test_half_a_request_is_not_accepted(sandbox: XSandboxProcess) -> None:
    token = token_of(sandbox)
    with socket.create_connection(("127.0.0.1", sandbox.port)) as raw:
        raw.sendall(request(token)[:-3])
        raw.shutdown(socket.SHUT_WR)
        assert raw.recv(1) == b""
    assert post(sandbox, token, "whole").status_code == 201
    assert texts(sandbox) == ["whole"]


def test_the_first_byte_is_timed_when_it_comes_not_when_the_request_is_whole(sandbox: XSandboxProcess) -> None:
    whole = request(token_of(sandbox))
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=10) as raw:
        raw.sendall(whole[:1])
        for _ in range(3):  # each answer is a turn of the sandbox's loop: take the connection, read the byte
            between_at = sandbox.control.get("/health").json()["now"]
        raw.sendall(whole[1:])
        assert raw.recv(12) == b"HTTP/1.1 201"
    (entry,) = sandbox.ledger("create")
    assert entry["first_byte_at"] < between_at < entry["accepted_at"]


def test_a_fault_strikes_whom_and_how_often_it_was_told(sandbox: XSandboxProcess) -> None:
    alice, bob = token_of(sandbox, "alice"), token_of(sandbox, "bob")
    sandbox.fault("error", account="Alice", count=2)
    assert post(sandbox, bob, "b1").status_code == 201
    assert [post(sandbox, alice, f"a{number}").status_code for number in range(3)] == [503, 503, 201]
    assert sandbox.control.get("/faults").json() == []


def test_a_fault_that_never_had_its_turn_is_not_used_up(sandbox: XSandboxProcess) -> None:
    token = token_of(sandbox)
    sandbox.fault("error", count=1)
    sandbox.fault("problem", problem="user-suspended", count=1)
    assert [post(sandbox, token, f"{number}").status_code for number in range(3)] == [503, 403, 201]


def test_a_fault_of_some_probability_strikes_sometimes(sandbox: XSandboxProcess) -> None:
    token = token_of(sandbox)
    sandbox.fault("error", endpoint="GET /2/users/me", probability=0.5)
    sandbox.settings(limits={"GET /2/users/me": {"user_15_minutes": 1_000}})
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}, trust_env=False) as client:
        statuses = {client.get(f"{sandbox.url}/2/users/me").status_code for _ in range(60)}
    assert statuses == {200, 503}


def test_a_healed_sandbox_is_well(sandbox: XSandboxProcess) -> None:
    token = token_of(sandbox)
    number = sandbox.fault("drop")["id"]
    sandbox.fault("error", count=5)
    assert [rule["fault"] for rule in sandbox.control.delete(f"/faults/{number}").json()] == ["error"]
    assert sandbox.control.delete(f"/faults/{number}").status_code == 404
    sandbox.heal()
    assert post(sandbox, token).status_code == 201


def test_latency_holds_up_every_endpoint(sandbox: XSandboxProcess) -> None:
    token = token_of(sandbox)
    sandbox.settings(latency_ms=[60, 80])
    answer = post(sandbox, token)
    assert answer.elapsed.total_seconds() >= 0.06


@pytest.mark.parametrize(
    "rule",
    [
        {"fault": "explode"},
        {"fault": "drop", "probability": 0},
        {"fault": "drop", "count": 0},
        {"fault": "truncate", "when": "before"},
        {"fault": "problem", "problem": "bad-mood"},
        {"fault": "problem", "when": "after"},
        {"fault": "error", "status": 200},
        {"fault": "drop", "colour": "red"},
    ],
)
def test_a_fault_that_cannot_be_is_refused(sandbox: XSandboxProcess, rule: dict[str, Any]) -> None:
    assert sandbox.control.post("/faults", json=rule).status_code == 422


@pytest.mark.parametrize(("when", "first"), [("before", 403), ("after", 201)])
def test_an_account_may_be_suspended_in_the_middle_of_its_work(sandbox: XSandboxProcess, when: str, first: int) -> None:
    token = token_of(sandbox)
    sandbox.fault("suspend", when=when, endpoint=CREATE, count=1)
    assert post(sandbox, token, "one").status_code == first
    answer = post(sandbox, token, "two")
    assert (answer.status_code, answer.json()["detail"]) == (403, "User is suspended.")
    sandbox.restart()
    assert post(sandbox, token, "three").status_code == 403
    sandbox.account("alice", suspended=False)
    assert post(sandbox, token, "four").status_code == 201


@pytest.mark.parametrize(("when", "first"), [("before", 401), ("after", 201)])
def test_a_token_may_be_revoked_in_the_middle_of_its_work(sandbox: XSandboxProcess, when: str, first: int) -> None:
    token, other = sandbox.tokens("alice")[0], token_of(sandbox, "bob")
    sandbox.fault("revoke", when=when, account="alice", count=1)
    assert post(sandbox, other, "zero").status_code == 201
    assert post(sandbox, token["access_token"], "one").status_code == first
    assert post(sandbox, token["access_token"], "two").status_code == 401
    app = sandbox.app()
    refresh = {"grant_type": "refresh_token", "refresh_token": token["refresh_token"]}
    auth = (app["client_id"], app["client_secret"])
    assert httpx.post(f"{sandbox.url}/2/oauth2/token", data=refresh, auth=auth, trust_env=False).status_code == 400
    assert sandbox.ledger("token")[-2]["result"] == "family_killed"


def test_all_tokens_of_an_account_end_by_one_call(sandbox: XSandboxProcess) -> None:
    first, second, other = token_of(sandbox), token_of(sandbox), token_of(sandbox, "bob")
    assert sandbox.control.post("/revocations", json={"account": "alice"}).json() == {"account": "alice", "families": 2}
    assert [post(sandbox, token).status_code for token in (first, second, other)] == [401, 401, 201]
    assert sandbox.control.post("/revocations", json={"account": "nobody"}).status_code == 404


@pytest.mark.parametrize("path", ["/2/users/me", "/2/nothing", "/i/oauth2/authorize"])
def test_a_freeze_of_everything_lets_nobody_in(sandbox: XSandboxProcess, path: str) -> None:
    sandbox.fault("freeze", count=1)
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(sandbox.url + path, timeout=0.3, trust_env=False)
    assert [(entry["fault"], entry["endpoint"]) for entry in sandbox.ledger("fault")] == [("freeze", path)]
    assert httpx.get(sandbox.url, trust_env=False).status_code == 200, "people can still look and heal"
    assert httpx.get(sandbox.url + path, timeout=5, trust_env=False).status_code in (400, 401, 404)


def test_the_same_seed_plays_the_same_lags_and_strikes(sandbox: XSandboxProcess) -> None:
    def played() -> tuple[list[float], list[int]]:
        sandbox.reset()
        token = token_of(sandbox)
        sandbox.settings(seed=7, visibility_lag_seconds=[0, 100])
        sandbox.clock(speed=0)
        for number in range(5):
            post(sandbox, token, f"{number}")
        lags = [seconds(entry["visible_at"]) - seconds(entry["accepted_at"]) for entry in sandbox.ledger("create")]
        sandbox.fault("error", probability=0.5)
        return lags, [post(sandbox, token, f"more {number}").status_code for number in range(10)]

    lags, statuses = played()
    assert len(set(lags)) == 5
    assert all(0 <= lag <= 100 for lag in lags)
    assert set(statuses) == {201, 503}
    again = played()
    assert (again[0], again[1]) == (pytest.approx(lags, abs=0.001), statuses)


def seconds(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()
