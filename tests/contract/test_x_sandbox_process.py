"""The sandbox as a process: what it keeps over a restart, a crash and a stop."""

import asyncio
import resource
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.x_sandbox_process import XSandboxProcess

LEDGER = "ledger.jsonl"


def client(sandbox: XSandboxProcess, token: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=sandbox.url, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=30
    )


async def test_a_restart_keeps_posts_tokens_settings_and_what_is_used_up(tmp_path: Path) -> None:
    with XSandboxProcess(tmp_path) as sandbox:
        alice = sandbox.tokens("alice")[0]
        secret = sandbox.app()["client_secret"]
        sandbox.settings(limits={"POST /2/tweets": {"user_15_minutes": 3}})
        async with client(sandbox, alice["access_token"]) as x:
            kept = (await x.post("/2/tweets", json={"text": "kept"})).json()["data"]["id"]
            gone = (await x.post("/2/tweets", json={"text": "gone"})).json()["data"]["id"]
            await x.delete(f"/2/tweets/{gone}")
        port, before = sandbox.port, sandbox.ledger()

        sandbox.restart()

        assert sandbox.port == port
        assert sandbox.ledger() == before
        assert sandbox.app()["client_secret"] == secret
        async with client(sandbox, alice["access_token"]) as x:
            timeline = (await x.get(f"/2/users/{alice['account_id']}/tweets")).json()
            assert [post["id"] for post in timeline["data"]] == [kept]
            assert (await x.post("/2/tweets", json={"text": "kept"})).status_code == 403
            assert (await x.post("/2/tweets", json={"text": "third"})).status_code == 429


@pytest.mark.parametrize("round_number", range(2))
async def test_a_crash_loses_nothing_that_was_acknowledged(tmp_path: Path, round_number: int) -> None:
    acknowledged: set[str] = set()
    enough = asyncio.Event()
    with XSandboxProcess(tmp_path) as sandbox:
        sandbox.settings(limits={"POST /2/tweets": {"user_15_minutes": 10**6, "app_24_hours": 10**6}})
        tokens = sandbox.tokens(*(f"bot{number}" for number in range(4)))

        async def post_until_it_dies(token: str) -> None:
            async with client(sandbox, token) as x:
                for number in range(10_000):
                    try:
                        answer = await x.post("/2/tweets", json={"text": f"post {number}"})
                    except httpx.TransportError:
                        return
                    acknowledged.add(answer.json()["data"]["id"])
                    if len(acknowledged) >= 100 * (round_number + 1):
                        enough.set()

        async with asyncio.TaskGroup() as posting:
            for token in tokens:
                posting.create_task(post_until_it_dies(token["access_token"]))
            await enough.wait()
            sandbox.kill()

        sandbox.start()
        assert acknowledged <= {entry["x_post_id"] for entry in sandbox.ledger("create")}


def test_a_line_cut_by_a_crash_is_dropped_and_the_ledger_goes_on(tmp_path: Path) -> None:
    with XSandboxProcess(tmp_path) as sandbox:
        sandbox.accounts("alice")
        sandbox.kill()
        with (tmp_path / LEDGER).open("a") as ledger:
            ledger.write('{"seq":2,"kind":"accou')
        sandbox.start()
        sandbox.accounts("bob")
        assert [(entry["seq"], entry["username"]) for entry in sandbox.ledger("account")] == [(1, "alice"), (2, "bob")]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits another process")
def test_a_post_that_does_not_fit_on_the_disk_is_not_accepted(tmp_path: Path) -> None:
    with XSandboxProcess(tmp_path) as sandbox:
        headers = {"Authorization": f"Bearer {sandbox.tokens('alice')[0]['access_token']}"}
        with httpx.Client(base_url=sandbox.url, headers=headers, trust_env=False) as x:
            room = (tmp_path / LEDGER).stat().st_size + 50
            before = resource.prlimit(sandbox.pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
            assert x.post("/2/tweets", json={"text": "too much"}).status_code == 503
            resource.prlimit(sandbox.pid, resource.RLIMIT_FSIZE, before)
            assert x.post("/2/tweets", json={"text": "fits"}).status_code == 201
        sandbox.restart()
        assert [entry["text"] for entry in sandbox.ledger("create")] == ["fits"]


def test_a_polite_stop_is_a_success_even_with_a_frozen_request(tmp_path: Path) -> None:
    with XSandboxProcess(tmp_path) as sandbox:
        token = sandbox.tokens("alice")[0]["access_token"]
        sandbox.fault("freeze", endpoint="GET /2/users/me")
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{sandbox.url}/2/users/me", headers={"Authorization": f"Bearer {token}"}, timeout=0.2)
        assert sandbox.stop() == 0


def test_fresh_forgets_and_a_second_process_is_kept_out(tmp_path: Path) -> None:
    arguments = ["--folder", str(tmp_path), "--control-token-file", str(tmp_path / "control.token"), "--fresh"]
    with XSandboxProcess(tmp_path, "--fresh") as sandbox:
        sandbox.accounts("alice")
        second = subprocess.run(
            [sys.executable, "-m", "deployments.x_sandbox", *arguments], capture_output=True, text=True, check=False
        )
        assert (second.returncode, "--folder" in second.stderr) == (1, True)
        assert len(sandbox.ledger("account")) == 1
        sandbox.restart()
        assert sandbox.ledger() == []


def test_what_it_writes_is_for_its_owner_alone(tmp_path: Path) -> None:
    with XSandboxProcess(tmp_path) as sandbox:
        for name in (LEDGER, "client-secrets.key", "control.token"):
            assert stat.S_IMODE((sandbox.folder / name).stat().st_mode) == 0o600
