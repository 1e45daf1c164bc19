"""A gateway that is started before the parts it needs, or loses them, or meets a fault of its own."""

import json
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from typing import TextIO

import httpx
import psycopg
import pytest
from fastapi import APIRouter
from starlette.routing import Route

from config import logs
from config.places import Places
from config.settings import Settings
from deployments.gateway import first_sign_in
from deployments.gateway.app import create_app
from tests.gateway.conftest import Front, served
from tests.postgres_process import PostgresProcess
from tests.waiting import until


async def test_the_gateway_waits_for_a_database_and_says_so(places: Places, postgres: PostgresProcess) -> None:
    name = f"{places.settings.postgres.database}_late"
    wanted = places.settings.model_dump()
    late = Places(Settings(**{**wanted, "postgres": {**wanted["postgres"], "database": name}}))
    app = create_app(late)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://x") as anybody:

        async def reason() -> bool:
            return "database" in (await anybody.get("/api/v1/health")).json()["detail"]

        await until(reason)
        waiting = await anybody.get("/api/v1/health")
        assert (waiting.status_code, waiting.headers["retry-after"]) == (503, "1")
        assert waiting.json()["detail"] == (
            "the database does not answer, or does not let us in (OperationalError): `vivesphere up` makes it"
        )
        closed = await anybody.get("/api/v1/bots")
        assert (closed.status_code, closed.json()["type"]) == (503, "urn:vivesphere:problem:not-ready")
        with psycopg.connect(postgres.conninfo(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} OWNER vivesphere_owner TEMPLATE migrated")  # type: ignore[arg-type]
        try:
            await until(lambda: app.state.opening.ready)
            assert (await anybody.get("/api/v1/health")).json() == {"status": "ok", "stack": places.stack}
            assert (await anybody.get("/api/v1/bots")).status_code == 401
        finally:
            with psycopg.connect(postgres.conninfo(), autocommit=True) as connection:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


async def test_a_vault_that_is_not_there_yet_is_named(places: Places) -> None:
    secret_id = places.secret_id("gateway")
    hidden = secret_id.rename(secret_id.with_suffix(".hidden"))
    app = create_app(places)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://x") as anybody:

        async def reason() -> bool:
            return "sign in to the vault" in (await anybody.get("/api/v1/health")).json()["detail"]

        await until(reason)
        hidden.rename(secret_id)
        await until(lambda: app.state.opening.ready)


async def test_a_database_that_goes_away_is_a_503_and_health_tells(front: Front, postgres: PostgresProcess) -> None:
    assert (await front.anybody.get("/api/v1/health")).status_code == 200
    database = front.places.settings.postgres.database
    with psycopg.connect(postgres.conninfo(), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")  # type: ignore[arg-type]
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (database,))
        try:
            answer = await front.call("GET", "/posts")
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:vivesphere:problem:database-away")

            async def told() -> bool:
                return (await front.anybody.get("/api/v1/health")).status_code == 503

            await until(told)
        finally:
            connection.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")  # type: ignore[arg-type]
    assert (await front.call("GET", "/posts")).status_code == 200


async def test_a_fault_of_ours_is_logged_and_not_shown(places: Places) -> None:
    logs.configure("tests", places)

    def broken() -> None:
        raise RuntimeError("planted-inner-words")

    async with served(places) as front:
        router = APIRouter()
        router.get("/broken")(broken)
        front.app.include_router(router)
        answer = await front.anybody.get("/broken", params={"token": "planted-token"})
        assert (answer.status_code, answer.json()["type"]) == (500, "urn:vivesphere:problem:unexpected")
        assert "planted" not in answer.text
    lines = [json.loads(line) for line in (places.logs / "debug.jsonl").read_text(encoding="utf-8").splitlines()]
    [fault] = [line for line in lines if "exception" in line]
    assert "planted-inner-words" in fault["exception"]
    assert "planted-token" not in json.dumps(lines)
    assert answer.json()["detail"].rpartition(" ")[2] in fault["message"]


async def test_unknown_paths_and_methods_are_problems_too(front: Front) -> None:
    for method, path, status in (("GET", "/api/v1/nothing", 404), ("DELETE", "/api/v1/bots", 405)):
        answer = await front.anybody.request(method, path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert (await front.anybody.get("/docs")).status_code == 200
    assert (await front.anybody.get("/openapi.json")).json()["info"]["title"] == "ViveSphere Bot Manager"
    assert any(isinstance(route, Route) and route.path == "/" for route in front.app.routes)


def started(places: Places, console: TextIO, **wanted: str) -> "subprocess.Popen[bytes]":
    """The gateway as a process of its own, with the settings in its environment, and more of the gateway's own."""
    settings = places.settings
    environment = {
        "PATH": os.defpath,
        "VIVESPHERE_ENV_FILE": os.devnull,
        "VIVESPHERE_SETTINGS_FILE": str(places.home / "none.yaml"),
        "VIVESPHERE_HOME": str(places.home),
        "VIVESPHERE_GATEWAY__PORT": str(settings.gateway.port),
        "VIVESPHERE_POSTGRES__ADDRESS": str(settings.postgres.address),
        "VIVESPHERE_POSTGRES__DATABASE": settings.postgres.database,
        "VIVESPHERE_POSTGRES__TLS": "disable",
        "VIVESPHERE_VAULT__ADDRESS": str(settings.vault.address),
        "VIVESPHERE_VAULT__CA_FILE": str(settings.vault.ca_file),
        "VIVESPHERE_PREFECT__PORT": str(settings.prefect.port),
        "VIVESPHERE_X__SANDBOX_PORT": str(settings.x.sandbox_port),
        **{f"VIVESPHERE_GATEWAY__{name}": value for name, value in wanted.items()},
    }
    return subprocess.Popen(
        [sys.executable, "-m", "deployments.gateway"], env=environment, stdout=console, stderr=console
    )


@pytest.mark.promise("C1")
async def test_the_process_serves_and_no_secret_reaches_its_logs(places: Places, tmp_path: Path) -> None:
    with (tmp_path / "console.log").open("w") as console:
        process = started(places, console)
        try:
            async with httpx.AsyncClient(base_url=f"{places.gateway}/api/v1", trust_env=False) as anybody:

                async def healthy() -> bool:
                    try:
                        return (await anybody.get("/health")).status_code == 200
                    except httpx.ConnectError:
                        return False

                await until(healthy)
                link = first_sign_in.link_file(places).read_text(encoding="utf-8")
                key = places.cli_key.read_text(encoding="utf-8")
                password = secrets.token_urlsafe(24)
                owner = {"Authorization": f"Bearer {key}"}
                chosen = await anybody.post("/users/admin/password", json={"password": password}, headers=owner)
                assert chosen.status_code == 200
                signed_in = await anybody.post("/auth/login", json={"username": "admin", "password": password})
                token = signed_in.json()["access_token"]
                planted = {"username": "admin", "password": "planted-password"}  # pragma: allowlist secret
                await anybody.post("/auth/login", json=planted)
                await anybody.get("/auth/validate", params={"token": token})
                await anybody.get("/auth/validate", params={"token": "planted-token"})
                await anybody.get("/bots", headers={"Authorization": "Bearer planted:key"})
                await anybody.get(
                    f"{places.gateway}/oauth/callback", params={"code": "planted-code", "state": "planted-state"}
                )
                planted = {"name": "a", "use_case": "b", "client_id": "c", "client_secret": "planted-secret"}
                await anybody.post("/apps", json=planted, headers={"Authorization": f"Bearer {key}"})
        finally:
            process.terminate()
            # uvicorn ends in order and then passes the signal on to itself.
            assert process.wait(20) == -signal.SIGTERM
    written = "".join(
        path.read_text(encoding="utf-8") for path in [tmp_path / "console.log", *places.logs.glob("*.jsonl")]
    )
    assert "access.refused" in written
    for secret in ("planted", password, key.partition(":")[2], token, link.partition("link=")[2]):
        assert secret not in written
