"""The real Prefect behind the real gateway: what is refused changes nothing, what is allowed works."""

import asyncio
import base64
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from config.loading import APP_ROOT
from deployments.local import environment, prefect_api, work_pool
from tasks.connections import open_connections
from tasks.domain.roles import system
from tasks.operations import api_keys, users
from tests.gateway.prefect_matrix import ID, MAY, asks
from tests.stack.conftest import RunningStack, eventually
from tests.unit.test_gateway_paths import TRICKS

PLANTED = "planted-in-a-block"
BY_HAND = "last/by-hand"
POOL = "elsewhere"


@pytest.fixture(scope="module")
def keys(running: RunningStack) -> Mapping[str, str]:
    """A key of a user of each role."""

    async def made() -> dict[str, str]:
        found = {}
        async with open_connections("gateway", running.places) as at:
            for role in MAY:
                user_id = (await users.add(at, f"prefect-{role}", None, system("tests"))).user.id
                await users.assign(at, user_id, role, None, None, system("tests"))
                found[role] = (await api_keys.create(at, user_id, "key", system("tests"))).secret
        return found

    return asyncio.run(made())


@pytest.fixture(scope="module")
def ids(running: RunningStack) -> Mapping[str, str]:
    """Something of each kind that could be hurt, by the first word of its routes."""
    running.deploy_small_flows()
    with running.api() as api:
        deployment = api.get(f"/deployments/name/{BY_HAND}").raise_for_status().json()
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": tomorrow}}
        run = api.post(
            f"/deployments/{deployment['id']}/create_flow_run", json={"state": state, "parameters": {"seconds": 0.1}}
        )
        variable = api.post("/variables/", json={"name": "kept", "value": "as it was"})
        kind = api.get("/block_types/slug/secret").raise_for_status().json()["id"]
        schema = api.post("/block_schemas/filter", json={"block_schemas": {"block_type_id": {"any_": [kind]}}})
        block = api.post(
            "/block_documents/",
            json={
                "name": "kept",
                "block_type_id": kind,
                "block_schema_id": schema.raise_for_status().json()[0]["id"],
                "data": {"value": PLANTED},
            },
        )
        found = {
            "deployments": deployment["id"],
            "flows": deployment["flow_id"],
            "flow_runs": run.raise_for_status().json()["id"],
            "variables": variable.raise_for_status().json()["id"],
            "block_documents": block.raise_for_status().json()["id"],
            "automations": api.post("/automations/filter", json={}).json()[0]["id"],
            "work_queues": api.post("/work_queues/filter", json={}).json()[0]["id"],
        }
    return found


def ask(running: RunningStack, key: str) -> httpx.Client:
    """A program that signs in as Prefect's own client does."""
    headers = {"Authorization": f"Basic {base64.b64encode(key.encode()).decode()}"}
    return httpx.Client(base_url=running.places.gateway, headers=headers, timeout=30, trust_env=False)


def everything(running: RunningStack, ids: Mapping[str, str]) -> dict[str, Any]:
    """What the tricks are after, as Prefect itself tells it."""
    kinds = ("deployments", "work_pools", "work_queues", "block_documents", "variables", "automations", "block_types")
    moving = {"updated", "last_polled", "status", "ready", "current_concurrency", "active_slots"}
    with running.api() as api:
        found: dict[str, Any] = {
            kind: sorted(
                json.dumps({key: value for key, value in one.items() if key not in moving}, sort_keys=True)
                for one in prefect_api.filtered(api, f"/{kind}")
            )
            for kind in kinds
        }
        run = api.get(f"/flow_runs/{ids['flow_runs']}").raise_for_status().json()
        found["run"] = {key: value for key, value in run.items() if key != "estimated_start_time_delta"}
        hurt = prefect_api.filtered(api, "/flow_runs", flow_runs={"state": {"name": {"any_": ["Planted"]}}})
        found["planted runs"] = [one["id"] for one in hurt]
        found["commands"] = [one["id"] for one in prefect_api.filtered(api, "/flow_runs") if one["job_variables"]]
    return found


def aimed(path: str, ids: Mapping[str, str]) -> str:
    """The path of the matrix, at something that is there."""
    stem = path.split("/")[2] if path.startswith("/api/") else ""
    aim = path.replace(ID, ids.get(stem, ID))
    return aim.replace("work_pools/example", f"work_pools/{work_pool_name()}").replace("name/example", "name/kept")


def work_pool_name() -> str:
    return os.environ.get("VIVESPHERE_PREFECT__WORK_POOL", "vivesphere")


@pytest.mark.promise("A1")
def test_no_refused_request_changes_anything(
    running: RunningStack, keys: Mapping[str, str], ids: Mapping[str, str]
) -> None:
    before = everything(running, ids)
    refused = 0
    for role in MAY:
        with ask(running, keys[role]) as client:
            for wanted in asks(role):
                if wanted.passes:
                    continue
                answer = client.request(
                    wanted.route.method,
                    aimed(wanted.path, ids),
                    content=wanted.body,
                    headers={"Content-Type": "application/json"},
                )
                assert (str(wanted), answer.status_code in (403, 404)) == (str(wanted), True), answer.text[:300]
                assert answer.headers["content-type"] == "application/problem+json"
                refused += 1
    assert refused > 500
    assert everything(running, ids) == before


@pytest.mark.promise("A1")
def test_no_trick_with_the_path_reaches_prefect(
    running: RunningStack, keys: Mapping[str, str], ids: Mapping[str, str]
) -> None:
    """Byte by byte over a socket: no client of ours would even send them."""
    address = urlsplit(running.places.gateway)
    basic = base64.b64encode(keys["admin"].encode()).decode()
    tried = [trick for trick in TRICKS if trick and b" " not in trick and len(trick) < 100]
    # The same, at what would be hurt.
    doors = ("//", "/./", "/x/../", "/%2e/", "\\", "/%2f", ";/")
    tried += [f"/api{door}variables/name/kept".encode() for door in doors]
    assert len(tried) > 40
    for trick in tried:
        with socket.create_connection((address.hostname, address.port), timeout=10) as peer:
            head = f"Host: {address.netloc}\r\nAuthorization: Basic {basic}\r\nConnection: close\r\n\r\n"
            peer.sendall(b"DELETE " + trick + b" HTTP/1.1\r\n" + head.encode())
            answer = b""
            while part := peer.recv(65_536):
                answer += part
        status = int(answer.split(b" ", 2)[1])
        # A question mark or a hash ends the path, an address names its host: what is left is no variable.
        cut = b"?" in trick or b"#" in trick or b"http:" in trick
        assert (trick, status) in {(trick, 400), (trick, 405 if cut else 400)}
    with running.api() as api:
        assert api.get("/variables/name/kept").is_success


@pytest.mark.promise("C1")
def test_no_route_tells_the_secret_of_a_block(
    running: RunningStack, keys: Mapping[str, str], ids: Mapping[str, str]
) -> None:
    looked = 0
    for role in ("viewer", "worker", "admin"):
        with ask(running, keys[role]) as client:
            for wanted in asks(role):
                if wanted.route.reads and wanted.trick is None:
                    answer = client.request(wanted.route.method, aimed(wanted.path, ids), content=wanted.body)
                    assert PLANTED not in answer.text
                    looked += "block" in wanted.route.path and answer.is_success
    assert looked > 10


@pytest.mark.promise("A1")
def test_a_paused_run_goes_on_when_it_is_approved_and_not_before(
    running: RunningStack, keys: Mapping[str, str], ids: Mapping[str, str]
) -> None:
    with running.api() as api:
        details = {"pause_key": "1", "pause_timeout": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}
        paused = {"state": {"type": "PAUSED", "name": "Suspended", "state_details": details}, "force": True}
        api.post(f"/flow_runs/{ids['flow_runs']}/set_state", json=paused).raise_for_status()
    path = f"/api/flow_runs/{ids['flow_runs']}"
    for role in ("viewer", "operator", "worker"):
        with ask(running, keys[role]) as client:
            again = {"state": {"type": "SCHEDULED", "name": "Planted"}, "force": True}
            assert client.post(f"{path}/set_state", json=again).status_code == 403
            assert client.post(f"{path}/resume", json={}).status_code == 403
    assert running.run(ids["flow_runs"])["state_type"] == "PAUSED"
    with ask(running, keys["approver"]) as client:
        assert client.post(f"{path}/resume", json={}).json()["status"] == "ACCEPT"
    eventually(lambda: running.run(ids["flow_runs"])["state_type"] != "PAUSED")


def prefect(running: RunningStack, key: str, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Prefect's own command line, with nothing but the gateway's address and a key."""
    return subprocess.run(
        [sys.executable, "-m", "prefect", *words],
        env=as_client(running, key, home),
        capture_output=True,
        text=True,
        timeout=60,
    )


def as_client(running: RunningStack, key: str, home: Path) -> dict[str, str]:
    return {
        **environment.foreign(running.places),
        "PREFECT_API_URL": f"{running.places.gateway}/api",
        "PREFECT_API_AUTH_STRING": key,
        "PREFECT_HOME": str(home),
        "PREFECT_CLI_COLORS": "false",
        "PREFECT_CLI_PROMPT": "false",
    }


def test_prefects_command_line_works_with_a_key(
    running: RunningStack, keys: Mapping[str, str], ids: Mapping[str, str], tmp_path: Path
) -> None:
    listed = prefect(running, keys["viewer"], tmp_path, "deployment", "inspect", BY_HAND)
    assert ids["deployments"] in listed.stdout, listed.stderr
    words = ("deployment", "run", BY_HAND, "--param", "seconds=0.1")
    started = prefect(running, keys["operator"], tmp_path, *words)
    assert started.returncode == 0 and "Created flow run" in started.stdout, started.stderr
    # It prints where the run's page is: there, a browser is led to the page.
    page = next(word for word in started.stdout.split() if "/runs/flow-run/" in word)
    led = httpx.get(page, headers={"Accept": "text/html"}, trust_env=False)
    assert led.headers["location"] == f"/v2{urlsplit(page).path}"
    refused = prefect(running, keys["operator"], tmp_path, *words, "--job-variable", "command=id")
    assert refused.returncode != 0 and "Created" not in refused.stdout
    refused = prefect(running, keys["viewer"], tmp_path, *words)
    assert refused.returncode != 0 and "Created" not in refused.stdout
    with running.api() as api:
        assert not [run for run in prefect_api.filtered(api, "/flow_runs") if run["job_variables"]]


def test_prefects_command_line_follows_events_through_the_websocket(
    running: RunningStack, keys: Mapping[str, str], tmp_path: Path
) -> None:
    words = [sys.executable, "-m", "prefect", "events", "stream"]
    with subprocess.Popen(
        words, env=as_client(running, keys["viewer"], tmp_path), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            assert any('"event":"prefect.' in line for line in process.stdout)
        finally:
            process.kill()


@contextmanager
def worker(running: RunningStack, key: str, home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of another host, as far as Prefect can tell."""
    words = ("worker", "start", "--pool", POOL, "--type", "process", "--name", "far", "--install-policy", "never")
    with (home / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", *words],
            env={
                **as_client(running, key, home),
                "PREFECT_WORKER_QUERY_SECONDS": "1",
                "PREFECT_WORKER_WEBSERVER_HOST": "127.0.0.1",
            },
            cwd=APP_ROOT,
            stdout=log,
            stderr=log,
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def test_a_worker_works_through_the_gateway(
    running: RunningStack, keys: Mapping[str, str], ids: Mapping[str, str], tmp_path: Path
) -> None:
    with running.api() as api:
        template = work_pool.job_template(running.places)
        api.post("/work_pools/", json={"name": POOL, "type": "process", "base_job_template": template})
        near = api.get(f"/deployments/{ids['deployments']}").raise_for_status().json()
        far = {key: near[key] for key in ("flow_id", "entrypoint", "path", "pull_steps", "parameter_openapi_schema")}
        made = api.post("/deployments/", json={**far, "name": "far", "work_pool_name": POOL})
        deployment = made.raise_for_status().json()["id"]
    with worker(running, keys["worker"], tmp_path) as process, ask(running, keys["operator"]) as client:
        started = client.post(f"/api/deployments/{deployment}/create_flow_run", json={"parameters": {"seconds": 0.5}})
        run = started.raise_for_status().json()["id"]
        said = tmp_path / "worker.log"

        def ended() -> bool:
            assert process.poll() is None, said.read_text()[-3000:]
            return running.run(run)["state_type"] in ("COMPLETED", "FAILED", "CRASHED")

        eventually(ended, 150)
        assert running.run(run)["state_type"] == "COMPLETED", said.read_text()[-3000:]
        assert running.run(run)["infrastructure_pid"]

        def lines() -> list[str]:
            answer = client.post("/api/logs/filter", json={"logs": {"flow_run_id": {"any_": [run]}}})
            return [line["message"] for line in answer.json() if line["message"] == "still here"]

        eventually(lines)

        def told() -> list[str]:
            """What the worker said of it over the websocket for events."""
            wanted = {"event": {"name": ["prefect.worker.executed-flow-run"]}}
            return [
                one
                for one in client.post("/api/events/filter", json={"filter": wanted}).json()["events"]
                if run in str(one)
            ]

        eventually(told)
    assert not [line for line in said.read_text().splitlines() if "403" in line or "not-allowed" in line]
